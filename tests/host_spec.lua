-- What the phases of nginx decide, with a table in the place of nginx's own;
-- the real one is in tests/hosts/nginx.lua.

local errors = require("maiagent.errors")
local pace = require("tests.support.pace")
local service = require("tests.support.service")
local socket = require("socket")
local testing = require("maiagent.testing")

local OPENRESTY = "--add-module=../ngx_lua-0.10.25 --with-ld-opt=..."
local DEBIAN = "--prefix=/usr/share/nginx --with-compat"

-- What LuaJIT finds where OpenSSL has OpenResty's patch, and where it has not.
local PATCHED = { SSL_magic_pending_session_ptr = true }
local UNPATCHED = setmetatable({}, { __index = function(_, symbol)
  error("undefined symbol: " .. symbol)
end })

-- 5.1 cannot yield across pcall; nginx has LuaJIT.
local YIELDS_EVERYWHERE = pcall(coroutine.wrap(function()
  assert(pcall(coroutine.yield))
end))

-- Runs fn(ngx) in a phase of a nginx that was built with such options and has
-- such symbols.
local function in_phase(phase, sleep, fn, configure, symbols)
  local ngx = {
    sleep = sleep,
    get_phase = function()
      return phase
    end,
    config = {
      nginx_configure = function()
        return configure or DEBIAN
      end,
    },
    thread = {
      spawn = function(begin, ...)
        coroutine.wrap(begin)(...)
      end,
    },
  }
  local ffi = package.loaded.ffi
  package.loaded.ffi = { cdef = function() end, C = symbols or UNPATCHED }
  rawset(_G, "ngx", ngx)
  local ok, problem = pcall(fn, ngx)
  rawset(_G, "ngx", nil)
  package.loaded.ffi = ffi
  assert(ok, problem)
end

