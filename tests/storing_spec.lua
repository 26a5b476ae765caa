-- An upload with something going wrong at each of its steps: afterwards one
-- file is in the knowledge base, or a clear error was given and none is.

local pace = require("tests.support.pace")
local raw_server = require("tests.support.raw_server")
local service = require("tests.support.service")
local socket = require("socket")

local seconds = pace.seconds

local PRESIGN, STORE = "presigned%-url", "^/maiagent%-media"
local REGISTER = "/files/$"

local function xml(code, message)
  return "<?xml version='1.0'?>\n<Error><Code>" .. code .. "</Code><Message>"
    .. message .. "</Message><RequestId>1</RequestId></Error>"
end

local function refusal(status, code, message, times)
  return { kind = "status", path = STORE, status = status, times = times,
    body = xml(code, message),
    headers = { ["Content-Type"] = "application/xml" } }
end

local POLICY = "Invalid according to Policy: Policy "
local BUSY = { ["Retry-After"] = "0" }

local function count(server, path)
  local n = 0
  for _, entry in ipairs(server:log()) do
    if entry.method == "POST" and entry.path:find(path) then
      n = n + 1
    end
  end
  return n
end

describe("an upload", function()
  after_each(service.check)

  -- what goes wrong, faults, POSTs to presign, store and register
  local survived = {
    { "a slow answer everywhere",
      { { kind = "delay", seconds = 0.1, path = PRESIGN },
        { kind = "delay", seconds = 0.1, path = STORE },
        { kind = "drip", seconds = 0.001, bytes = 50, path = REGISTER } },
      1, 1, 1 },
    { "presign: a reset", { { kind = "reset", path = PRESIGN } }, 2, 1, 1 },
    { "presign: 502", { { kind = "status", status = 502, path = PRESIGN,
      apply = true } }, 2, 1, 1 },
    { "presign: half an answer", { { kind = "cut", bytes = 20, reset = true,
      path = PRESIGN } }, 2, 1, 1 },
    { "store: a reset in the middle", { { kind = "reset", path = STORE } },
      1, 2, 1 },
    { "store: a reset after it was stored", { { kind = "reset", path = STORE,
      apply = true } }, 1, 2, 1 },
    { "store: 500 after it was stored", { { kind = "status", status = 500,
      path = STORE, apply = true } }, 1, 2, 1 },
    { "store: 503, twice", { { kind = "status", status = 503, times = 2,
      path = STORE, headers = BUSY } }, 1, 3, 1 },
    { "store: nothing of HTTP", { { kind = "raw", path = STORE } }, 1, 2, 1 },
    { "store: expired", { refusal(403, "AccessDenied",
      POLICY .. "expired.") }, 2, 2, 1 },
    { "store: expired, in other words", { refusal(403, "AccessDenied",
      "Request has expired") }, 2, 2, 1 },
    { "store: an expired token", { refusal(400, "ExpiredToken",
      "The provided token has expired.") }, 2, 2, 1 },
    { "store: expired after a reset", { { kind = "reset", path = STORE },
      refusal(403, "AccessDenied", POLICY .. "expired.") }, 2, 3, 1 },
    { "register: 503 that says when", { { kind = "status", status = 503,
      path = REGISTER, method = "POST", headers = BUSY } }, 1, 1, 2 },
    { "register: 502 although it was done", { { kind = "status", status = 502,
      path = REGISTER, method = "POST", apply = true } }, 1, 1, 1 },
    { "register: 502 although it was done, and a look that fails",
      { { kind = "status", status = 502, path = REGISTER, method = "POST",
        apply = true }, { kind = "status", status = 403, path = REGISTER,
        method = "GET" } }, 1, 1, 1 },
    { "register: 500, and it was not done", { { kind = "status", status = 500,
      path = REGISTER, method = "POST" } }, 1, 1, 2 },
    { "all at once", { { kind = "reset", path = PRESIGN },
      { kind = "reset", path = STORE },
      refusal(403, "AccessDenied", POLICY .. "expired."),
      { kind = "reset", path = PRESIGN }, { kind = "status", status = 503,
        path = STORE, headers = BUSY }, { kind = "reset", path = REGISTER,
        method = "POST", apply = true } }, 4, 4, 1 },
  }

  for _, row in ipairs(survived) do
    it("gives one file after " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      for _, fault in ipairs(row[2]) do
        server:fault(fault)
      end
      local content = ("0123456789"):rep(30000)
      local file, err = client.knowledge_bases.files:upload(kb,
        { content = content, filename = "x.txt" })
      assert.is_nil(err)
      assert.equal(#content, file.size)
      local page = assert(client.knowledge_bases.files:list(kb))
      assert.equal(1, page.count)
      assert.equal(file.id, page.results[1].id)
      assert.equal(row[3], count(server, PRESIGN))
      assert.equal(row[4], count(server, STORE))
      assert.equal(row[5], count(server, REGISTER))
    end)
  end

  local CONTENT = ("x"):rep(4 * 2 ^ 20) -- more than the line holds
  local PRESIGNED = '{"url": "%s/store", "fields": {"key": "media/x.txt"}}'
  local DONE = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

  -- A service whose storage gives an answer `times` times (that it is done, if
  -- it is not given another) as soon as it has seen the head of a POST.
  local function hasty(times, answer)
    local server, left, posts = nil, times, 0
    server = raw_server.start(function(connection, request)
      local presigns = request.path:find(PRESIGN)
      connection:send(presigns and raw_server.reply(PRESIGNED:format(
        server.url)) or DONE)
    end)
    local function step()
      server:step()
      for _, connection in ipairs(server.connections) do
        if not connection.seen and connection.input:find("^POST /store") then
          connection.seen, posts, left = true, posts + 1, left - 1
          connection:send(left >= 0 and (answer or DONE) or "")
        end
      end
      socket.sleep(0.0005)
    end
    finally(function() server:stop() end)
    local client = service.client({ api_key = "key", wait = step,
      base_url = server.url .. "/api/" })
    return client, function() return posts end
  end

  it("is not done because storage said so before it had the bytes", function()
    local client, posts = hasty(1)
    assert.equal("media/x.txt", client.uploads:put({ content = CONTENT,
      filename = "x.txt" }, "attachment"))
    assert.equal(2, posts())
  end)

  it("fails where storage wants no bytes after the head", function()
    local client, posts = hasty(1, "HTTP/1.1 417 Expectation Failed\r\n"
      .. "Connection: close\r\nContent-Length: 0\r\n\r\n")
    local key, err = client.uploads:put({ content = CONTENT,
      filename = "x.txt" }, "attachment")
    assert.is_nil(key)
    assert.equal("maiagent: http 417: an empty answer (POST /store)",
      tostring(err))
    assert.equal(1, posts())
  end)

  -- Of so many bytes libcurl asks by itself, and waits a second for the answer.
  it("asks with no header whether it may send the bytes", function()
    local server = service.start()
    local client = service.client(server)
    assert(client.uploads:put({ content = CONTENT, filename = "x.txt" },
      "attachment"))
    assert.is_nil(client.chatbots:create({ name = CONTENT }))
    assert.is_true(#server:log() >= 3)
    for _, entry in ipairs(server:log()) do
      assert.is_nil(entry.headers.expect)
    end
  end)

  it("fails where a reader's bytes were not waited for", function()
    local client, posts = hasty(1)
    local place = 0
    local key, err = client.uploads:put({ size = #CONTENT, filename = "x.txt",
      reader = function()
        place = place + 2 ^ 16
        return place <= #CONTENT and CONTENT:sub(1, 2 ^ 16) or nil
      end }, "attachment")
    assert.is_nil(key)
    assert.equal("connection", err.kind)
    assert.matches("answered %(204%) and hung up after %d+ of the %d+ bytes",
      err.message)
    assert.equal(1, posts())
  end)

  -- what goes wrong, faults, kind, a part of the message, code, store POSTs,
  -- the path of the request where none was made
  local failed = {
    { "presign: no JSON", { { kind = "status", status = 200, body = "<html>",
      path = PRESIGN } }, "decode", "not what the API promises", nil, 0 },
    { "presign: another shape", { { kind = "status", status = 200,
      json = { fields = {} }, path = PRESIGN } }, "decode",
      "without url or fields.key", nil, 0 },
    { "presign: plain http", { { kind = "status", status = 200,
      json = { url = "http://example.com/a?b", fields = { key = "k" } },
      path = PRESIGN } }, "http", "storage: plain http:// to example.com",
      nil, 0, "/a" },
    { "presign: no URL", { { kind = "status", status = 200,
      json = { url = "storage", fields = { key = "k" } }, path = PRESIGN } },
      "decode", "storage: the URL does not begin with", nil, 0 },
    { "store: expired twice", { refusal(403, "AccessDenied",
      POLICY .. "expired.", 2) }, "permission", "Policy expired",
      "AccessDenied", 2 },
    { "store: a wrong policy", { refusal(403, "AccessDenied",
      POLICY .. "Condition failed: key") }, "permission", "Condition failed",
      "AccessDenied", 1 },
    { "store: a proxy's refusal", { { kind = "status", status = 403,
      path = STORE, body = "<html><title>Token expired</title>" } },
      "permission", "HTML instead of JSON: Token expired", nil, 1 },
    { "store: too large", { refusal(400, "EntityTooLarge",
      "Your proposed upload exceeds the maximum allowed size") }, "invalid",
      "EntityTooLarge: Your proposed", "EntityTooLarge", 1 },
    { "store: 503 without end", { { kind = "status", status = 503, times = 3,
      body = xml("SlowDown", "Reduce your request rate."), path = STORE,
      headers = BUSY } }, "server", "SlowDown: Reduce", "SlowDown", 3 },
    { "register: a refusal", { { kind = "status", status = 400, json =
      { files = { { filename = { "Too long." } } } }, path = REGISTER,
      method = "POST" } }, "invalid", "files.1.filename: Too long.", nil, 1 },
    { "register: 502, and it was not done", { { kind = "status", status = 502,
      path = REGISTER, method = "POST" } }, "server",
      "x.txt was stored, but whether it was registered is unclear: ", nil, 1 },
  }

  for _, row in ipairs(failed) do
    it("gives an error and no file after " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      for _, fault in ipairs(row[2]) do
        server:fault(fault)
      end
      local file, err = client.knowledge_bases.files:upload(kb,
        { content = "x", filename = "x.txt" })
      assert.is_nil(file)
      assert.equal(row[3], err.kind)
      assert.truthy(err.message:find(row[4], 1, true), err.message)
      assert.equal("POST", err.method)
      if row[7] then
        assert.equal(row[7], err.path)
      end
      assert.equal(row[5], err.code)
      assert.equal(row[6], count(server, STORE))
      assert.equal(0, assert(client.knowledge_bases.files:list(kb)).count)
    end)
  end

  for _, number in ipairs({ 3, 12 }) do
    it("finds " .. number .. " files whose registration had no answer",
      function()
        local server = service.start()
        local client = service.client(server)
        local kb = service.knowledge_base(client)
        local sources = {}
        for i = 1, number do
          sources[i] = { content = ("x"):rep(i),
            filename = "same name " .. i % 2 .. ".txt" }
        end
        server:fault({ kind = "status", status = 504, path = REGISTER,
          method = "POST", apply = true })
        local started = socket.gettime()
        local found, failures =
          client.knowledge_bases.files:upload_all(kb, sources)
        assert.is_nil(failures)
        for i = 1, number do
          assert.equal(i, found[i].size)
        end
        local took = socket.gettime() - started
        assert.is_true(pace.batched(count(server, REGISTER), 1, took))
        assert.equal(number,
          assert(client.knowledge_bases.files:list(kb)).count)
      end)
  end

  -- Storage takes all bytes over a connection that it kept, and hangs up.
  -- what is sent, whether it is sent again
  local again = {
    { "a path", function(path)
      return path
    end, true },
    { "content", function()
      return { content = "0123456789", filename = "x.txt" }
    end, true },
    { "a reader", function()
      local left = { "01234", "56789" }
      return { filename = "x.txt", size = 10, reader = function()
        return table.remove(left, 1)
      end }
    end, false },
  }

  for _, row in ipairs(again) do
    it("of " .. row[1] .. (row[3] and " goes" or " does not go")
      .. " out again where a kept connection is closed", function()
      local server = service.start()
      local client = service.client(server, { max_retries = 0 })
      local kb = service.knowledge_base(client)
      local path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write("0123456789")
      file:close()
      assert(client.knowledge_bases.files:upload(kb, path))
      server:fault({ kind = "raw", bytes = "", path = STORE })
      local sent, err = client.knowledge_bases.files:upload(kb, row[2](path))
      os.remove(path)
      if row[3] then
        assert.equal(10, assert(sent, err).size)
        assert.equal(3, count(server, STORE))
      else
        assert.equal("connection", err.kind)
        assert.equal(2, count(server, STORE))
      end
    end)
  end

  it("asks again for a URL that is too old when it is used", function()
    local server = service.start({ presign_lifetime = seconds(0.2) })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    server:fault({ kind = "delay", seconds = seconds(0.5), path = PRESIGN })
    assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }))
    assert.equal(2, count(server, PRESIGN))
    assert.equal(1, assert(client.knowledge_bases.files:list(kb)).count)
  end)

  -- name, options of the client, of the call
  local clocks = {
    { "of the call", nil, { timeout = seconds(1.3) } },
    { "of the call, in a table", nil,
      { timeout = { total = seconds(1.3), idle = seconds(9) } } },
    { "of the client", { timeout = seconds(1.3) }, nil },
  }

  for _, row in ipairs(clocks) do
    it("has one clock for all its requests: " .. row[1], function()
      local server = service.start()
      local kb = service.knowledge_base(service.client(server))
      local client = service.client(server, row[2])
      for _, path in ipairs({ PRESIGN, STORE, REGISTER }) do
        server:fault({ kind = "delay", seconds = seconds(0.5), path = path })
      end
      local started = socket.gettime()
      local file, err = client.knowledge_bases.files:upload(kb,
        { content = "x", filename = "x.txt" }, nil, row[3])
      assert.is_nil(file)
      assert.equal("timeout", err.kind)
      assert.is_false(err.retryable)
      assert.truthy(err.message:find(("whether it was registered is unclear: "
        .. "not done within %g s (timeout.total)"):format(seconds(1.3)), 1,
        true), err.message)
      assert.is_true(socket.gettime() - started < seconds(1.8))
    end)
  end

  it("has no time left for a step that was never begun", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    server:fault({ kind = "delay", seconds = 0.5, path = PRESIGN })
    local file, err = client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }, nil, { timeout = 0.2 })
    assert.is_nil(file)
    assert.equal("timeout", err.kind)
    assert.equal("not done within 0.2 s (timeout.total)", err.message)
    assert.equal(0, count(server, STORE))
  end)

  -- After whose answer the time is over; POSTs to presign, store and register;
  -- the path of the next.
  local late = {
    { "uploads.presign", 1, 0, 0, "^/[^/]+/$" },
    { "storage", 1, 1, 0, "^/api/knowledge%-bases/[^/]+/files/$" },
  }

  for _, row in ipairs(late) do
    it("has no time left after " .. row[1] .. " and a slow callback",
      function()
        local server = service.start()
        local kb = service.knowledge_base(service.client(server))
        local client = service.client(server, { on_event = function(event)
          if event.type == "response" and event.operation == row[1] then
            socket.sleep(seconds(0.6))
          end
        end })
        local file, err = client.knowledge_bases.files:upload(kb,
          { content = "x", filename = "x.txt" }, nil,
          { timeout = seconds(0.5) })
        assert.is_nil(file)
        assert.equal("timeout", err.kind)
        assert.equal(("not done within %g s (timeout.total)")
          :format(seconds(0.5)), err.message)
        assert.equal("POST", err.method)
        assert.matches(row[5], err.path)
        assert.equal(row[2], count(server, PRESIGN))
        assert.equal(row[3], count(server, STORE))
        assert.equal(row[4], count(server, REGISTER))
      end)
  end

  it("has no time left to look for the file to the list's end", function()
    local server = service.start()
    local kb = service.knowledge_base(service.client(server))
    local client = service.client(server, { on_event = function(event)
      if event.type == "response"
        and event.operation == "knowledge_bases.files.list"
      then
        socket.sleep(seconds(1))
      end
    end })
    server:fault({ kind = "status", status = 502, path = REGISTER,
      method = "POST" })
    server:fault({ kind = "status", status = 200, path = REGISTER,
      method = "GET", json = { count = 200, next = "http://x/?page=2",
        results = { { id = "other", filename = "x.txt" } } } })
    local before = #server:log()
    local file, err = client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }, nil,
      { timeout = seconds(1) + 0.4 })
    assert.is_nil(file)
    assert.truthy(err.message:find("the list of files could not be read", 1,
      true), err.message)
    assert.equal(before + 4, #server:log())
  end)

  it("reports the bytes of a repeat from the beginning", function()
    local server = service.start()
    local client = service.client(server, { on_retry = function() end })
    local kb = service.knowledge_base(client)
    server:fault({ kind = "status", status = 503, path = STORE,
      headers = BUSY })
    local restarts, last = 0, 0
    local size = 3000000
    assert(client.knowledge_bases.files:upload(kb,
      { content = ("x"):rep(size), filename = "x.bin" }, nil, {
        on_progress = function(sent)
          restarts = restarts + (sent < last and 1 or 0)
          last = sent
        end,
      }))
    assert.equal(1, restarts)
    assert.is_true(last >= size)
  end)
end)
