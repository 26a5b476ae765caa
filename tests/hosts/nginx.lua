-- The library in a real nginx. Not among the specs that `make test` runs,
-- since it needs nginx with its Lua module; .ci/run installs both.

local nginx = require("tests.support.nginx")
local socket = require("socket")
local testing = require("maiagent.testing")

local LUA_MODULE = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;]]

local ENVIRONMENT = [[
env MAIAGENT_API_KEY;
env MAIAGENT_BASE_URL;]]

local HTTP = [[
  lua_package_path "${path};;";
  lua_package_cpath "${cpath};;";
  init_by_lua_block {
    maiagent = require "maiagent"
    client = maiagent.new{}
    at_start = #assert(client.embedding_models:list())
  }
  server {
    listen 127.0.0.1:${port};
    location /ping { content_by_lua_block { ngx.say "pong" } }
    location /init { content_by_lua_block { ngx.say(at_start) } }
    location /list {
      content_by_lua_block {
        local models, err = client.embedding_models:list()
        ngx.say(models and #models or tostring(err))
      }
    }
    location /access {
      access_by_lua_block {
        ngx.ctx.models = #assert(client.embedding_models:list())
      }
      content_by_lua_block { ngx.say(ngx.ctx.models) }
    }
    location /gather {
      content_by_lua_block {
        local list = {}
        for i = 1, 5 do
          list[i] = function() return client.embedding_models:list() end
        end
        local results, errors = client:gather(list)
        ngx.say(errors and "failed" or #results)
      }
    }
    location /log {
      content_by_lua_block { ngx.say "answered" }
      log_by_lua_block {
        local _, message = pcall(function()
          return client.embedding_models:list()
        end)
        ngx.log(ngx.ERR, message)
      }
    }
  }
]]

local function open(port, path)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:settimeout(10)
  assert(connection:send("GET " .. path
    .. " HTTP/1.0\r\nHost: localhost\r\n\r\n"))
  return connection
end

local function answer(connection)
  local text = assert(connection:receive("*a"))
  connection:close()
  return text:match("^HTTP/1%.%d (%d+)"), text:match("\r\n\r\n(.-)%s*$")
end

local function get(port, path)
  return answer(open(port, path))
end

describe("nginx", function()
  local server, place, port

  setup(function()
    server = testing.spawn()
    server:fault({ kind = "delay", seconds = 0.2, times = math.huge })
    place = nginx.new()
    place.path, place.cpath = package.path, os.getenv("NGINX_CPATH")
    port = place.port
    nginx.start(place, {
      modules = LUA_MODULE, main = ENVIRONMENT, http = HTTP,
    }, ("MAIAGENT_API_KEY=%s MAIAGENT_BASE_URL=%s"):format(server.api_key,
      server.base_url))
  end)

  teardown(function()
    nginx.stop(place)
    server:stop()
  end)

  it("blocks on purpose before there are workers", function()
    assert.equal("2", (select(2, get(port, "/init"))))
  end)

  it("yields in the content and access phases", function()
    assert.equal("2", (select(2, get(port, "/list"))))
    assert.equal("2", (select(2, get(port, "/access"))))
  end)

  it("gathers within one request", function()
    local started = socket.gettime()
    assert.equal("5", (select(2, get(port, "/gather"))))
    assert.is_true(socket.gettime() - started < 0.6)
  end)

  it("answers others while requests wait", function()
    local waiting, started = {}, socket.gettime()
    for i = 1, 20 do
      waiting[i] = open(port, "/list")
    end
    local slowest = 0
    for _ = 1, 10 do
      local asked = socket.gettime()
      assert.equal("pong", (select(2, get(port, "/ping"))))
      slowest = math.max(slowest, socket.gettime() - asked)
    end
    for _, connection in ipairs(waiting) do
      local status, body = answer(connection)
      assert.equal("200", status)
      assert.equal("2", body)
    end
    assert.is_true(slowest < 0.1, tostring(slowest))
    assert.is_true(socket.gettime() - started < 1)
  end)

  it("refuses in a phase that cannot wait, before anything is sent",
    function()
      local before = #server:log()
      assert.equal("answered", (select(2, get(port, "/log"))))
      socket.sleep(0.1)
      assert.equal(before, #server:log())
      local log = nginx.read(place, "error.log")
      assert.truthy(log:find("cannot wait for an answer in nginx's phase "
        .. "'log'; start a timer with ngx.timer.at", 1, true))
      assert.is_nil(log:find(server.api_key, 1, true))
    end)
end)
