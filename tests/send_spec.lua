local unpack = table.unpack or unpack -- luacheck: ignore
local core = require("maiagent.core")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local service = require("tests.support.service")

local now, seconds = core.now, pace.seconds

local NAME = { name = { "This field is required." } }

local function json_status(status, value, headers)
  return { kind = "status", status = status, json = value, headers = headers }
end

local function text_status(status, body, content_type)
  return {
    kind = "status",
    status = status,
    body = body,
    headers = { ["Content-Type"] = content_type },
  }
end

local HINT = "HTTP/1.1 103 Early Hints\r\n\r\n"
local EMPTY_CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
  .. "Content-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n"
local HTML = "<html><head><title>502 Bad Gateway</title></head></html>"

-- name, fault, kind, status, what the message says, client options
local FAILURES = {
  { "400 with nested fields", json_status(400, { files = { {}, NAME } }),
    "invalid", 400, "files%.2%.name: This field is required%." },
  { "401", json_status(401, { detail = "Invalid API key." }),
    "authentication", 401, "Invalid API key%. %(check api_key" },
  { "403", json_status(403, { detail = "You do not have permission." }),
    "permission", 403, "You do not have permission" },
  { "404", json_status(404, { detail = "Not found." }),
    "not_found", 404, "Not found" },
  { "405", json_status(405, { detail = "Method \"GET\" not allowed." }),
    "http", 405, "not allowed.*check the method" },
  { "409", json_status(409, { detail = "file is being processed" }),
    "conflict", 409, "being processed" },
  { "429", json_status(429, { detail = "Request was throttled." }),
    "rate_limit", 429, "throttled" },
  { "500", json_status(500, { detail = "boom" }), "server", 500, "boom" },
  { "502 in HTML", text_status(502, HTML, "text/html"),
    "server", 502, "HTML instead of JSON: 502 Bad Gateway" },
  { "503 without a body", { kind = "empty", status = 503 },
    "server", 503, "an empty answer" },
  { "200 in HTML", text_status(200, HTML, "text/html"),
    "decode", 200, "not what the API promises.*text/html" },
  { "JSON that ends early",
    text_status(200, '{"results": [1, 2', "application/json"),
    "decode", 200, "not what the API promises" },
  { "text after the JSON", text_status(200, '{"a": 1} x', "application/json"),
    "decode", 200, "not what the API promises" },
  { "an empty 200", { kind = "empty", status = 200 },
    "decode", 200, "empty" },
  { "a body over the limit", { kind = "large", bytes = 200000 },
    "decode", nil, "limits%.reply", { limits = { reply = 100000 } } },
  { "no content where a page is promised", { kind = "empty", status = 204 } },
  { "a body within the limit is no list", { kind = "large", bytes = 99999 },
    nil, nil, nil, { limits = { reply = 100000 } } },
  { "headers over the limit", { kind = "headers", count = 40, bytes = 10000 },
    "decode", nil, "limits%.header" },
  { "a flood of 1xx", { kind = "raw", bytes = HINT:rep(20000) },
    "decode", nil, "limits%.header", { max_retries = 2 } },
  { "a flood of 1xx, where more headers are allowed than libcurl takes",
    { kind = "raw", bytes = HINT:rep(20000) }, "decode", nil, "too large",
    { max_retries = 2, limits = { header = 1e6 } } },
  { "1xx for ever", { kind = "raw", bytes = HINT:rep(200), step = #HINT,
    seconds = 0.05 }, "timeout", nil, "timeout%.idle",
    { timeout = { idle = 0.2 } } },
  { "a flood of trailers", { kind = "raw", bytes = EMPTY_CHUNKED
    .. ("X-T: t\r\n"):rep(60000) },
    "decode", nil, "limits%.header", { max_retries = 2 } },
  { "trailers for ever", { kind = "raw", bytes = EMPTY_CHUNKED
    .. ("X-T: t\r\n"):rep(200), step = 8, seconds = 0.02 },
    "timeout", nil, "timeout%.idle", { timeout = { idle = 0.2 } } },
  { "a body that is cut off", { kind = "cut", bytes = 5 },
    "connection", nil, "closed after 5 of" },
  { "a body that is cut by a reset",
    { kind = "cut", bytes = 5, reset = true }, "connection", nil, "." },
  { "a reset", { kind = "reset" }, "connection", nil, "127%.0%.0%.1" },
  { "no HTTP at all", { kind = "raw", bytes = "SSH-2.0-OpenSSH\r\n" },
    "connection", nil, "HTTP" },
  { "a hang", { kind = "hang" }, "timeout", nil, "timeout%.total",
    { timeout = { total = seconds(0.3) } } },
  { "silence after the headers",
    { kind = "drip", bytes = 30, seconds = seconds(0.4) },
    "timeout", nil, "timeout%.idle", { timeout = { idle = seconds(0.2) } } },
  { "a redirect to another origin",
    { kind = "redirect", location = "http://127.0.0.1:9/elsewhere/" },
    "http", 302, "redirected to http://127%.0%.0%.1:9/elsewhere/.*base_url" },
  { "a redirect without a target", { kind = "status", status = 302 },
    "http", 302, "." },
  { "too deep a nesting",
    text_status(200, ("["):rep(50) .. ("]"):rep(50), "application/json"),
    "decode", 200, "nest", { limits = { nesting = 20 } } },
}

