-- The library in a real nginx. Not among the specs that `make test` runs,
-- since it needs nginx with its Lua module; .ci/run installs both.

local child = require("tests.support.child")
local maiagent = require("maiagent")
local nginx = require("tests.support.nginx")
local socket = require("socket")
local testing = require("maiagent.testing")

local open, answer, get = nginx.open, nginx.answer, nginx.get

local SLOW = { kind = "delay", seconds = 0.2, times = math.huge }

local ENVIRONMENT = [[
env MAIAGENT_API_KEY;
env MAIAGENT_BASE_URL;]]

-- Only TLS 1.2 has sessions that the server keeps.
local OFFER = "openssl s_client -connect 127.0.0.1:%d -tls1_2 -reconnect "
  .. "</dev/null 2>&1"

-- Each phase writes what a call gave there into `seen`.
local HTTP = [[
  lua_package_path "${path};;";
  lua_package_cpath "${cpath};;";
  lua_shared_dict seen 1m;
  init_by_lua_block {
    maiagent = require "maiagent"
    client = maiagent.new{}
    few = maiagent.new{ max_in_flight = 2 }
]] .. nginx.CALL .. [[
    call "init"
    function knowledge_base()
      return assert(client.knowledge_bases:create({ name = "Manuals",
        embeddingModel = client.embedding_models:list()[1].id,
        rerankerModel = client.reranker_models:list()[1].id })).id
    end
    function beside()
      client:go(function()
        ngx.shared.seen:set("gone", #assert(client.embedding_models:list()))
      end)
      local results, errors = client:map({ 1, 2 }, function()
        return client.embedding_models:list()
      end)
      ngx.shared.seen:set("gathered", errors and "failed" or #results)
      local sources = {}
      for i = 1, 3 do
        sources[i] = { content = "content " .. i, filename = i .. ".txt" }
      end
      local files, failed =
        client.knowledge_bases.files:upload_all(knowledge_base(), sources)
      ngx.shared.seen:set("uploaded", failed and "failed" or #files)
    end
    beside()
  }
  init_worker_by_lua_block { call "init_worker"; beside() }
  exit_worker_by_lua_block { call "exit_worker" }
  ssl_session_fetch_by_lua_block { call "ssl_session_fetch" }
  upstream chosen {
    server 127.0.0.1:1;
    balancer_by_lua_block {
      call "balancer"
      require("ngx.balancer").set_current_peer("127.0.0.1", ${port})
    }
  }
  server {
    listen 127.0.0.1:${port};
    access_log ${folder}/access.log;
    location /ping { content_by_lua_block { ngx.say "pong" } }
    location /seen {
      content_by_lua_block { ngx.say(ngx.shared.seen:get(ngx.var.arg_phase)) }
    }
    location /rewrite {
      rewrite_by_lua_block { call "rewrite" }
      content_by_lua_block { ngx.say "pong" }
    }
    location /access {
      access_by_lua_block { call "access" }
      content_by_lua_block { ngx.say "pong" }
    }
    location /content { content_by_lua_block { call "content" } }
    location /timer {
      content_by_lua_block { ngx.timer.at(0, function() call "timer" end) }
    }
    location /log { return 204; log_by_lua_block { call "log" } }
    location /header_filter {
      return 204;
      header_filter_by_lua_block { call "header_filter" }
    }
    location /body_filter {
      content_by_lua_block { ngx.say "pong" }
      body_filter_by_lua_block { call "body_filter" }
    }
    location /set {
      set_by_lua_block $ignored { call "set" }
      return 204;
    }
    location /balancer { proxy_pass http://chosen/ping; }
    location /gather {
      content_by_lua_block {
        local list = {}
        for i = 1, 5 do
          list[i] = function()
            ngx.sleep(0.01)
            return client.embedding_models:list()
          end
        end
        local results, errors = client:gather(list)
        ngx.say(errors and "failed" or #results)
      }
    }
    location /sync {
      content_by_lua_block {
        ngx.say(tostring(assert(client.knowledge_bases:sync(
          knowledge_base(), "${data}"))))
      }
    }
    location /go {
      content_by_lua_block {
        client:go(function(from)
          local models = assert(client.embedding_models:list())
          local again = assert(client.embedding_models:list())
          ngx.say(from, " ", #models + #again)
        end, ngx.var.arg_from)
        ngx.say "begun"
        ngx.flush()
      }
    }
    location /go_raises {
      content_by_lua_block {
        client:go(function()
          assert(client.embedding_models:list())
          error "the task failed"
        end)
        ngx.say "begun"
      }
    }
    location /cancel {
      content_by_lua_block {
        local ended
        local task = client:go(function()
          ended = select(2, client.embedding_models:list())
        end)
        ngx.sleep(0.02)
        task:cancel()
        ngx.sleep(0.05)
        ngx.say(task:done(), " ", tostring(task), " ", ended and ended.kind)
      }
    }
    location /failures {
      content_by_lua_block {
        local once = client:with({ max_retries = 0 })
        once:go(function()
          maiagent.assert(once.chatbots:list())
        end)
        for i = 1, 3 do
          local _, err = once.chatbots:list()
          ngx.log(ngx.ERR, tostring(err), " ", tostring(once))
        end
        maiagent.assert(once.chatbots:list())
      }
    }
    location /hang {
      lua_check_client_abort on;
      content_by_lua_block { client.chatbots:list() }
    }
    location /few_hang {
      lua_check_client_abort on;
      content_by_lua_block { few.chatbots:list() }
    }
    location /few {
      content_by_lua_block { ngx.say(#assert(few.embedding_models:list())) }
    }
    location /under_way {
      content_by_lua_block {
        collectgarbage()
        collectgarbage()
        client:step()
        ngx.say((select(2, require("maiagent.http").live())))
      }
    }
    location /go_in_log {
      return 204;
      log_by_lua_block {
        local _, message = pcall(client.go, client, function() end)
        ngx.shared.seen:set("go", message)
      }
    }
  }
  server {
    listen 127.0.0.1:${rewriting_port};
    server_rewrite_by_lua_block { call "server_rewrite" }
    location / { return 204; }
  }
  server {
    listen 127.0.0.1:${tls_port} ssl;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    ssl_session_tickets off;
    ssl_client_hello_by_lua_block { call "ssl_client_hello" }
    ssl_certificate_by_lua_block { call "ssl_cert" }
    location /ping { return 200 "pong"; }
  }
]]

-- What a phase has seen; it may still be under way.
local function seen(port, phase)
  local deadline, body = socket.gettime() + 10
  repeat
    body = select(2, get(port, "/seen?phase=" .. phase))
    socket.sleep(body == "nil" and 0.02 or 0)
  until body ~= "nil" or socket.gettime() > deadline
  return body
end

local function handshake(place)
  local client = maiagent.new({
    api_key = "prefix.secret",
    base_url = "https://127.0.0.1:" .. place.tls_port,
    ca_file = place.folder .. "/certificate.pem",
    timeout = 10,
  })
  local body, err = client:request("GET", "/ping")
  assert.equal("pong", body, tostring(err) .. nginx.read(place, "error.log"))
  client:close()
end

-- Six handshakes, of which five offer a session that nobody has kept.
local function offer_session(place)
  local said = child.output_of(OFFER:format(place.tls_port))
  local _, made = said:gsub("New, TLSv1.2", "")
  assert.equal(6, made, said .. nginx.read(place, "error.log"))
end

describe("nginx", function()
  local server, place, port

  setup(function()
    server = testing.spawn({ api_key = "planted.0123456789abcdefKEY" })
    server:fault(SLOW)
    place = nginx.new()
    place.data = child.root .. "/examples/data"
    place.path, place.cpath = package.path, os.getenv("NGINX_CPATH")
    place.tls_port = nginx.free_port()
    place.rewriting_port = nginx.free_port()
    nginx.certify(place)
    port = place.port
    nginx.start(place, {
      lua = true, main = ENVIRONMENT, http = HTTP,
    }, ("MAIAGENT_API_KEY=%s MAIAGENT_BASE_URL=%s"):format(server.api_key,
      server.base_url))
  end)

  teardown(function()
    nginx.stop(place)
    server:stop()
  end)

  for _, phase in ipairs({ "init", "init_worker", "rewrite", "access",
    "content", "timer", "server_rewrite", "ssl_cert" })
  do
    it("answers in the phase " .. phase, function()
      if phase == "ssl_cert" then
        handshake(place)
      elseif phase == "server_rewrite" then
        get(place.rewriting_port, "/")
      elseif not phase:find("^init") then
        get(port, "/" .. phase)
      end
      assert.equal("2", seen(port, phase))
    end)
  end

  -- OpenResty's nginx can wait there; Debian's would end the handshake, or
  -- drop what runs.
  for _, row in ipairs({
    { "ssl_client_hello", handshake, nginx.is_openresty },
    { "ssl_session_fetch", offer_session, nginx.has_pending_sessions },
  })
  do
    local phase, enter, may_yield = row[1], row[2], row[3]
    local name = may_yield() and "answers in the phase "
      or "refuses, where only patches let it wait, in the phase "
    it(name .. phase, function()
      enter(place)
      local expected = may_yield() and "^2$"
        or "OpenResty's build can wait here"
      assert.truthy(seen(port, phase):find(expected), seen(port, phase))
    end)
  end

  it("runs tasks to their end where nothing else runs yet", function()
    assert.equal("2", seen(port, "gone"))
    assert.equal("2", seen(port, "gathered"))
    assert.equal("3", seen(port, "uploaded"))
  end)

  for _, phase in ipairs({ "set", "balancer", "header_filter", "body_filter",
    "log" })
  do
    it("refuses in the phase " .. phase .. ", before anything is sent",
      function()
        local before = #server:log()
        get(port, "/" .. phase)
        assert.truthy(seen(port, phase):find("cannot wait for an answer in "
          .. "nginx's phase '" .. phase .. "'; start a timer with "
          .. "ngx.timer.at", 1, true))
        assert.equal(before, #server:log())
        local log = nginx.read(place, "error.log")
        assert.is_nil(log:find(server.api_key, 1, true))
      end)
  end

  it("gathers within one request, beside others that do", function()
    local waiting, started = {}, socket.gettime()
    for i = 1, 5 do
      waiting[i] = open(port, "/gather")
    end
    for _, connection in ipairs(waiting) do
      assert.equal("5", (select(2, answer(connection))))
    end
    assert.is_true(socket.gettime() - started < 0.9)
  end)

  it("synchronises folders within several requests at a time", function()
    local waiting = {}
    for i = 1, 3 do
      waiting[i] = open(port, "/sync")
    end
    for _, connection in ipairs(waiting) do
      assert.truthy(select(2, answer(connection)):find("^4 uploaded, "))
    end
  end)

  it("runs a task beside the handler, within its request", function()
    local waiting = {}
    for i = 1, 5 do
      waiting[i] = open(port, "/go?from=" .. i)
    end
    get(port, "/content")
    for i, connection in ipairs(waiting) do
      assert.equal("begun\n" .. i .. " 4", (select(2, answer(connection))))
    end
  end)

  it("tells in nginx's log what a task raised", function()
    assert.equal("begun", (select(2, get(port, "/go_raises"))))
    assert.truthy(nginx.read(place, "error.log")
      :find("the task failed", 1, true))
  end)

  it("cancels a task", function()
    assert.equal("true maiagent.task (done) cancelled",
      (select(2, get(port, "/cancel"))))
  end)

  describe("where clients go away in the middle of a call,", function()
    before_each(function()
      server:faults_clear()
      server:fault({ kind = "hang", path = "chatbots", times = math.huge })
    end)

    after_each(function()
      server:faults_clear()
      server:fault(SLOW)
    end)

    local function ask_and_go(path, count)
      local before = #server:log()
      for i = 1, count do
        local connection = open(port, path)
        local deadline = socket.gettime() + 10
        repeat
          socket.sleep(0.01)
        until #server:log() == before + i or socket.gettime() > deadline
        connection:close()
      end
    end

    it("leaves nothing of them behind", function()
      ask_and_go("/hang", 5)
      local deadline, left = socket.gettime() + 10
      repeat
        left = select(2, get(port, "/under_way"))
      until left == "0" or socket.gettime() > deadline
      assert.equal("0", left)
    end)

    it("has room for others, whatever max_in_flight", function()
      ask_and_go("/few_hang", 2)
      local started = socket.gettime()
      assert.equal("2", (select(2, get(port, "/few"))))
      assert.is_true(socket.gettime() - started < 5)
    end)
  end)

  it("begins no task where nothing can wait", function()
    get(port, "/go_in_log")
    assert.truthy(seen(port, "go"):find("ngx.timer.at", 1, true))
  end)

  it("answers others while requests wait", function()
    local waiting, started = {}, socket.gettime()
    for i = 1, 20 do
      waiting[i] = open(port, "/content")
    end
    local slowest = 0
    for _ = 1, 10 do
      local asked = socket.gettime()
      assert.equal("pong", (select(2, get(port, "/ping"))))
      slowest = math.max(slowest, socket.gettime() - asked)
    end
    for _, connection in ipairs(waiting) do
      assert.equal("200", (answer(connection)))
    end
    assert.is_true(slowest < 0.1, tostring(slowest))
    assert.is_true(socket.gettime() - started < 1)
  end)

  -- One error is raised by a task, three are logged; one ends the request, of
  -- which nginx prints that it is no text.
  it("logs errors without the key, whatever the service says", function()
    server:faults_clear()
    server:fault({ kind = "status", status = 401, path = "chatbots", times = 5,
      json = { detail = "not the key " .. server.api_key } })
    assert.equal("500", (get(port, "/failures")))
    local log = nginx.read(place, "error.log")
    assert.equal(4, select(2, log:gsub("401: not the key %[redacted%]", "")))
    assert.truthy(log:find("runtime error: unknown reason", 1, true))
  end)

  it("answers in the last phase of a worker that goes", function()
    child.output_of("kill -HUP " .. place.pid)
    assert.equal("2", seen(port, "exit_worker"))
  end)

  it("leaves the key in no log and no other file", function()
    assert.truthy(nginx.read(place, "access.log"):find("/failures", 1, true))
    local code, found = child.run(place.folder, "grep -rlF "
      .. child.quoted(server.api_key) .. " .")
    assert.equal(1, code, found)
  end)
end)
