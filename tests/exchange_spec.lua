local child = require("tests.support.child")
local core = require("maiagent.core")
local http = require("maiagent.http")
local pace = require("tests.support.pace")
local raw_server = require("tests.support.raw_server")
local socket = require("socket")
local content_of = require("tests.support.files").read

local reply, run = raw_server.reply, raw_server.run
local seconds = pace.seconds

local client, servers, files

before_each(function()
  client, servers, files = http.client(), {}, {}
end)

after_each(function()
  client:close()
  client = nil
  for _, server in ipairs(servers) do
    server:stop()
  end
  for _, path in ipairs(files) do
    os.remove(path)
  end
  collectgarbage()
  collectgarbage()
  local clients, exchanges = http.live()
  assert.equal(0, clients)
  assert.equal(0, exchanges)
end)

local function serve(answer)
  local server = raw_server.start(answer)
  servers[#servers + 1] = server
  return server
end

local function temporary(content)
  local path = os.tmpname()
  files[#files + 1] = path
  local file = assert(io.open(path, "wb"))
  file:write(content or "")
  file:close()
  return path
end

local function start(server, method, extra, settings)
  local url = server.url .. "/path?secret=query"
  local request = assert(core.request(method or "GET", url, extra))
  return assert(client:start(request, settings))
end

-- Sends a request and waits for the whole answer.
local function exchange(answer, method, extra, settings)
  local server = serve(answer)
  local x = start(server, method, extra, settings)
  run(client, x, server)
  return x, server
end

local function parts(...)
  return { parts = { ... } }
end

describe("a reply", function()
  it("is status, headers and body", function()
    local x = exchange(reply("hello\0world", 201, "X-One: 1\r\n"))
    assert.is_nil(x:failure())
    assert.equal(201, x:status())
    assert.same({ ["x-one"] = "1", ["content-length"] = "11" }, x:headers())
    assert.equal("hello\0world", x:body())
  end)

  it("gives its body away once", function()
    local x = exchange(reply("hello"))
    assert.equal("hello", x:body())
    assert.equal("", x:body())
    assert.equal(200, x:status())
  end)

  it("is decoded where it lies, until it is dropped", function()
    local x = exchange(reply('{"a":[1,"\\u0000"]}'))
    assert.same({ a = { 1, "\0" } }, core.decode(x))
    assert.same({ a = { 1, "\0" } }, core.decode(x))
    x:drop()
    assert.equal("", x:body())
    assert.is_nil(core.decode(x))
    assert.equal(200, x:status())
  end)

  it("that is no JSON is still there after an attempt at it", function()
    local x = exchange(reply("hello"))
    local value, problem = core.decode(x)
    assert.is_nil(value)
    assert.is_string(problem)
    assert.equal("hello", x:body())
  end)

  it("tells nothing before it is there", function()
    local server = serve(function() end)
    local x = start(server)
    run(client, function() return #server.requests == 1 end, server)
    assert.is_false(x:done())
    assert.is_nil(x:status())
    assert.same({}, x:headers())
    assert.is_nil(x:header("date"))
    assert.is_nil(x:failure())
    assert.equal("", x:body())
    assert.is_nil(x:redirect())
  end)

  it("joins headers that come more than once", function()
    local x = exchange(reply("", 200, "A: 1\r\nB:  2 \r\na:3\r\nEmpty:\r\n"))
    assert.equal("1, 3", x:headers().a)
    assert.equal("1, 3", x:header("A"))
    assert.equal("2", x:header("b"))
    assert.equal("", x:header("empty"))
    assert.is_nil(x:header("c"))
  end)

  it("has no end of a line inside of a header", function()
    local x = exchange(reply("", 200, "A: 1\rB: 2\r \r\n"))
    assert.equal("1 B: 2", x:header("a"))
    assert.is_nil(x:header("b"))
  end)

  it("takes a folded line for a part of the one before it", function()
    local x = exchange(reply("", 200, "A: 1\r\n 2\r\n\t3\r\nB: 4\r\n"))
    assert.equal("1 2\t3", x:header("a"))
    assert.equal("4", x:header("b"))
  end)

  it("passes over a line that is no header, or refuses it", function()
    local x = exchange(reply("", 200, "A: 1\r\nnothing\r\nB: 2\r\n"))
    assert.is_true(x:done())
    local kind, message = x:failure()
    if kind then -- newer libcurls refuse it
      assert.equal("connection", kind)
      assert.matches("did not answer with HTTP", message)
    else
      assert.same({ a = "1", b = "2", ["content-length"] = "0" }, x:headers())
    end
  end)

  it("may repeat a header very often", function()
    local count = 50000
    local x = exchange(reply("", 200, ("A: 1\r\nB: 2\r\n"):rep(count / 2)))
    local begun = os.clock()
    local headers = pace.measured(function() return x:headers() end)
    assert.is_true(os.clock() - begun < seconds(1))
    assert.equal(("1, "):rep(count / 2 - 1) .. "1", headers.a)
    assert.equal(("2, "):rep(count / 2 - 1) .. "2", x:header("b"))
  end)

  -- Some libcurls go back to a header of the reply before, which is freed.
  it("may begin with a folded line, after another reply", function()
    local folded = "HTTP/1.1 200 OK\r\n X-Folded: " .. ("x"):rep(90)
      .. "\r\nContent-Length: 2\r\n\r\nok"
    for _ = 1, 3 do
      assert.equal(200, exchange(reply("one", 200, "A: 1\r\n")):status())
      local x = exchange(folded)
      assert.is_true(x:done())
      assert.is_true(x:failure() == "connection" or x:body() == "ok")
    end
  end)

  it("has the headers of the final answer alone", function()
    local early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    local x = exchange(early .. reply("ok", 200, "A: 1\r\n"))
    assert.equal(200, x:status())
    assert.same({ a = "1", ["content-length"] = "2" }, x:headers())
  end)

  it("has no trailers among its headers", function()
    local x = exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "3\r\nabc\r\n2\r\nde\r\n0\r\nLate: 1\r\n\r\n")
    assert.equal("abcde", x:body())
    assert.is_nil(x:header("late"))
  end)

  it("is not begun again by a trailer", function()
    local x = exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "2\r\nok\r\n0\r\nHTTP/1.1 500 No: x\r\nA: 1\r\n\r\n")
    assert.is_nil(x:failure())
    assert.equal(200, x:status())
    assert.equal("chunked", x:header("transfer-encoding"))
    assert.equal("ok", x:body())
  end)

  it("says where a redirect points, and does not go there", function()
    local x, server = exchange(reply("", 302, "Location: /there?a=b\r\n"))
    assert.equal(302, x:status())
    assert.equal(server.url .. "/there?a=b", x:redirect())
    assert.equal(1, #server.requests)
  end)

  it("may have no body", function()
    for _, answer in ipairs({ reply(""), "HTTP/1.1 204 No Content\r\n\r\n" }) do
      local x = exchange(answer)
      assert.is_nil(x:failure())
      assert.equal("", x:body())
    end
  end)

  it("of HEAD has none, whatever its length says", function()
    local x = exchange("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", "HEAD")
    assert.is_nil(x:failure())
    assert.equal("999", x:header("content-length"))
    assert.equal("", x:body())
  end)

  it("takes no more than it may", function()
    local settings = { reply_limit = 1000 }
    local x = exchange(reply(("x"):rep(1001)), "GET", nil, settings)
    local kind, message = x:failure()
    assert.equal("decode", kind)
    assert.equal(
      "the reply is larger than the limit of 1000 bytes (limits.reply)",
      message)
    x = exchange(reply(("x"):rep(1000)), "GET", nil, settings)
    assert.is_nil(x:failure())
    assert.equal(1000, #x:body())
  end)

  local many = ("X-Pad: 0123456789\r\n"):rep(60) -- 1140 bytes
  local hint = ("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(20) -- 520 bytes
  local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "2\r\nok\r\n0\r\n"
  local too_many = {
    { "headers", reply("", 200, many) },
    { "answers before the answer", hint .. hint .. reply("") },
    { "trailers", chunked .. many .. "\r\n" },
    { "headers in all", hint .. reply("", 200, many:sub(1, 570)) },
  }
  for _, row in ipairs(too_many) do
    it("takes no more " .. row[1] .. " than it may", function()
      local x = exchange(row[2], "GET", nil, { header_limit = 999 })
      local kind, message = x:failure()
      assert.equal("decode", kind)
      assert.equal("the headers of the reply are larger than the limit of "
        .. "999 bytes (limits.header)", message)
      x = exchange(row[2], "GET", nil, { header_limit = 1200 })
      assert.is_nil(x:failure())
    end)
  end

  local function peak()
    local status = content_of("/proc/self/status")
    return tonumber(status:match("VmHWM:%s*(%d+) kB"))
  end

  local endless = {
    { "of answers before the answer", "",
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" },
    { "of trailers", chunked, "X: y\r\n" },
  }
  for _, row in ipairs(endless) do
    it("ends, and takes no memory, in an endless flood " .. row[1], function()
      local reset = io.open("/proc/self/clear_refs", "w")
      if reset then
        reset:write("5") -- the peak begins anew
        reset:close()
      end
      local server = serve(row[2])
      local x, sent = start(server), 0
      local before = reset and peak()
      run(client, function()
        local connection = server.requests[1] and server.connections[1]
        if connection and #connection.output < 65536 then
          connection:send(row[3]:rep(5000))
          sent = sent + 5000 * #row[3]
        end
        return x:done()
      end, server)
      local kind, message = x:failure()
      assert.equal("decode", kind, message)
      assert.is_true(sent < 16e6, sent)
      if reset then
        assert.is_true(peak() - before < 16000, peak() - before)
      end
    end)
  end

  it("takes no longer line of a header than libcurl does", function()
    local x = exchange(reply("", 200, "A: " .. ("x"):rep(120000) .. "\r\n"))
    local kind, message = x:failure()
    assert.equal("decode", kind)
    assert.matches("^a line of the headers of 127.0.0.1:%d+ is too long",
      message)
  end)

  it("is decompressed where that was asked for", function()
    local zlib = require("zlib")
    local text = ("compressible "):rep(100)
    local packed = zlib.deflate(9, 31)(text, "finish")
    local server = serve(function(connection, request)
      assert.matches("\r\nAccept%-Encoding: [^\r]*gzip", request.head)
      connection:send(reply(packed, 200, "Content-Encoding: gzip\r\n"))
    end)
    local x = start(server, "GET", nil, { compressed = true })
    run(client, x, server)
    assert.equal(text, x:body())
    local limited =
      start(server, "GET", nil, { compressed = true, reply_limit = #text - 1 })
    run(client, limited, server)
    assert.equal("decode", (limited:failure()))
  end)
end)

describe("a request", function()
  local rows = {
    { "GET", nil, "" },
    { "DELETE", nil, "" },
    { "POST", nil, "", "0" },
    { "PUT", nil, "", "0" },
    { "POST", "{\0}", "{\0}", "3" },
    { "PUT", "{}", "{}", "2" },
    { "PATCH", "[1]", "[1]", "3" },
    { "DELETE", "{}", "{}", "2" },
  }
  for _, row in ipairs(rows) do
    local method, body, expected, length = row[1], row[2], row[3], row[4]
    it(method .. (body and " with a body" or ""), function()
      local extra = body and { body = body, type = "application/json" }
      local x, server = exchange(reply("ok"), method, extra)
      assert.is_nil(x:failure())
      local request = server.requests[1]
      local head = request.head:lower()
      assert.equal(method, request.method)
      assert.equal("/path?secret=query", request.path)
      assert.equal(expected, request.body)
      assert.equal(length, head:match("\r\ncontent%-length: (%d+)"))
      assert.equal(body and "application/json" or nil,
        head:match("\r\ncontent%-type: ([^\r]+)"))
      assert.is_nil(head:find("\r\nexpect:", 1, true))
      assert.is_nil(head:find("\r\ntransfer-encoding:", 1, true))
      assert.is_nil(head:find("\r\naccept-encoding:", 1, true))
    end)
  end

  it("carries its headers, and who sends it", function()
    local server = serve(reply("ok"))
    local request = assert(core.request("GET", server.url .. "/"))
    assert(request:set("X-Custom", "a b"))
    assert(request:set("X-Empty", ""))
    local x = assert(client:start(request, { user_agent = "spec/1" }))
    run(client, x, server)
    local head = server.requests[1].head
    assert.matches("\r\nX-Custom: a b\r\n", head, 1, true)
    assert.matches("\r\nX-Empty:\r\n", head, 1, true)
    assert.matches("\r\nUser-Agent: spec/1\r\n", head, 1, true)
  end)

  it("can be sent again with the same bytes", function()
    local server = serve(reply("ok"))
    local request =
      assert(core.request("POST", server.url, { body = "again" }))
    for i = 1, 3 do
      local x = assert(client:start(request))
      run(client, x, server)
      assert.equal("again", server.requests[i].body)
    end
  end)

  it("of some megabytes arrives whole", function()
    local body = ("0123456789abcdef"):rep(200000)
    local x, server = exchange(reply("ok"), "POST", { body = body })
    assert.is_nil(x:failure())
    assert.is_true(server.requests[1].body == body)
    local sent, total = x:progress()
    assert.same({ #body, #body }, { sent, total })
  end)

  it("raises when its settings are not what they should be", function()
    local request = assert(core.request("GET", "http://127.0.0.1:1/"))
    local rows_of_misuse = {
      { { connect = "soon" }, "connect: number expected" },
      { { reply_limit = -1 }, "reply_limit: must not be negative" },
      { { connect = 0 / 0 }, "connect: must not be negative" },
      { { path = 1 }, "path: string expected" },
      { { resume = -1 }, "resume: must not be negative" },
      { { resume = 1e300 }, "resume: no size of a file" },
      { { ca_file = "a\0b" }, "ca_file: contains a zero byte" },
    }
    for _, row in ipairs(rows_of_misuse) do
      assert.error_matches(function()
        client:start(request, row[1])
      end, row[2])
    end
    assert.has_error(function() client:start({}) end)
    assert.has_error(function() client.start(request, request) end)
  end)
end)

describe("a form", function()
  local function body_of(server)
    return server.requests[1].body
  end

  it("has its parts in order, files streamed", function()
    local content = ("line\r\n\0"):rep(100000)
    local path = temporary(content)
    local x, server = exchange(reply("ok"), "POST", parts(
      { name = "key", value = "a b" },
      { name = "note", value = "" },
      { name = "file", path = path, filename = "ü \"x\".pdf",
        type = "application/pdf" }))
    assert.is_nil(x:failure())
    local body = body_of(server)
    local key = body:find('name="key"\r\n\r\na b\r\n', 1, true)
    local note = body:find('name="note"\r\n\r\n\r\n', 1, true)
    local file = body:find('name="file"; filename="ü %22x%22.pdf"\r\n'
      .. "Content-Type: application/pdf\r\n\r\n" .. content, 1, true)
    assert.is_true(key < note and note < file)
    assert.matches("\r\nContent-Length: " .. #body .. "\r\n",
      server.requests[1].head, 1, true)
    local sent, total = x:progress()
    assert.same({ #body, #body }, { sent, total })
  end)

  it("takes a file's bytes from memory too", function()
    local _, server = exchange(reply("ok"), "POST",
      parts({ name = "file", value = "a\0b", filename = "x.bin" }))
    assert.matches('name="file"; filename="x.bin"', body_of(server), 1, true)
    assert.is_truthy(body_of(server):find("\r\n\r\na\0b\r\n", 1, true))
  end)

  it("takes an empty file", function()
    local x, server = exchange(reply("ok"), "POST",
      parts({ name = "file", path = temporary(), filename = "x" }))
    assert.is_nil(x:failure())
    assert.matches("\r\n\r\n\r\n--", body_of(server), 1, true)
  end)

  local unusable = {
    { "is not there", "/nonexistent/x.pdf", "No such file or directory" },
    { "is a directory", "/tmp", "Is a directory" },
    { "has no size", "/dev/zero", "Illegal seek" },
  }
  for _, row in ipairs(unusable) do
    it("is not sent when a file " .. row[1], function()
      local server = serve(reply("ok"))
      local request = assert(core.request("POST", server.url,
        parts({ name = "file", path = row[2], filename = "x" })))
      local x, kind, message = client:start(request)
      server:step()
      assert.is_nil(x)
      assert.equal("file", kind)
      assert.equal(row[2] .. ": " .. row[3], message)
      assert.equal(0, server.accepted)
    end)
  end

  local function change_while_sending(size, change)
    local path = temporary(("x"):rep(size))
    local server = serve(reply("ok"))
    server.refusing = true
    local x = start(server, "POST",
      parts({ name = "file", path = path, filename = "x" }))
    for _ = 1, 5 do
      client:poll(1)
      client:step()
    end
    change(path)
    server.refusing = false
    run(client, x, server)
    local kind, message = x:failure()
    assert.equal("file", kind)
    assert.equal(path .. ": changed while it was sent", message)
  end

  it("fails when a file shrinks meanwhile", function()
    change_while_sending(2 ^ 24, function(path)
      assert(io.open(path, "wb")):close()
    end)
  end)

  it("fails when a file changes and keeps its size", function()
    change_while_sending(2 ^ 24, function(path)
      local file = assert(io.open(path, "r+b"))
      file:write("y")
      file:close()
    end)
  end)

  it("is larger than 4 GiB if a file is", function()
    local path = temporary()
    child.output_of("truncate -s 5G " .. child.quoted(path))
    local form = parts({ name = "file", path = path, filename = "x" })
    local _, small = exchange(reply("ok"), "POST", parts({
      name = "file", path = temporary(), filename = "x" }))
    local around = #small.requests[1].body
    local server = serve(reply("ok"))
    local x = start(server, "POST", form)
    local head
    run(client, function()
      local connection = server.connections[1]
      head = connection and connection.input:match("^.-\r\n\r\n")
      return head
    end, server)
    local total = 5 * 2 ^ 30 + around
    assert.matches(("\r\nContent-Length: %.0f\r\n"):format(total), head, 1,
      true)
    assert.equal(total, (select(2, x:progress())))
    x:close()
  end)

  it("fails when a file grows meanwhile", function()
    change_while_sending(2 ^ 24, function(path)
      local file = assert(io.open(path, "ab"))
      file:write("more")
      file:close()
    end)
  end)
end)

describe("a part that is fed", function()
  local function fed(size)
    return parts({ name = "key", value = "k" }, {
      name = "file",
      feed = true,
      size = size,
      filename = "x.bin",
      type = "application/octet-stream",
    })
  end

  -- Feeds what `next_piece` gives, one piece whenever more is wanted.
  local function feeding(x, next_piece)
    return function()
      if x:hungry() then
        x:feed(next_piece())
      end
      return x:done()
    end
  end

  local function each(pieces)
    local i = 0
    return function()
      i = i + 1
      return pieces[i]
    end
  end

  local rows = {
    { "in one piece", { "0123456789" } },
    { "in several", { "01", "2", "3456789" } },
    { "in empty pieces too", { "", "01", "", "23456789", "" } },
    { "of no bytes", {} },
    { "of one byte", { "\0" } },
    { "larger than what may wait", { ("0123456789abcdef"):rep(2 ^ 17) } },
  }
  for _, row in ipairs(rows) do
    it("arrives " .. row[1], function()
      local whole = table.concat(row[2])
      local server = serve(reply("ok"))
      local x = start(server, "POST", fed(#whole))
      run(client, feeding(x, each(row[2])), server)
      assert.is_nil(x:failure())
      assert.equal("ok", x:body())
      local request = server.requests[1]
      assert.is_truthy(request.body:find('name="file"; filename="x.bin"\r\n'
        .. "Content-Type: application/octet-stream\r\n\r\n" .. whole .. "\r\n",
        1, true))
      assert.matches("\r\nContent-Length: " .. #request.body .. "\r\n",
        request.head, 1, true)
      assert.is_false(x:hungry())
    end)
  end

  it("never waits in large amounts", function()
    local piece = ("x"):rep(65536)
    local size = 256 * #piece
    local given = 0
    local server = serve(reply("ok"))
    server.refusing = true
    local x = start(server, "POST", fed(size))
    local function piece_by_piece()
      if given == size then
        return nil
      end
      given = given + #piece
      return piece
    end
    local go_on = feeding(x, piece_by_piece)
    for _ = 1, 200 do
      go_on()
      client:poll(1)
      client:step()
    end
    local sent = x:progress()
    assert.is_true(given - sent <= 2 * 2 ^ 20)
    assert.is_true(given < size)
    assert.is_false(x:hungry())
    server.refusing = false
    run(client, go_on, server)
    assert.is_nil(x:failure())
    assert.equal(size, given)
    assert.is_true(#server.requests[1].body > size)
  end)

  it("is asked for only once there is a connection", function()
    local server = serve("")
    server:stop()
    local x = start(server, "POST", fed(3))
    run(client, function()
      assert.is_false(x:hungry())
      return x:done()
    end)
    assert.equal("connection", (x:failure()))
  end)

  it("wakes who waits for its hunger", function()
    local server = serve(reply("ok"))
    local x = start(server, "POST", fed(2 ^ 30))
    local events
    local function step(count)
      for _ = 1, count do
        client:poll(1)
        events = select(2, client:step())
      end
    end
    server.refusing = true
    run(client, function() return x:hungry() end, server)
    for _ = 1, 100 do
      step(1)
      while x:hungry() do
        x:feed(("x"):rep(65536))
      end
    end
    local sent, before = x:progress(), events
    server.refusing = false
    run(client, function()
      return x:progress() >= sent + 2 ^ 18
    end, server)
    step(20)
    assert.is_true(client:poll(0))
    assert.is_true(events > before)
    assert.is_true(x:hungry())
    run(client, function() return not client:poll(0) end)
    x:close()
  end)

  it("lets nothing be idle but a server that does not read", function()
    local server = serve(reply("ok"))
    local x = start(server, "POST", fed(4))
    run(client, function() return x:hungry() end, server)
    local ends = core.now() + 0.1
    run(client, function() return core.now() > ends end, server)
    assert.equal(0, x:idle())
    assert.is_true(x:hungry())
    x:feed("abcd")
    x:feed()
    run(client, x, server)
    assert.is_nil(x:failure())
  end)

  local wrong = {
    { "more", { "abc", "de" } },
    { "more", { "abcde" } },
    { "more", { "abcd", "e" } },
    { "fewer", { "abc" } },
    { "fewer", {} },
  }
  for _, row in ipairs(wrong) do
    it("fails with " .. row[1] .. " bytes than announced, as "
      .. #row[2] .. " pieces", function()
      local server = serve(reply("ok"))
      local x = start(server, "POST", fed(4))
      run(client, feeding(x, each(row[2])), server)
      local kind, message = x:failure()
      assert.equal("file", kind)
      assert.equal("the source has " .. row[1]
        .. " than the 4 bytes that were announced", message)
      for _ = 1, 10 do
        server:step()
      end
      assert.equal(0, #server.requests)
      x:feed("nowhere")
    end)
  end

  it("need not be fed to the end when the answer is there", function()
    local server = serve(reply("ok"))
    local x = start(server, "POST", fed(2 ^ 20))
    run(client, function() return x:hungry() end, server)
    x:feed(("x"):rep(1000))
    for _ = 1, 10 do
      server:step()
      client:step()
    end
    local connection = server.connections[1]
    connection:send(reply("denied", 403))
    connection:close()
    run(client, x, server)
    assert.is_nil(x:failure())
    assert.equal(403, x:status())
    assert.equal("denied", x:body())
    x:feed("too late")
  end)

  it("ends with a connection that breaks", function()
    local server = serve("")
    local x = start(server, "POST", fed(2 ^ 20))
    run(client, function() return x:hungry() end, server)
    server:step()
    server.connections[1]:close(true)
    run(client, x, server)
    assert.equal("connection", (x:failure()))
    assert.is_false(x:hungry())
  end)

  it("can be cancelled, and closed by the collector", function()
    local server = serve(reply("ok"))
    local x = start(server, "POST", fed(4))
    run(client, function() return x:hungry() end, server)
    x:feed("ab")
    x:close()
    assert.is_false(x:hungry())
    x:feed("cd")
    assert.equal("cancelled", (x:failure()))
    x = start(server, "POST", fed(4))
    run(client, function() return x:hungry() end, server)
    x:feed("ab")
    x = nil
    collectgarbage()
    collectgarbage()
    assert.is_nil(x)
    assert.equal(0, (select(2, http.live())))
  end)

  it("can be sent again, fed anew", function()
    local server = serve(reply("ok"))
    local request = assert(core.request("POST", server.url, fed(3)))
    for i, piece in ipairs({ "abc", "def" }) do
      local x = assert(client:start(request))
      run(client, feeding(x, each({ piece })), server)
      assert.is_nil(x:failure())
      assert.matches("\r\n\r\n" .. piece .. "\r\n", server.requests[i].body)
    end
  end)

  it("raises when it is misused", function()
    local server = serve(reply("ok"))
    local x = start(server, "POST", { body = "x" })
    assert.is_false(x:hungry())
    assert.error_matches(function() x:feed("x") end, "no part .* is fed")
    x = start(server, "POST", fed(3))
    run(client, function() return x:hungry() end, server)
    x:feed("abc")
    x:feed()
    assert.error_matches(function() x:feed() end, "was told before")
    assert.has_error(function() x:feed({}) end)
    run(client, x, server)
  end)

  local refused = {
    { { name = "a", feed = true }, "parts[1].size: " },
    { { name = "a", feed = true, size = -1 }, "parts[1].size: " },
    { { name = "a", feed = true, size = 1.5 }, "parts[1].size: " },
    { { name = "a", feed = true, size = 0 / 0 }, "parts[1].size: " },
    { { name = "a", feed = true, size = math.huge }, "parts[1].size: " },
    { { name = "a", feed = true, size = "3" }, "parts[1].size: " },
    { { name = "a", feed = true, size = 3, value = "abc" }, "parts[1]: " },
    { { name = "a", feed = true, size = 3, path = "/x" }, "parts[1]: " },
  }
  it("has to have a size, and nothing else", function()
    for _, row in ipairs(refused) do
      local request, message =
        core.request("POST", "http://127.0.0.1/", parts(row[1]))
      assert.is_nil(request)
      assert.equal(row[2], message:sub(1, #row[2]))
    end
    local one = { name = "a", feed = true, size = 1 }
    assert.same({ nil, "parts[2].feed: only one part can be fed" },
      { core.request("POST", "http://127.0.0.1/", parts(one, one)) })
  end)
end)

describe("a body that goes into a file", function()
  it("is there whole when the exchange is done", function()
    local text = ("0123456789"):rep(100000)
    local path = temporary("what was there before")
    local settings = { path = path, reply_limit = 9 }
    local x = exchange(reply(text), "GET", nil, settings)
    assert.is_nil(x:failure())
    assert.equal("", x:body())
    assert.is_true(content_of(path) == text)
    assert.same({ #text, #text }, { select(3, x:progress()) })
  end)

  it("makes an empty file of an empty body", function()
    local path = temporary("before")
    exchange(reply(""), "GET", nil, { path = path })
    assert.equal("", content_of(path))
  end)

  it("stays in memory when the answer is an error", function()
    local path = temporary("before")
    local x = exchange(reply("sorry", 404), "GET", nil, { path = path })
    assert.equal(404, x:status())
    assert.equal("sorry", x:body())
    assert.equal("before", content_of(path))
  end)

  it("fails where no file can be made", function()
    local path = "/nonexistent/file"
    local x = exchange(reply("text"), "GET", nil, { path = path })
    local kind, message = x:failure()
    assert.equal("file", kind)
    assert.equal(path .. ": No such file or directory", message)
  end)

  it("fails where there is no room, and keeps what came before", function()
    local path = temporary()
    local script = temporary([[
      local core, http = require("maiagent.core"), require("maiagent.http")
      local raw_server = require("tests.support.raw_server")
      local server = raw_server.start(raw_server.reply(("x"):rep(2 ^ 20)))
      local client = http.client()
      local request = assert(core.request("GET", server.url))
      local x = assert(client:start(request, { path = arg[1] }))
      raw_server.run(client, x, server)
      print(x:failure())
    ]])
    -- A limit instead of a full disk; without its signal it is an error.
    local pipe = assert(io.popen("trap '' XFSZ; ulimit -f 4; "
      .. child.command({}, script, { path }) .. " 2>&1"))
    local output = pipe:read("*a")
    pipe:close()
    assert.equal("file\t" .. path .. ": File too large\t23\n", output)
    assert.matches("^x+$", content_of(path))
  end)

  -- The permissions and the size, as a shell sees them.
  local function seen(path)
    return child.output_of("stat -c '%a %s' " .. child.quoted(path))
  end

  local function in_folder(use)
    local folder = child.folder()
    local path = folder .. "/file.part"
    local ok, problem = pcall(use, path, folder)
    child.output_of("rm -rf " .. child.quoted(folder))
    assert(ok, problem)
  end

  it("is nobody else's to read until it is whole", function()
    in_folder(function(path)
      local server = serve(function(connection)
        connection:send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nte")
      end)
      local x = start(server, "GET", nil, { path = path })
      run(client, function() return x:status() end, server)
      assert.matches("^600 ", seen(path))
      server.connections[1]:send("xt")
      run(client, x, server)
      assert.is_nil(x:failure())
      local plain = path .. ".plain"
      assert(io.open(plain, "w")):close()
      assert.equal(seen(plain):match("^%d+") .. " 4", seen(path))
    end)
  end)

  local function fails(path, expected, settings)
    settings = settings or {}
    settings.path = path
    local x = exchange(reply("text"), "GET", nil, settings)
    local kind, message = x:failure()
    assert.equal("file", kind)
    assert.equal(path .. ": " .. expected, message)
  end

  local function shell(command, path)
    return child.output_of(command .. " " .. child.quoted(path))
  end

  local refused = {
    { "a symbolic link", "ln -s target",
      "is a symbolic link, which is not followed" },
    { "a named pipe", "mkfifo", "No such device or address" },
    { "a folder", "mkdir", "Is a directory" },
  }
  for _, row in ipairs(refused) do
    it("does not go into " .. row[1], function()
      in_folder(function(path, folder)
        shell(row[2], path)
        fails(path, row[3])
        assert.is_nil(io.open(folder .. "/target"))
      end)
    end)
  end

  it("does not go into a device", function()
    fails("/dev/null", "is not a regular file")
  end)

  it("does not go into another user's file", function()
    in_folder(function(path)
      assert(io.open(path, "w")):close()
      local is_root = child.output_of("id -u") == "0"
      shell("chown 12345 2>/dev/null", path)
      if is_root then -- nobody else can give a file away
        fails(path, "belongs to another user")
      else
        assert.equal("", content_of(path))
      end
    end)
  end)

  it("goes into a file that only one writes", function()
    in_folder(function(path)
      local server = serve(function(connection)
        connection:send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nte")
      end)
      local x = start(server, "GET", nil, { path = path })
      run(client, function() return x:status() end, server)
      fails(path, "is being written by another download")
      server.connections[1]:send("xt")
      run(client, x, server)
      assert.is_nil(x:failure())
      assert.equal("text", content_of(path))
    end)
  end)

  it("is locked until it has its final name", function()
    in_folder(function(path, folder)
      local final = folder .. "/file"
      local x = exchange(reply("whole"), "GET", nil, { path = path })
      fails(path, "is being written by another download")
      assert.is_true(x:keep(final))
      assert.equal("whole", content_of(final))
      assert.is_nil(io.open(path))
      assert.same({ nil, final .. ": there is no whole file to move there" },
        { x:keep(final) })
      local again = exchange(reply("again"), "GET", nil, { path = path })
      again:close()
      again = exchange(reply("third"), "GET", nil, { path = path })
      shell("mkdir", folder .. "/folder")
      assert.same({ nil, folder .. "/folder: Is a directory" },
        { again:keep(folder .. "/folder") })
      assert.equal("third", content_of(path))
      assert.is_true(again:keep(final))
      assert.equal("third", content_of(final))
    end)
  end)

  it("gets a name that is free, if that is asked for", function()
    in_folder(function(path, folder)
      local final = folder .. "/file"
      local x = exchange(reply("whole"), "GET", nil, { path = path })
      for _, made in ipairs({ "mkdir", "ln -s nowhere", "touch" }) do
        shell(made, final)
        assert.same({ nil, final .. ": File exists" }, { x:keep(final, true) })
        shell("rm -r", final)
      end
      assert.is_true(x:keep(final, true))
      assert.equal("whole", content_of(final))
      assert.is_nil(io.open(path))
    end)
  end)

  it("stays on disk as far as it came", function()
    in_folder(function(path)
      local x = exchange(function(connection)
        connection:send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        connection:close()
      end, "GET", nil, { path = path })
      assert.equal("connection", (x:failure()))
      assert.equal("600 5", seen(path))
      assert.is_nil(x:keep(path .. ".final"))
      assert.equal("12345", content_of(path))
    end)
  end)

  it("does not go into a file that has another name", function()
    in_folder(function(path, folder)
      assert(io.open(folder .. "/other", "w")):close()
      shell("ln " .. child.quoted(folder .. "/other"), path)
      fails(path, "has another name too (a hard link)")
    end)
  end)

  it("is not taken for the file that took its place", function()
    in_folder(function(path, folder)
      local x = exchange(reply("whole"), "GET", nil, { path = path })
      assert.is_true(x:stored())
      assert(os.remove(path))
      local file = assert(io.open(path, "w"))
      file:write("half")
      file:close()
      assert.same({ nil, folder .. "/final: No such file or directory" },
        { x:keep(folder .. "/final") })
      assert.equal("half", content_of(path))
      assert.is_nil(io.open(folder .. "/final"))
    end)
  end)

  it("is decoded where the server encoded it unasked", function()
    in_folder(function(path)
      local packed = child.output_of("printf hello | gzip -nc | od -An -v -tx1")
        :gsub("%s", ""):gsub("%x%x", function(digits)
          return string.char(tonumber(digits, 16))
        end)
      local x = exchange(reply(packed, 200, "Content-Encoding: gzip\r\n"),
        "GET", nil, { path = path })
      assert.is_nil(x:failure())
      assert.equal("hello", content_of(path))
    end)
  end)

  local function partly(range, body, headers)
    return reply(body or "6789", 206, (headers or "")
      .. (range and "Content-Range: " .. range .. "\r\n" or ""))
  end
  local function closing(range, body)
    return function(connection)
      connection:send("HTTP/1.1 206 OK\r\nConnection: close\r\n"
        .. "Content-Range: " .. range .. "\r\n\r\n" .. body)
      connection:close()
    end
  end
  local function another(server)
    return "decode", server.host
      .. " answered with another part than the one asked for"
  end
  local function short(_, path)
    return "connection", path .. ": the reply ended 2 bytes before the end of "
      .. "the part that was announced"
  end
  local function long(_, path)
    return "decode", path .. ": more came than the part that was announced"
  end
  local resumed = {
    { "the rest", partly("bytes 5-8/9"), "123456789" },
    { "the rest of an unknown whole", partly("bytes 5-8/*"), "123456789" },
    { "the whole", reply("new"), "new" },
    { "a part that begins elsewhere", partly("bytes 4-7/9"), nil, another },
    { "a part that ends too early", partly("bytes 5-8/10"), nil, another },
    { "no word of which part it is", partly(), nil, another },
    { "a range that is none", partly("bytes 5-x/9"), nil, another },
    { "a range that ends before it begins", partly("bytes 5-4/5"), nil,
      another },
    { "bytes of an encoded form", partly("bytes 5-8/9", nil,
      "Content-Encoding: gzip\r\n"), nil, another },
    { "less than the range", partly("bytes 5-8/9", "67"), "1234567", short },
    { "less than the range, without a length", closing("bytes 5-8/9", "67"),
      "1234567", short },
    { "the range, without a length", closing("bytes 5-8/9", "6789"),
      "123456789" },
    { "more than the range", partly("bytes 5-8/9", "67890"), nil, long },
    { "a refusal", reply("no", 416), "12345" },
  }
  for _, row in ipairs(resumed) do
    it("is resumed with " .. row[1], function()
      local path = temporary("12345")
      local x, server = exchange(row[2], "GET", nil,
        { path = path, resume = 5 })
      local kind, message = x:failure()
      if row[4] then
        assert.same({ row[4](server, path) }, { kind, message })
      else
        assert.is_nil(kind)
      end
      assert.equal(row[3] or "12345", content_of(path))
    end)
  end

  it("is not resumed where the file is not as it was", function()
    for _, content in ipairs({ "1234", "123456", "" }) do
      local path = temporary(content)
      local x = exchange(partly("bytes 5-8/9"), "GET", nil,
        { path = path, resume = 5 })
      assert.same({ "file", path .. ": is not as long as it was", 23 },
        { x:failure() })
      assert.equal(content, content_of(path))
    end
  end)

  it("is no part where the whole was asked for", function()
    local path = temporary("12345")
    local x, server = exchange(partly("bytes 0-3/4"), "GET", nil,
      { path = path })
    local kind, message = x:failure()
    assert.same({ another(server) }, { kind, message })
    assert.equal("12345", content_of(path))
  end)
end)

describe("a stream", function()
  local HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

  it("is read as it comes", function()
    local connection
    local server = serve(function(from)
      connection = from
      from:send(HEAD)
    end)
    local x = start(server, "GET", nil, { stream = true })
    run(client, function() return x:status() end, server)
    assert.is_nil(x:read())
    local chunk
    local function arrived()
      chunk = x:read()
      return chunk
    end
    for _, text in ipairs({ "one", "two" }) do
      connection:send("3\r\n" .. text .. "\r\n")
      run(client, arrived, server)
      assert.equal(text, chunk)
      assert.is_false(x:done())
    end
    connection:send("0\r\n\r\n")
    run(client, x, server)
    assert.is_nil(x:read())
    assert.is_nil(x:failure())
  end)

  it("lets the server wait for a slow reader", function()
    local size = 16 * 2 ^ 20
    local server = serve(reply(("x"):rep(size)))
    local x = start(server, "GET", nil, { stream = true })
    run(client, function() return select(3, x:progress()) >= 2 ^ 20 end, server)
    for _ = 1, 200 do
      server:step()
      client:step()
    end
    local received = select(3, x:progress())
    assert.is_true(received < 4 * 2 ^ 20)
    assert.is_false(x:done())
    assert.equal(0, x:idle())
    -- Who reads but once is woken for the rest.
    assert.is_false(client:poll(0))
    local first = #x:read()
    assert.is_true(client:poll(0))
    local total, largest = first, first
    run(client, function()
      local chunk = x:read() or ""
      total, largest = total + #chunk, math.max(largest, #chunk)
      return x:done()
    end, server)
    total = total + #(x:read() or "")
    assert.is_nil(x:failure())
    assert.equal(size, total)
    assert.is_true(largest < 2 * 2 ^ 20)
  end)
end)

describe("a failure", function()
  it("to connect", function()
    local server = serve("")
    server:stop()
    local x = start(server)
    run(client, x)
    local kind, message, code = x:failure()
    assert.equal("connection", kind)
    assert.matches("could not connect to " .. server.host
      .. ": Connection refused", message, 1, true)
    assert.equal(7, code)
    assert.is_false(x:sent())
    assert.is_nil(x:status())
    assert.equal(0, x:idle())
  end)

  it("to open one descriptor more", function()
    local script = temporary([[
      local core, http = require("maiagent.core"), require("maiagent.http")
      local request = assert(core.request("GET", "http://127.0.0.1:1/"))
      local open = {}
      local file = io.open("/dev/null")
      while file and #open < 64 do
        open[#open + 1] = file
        file = io.open("/dev/null")
      end
      local client = http.client()
      local exchange, kind, message = client:start(request)
      if exchange then -- nothing of ours to open without epoll
        while not exchange:done() do
          client:poll(10)
          client:step()
        end
        kind, message = exchange:failure()
      end
      print(kind, message)
      local begun = core.now()
      client:poll(50)
      print(core.now() - begun > 0.04)
      for _, file in ipairs(open) do
        file:close()
      end
      print(type(client:start(request)))
      client:close()
    ]])
    local pipe = assert(io.popen("ulimit -n 48; "
      .. child.command({}, script) .. " 2>&1"))
    local output = pipe:read("*a")
    pipe:close()
    -- Without epoll it is libcurl that fails, and it doesn't tell why.
    local reason = client:fd()
      and "no connection to 127.0.0.1:1: Too many open files"
      or "could not connect to 127.0.0.1:1: [^\n]+"
    assert.matches("^connection\t" .. reason .. "\ntrue\nuserdata\n$", output)
  end)

  it("to find the host", function()
    local request = assert(core.request("GET", "http://no-such-host.invalid/"))
    local x = assert(client:start(request))
    run(client, x)
    local kind, message = x:failure()
    assert.equal("connection", kind)
    assert.matches("no-such-host.invalid:80 could not be resolved", message, 1,
      true)
    assert.is_false(x:sent())
  end)

  it("to connect is not what a very long time-out makes", function()
    local server = serve("")
    for _, limit in ipairs({ math.huge, 1e30, 4294967.296 }) do
      local url = server.url:gsub("^http:", "https:")
      local x = assert(client:start(assert(core.request("GET", url)),
        { connect = limit }))
      local ends = core.now() + 0.3
      run(client, function() return core.now() > ends end)
      assert.is_false(x:done())
      x:close()
    end
  end)

  it("to connect in time", function()
    -- Nobody accepts, and the queue of those who wait is soon full.
    local listener = assert(socket.bind("127.0.0.1", 0, 0))
    local host = "127.0.0.1:" .. select(2, listener:getsockname())
    local server = { url = "http://" .. host, host = host }
    local fillers = {}
    for i = 1, 4 do
      fillers[i] = socket.tcp()
      fillers[i]:settimeout(0)
      fillers[i]:connect(host:match("(.*):(.*)"))
    end
    local x = start(server, "GET", nil, { connect = 0.1 })
    run(client, x)
    local kind, message = x:failure()
    assert.equal("timeout", kind)
    assert.equal("no connection to " .. server.host
      .. " within 0.1 s (timeout.connect)", message)
    assert.is_false(x:sent())
    for _, filler in ipairs(fillers) do
      filler:close()
    end
    listener:close()
  end)

  local function closing(bytes, reset)
    return function(connection)
      connection:send(bytes)
      connection:close(reset)
    end
  end
  local cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"
  local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"
  local damaged = reply("no gzip", 200, "Content-Encoding: gzip\r\n")
  local rows = {
    { "an empty answer", closing(""), "connection",
      "closed the connection without an answer" },
    { "a reset", closing("", true), "connection", "Connection reset by peer" },
    { "a cut body", closing(cut), "connection",
      "the connection was closed after 10 of 100 bytes" },
    { "a cut chunk", closing(chunked), "connection",
      "the connection was closed after 2 bytes, before the end of the reply" },
    { "something else than HTTP", closing("SSH-2.0-x\r\n\r\n"), "connection",
      "did not answer with HTTP" },
    { "half a header", closing("HTTP/1.1 200 OK\r\nConte"), "connection",
      "closed the connection before the end of its headers" },
    { "damaged compression", damaged, "decode", "encoding it claims" },
  }
  for _, row in ipairs(rows) do
    it("of " .. row[1], function()
      local x, server = exchange(row[2], "GET", nil, { compressed = true })
      local kind, message = x:failure()
      assert.equal(row[3], kind)
      assert.matches(row[4], message, 1, true)
      assert.matches(server.host, message, 1, true)
      assert.is_nil(message:find("secret", 1, true))
      assert.is_true(x:sent())
    end)
  end

  it("is what closing makes of an exchange under way", function()
    local server = serve(function() end)
    local x = start(server)
    run(client, function() return #server.requests == 1 end, server)
    x:close()
    x:close()
    assert.is_true(x:done())
    assert.same({ "cancelled", "the request was cancelled", 0 },
      { x:failure() })
    assert.equal("", x:body())
    assert.is_nil(x:read())
    assert.is_nil(x:status())
    local running = client:step()
    assert.equal(0, running)
    run(client, function() return #server.connections == 0 end, server)
  end)

  it("is not what closing makes of a finished one", function()
    local x = exchange(reply("hello"))
    x:close()
    assert.is_nil(x:failure())
    assert.equal(200, x:status())
    assert.equal("", x:body())
  end)
end)

describe("a kept connection that the server closed", function()
  -- The first answer keeps the connection, which ends with the second request.
  local function hangs_up_on_second(connection, request)
    if request.number == 2 then
      connection:close()
    else
      connection:send(reply("answer " .. request.number))
    end
  end

  local function second(method, settings)
    local server = serve(hangs_up_on_second)
    local extra = method == "POST" and { body = "{}" } or nil
    run(client, start(server, method, extra, settings), server)
    local x = start(server, method, extra, settings)
    run(client, x, server)
    return x, server
  end

  it("is replaced by a new one for GET", function()
    local x, server = second("GET")
    assert.is_nil(x:failure())
    assert.equal("answer 3", x:body())
    assert.equal(2, server.accepted)
  end)

  it("is not for POST, which may have been processed", function()
    local x, server = second("POST")
    local kind, message = x:failure()
    assert.equal("connection", kind)
    assert.equal(server.host .. " closed the connection before it answered; "
      .. "not sent again because it may have been processed", message)
    assert.is_true(x:sent())
    assert.equal(2, #server.requests)
  end)

  it("is for a POST that may be repeated", function()
    local x = second("POST", { idempotent = true })
    assert.is_nil(x:failure())
    assert.equal("answer 3", x:body())
  end)
end)

describe("an exchange", function()
  it("knows how long nothing came", function()
    local server = serve(function() end)
    local x = start(server)
    run(client, function() return #server.requests == 1 end, server)
    local begin = core.now()
    local pause = seconds(0.1)
    run(client, function() return core.now() - begin > pause end, server)
    assert.is_true(x:idle() >= pause and x:idle() < seconds(5))
    server.connections[1]:send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    run(client, function() return x:status() end, server)
    assert.is_true(x:idle() < pause)
    server.connections[1]:send("x")
    run(client, x, server)
    assert.equal(0, x:idle())
  end)

  it("is idle while nothing of the answer itself comes", function()
    local server = serve("HTTP/1.1 102 Processing\r\n\r\n")
    local x = start(server)
    run(client, function() return x:idle() > 0.3 end, server)
    assert.equal(1, #server.requests)
    server.connections[1]:send("HTTP/1.1 102 Processing\r\n\r\n")
    local begin = core.now()
    run(client, function() return core.now() - begin > 0.1 end, server)
    assert.is_true(x:idle() > 0.4)
    server.connections[1]:send(reply("ok"))
    run(client, x, server)
    assert.equal("ok", x:body())
  end)

  it("knows how long everything took", function()
    local server = serve(reply("ok"))
    local reused = {}
    for i = 1, 2 do
      local x = start(server)
      run(client, x, server)
      local timings = x:timings()
      reused[i] = timings.reused
      for _, name in ipairs({ "dns", "connect", "tls", "first_byte" }) do
        assert.is_true(timings[name] >= 0 and timings[name] <= timings.total)
      end
      assert.is_true(timings.total > 0 and timings.total < seconds(10))
      assert.equal(0, timings.tls)
    end
    assert.same({ false, true }, reused)
  end)

  it("is limited to a speed", function()
    local server = serve(reply(("x"):rep(4000000)))
    local x = start(server, "GET", nil, { max_speed = 10000000 })
    local begin = core.now()
    run(client, x, server)
    assert.is_true(core.now() - begin > 0.1)
    assert.equal(4000000, #x:body())
  end)

  it("goes through a proxy", function()
    local server = serve(reply("by proxy"))
    local request = assert(core.request("GET", "http://elsewhere.invalid/x"))
    local x = assert(client:start(request, { proxy = server.url }))
    run(client, x, server)
    assert.equal("by proxy", x:body())
    assert.equal("http://elsewhere.invalid/x", server.requests[1].path)
  end)
end)