describe("in nginx a call", function()
  after_each(service.check)

  -- phase, nginx's build, its symbols
  for _, row in ipairs({
    { "content" }, { "timer" }, { "ssl_session_fetch", OPENRESTY, PATCHED },
    { "ssl_client_hello", OPENRESTY }, { "precontent" }, { "proxy_ssl_cert" },
    { "proxy_ssl_verify" },
  }) do
    it("lets others go on while it waits in the phase " .. row[1], function()
      local server, slept = service.start(), 0
      local client = service.client({ api_key = server.api_key,
        base_url = server.base_url })
      in_phase(row[1], function(seconds)
        slept = slept + 1
        server:step(seconds)
      end, function()
        assert(client.chatbots:list())
      end, row[2], row[3])
      assert.is_true(slept > 0)
    end)
  end

  it("sleeps 1 ms first, later a twentieth of its wait, or 20 ms", function()
    local server, times = service.start(), {}
    server:fault({ kind = "delay", seconds = 0.6, times = 2 })
    local client = service.client({ api_key = server.api_key,
      base_url = server.base_url })
    for _ = 1, 2 do -- each call begins anew
      local began = socket.gettime()
      in_phase("content", function(seconds)
        times[#times + 1] = { slept = seconds,
          waited = socket.gettime() - began }
        socket.sleep(seconds)
        server:step(0)
      end, function()
        times = {}
        assert(client.chatbots:list())
      end)
      assert.is_true(times[1].slept <= pace.seconds(0.0012), times[1].slept)
      assert.equal(0.020, times[#times].slept)
      for i, time in ipairs(times) do
        local ideal = math.max(0.001, math.min(0.020, time.waited / 20))
        assert.is_true(math.abs(time.slept - ideal) < pace.seconds(0.002),
          i .. ": " .. time.slept .. " s after " .. time.waited .. " s")
      end
    end
  end)

  for _, phase in ipairs({ "init", "init_worker", "exit_worker" }) do
    it("blocks where nothing else runs: " .. phase, function()
      local server = testing.spawn()
      local client = service.client(server)
      in_phase(phase, error, function()
        assert(client.chatbots:list())
      end)
      client:close()
      server:stop()
    end)
  end

  -- phase, what the message says, nginx's build, its symbols
  for _, row in ipairs({
    { "log", "phase 'log'; start a timer with ngx.timer.at" },
    { "header_filter", "phase 'header_filter'; start a timer" },
    { "ssl_client_hello",
      "phase 'ssl_client_hello'; OpenResty's build can wait here" },
    { "ssl_session_fetch", "phase 'ssl_session_fetch'; OpenResty's build can "
      .. "wait here, if its OpenSSL is patched too", OPENRESTY },
    { "ssl_session_fetch", "'ssl_session_fetch'; OpenResty's build can", DEBIAN,
      PATCHED },
  }) do
    it("is refused in the phase " .. row[1] .. ", and nothing sent", function()
      local server = service.start()
      local client = service.client({ api_key = server.api_key,
        base_url = server.base_url })
      in_phase(row[1], error, function()
        local ok, message = pcall(client.chatbots.list, client.chatbots)
        assert.is_false(ok)
        assert.truthy(message:find(row[2], 1, true), message)
      end, row[3], row[4])
      assert.equal(0, #server:log())
    end)
  end
end)

describe("in nginx a task", function()
  after_each(service.check)

  it("is begun and ended by init_worker's line", function()
    local server = service.start()
    local client = service.client(server)
    in_phase("init_worker", error, function()
      local page
      local task = client:go(function(size)
        page = client.chatbots:list({ pageSize = size })
      end, 5)
      assert.is_true(task:done())
      assert.equal("maiagent.task (done)", tostring(task))
      assert.equal(0, page.count)
    end)
  end)

  it("raises to the host what it raised, as a text", function()
    local client = service.client(service.start())
    in_phase("init_worker", error, function()
      local ok, message = pcall(client.go, client, function()
        error(errors.new({ kind = "server", message = "mine" }), 0)
      end)
      assert.is_false(ok)
      assert.equal("maiagent: server: mine", message)
    end)
  end)

  if YIELDS_EVERYWHERE then
    it("is cancelled while the host resumes it", function()
      local server = service.start()
      server:fault({ kind = "hang" })
      local client = service.client({ api_key = server.api_key,
        base_url = server.base_url })
      local thread, value, err
      in_phase("content", coroutine.yield, function(ngx)
        function ngx.thread.spawn(begin, ...)
          thread = coroutine.create(begin)
          assert(coroutine.resume(thread, ...))
        end
        local task = client:go(function()
          value, err = client.chatbots:list()
        end)
        assert.is_false(task:done())
        assert.equal("maiagent.task (running)", tostring(task))
        for _ = 1, 5 do
          server:step(0.002)
          assert(coroutine.resume(thread))
        end
        assert.equal(1, #server:log())
        task:cancel()
        assert.equal("maiagent.task (cancelled)", tostring(task))
        assert(coroutine.resume(thread))
        assert.is_true(task:done())
      end)
      assert.is_nil(value)
      assert.equal("cancelled", err.kind)
    end)
  end
end)

describe("in nginx's init_worker, which has no coroutines,", function()
  after_each(service.check)

  it("functions run one after the other, up to one that raises", function()
    local server = service.start()
    local client = service.client(server)
    in_phase("init_worker", error, function()
      local order = {}
      local function note(i, fail)
        return function()
          order[#order + 1] = i
          assert(client.chatbots:list())
          return fail and error("over", 0) or i
        end
      end
      assert.same({ 1, 2 }, (client:gather({ note(1), note(2) })))
      local ok, message =
        pcall(client.gather, client, { note(3), note(4, true), note(5) })
      assert.is_false(ok)
      assert.equal("over", message)
      assert.same({ 1, 2, 3, 4 }, order)
    end)
  end)

  local SOURCES = {}
  for i = 1, 60 do
    SOURCES[i] = { content = "content " .. i, filename = i .. ".txt" }
  end

  it("files are stored and registered", function()
    local client = service.client(service.start())
    local kb = service.knowledge_base(client)
    in_phase("init_worker", error, function()
      local results, failures =
        client.knowledge_bases.files:upload_all(kb, SOURCES)
      assert.is_nil(failures)
      assert.equal(60, #results)
    end)
    assert.equal(60, assert(client.knowledge_bases.files:list(kb)).count)
  end)

  -- How many are there in the end: on_file is called when all are stored,
  -- on_progress before the first one is.
  for name, there in pairs({ on_file = 60, on_progress = 0 }) do
    it("what was stored is registered where " .. name .. " raises", function()
      local client = service.client(service.start())
      local kb = service.knowledge_base(client)
      in_phase("init_worker", error, function()
        local ok, message = pcall(client.knowledge_bases.files.upload_all,
          client.knowledge_bases.files, kb, SOURCES, nil, {
            [name] = function()
              error("mine", 0)
            end,
          })
        assert.is_false(ok)
        assert.equal("mine", message)
      end)
      assert.equal(there, assert(client.knowledge_bases.files:list(kb)).count)
    end)
  end
end)