describe("a failing answer:", function()
  after_each(service.check)

  for _, row in ipairs(FAILURES) do
    local name, fault, kind, status, message, given = unpack(row, 1, 6)
    it(name, function()
      local server = service.start()
      server:fault(fault)
      local options = { max_retries = 0 }
      for option, value in pairs(given or {}) do
        options[option] = value
      end
      local client = service.client(server, options)
      local started = now()
      local value, err = client.chatbots:list()
      assert.is_true(now() - started < seconds(3))
      if not kind then
        assert.truthy(value)
        return
      end
      assert.is_nil(value)
      assert.equal(kind, err.kind)
      assert.equal(status, err.status)
      assert.truthy(err.message:find(message), err.message)
      assert.equal("GET", err.method)
      assert.equal("/api/chatbots/", err.path)
      assert.equal(1, err.attempts)
      assert.equal(1, #server:log())
      assert.truthy(tostring(err):find(err.message, 1, true))
    end)
  end

  it("a compressed one is no larger than 64 MiB", function()
    local deflate = require("zlib").deflate(9, 31)
    local pieces, zeros = {}, ("0"):rep(2 ^ 20)
    for i = 1, 65 do
      pieces[i] = deflate(zeros, i == 65 and "finish" or nil)
    end
    local bomb = table.concat(pieces)
    local server = service.start()
    server:fault({ kind = "raw", bytes = "HTTP/1.1 200 OK\r\n"
      .. "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"
      .. "Content-Length: " .. #bomb .. "\r\n\r\n" .. bomb })
    local value, err = service.client(server).chatbots:list()
    assert.is_nil(value)
    assert.equal("decode", err.kind)
    assert.equal("the reply is larger than the limit of 67108864 bytes "
      .. "(limits.reply)", err.message)
  end)

  it("a refused connection names host and port", function()
    local server = service.start()
    local port = server.port
    server:stop()
    local client = maiagent.new({
      api_key = "k", base_url = "http://127.0.0.1:" .. port, max_retries = 0,
    })
    local _, err = client.chatbots:list()
    client:close()
    assert.equal("connection", err.kind)
    assert.truthy(err.message:find("127.0.0.1:" .. port, 1, true))
    assert.is_true(err.retryable)
  end)

  it("an unknown host names it", function()
    local client = maiagent.new({
      api_key = "k", base_url = "https://no-such-host.invalid",
      max_retries = 0,
    })
    local _, err = client.chatbots:list()
    client:close()
    assert.equal("connection", err.kind)
    assert.truthy(err.message:find("no-such-host.invalid", 1, true))
  end)

  it("an unknown proxy is told from an unknown host", function()
    local client = maiagent.new({
      api_key = "test-key", base_url = "https://no-such-host.invalid",
      proxy = "http://no-such-proxy.invalid:3128", max_retries = 0,
    })
    local _, err = client.chatbots:list()
    client:close()
    assert.equal("connection", err.kind)
    assert.equal("the name of the proxy no-such-proxy.invalid:3128 could not "
      .. "be resolved: check the option `proxy`", err.message)
  end)

  it("holds the raw body, without the key", function()
    local server = service.start()
    server:fault(text_status(500, "your key test-key is odd", "text/plain"))
    local client = service.client(server, { max_retries = 0 })
    local _, err = client.chatbots:list()
    assert.equal("your key [redacted] is odd", err.body)
    assert.is_nil(tostring(err):find("test-key", 1, true))
  end)

  it("without the key in a content type or request id", function()
    local server = service.start()
    server:fault({ kind = "status", status = 200, body = "test-key", headers = {
      ["Content-Type"] = "text/test-key",
      ["X-Request-Id"] = "test-key",
    } })
    local _, err = service.client(server).chatbots:list()
    assert.equal("decode", err.kind)
    assert.equal("[redacted]", err.request_id)
    assert.equal("[redacted]", err.body)
    assert.is_nil(tostring(err):find("test-key", 1, true))
  end)
end)

describe("a redirect", function()
  after_each(service.check)

  it("within the origin is followed for GET, with the key", function()
    local server = service.start()
    server:fault({ kind = "redirect", path = "chatbots/$",
      location = "/api/embedding-models/" })
    local client = service.client(server)
    local models, _, response = client.chatbots:list()
    assert.truthy(models[1].name)
    assert.equal(1, response.attempts)
    assert.is_true(server:log()[2].authorization_ok)
  end)

  it("to another origin never gets the key there", function()
    local server, other = service.start(), service.start()
    server:fault({ kind = "redirect", location = other.base_url .. "/x/" })
    local client = service.client(server)
    local _, err = client.chatbots:list()
    assert.equal("http", err.kind)
    assert.equal(0, #other:log())
  end)

  it("is told without a password or query", function()
    local server = service.start()
    server:fault({ kind = "redirect",
      location = "http://user:word@127.0.0.1:9/x/?signature=y" })
    local _, err = service.client(server).chatbots:list()
    assert.truthy(err.message:find(" to http://127.0.0.1:9/x/,", 1, true))
  end)

  it("is not followed for a write", function()
    local server = service.start()
    server:fault({ kind = "redirect", location = "/api/chatbots/" })
    local client = service.client(server)
    local _, err = client.chatbots:update("x", { name = "y" })
    assert.equal("http", err.kind)
    assert.truthy(err.message:find("a write is never redirected", 1, true))
    assert.equal(1, #server:log())
  end)

  it("that goes round in circles ends", function()
    local server = service.start()
    server:fault({ kind = "redirect", times = math.huge,
      location = "/api/chatbots/" })
    local client = service.client(server)
    local _, err = client.chatbots:list()
    assert.equal("http", err.kind)
    assert.truthy(err.message:find("more than 5 redirects", 1, true))
    assert.equal(6, #server:log())
  end)
end)

local AT_ONCE = { ["Retry-After"] = "0" }

describe("a retry", function()
  after_each(service.check)

  -- name, faults, the call, requests sent, error kind or nil
  local function get(client)
    return client.chatbots:list()
  end
  local function post(client)
    return client:request("POST", "chatbots/batch/", { name = "x" })
  end
  local function delete(client)
    return client.chatbots:delete("7d9b1a5e-0000-4000-8000-000000000000")
  end
  local busy = json_status(503, { detail = "busy" }, AT_ONCE)
  local slow = json_status(429, { detail = "slow" }, AT_ONCE)
  local broken = json_status(500, { detail = "broken" }, AT_ONCE)
  local lost = { kind = "reset" }

  local rows = {
    { "GET after a 503", { busy }, get, 2 },
    { "GET after a 500 and a 429", { broken, slow }, get, 3 },
    { "GET no more than twice", { broken, broken, broken }, get, 3, "server" },
    { "GET after a reset", { lost }, get, 2 },
    { "POST after a 503 that says when", { busy }, post, 2, "http" },
    { "POST after a 429", { slow }, post, 2, "http" },
    { "POST not after a 500", { broken }, post, 1, "server" },
    { "POST not after a reset", { lost }, post, 1, "connection" },
    { "DELETE that got 500 and then 404 has succeeded", { broken }, delete, 2 },
    { "DELETE that was reset and then got 404 has succeeded", { lost },
      delete, 2 },
    { "DELETE that got 408 and then 404 has succeeded",
      { json_status(408, {}, AT_ONCE) }, delete, 2 },
    { "DELETE that got 429 and then 404 has not", { slow }, delete, 2,
      "not_found" },
    { "DELETE that got 404 at once has not", {}, delete, 1, "not_found" },
  }

  for _, row in ipairs(rows) do
    local name, faults, call, sent, kind = unpack(row, 1, 5)
    it(name, function()
      local server = service.start()
      for _, fault in ipairs(faults) do
        server:fault(fault)
      end
      local value, err, response = call(service.client(server))
      assert.equal(sent, #server:log())
      if kind then
        assert.is_nil(value)
        assert.equal(kind, err.kind)
        assert.equal(sent, err.attempts)
      else
        assert.truthy(value, tostring(err))
        assert.equal(sent, response.attempts)
      end
    end)
  end

  it("of libcurl's own, of a DELETE over a kept connection, has succeeded",
    function()
      local server = service.start()
      local client = service.client(server, { max_retries = 0 })
      assert(client.chatbots:list())
      server:fault({ kind = "raw", bytes = "" })
      assert.is_true(delete(client))
      assert.equal(3, #server:log())
    end)

  it("sends the very same bytes again", function()
    local server = service.start()
    local applied = json_status(503, {}, AT_ONCE)
    applied.apply = true -- so that the stand-in reads the body
    server:fault(applied)
    local client = service.client(server)
    client.chatbots:create({ name = "機器人" })
    local log = server:log()
    assert.equal(2, #log)
    assert.equal('{"name":"機器人"}', log[1].body)
    assert.equal(log[1].body, log[2].body)
  end)

  it("is announced", function()
    local server = service.start()
    server:fault(busy)
    local seen = {}
    local client = service.client(server, {
      on_retry = function(info)
        seen[#seen + 1] = info
      end,
    })
    client.chatbots:list()
    assert.equal(1, #seen)
    assert.equal(1, seen[1].attempt)
    assert.equal(503, seen[1].status)
    assert.equal(0, seen[1].delay)
    assert.equal("chatbots.list", seen[1].operation)
  end)

  it("waits as long as Retry-After says", function()
    local server = service.start()
    server:fault(json_status(429, {}, { ["Retry-After"] = "1" }))
    local client = service.client(server)
    local started = now()
    assert(client.chatbots:list())
    local took = now() - started
    assert.is_true(took >= 1 and took < 1 + seconds(0.6), tostring(took))
  end)

  it("is not waited for beyond 120 s", function()
    local server = service.start()
    server:fault(json_status(429, {}, { ["Retry-After"] = "3600" }))
    local _, err = service.client(server).chatbots:list()
    assert.equal("rate_limit", err.kind)
    assert.equal(3600, err.retry_after)
    assert.equal(1, err.attempts)
  end)

  it("is not begun when the total time would be over", function()
    local server = service.start()
    server:fault(json_status(429, {},
      { ["Retry-After"] = ("%.0f"):format(seconds(5)) }))
    local client = service.client(server, { timeout = seconds(2) })
    local started = now()
    local _, err = client.chatbots:list()
    assert.equal("rate_limit", err.kind)
    assert.is_true(now() - started < seconds(1))
  end)

  it("can be forbidden for one call", function()
    local server = service.start()
    server:fault(busy)
    local client = service.client(server)
    local _, err = client.chatbots:list(nil, { max_retries = 0 })
    assert.equal("server", err.kind)
    assert.equal(1, #server:log())
  end)

  it("counts in the total time with all before it", function()
    local server = service.start()
    server:fault({ kind = "hang", times = math.huge })
    local client = service.client(server, { timeout = seconds(0.5) })
    local started = now()
    local _, err = client.chatbots:list()
    local took = now() - started
    assert.equal("timeout", err.kind)
    assert.is_true(took >= seconds(0.45) and took < seconds(1.5),
      tostring(took))
  end)
end)

describe("a request", function()
  after_each(service.check)

  it("carries the key, and says who sends it", function()
    local server = service.start()
    local client = service.client(server, { user_agent = "my-tool/2.0" })
    assert(client.chatbots:list())
    local headers = server:log()[1].headers
    assert.equal("Api-Key test-key", headers.authorization)
    assert.equal("application/json", headers.accept)
    assert.truthy(headers["user-agent"]:find("^my%-tool/2%.0 maiagent%-lua/"))
  end)

  it("carries the client's and the call's headers", function()
    local server = service.start()
    local client =
      service.client(server, { headers = { ["X-A"] = "1", ["X-B"] = "2" } })
    assert(client.chatbots:list(nil, { headers = { ["x-b"] = "3" } }))
    local headers = server:log()[1].headers
    assert.equal("1", headers["x-a"])
    assert.equal("3", headers["x-b"])
  end)

  local unsafe = {
    { "a line break", { ["X-A"] = "1\r\nX-Evil: 2" } },
    { "a zero byte", { ["X-A"] = "1\0" } },
    { "a control character", { ["X-A"] = "1\1" } },
    { "an escape", { ["X-A"] = "\27[2J" } },
    { "a delete", { ["X-A"] = "1\127" } },
    { "a line break in a name", { ["X-A\n"] = "1" } },
    { "a tab in a name", { ["X-A\t"] = "1" } },
    { "a space in a name", { ["X A"] = "1" } },
    { "a letter beyond ASCII in a name", { ["X-\195\164"] = "1" } },
    { "nothing for a name", { [""] = "1" } },
    { "an Authorization of its own", { authorization = "Bearer x" } },
  }

  for _, row in ipairs(unsafe) do
    it("with " .. row[1] .. " in a header is not sent", function()
      local server = service.start()
      local client = service.client(server)
      assert.has_error(function()
        client.chatbots:list(nil, { headers = row[2] })
      end)
      assert.equal(0, #server:log())
    end)
  end

  it("carries a tab, and what is not ASCII, in a header as it is", function()
    local server = service.start()
    local value = "a\tb \195\164\255"
    assert(service.client(server).chatbots:list(nil,
      { headers = { ["X-A"] = value } }))
    assert.equal(value, server:log()[1].headers["x-a"])
  end)

  it("reuses its connection", function()
    local server = service.start()
    local client = service.client(server)
    for i = 1, 5 do
      local _, _, response = client.chatbots:list()
      assert.equal(i > 1, response.timings.reused)
    end
    local connections = {}
    for _, entry in ipairs(server:log()) do
      connections[entry.connection] = true
    end
    assert.truthy(next(connections))
    assert.is_nil(next(connections, (next(connections))))
  end)

  it("takes compressed answers", function()
    local server = service.start()
    server:fault({ kind = "gzip" })
    local models = assert(service.client(server).embedding_models:list())
    assert.truthy(models[1].id)
  end)

  it("is answered with status, headers, timings and attempts", function()
    local server = service.start()
    local _, _, response = service.client(server).chatbots:list()
    assert.equal(200, response.status)
    assert.equal(1, response.attempts)
    assert.equal("application/json", response.headers["CONTENT-type"])
    assert.is_nil(response.headers["X-None"])
    assert.is_nil(response.body)
    for _, name in ipairs({ "dns", "connect", "tls", "first_byte", "total" }) do
      assert.equal("number", type(response.timings[name]), name)
    end
    assert.is_true(response.timings.total >= response.timings.first_byte)
  end)

  it("is reported by on_event, without the key", function()
    local server = service.start()
    server:fault(json_status(503, {}, AT_ONCE))
    local events = {}
    local client = service.client(server, {
      on_event = function(event)
        events[#events + 1] = event
      end,
    })
    for _ in client.knowledge_bases:each() do end
    local types = {}
    for i, event in ipairs(events) do
      types[i] = event.type
      assert.equal("knowledge_bases.list", event.operation)
    end
    assert.same({ "request", "response", "retry", "request", "response",
      "page" }, types)
    assert.equal("[redacted]", events[1].headers.authorization)
    assert.equal(503, events[2].status)
    assert.equal("number", type(events[5].timings.total))
    assert.equal(0, events[6].items)
  end)
end)

describe("an api_key function", function()
  after_each(service.check)

  it("is asked for every call", function()
    local server = service.start()
    local keys, i = { "wrong", "test-key" }, 0
    local client = service.client(server, {
      api_key = function()
        i = i + 1
        return keys[i]
      end,
    })
    local _, err = client.chatbots:list()
    assert.equal("authentication", err.kind)
    assert(client.chatbots:list())
  end)
end)

local under_way = service.under_way

local STOP = setmetatable({}, { __tostring = function() return "stop" end })

local function stop()
  error(STOP)
end

-- name, options of the client, options of the call, fault
local RAISING = {
  { "on_progress", {}, { on_progress = stop }, { kind = "hang" } },
  { "on_progress at the end", {}, { on_progress = function(_, total)
    if total > 0 then
      stop()
    end
  end } },
  { "on_event of a request", { on_event = stop } },
  { "on_event of a response", { on_event = function(event)
    return event.type == "response" and stop()
  end } },
  { "on_event of a retry", { on_event = function(event)
    return event.type == "retry" and stop()
  end }, nil, { kind = "status", status = 429 } },
  { "on_retry", { on_retry = stop }, nil, { kind = "status", status = 429 } },
}

describe("what a callback raises", function()
  after_each(service.check)

  for _, row in ipairs(RAISING) do
    local name, client_options, options, fault = unpack(row, 1, 4)

    it("is raised unchanged and ends the call: " .. name, function()
      local server = service.start()
      local client = service.client(server, client_options)
      if fault then
        server:fault(fault)
      end
      local ok, err = pcall(client.chatbots.create, client.chatbots,
        { name = "x" }, options)
      assert.is_false(ok)
      assert.equal(STOP, err)
      assert.equal(0, under_way())
    end)

    it("comes out of step where a task called: " .. name, function()
      local server = service.start()
      local client = service.client(server, client_options)
      if fault then
        server:fault(fault)
      end
      local caught
      client:go(function()
        client.chatbots:create({ name = "x" }, options)
      end)
      local deadline = now() + seconds(5)
      while not caught do
        assert.is_true(now() < deadline)
        local ok, err = pcall(client.step, client)
        caught = not ok and err
        server:step(0.002, client)
      end
      assert.equal(STOP, caught)
      assert.equal(0, under_way())
    end)
  end

  it("ends the call where the wait hook raises", function()
    local server = service.start()
    server:fault({ kind = "hang" })
    local client = service.client(server, { wait = stop })
    local ok, err = pcall(client.chatbots.list, client.chatbots)
    assert.is_false(ok)
    assert.equal(STOP, err)
    assert.equal(0, under_way())
  end)

  it("keeps its position", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "hang" })
    local line = debug.getinfo(1, "l").currentline + 2
    local ok, err = pcall(client.chatbots.list, client.chatbots, nil, {
      on_progress = function() error("too slow") end,
    })
    assert.is_false(ok)
    assert.truthy(err:find("send_spec.lua:" .. line .. ": too slow", 1, true),
      err)
  end)
end)

describe("on_progress", function()
  after_each(service.check)

  it("may yield in a coroutine with a hook that yields, on every VM",
    function()
      local server = service.start()
      local client = service.client(server, { wait = function()
        coroutine.yield("hook")
      end })
      local seen = {}
      local thread = coroutine.create(function()
        return client.embedding_models:list(nil, { on_progress = function()
          seen[coroutine.yield("progress")] = true
        end })
      end)
      local models
      repeat
        local ok, value = coroutine.resume(thread, "resumed")
        assert(ok, value)
        models = value
        server:step(0.002, client)
      until coroutine.status(thread) == "dead"
      assert.truthy(models[1].id)
      assert.same({ resumed = true }, seen)
    end)

  it("may yield in a task, on every VM", function()
    local server = service.start()
    local client = service.client(server)
    local models, yields = nil, 0
    client:go(function()
      models = assert(client.embedding_models:list(nil, {
        on_progress = function()
          yields = yields + 1
          coroutine.yield()
        end,
      }))
    end)
    local deadline = now() + seconds(5)
    while client:step() do
      assert.is_true(now() < deadline)
      server:step(0.002, client)
    end
    assert.truthy(models[1].id)
    assert.is_true(yields > 0)
  end)
end)

local BYTES = ("0123456789abcde\n"):rep(125000) -- 2,000,000 bytes

-- Gives BYTES in pieces, or what instead(n) gives at the n-th call.
local function reader_of(piece, instead)
  local at, count = 1, 0
  return function()
    count = count + 1
    if instead then
      local bytes, problem = instead(count)
      if bytes or problem then
        return bytes, problem
      end
    end
    local bytes = BYTES:sub(at, at + piece - 1)
    at = at + piece
    return bytes ~= "" and bytes or nil
  end
end

local function upload(client, kb, reader, size, options)
  return client.knowledge_bases.files:upload(kb, { reader = reader,
    size = size or #BYTES, filename = "x.txt" }, nil, options)
end

local function stored(server, file)
  local key = file.file:match("^%a+://[^/]*/([^?]*)")
  local object = server.state.objects[key]
  return object.content:sub(1, object.size)
end

describe("max_speed", function()
  after_each(service.check)

  it("holds an upload back, which is no idleness of the line", function()
    local server = service.start()
    local client = service.client(server)
    local started = now()
    assert(client.uploads:put({ content = BYTES:sub(1, 30000),
      filename = "x.txt" }, "chatbot-file",
      { max_speed = 20000 / pace.slowness, max_retries = 0,
        timeout = { idle = seconds(0.3) } }))
    assert.is_true(now() - started > seconds(1), now() - started)
  end)
end)

describe("a reader", function()
  after_each(service.check)

  for _, piece in ipairs({ 4096, 100000, 1500000, #BYTES }) do
    it("gives the bytes that arrive, " .. piece .. " at a time", function()
      local server = service.start()
      local client = service.client(server)
      local file = assert(upload(client, service.knowledge_base(client),
        reader_of(piece)))
      assert.is_true(BYTES == stored(server, file))
    end)
  end

  it("may give nothing now and then", function()
    local server = service.start()
    local client = service.client(server)
    local file = assert(upload(client, service.knowledge_base(client),
      reader_of(100000, function(count)
        if count % 2 == 0 then
          return ""
        end
      end)))
    assert.is_true(BYTES == stored(server, file))
  end)

  it("that has nothing yet lets other tasks go on", function()
    local server = service.start()
    local client = service.client(server)
    local kb, calls, file = service.knowledge_base(client), 0, nil
    local task = client:go(function()
      file = assert(upload(client, kb, reader_of(100000, function(count)
        return calls < 5 and count > 1 and "" or nil
      end)))
    end)
    client:go(function()
      while not task:done() do
        assert(client.chatbots:list())
        calls = calls + 1
      end
    end)
    local deadline = now() + seconds(10)
    while client:step() do
      assert.is_true(now() < deadline)
      server:step(0.002, client)
    end
    assert.is_true(calls >= 5)
    assert.is_true(BYTES == stored(server, file))
  end)

  it("may yield in a task, while others go on", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local files, yields = {}, 0
    for i = 1, 3 do
      client:go(function()
        files[i] = assert(upload(client, kb, reader_of(50000, function()
          yields = yields + 1
          coroutine.yield()
        end)))
      end)
    end
    local deadline = now() + seconds(10)
    while client:step() do
      assert.is_true(now() < deadline)
      server:step(0.002, client)
    end
    for i = 1, 3 do
      assert.is_true(BYTES == stored(server, files[i]))
    end
    assert.equal(3 * (#BYTES / 50000 + 1), yields)
  end)

  it("in a task is asked as soon as the line can take more", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file
    client:go(function()
      file = assert(upload(client, kb, reader_of(16000)))
    end)
    local started = now()
    while client:step() do
      server:step(0.002, client)
    end
    assert.is_true(BYTES == stored(server, file))
    assert.is_true(now() - started < seconds(2))
  end)

  -- name, what it does instead, size, kind, what the error says
  for _, row in ipairs({
    { "tells what is wrong", function(count)
      if count == 3 then
        return nil, "the tape broke"
      end
    end, nil, "the tape broke" },
    { "tells what is wrong at once", function()
      return nil, "no tape"
    end, nil, "no tape" },
    { "gives no string", function(count)
      if count == 2 then
        return 42
      end
    end, nil, "a string or nil expected" },
    { "gives fewer bytes", nil, #BYTES + 1, "fewer than" },
    { "gives more bytes", nil, #BYTES - 1, "more than" },
  }) do
    it("that " .. row[1] .. " is kind 'file', and nothing is stored",
      function()
        local server = service.start()
        local client = service.client(server)
        local kb = service.knowledge_base(client)
        local file, err = upload(client, kb, reader_of(100000, row[2]), row[3])
        assert.is_nil(file)
        assert.equal("file", err.kind)
        assert.truthy(err.message:find(row[4], 1, true), err.message)
        assert.equal(0, under_way())
        assert.equal(0, #client.knowledge_bases.files:all(kb))
      end)
  end

  it("that raises ends the upload at once, unchanged", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local ok, err = pcall(upload, client, kb,
      reader_of(100000, function(count)
        if count == 3 then
          stop()
        end
      end))
    assert.is_false(ok)
    assert.equal(STOP, err)
    assert.equal(0, under_way())
  end)

  it("is read once: nothing is sent again", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    server:fault({ kind = "status", status = 503, path = "maiagent%-media",
      headers = { ["Retry-After"] = "0" } })
    local file, err = upload(client, kb, reader_of(100000))
    assert.is_nil(file)
    assert.equal("server", err.kind)
    assert.equal(1, err.attempts)
  end)

  it("that never ends is stopped by the deadline", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file, err = upload(client, kb, function()
      return ""
    end, 1000, { timeout = 0.3 })
    assert.is_nil(file)
    assert.equal("timeout", err.kind)
  end)
end)
