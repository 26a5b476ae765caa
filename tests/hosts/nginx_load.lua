-- The library in a real nginx under load: throughput beside proxy_pass, a
-- responsive worker, reloads, many workers over TLS. Ratios are of one run, and
-- measured again where the machine was busy; the figures are printed.

local nginx = require("tests.support.nginx")
local read = require("tests.support.files").read
local socket = require("socket")

local open, answer, get = nginx.open, nginx.answer, nginx.get

local DELAY = 0.2 -- seconds that the slow upstream takes
local LOAD = 4 -- seconds of one measurement
local ATTEMPTS = 4
local LEAST_RATIO = 0.95
local LONGEST_PING = 0.020

-- The service: slow answers over http, echoes over https.
local UPSTREAM = [[
  log_format connections '$uri $connection';
  keepalive_requests 100000;
  lua_socket_log_errors off;
  server {
    access_log ${folder}/access.log connections;
    listen 127.0.0.1:${port} backlog=1024;
    default_type application/json;
    location / {
      content_by_lua_block { ngx.sleep(${delay}) ngx.print '{"count":1}' }
    }
  }
  server {
    listen 127.0.0.1:${tls_port} ssl backlog=1024;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    default_type application/json;
    location / {
      content_by_lua_block {
        ngx.print('{"number":"', ngx.var.arg_number, '"}')
      }
    }
  }
]]

local SERVER = [[
  lua_package_path "${path};;";
  lua_package_cpath "${cpath};;";
  init_by_lua_block {
    local maiagent = require "maiagent"
    client = maiagent.new{
      api_key = "prefix.secret",
      base_url = "http://127.0.0.1:${upstream_port}",
    }
    limited = maiagent.new{
      api_key = "prefix.secret",
      base_url = "http://127.0.0.1:${upstream_port}",
      max_in_flight = 8,
      max_connections = 4,
    }
    secure = maiagent.new{
      api_key = "prefix.secret",
      base_url = "https://127.0.0.1:${upstream_tls_port}",
      ca_file = "${upstream_folder}/certificate.pem",
    }
    -- A connection that the workers inherit and must leave alone.
    assert(secure:request("GET", "/echo", { number = 0 }))
  }
  upstream slow { server 127.0.0.1:${upstream_port}; keepalive 200; }
  keepalive_requests 100000;
  server {
    listen 127.0.0.1:${port} reuseport backlog=1024;
    location /ping { content_by_lua_block { ngx.say "pong" } }
    location /worker { content_by_lua_block { ngx.say(ngx.worker.pid()) } }
    location /proxied {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://slow/proxied;
    }
    location /called {
      content_by_lua_block {
        ngx.say(assert(client:request("GET", "/called")).count)
      }
    }
    location /limited {
      content_by_lua_block {
        ngx.say(assert(limited:request("GET", "/limited")).count)
      }
    }
    location /echo {
      content_by_lua_block {
        local echo = assert(secure:request("GET", "/echo",
          { number = ngx.var.arg_number }))
        ngx.say(echo.number, " ", ngx.worker.pid())
      }
    }
  }
]]

local function say(text, ...)
  io.stderr:write("    ", text:format(...), "\n")
end

local function started(workers, service)
  local place = nginx.new()
  place.path, place.cpath = package.path, os.getenv("NGINX_CPATH")
  place.upstream_folder = service.folder
  place.upstream_port, place.upstream_tls_port = service.port, service.tls_port
  nginx.start(place, { lua = true, http = SERVER, workers = workers })
  return place
end

-- One hundred clients ask for a path as fast as they get answers, while one
-- more asks the same worker for something at hand every 20 ms.
local function load(port, path)
  local wrk = io.popen(("wrk -t1 -c100 -d%ds --timeout 10s "
    .. "http://127.0.0.1:%d%s 2>&1"):format(LOAD, port, path))
  local pings, deadline = {}, socket.gettime() + LOAD - 0.2
  while socket.gettime() < deadline do
    local asked = socket.gettime()
    assert.equal("pong", (select(2, get(port, "/ping"))))
    pings[#pings + 1] = socket.gettime() - asked
    socket.sleep(0.02)
  end
  local said = wrk:read("*a")
  wrk:close()
  assert.is_nil(said:match("Socket errors[^\n]*"), said)
  assert.is_nil(said:match("Non%-2xx[^\n]*"), said)
  table.sort(pings)
  return tonumber(said:match("Requests/sec:%s*([%d.]+)")),
    pings[math.ceil(#pings * 0.99)]
end

local function lines_of(command)
  local list, pipe = {}, io.popen(command)
  for line in pipe:lines() do
    list[#list + 1] = line
  end
  pipe:close()
  return list
end

local function workers_of(place)
  return lines_of("pgrep -P " .. place.pid)
end

local function descriptors(pid)
  return #lines_of("ls /proc/" .. pid .. "/fd")
end

local function resident(pid) -- KiB
  return tonumber(read("/proc/" .. pid .. "/status"):match("VmRSS:%s*(%d+)"))
end

local function reload(place)
  os.execute("kill -HUP " .. place.pid)
end

-- Reloads, and waits until new workers alone are there.
local function renew(place)
  local old, deadline = workers_of(place)[1], socket.gettime() + 20
  reload(place)
  repeat
    socket.sleep(0.02)
    local now = workers_of(place)
    assert.is_true(socket.gettime() < deadline, "the old worker stays")
  until #now == 1 and now[1] ~= old
end

describe("nginx under load", function()
  local service, place

  setup(function()
    service = nginx.new()
    service.tls_port, service.delay = nginx.free_port(), DELAY
    nginx.certify(service)
    nginx.start(service, { lua = true, http = UPSTREAM })
    place = started(1, service)
  end)

  teardown(function()
    if place then
      nginx.stop(place)
    end
    nginx.stop(service)
  end)

  it("carries as much as proxy_pass, and stays responsive", function()
    local ratio, ping, holds
    for attempt = 1, ATTEMPTS do
      local proxied, idle = load(place.port, "/proxied")
      local called
      called, ping = load(place.port, "/called")
      ratio = called / proxied
      say("attempt %d: proxy_pass %.0f/s, ping p99 %.1f ms; the library "
        .. "%.0f/s (%.3f of it), ping p99 %.1f ms", attempt, proxied,
        idle * 1000, called, ratio, ping * 1000)
      holds = ratio >= LEAST_RATIO and ping < LONGEST_PING
      if holds then
        break
      end
    end
    assert.is_true(holds, ("%.3f, %.1f ms"):format(ratio, ping * 1000))
  end)

  it("queues a flood beyond its limits", function()
    local waiting, began = {}, socket.gettime()
    for i = 1, 40 do
      waiting[i] = open(place.port, "/limited")
    end
    for _, connection in ipairs(waiting) do
      local status, body = answer(connection)
      assert.equal("200", status)
      assert.equal("1", body)
    end
    local seen, count = {}, 0
    for connection in
      nginx.read(service, "access.log"):gmatch("/limited (%d+)")
    do
      count = count + (seen[connection] and 0 or 1)
      seen[connection] = true
    end
    say("40 at once, max_connections = 4: %d connections, %.1f s (ideal %.1f)",
      count, socket.gettime() - began, 40 / 4 * DELAY)
    assert.is_true(count > 0 and count <= 4, tostring(count))
  end)

  it("loses no request in a reload", function()
    local waiting = {}
    for round = 1, 5 do
      for _ = 1, 20 do
        waiting[#waiting + 1] = open(place.port, "/called")
      end
      socket.sleep(0.03)
      if round % 2 == 1 then
        reload(place)
      end
    end
    for _, connection in ipairs(waiting) do
      local status, body = answer(connection)
      assert.equal("200", status)
      assert.equal("1", body)
    end
    say("%d requests in flight over 3 reloads: all answered", #waiting)
  end)

  it("leaks neither descriptors nor memory in 50 reloads", function()
    local function measure()
      local worker = workers_of(place)[1]
      for i = 1, 3 do
        assert.equal(tostring(i),
          select(2, get(place.port, "/echo?number=" .. i)):match("^%d+"))
      end
      return { descriptors(place.pid), descriptors(worker),
        resident(place.pid), resident(worker) }
    end
    local early
    for i = 1, 50 do
      renew(place)
      if i == 10 then
        early = measure()
      end
    end
    local late = measure()
    say("master: %d → %d descriptors, %d → %d KiB; worker: %d → %d, "
      .. "%d → %d KiB (after 10 reloads → 50)", early[1], late[1], early[3],
      late[3], early[2], late[2], early[4], late[4])
    assert.equal(early[1], late[1])
    assert.equal(early[2], late[2])
    assert.is_true(late[3] < early[3] * 1.1, "the master grew")
    assert.is_true(late[4] < early[4] * 1.1, "the worker grew")
  end)

  it("answers right from 8 workers, over TLS", function()
    local many = started(8, service)
    local asked, pids, count = 800, {}, 0
    for first = 1, asked, 40 do
      local waiting = {}
      for number = first, first + 39 do
        waiting[number] = open(many.port, "/echo?number=" .. number)
      end
      for number, connection in pairs(waiting) do
        local status, body = answer(connection)
        assert.equal("200", status)
        local echoed, pid = body:match("^(%d+) (%d+)$")
        assert.equal(tostring(number), echoed)
        count = count + (pids[pid] and 0 or 1)
        pids[pid] = true
      end
    end
    local log = nginx.read(many, "error.log")
      .. nginx.read(service, "error.log")
    nginx.stop(many)
    say("%d requests over TLS by %d workers: all right", asked, count)
    assert.equal(8, count)
    assert.is_nil(log:match("[^\n]*bad record mac[^\n]*"))
    assert.is_nil(log:match("%[error%][^\n]*"))
    assert.is_nil(log:match("%[alert%][^\n]*"))
  end)
end)
