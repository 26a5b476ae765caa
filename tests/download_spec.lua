local child = require("tests.support.child")
local pace = require("tests.support.pace")
local raw_server = require("tests.support.raw_server")
local service = require("tests.support.service")
local socket = require("socket")
local testing = require("maiagent.testing")

local seconds = pace.seconds

local KEY = "key-0123456789"
local PIECES = {}
for i = 1, 60000 do
  PIECES[i] = ("%06d\0"):format(i)
end
local CONTENT = table.concat(PIECES) -- 420,000 bytes, none where another is
local CHANGED = CONTENT:reverse()
local MODIFIED = "Wed, 01 Jul 2026 10:00:00 GMT"

-- What a call with half a second says that had no time left.
local TOO_LATE = ("not done within %g s (timeout.total)"):format(seconds(0.5))

local folder, servers

local function path_of(name)
  return folder .. "/" .. name
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- The names in the folder, in order.
local function listing()
  return child.output_of("ls -A " .. child.quoted(folder)):gsub("\n", " ")
end

local function origin(answer)
  local server = raw_server.start(answer)
  servers[#servers + 1] = server
  return server
end

local function client_of(api, options)
  return service.client({
    api_key = KEY,
    base_url = api.url .. "/api/",
    wait = function()
      for _, server in ipairs(servers) do
        server:step()
      end
      socket.sleep(0.0005)
    end,
  }, options)
end

local function header_of(request, name)
  return ("\r\n" .. request.head):match("\r\n" .. name .. ": ([^\r]*)")
end

local function lines(headers)
  local list = {}
  for name, value in pairs(headers) do
    list[#list + 1] = name .. ": " .. value .. "\r\n"
  end
  return table.concat(list)
end

local function matches(request, file)
  local condition = header_of(request, "If%-Range")
  return not condition or condition == file.headers.ETag
    or condition == file.headers["Last-Modified"] or file.blind
end

-- Answers with a file as storage does. file: content, headers, ranges (false:
-- it knows none), blind (to If-Range), cut (bytes after which the line drops),
-- shift and total (what it says of a range, though that is another).
local function serve(connection, request, file)
  local first = tonumber((header_of(request, "Range") or ""):match("=(%d+)-"))
  local headers, body, status = {}, file.content, 200
  for name, value in pairs(file.headers) do
    headers[name] = value
  end
  headers.Date = headers.Date or "Wed, 01 Jul 2026 12:00:00 GMT"
  if first and file.ranges ~= false and matches(request, file) then
    if first >= #file.content then
      connection:send(raw_server.reply("no such range", 416))
      return
    end
    headers["Content-Range"] = ("bytes %d-%d/%d"):format(
      first + (file.shift or 0), #file.content - 1,
      file.total or #file.content)
    status, body = 206, file.content:sub(first + 1)
  end
  local whole = raw_server.reply(body, status, lines(headers))
  if file.cut then
    connection:send(whole:sub(1, #whole - #body + file.cut))
    connection:close()
  else
    connection:send(whole)
  end
end

-- A server that answers with one file after the other, the last one for ever.
local function storage(files)
  local count = 0
  return origin(function(connection, request)
    count = math.min(count + 1, #files)
    serve(connection, request, files[count])
  end)
end

local function file_of(content, headers, more)
  local file = { content = content, headers = headers }
  for name, value in pairs(more or {}) do
    file[name] = value
  end
  return file
end

local function setup()
  folder, servers = child.folder(), {}
end

local function teardown()
  service.check()
  for _, server in ipairs(servers) do
    server:stop()
  end
  child.output_of("chmod -R u+w " .. child.quoted(folder))
  child.remove(folder)
end

local STRONG = { ETag = '"v1"' }
local OTHER = { ETag = '"v2"' }
local DATED = { ["Last-Modified"] = MODIFIED }
local ONCE = { max_retries = 0 }

describe("client:download", function()
  before_each(setup)
  after_each(teardown)

  it("stores the bytes under the name, and nothing else", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    local client = client_of(server)
    local path = path_of("a.bin")
    write(path, "before")
    local saved, err, response =
      assert(client:download(server.url .. "/x?sig=1", path))
    assert.equal(path, saved)
    assert.is_nil(err)
    assert.equal(200, response.status)
    assert.equal('"v1"', response.headers.etag)
    assert.equal(CONTENT, read(path))
    assert.equal("a.bin", listing())
  end)

  it("takes a path from the API's root", function()
    local server = storage({ file_of("x", {}) })
    assert(client_of(server):download("/media/x", path_of("a")))
    assert.equal("/media/x", server.requests[1].path)
    assert.equal("Api-Key " .. KEY,
      header_of(server.requests[1], "Authorization"))
  end)

  -- name, URL, what the error says
  for _, row in ipairs({
    { "that is too long", "http://127.0.0.1:9/" .. ("x"):rep(17000),
      "client:download: url: the URL would be" },
    { "with a line break", "/media/\r\nx", "client:download: url: " },
  }) do
    it("asks nobody for a URL " .. row[1], function()
      local client = client_of(storage({}))
      local ok, problem = pcall(function()
        client:download(row[2], path_of("a"))
      end)
      assert.is_false(ok)
      assert.matches("^[^\n]-download_spec.lua:%d+: ", problem)
      assert.truthy(problem:find(row[3], 1, true), problem)
      assert.equal(0, #servers[1].requests)
      assert.equal("", listing())
    end)
  end

  it("stores an empty file", function()
    local server = storage({ file_of("", STRONG) })
    assert(client_of(server):download(server.url, path_of("a")))
    assert.equal("", read(path_of("a")))
    assert.equal("a", listing())
  end)

  -- name, what comes at once, what comes for ever
  for _, row in ipairs({
    { "trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
      .. "ETag: \"v\"\r\n\r\n2\r\n{}\r\n0\r\n", "X-T: t\r\n" },
    { "answers before the answer", "", "HTTP/1.1 103 Hints\r\n\r\n" },
  }) do
    it("takes no endless flood of " .. row[1] .. ", once", function()
      local server = origin(function(connection)
        connection:send(row[2])
      end)
      local client = client_of(server)
      local serve_all = server.step
      function server.step(self)
        serve_all(self)
        local connection = self.connections[1]
        if self.requests[1] and connection and #connection.output < 65536 then
          connection:send(row[3]:rep(5000))
        end
      end
      local saved, err = client:download(server.url, path_of("a"),
        { timeout = { idle = 5, total = 20 } })
      assert.is_nil(saved)
      assert.equal("decode", err.kind)
      assert.truthy(err.message:find("limits.header", 1, true), err.message)
      assert.equal(1, #server.requests)
      assert.is_nil(read(path_of("a")))
    end)
  end

  it("is held back by max_speed, which is no idleness of the line", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    local started = socket.gettime()
    assert(client_of(server):download(server.url, path_of("a"), {
      max_speed = 300000 / pace.slowness, timeout = { idle = seconds(0.3) },
      max_retries = 0 }))
    assert.is_true(socket.gettime() - started > seconds(0.7))
    assert.equal(CONTENT, read(path_of("a")))
  end)

  it("runs in a task", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    local client = client_of(server)
    local results = client:map({ "a", "b", "c" }, function(name)
      return client:download(server.url .. "/" .. name, path_of(name))
    end)
    assert.same({ path_of("a"), path_of("b"), path_of("c") }, results)
    for _, path in ipairs(results) do
      assert.equal(CONTENT, read(path))
    end
    assert.equal("a b c", listing())
  end)
end)

-- name, the first file (cut), the second, the Range asked for the second time
-- (nil: none), how many requests in all, what is stored
local SIZE = #CONTENT
local RESUMED = {
  { "after a byte", { STRONG, 1 }, { STRONG }, "bytes=1-" },
  { "after a kilobyte", { STRONG, 1024 }, { STRONG }, "bytes=1024-" },
  { "after 300 kB", { STRONG, 300000 }, { STRONG }, "bytes=300000-" },
  { "before the last byte", { STRONG, SIZE - 1 }, { STRONG },
    "bytes=" .. SIZE - 1 .. "-" },
  { "by its date", { DATED, 5000 }, { DATED }, "bytes=5000-" },
  { "anew where it changed", { STRONG, 5000 }, { OTHER, CHANGED },
    "bytes=5000-" },
  { "anew without ranges", { STRONG, 5000 }, { STRONG, ranges = false },
    "bytes=5000-" },
  { "anew where it is shorter now", { STRONG, 5000 },
    { OTHER, "short", blind = true }, "bytes=5000-", 3 },
  { "anew where If-Range is not known and it changed", { STRONG, 5000 },
    { OTHER, CHANGED, blind = true }, "bytes=5000-", 3 },
  { "anew where the rest is of another length", { DATED, 5000 },
    { DATED, CHANGED .. "more", blind = true }, "bytes=5000-", 3 },
  { "anew where the whole is of another length", { DATED, 5000 },
    { DATED, total = SIZE + 1 }, "bytes=5000-", 3 },
  { "anew where the date is another", { DATED, 5000 },
    { { ["Last-Modified"] = "Wed, 01 Jul 2026 10:00:01 GMT" }, CHANGED,
      blind = true }, "bytes=5000-", 3 },
  { "anew where the range is another", { STRONG, 5000 },
    { STRONG, shift = 1 }, "bytes=5000-", 3 },
  { "anew after nothing", { STRONG, 0 }, { STRONG } },
  { "anew with a weak ETag", { { ETag = 'W/"v1"' }, 5000 }, { STRONG } },
  { "anew with a weak ETag and a date", { { ETag = 'W/"v1"',
    ["Last-Modified"] = MODIFIED }, 5000 }, { STRONG } },
  { "anew with a date that is too young", { { ["Last-Modified"] = MODIFIED,
    Date = MODIFIED }, 5000 }, { STRONG } },
  { "anew with no validator", { {}, 5000 }, { {} } },
}

describe("a download that broke off is gone on with", function()
  before_each(setup)
  after_each(teardown)

  for _, row in ipairs(RESUMED) do
    local name, one, two, range, count = row[1], row[2], row[3], row[4], row[5]

    it(name, function()
      local content = two[2] or CONTENT
      local server = storage({ file_of(CONTENT, one[1], { cut = one[2] }),
        file_of(content, two[1], two) })
      local client = client_of(server)
      local url, path = server.url .. "/x", path_of("a")
      local saved, err = client:download(url .. "?s=1", path, ONCE)
      assert.is_nil(saved)
      assert.equal("connection", err.kind)
      assert.is_nil(read(path))
      local kept = read(path .. ".part")
      assert.equal(range and CONTENT:sub(1, one[2]) or nil,
        kept ~= "" and kept or nil)
      assert.equal(path, client:download(url .. "?s=2", path, ONCE))
      assert.equal(content, read(path))
      assert.equal("a", listing())
      assert.equal(count or 2, #server.requests)
      assert.equal(range, header_of(server.requests[2], "Range"))
      assert.equal("identity",
        header_of(server.requests[2], "Accept%-Encoding"))
    end)
  end

  it("within one call", function()
    local server = storage({
      file_of(CONTENT, STRONG, { cut = 100000 }),
      file_of(CONTENT, STRONG, { cut = 100000 }),
      file_of(CONTENT, STRONG),
    })
    local last, grows, total = 0, true, nil
    assert(client_of(server):download(server.url, path_of("a"), {
      on_progress = function(received, of)
        grows, last, total = grows and received >= last, received, of
      end,
    }))
    assert.equal(CONTENT, read(path_of("a")))
    assert.equal("bytes=100000-", header_of(server.requests[2], "Range"))
    assert.equal("bytes=200000-", header_of(server.requests[3], "Range"))
    assert.is_true(grows)
    assert.equal(SIZE, last)
    assert.equal(SIZE, total)
    assert.equal("a", listing())
  end)

  it("anew after an answer that was encoded unasked", function()
    local packed = path_of("packed")
    write(packed, CONTENT)
    child.output_of("gzip -n " .. child.quoted(packed))
    packed = read(packed .. ".gz")
    local encoded = { ETag = '"v1"', ["Content-Encoding"] = "gzip" }
    local server = storage({
      file_of(packed, encoded, { cut = math.floor(#packed / 2) }),
      file_of(packed, encoded),
    })
    assert(client_of(server):download(server.url, path_of("a")))
    assert.equal(2, #server.requests)
    assert.is_nil(header_of(server.requests[2], "Range"))
    assert.is_true(CONTENT == read(path_of("a")))
  end)

  it("after an answer that comes with no file", function()
    local not_yet = raw_server.reply("soon", 202)
    local file, count = file_of(CONTENT, STRONG, { cut = 100000 }), 0
    local server = origin(function(connection, request)
      count = count + 1
      if count == 2 then
        return connection:send(not_yet)
      end
      file.cut = count == 1 and file.cut or nil
      serve(connection, request, file)
    end)
    local client = client_of(server)
    for _, kind in ipairs({ "connection", "http" }) do
      local _, err = client:download(server.url, path_of("a"), ONCE)
      assert.equal(kind, err.kind)
      assert.equal("a.part a.part.etag", listing())
    end
    assert(client:download(server.url, path_of("a"), ONCE))
    assert.equal("bytes=100000-", header_of(server.requests[3], "Range"))
    assert.is_true(CONTENT == read(path_of("a")))
  end)

  it("after a redirect, to where it leads", function()
    local store = storage({ file_of(CONTENT, STRONG, { cut = 100 }),
      file_of(CONTENT, STRONG) })
    local api = origin(raw_server.reply("", 302,
      "Location: " .. store.url .. "/y?sig=1\r\n"))
    local client = client_of(api)
    assert.is_nil(client:download(api.url .. "/x", path_of("a"), ONCE))
    assert(client:download(api.url .. "/x", path_of("a"), ONCE))
    assert.equal(CONTENT, read(path_of("a")))
    assert.equal("bytes=100-", header_of(store.requests[2], "Range"))
  end)

  it("not where the part is of another URL", function()
    local server = storage({ file_of(CONTENT, STRONG, { cut = 100 }),
      file_of(CHANGED, STRONG) })
    local client = client_of(server)
    assert.is_nil(client:download(server.url .. "/x", path_of("a"), ONCE))
    assert(client:download(server.url .. "/y", path_of("a"), ONCE))
    assert.equal(CHANGED, read(path_of("a")))
    assert.is_nil(header_of(server.requests[2], "Range"))
  end)

  for _, note in ipairs({ "", "\n\n\n", '"v1', "root:x:0:0:\n\n", "W/\"v1\"\n",
    '"v1"\r\nX-Evil: 1\n' }) do
    it(("not with a note like %q"):format(note), function()
      local server = storage({ file_of(CONTENT, STRONG) })
      write(path_of("a.part"), "begun")
      write(path_of("a.part.etag"), note)
      assert(client_of(server):download(server.url, path_of("a")))
      assert.equal(CONTENT, read(path_of("a")))
      assert.is_nil(header_of(server.requests[1], "Range"))
      assert.equal("a", listing())
    end)
  end

  -- A download that was cancelled is gone on with by the next.
  local function assert_continues(client, server, saved, err)
    assert.is_nil(saved)
    assert.equal("cancelled", err.kind)
    assert.equal("a.part a.part.etag", listing())
    assert(client:download(server.url, path_of("a")))
    assert.equal(CONTENT, read(path_of("a")))
    assert.equal("a", listing())
  end

  -- It had its name all the same.
  it("after on_progress cancelled it at its end", function()
    local server = storage({ file_of(CONTENT, STRONG),
      file_of(CONTENT, STRONG) })
    local client = client_of(server)
    local saved, err = client:download(server.url, path_of("a"), {
      on_progress = function(received, total)
        return received < total or total == 0
      end,
    })
    assert_continues(client, server, saved, err)
  end)

  it("after on_progress cancelled it", function()
    local server = storage({ file_of(CONTENT, STRONG, { cut = 100000 }),
      file_of(CONTENT, STRONG) })
    local client = client_of(server)
    client:download(server.url, path_of("a"), ONCE)
    local saved, err = client:download(server.url, path_of("a"), {
      on_progress = function(received, total)
        assert.equal(100000, received)
        assert.equal(SIZE, total)
        return false
      end,
    })
    assert_continues(client, server, saved, err)
  end)
end)

-- name, headers, what is left in the folder
local RAISED = {
  { "keeps what can be gone on with", STRONG, "a.part a.part.etag" },
  { "leaves nothing else", {}, "" },
}

describe("a download that a callback ends", function()
  before_each(setup)
  after_each(teardown)

  local function halfway(headers, closes)
    return origin(function(connection)
      connection:send(("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n")
        :format(lines(headers), SIZE) .. CONTENT:sub(1, 300000))
      if closes then
        connection:close()
      end
    end)
  end

  for _, row in ipairs(RAISED) do
    it(row[1] .. ", where another task of the group fails", function()
      local server = halfway(row[2])
      local client = client_of(server)
      local ok, err = pcall(client.gather, client, { function()
        return client:download(server.url, path_of("a"))
      end, function()
        repeat
          coroutine.yield()
        until (#(read(path_of("a.part")) or "")) > 0
        error("stop", 0)
      end })
      assert.is_false(ok)
      assert.equal("stop", err)
      assert.equal(row[3], listing())
    end)

    for _, closes in ipairs({ false, true }) do
      it(row[1] .. (closes and ", after the line dropped" or ""), function()
        local server = halfway(row[2], closes)
        local client = client_of(server)
        local problem = {}
        local ok, err = pcall(client.download, client, server.url,
          path_of("a"), { on_progress = function(received)
            if received > 0 then
              error(problem)
            end
          end })
        assert.is_false(ok)
        assert.equal(problem, err)
        assert.equal(row[3], listing())
        assert.equal(0, service.under_way())
      end)
    end
  end
end)

-- Where it is redirected: from and to the API's origin ("api") or another.
local HOPS = {
  { "api", "api" },
  { "api", "other" },
  { "other", "api" },
  { "other", "third" },
  { "api", "other", "third" },
  { "api", "other", "api" },
}

describe("the key", function()
  before_each(setup)
  after_each(teardown)

  for _, hops in ipairs(HOPS) do
    it("goes to the API alone: " .. table.concat(hops, " → "), function()
      local at, hosts = 0, {}
      local function answer(connection)
        at = at + 1
        local following = hops[at + 1]
        connection:send(following
          and raw_server.reply("", 302,
            "Location: " .. hosts[following].url .. "/" .. following .. "\r\n")
          or raw_server.reply("whole"))
      end
      for _, host in ipairs({ "api", "other", "third" }) do
        hosts[host] = origin(answer)
      end
      local client = client_of(hosts.api, { headers = { ["X-Own"] = "1" } })
      local named = hosts[hops[1]]
      assert(client:download(named.url .. "/start", path_of("a"), {
        headers = { Cookie = "session" },
      }))
      assert.equal("whole", read(path_of("a")))
      local seen = 0
      for host, server in pairs(hosts) do
        for _, request in ipairs(server.requests) do
          seen = seen + 1
          local own = host == "api"
          assert.equal(own and "Api-Key " .. KEY or nil,
            header_of(request, "Authorization"))
          assert.equal(own and "1" or nil, header_of(request, "X%-Own"))
          assert.equal((own or server == named) and "session" or nil,
            header_of(request, "Cookie"))
        end
      end
      assert.equal(#hops, seen)
    end)
  end
end)

-- name, Location, what the error says
local REFUSED = {
  { "another scheme", "ftp://127.0.0.1/x", "redirected to ftp" },
  { "a file", "file:///etc/passwd", "redirected to file" },
  { "plain http elsewhere", "http://192.0.2.1/x?s=secret-secret-secret",
    "plain http" },
  { "a URL that is longer than one may be", "/" .. ("x"):rep(16384),
    "the URL would be longer than 16384 bytes" },
}

describe("a redirect is refused to", function()
  before_each(setup)
  after_each(teardown)

  for _, row in ipairs(REFUSED) do
    it(row[1], function()
      local server = origin(raw_server.reply("", 302,
        "Location: " .. row[2] .. "\r\n"))
      local saved, err = client_of(server):download(server.url, path_of("a"))
      assert.is_nil(saved)
      assert.equal("http", err.kind)
      assert.equal(302, err.status)
      assert.truthy(err.message:find(row[3], 1, true), err.message)
      assert.is_nil(tostring(err):find("secret", 1, true))
      assert.equal("", listing())
    end)
  end

  it("plain http, from https", function()
    local key, certificate = path_of("key.pem"), path_of("certificate.pem")
    child.output_of(("openssl req -x509 -newkey ec -pkeyopt "
      .. "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test "
      .. "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>&1")
      :format(key, certificate))
    local plain = storage({ file_of("x", {}) })
    local server = service.start({
      tls = { certificate = certificate, key = key },
    })
    server:fault({ kind = "redirect", location = plain.url .. "/x" })
    local client = service.client(server,
      { ca_file = certificate, allow_http = true })
    local saved, err = client:download("/x", path_of("a"))
    assert.is_nil(saved)
    assert.equal("http", err.kind)
    assert.truthy(err.message:find("plain http", 1, true), err.message)
    assert.equal(0, #plain.requests)
  end)

  it("itself for ever", function()
    local server
    server = origin(function(connection)
      connection:send(raw_server.reply("", 302, "Location: /x\r\n"))
    end)
    local _, err = client_of(server):download(server.url, path_of("a"))
    assert.truthy(err.message:find("more than 5 redirects", 1, true))
    assert.equal(6, #server.requests)
  end)
end)

-- name, arguments of client:download, what is raised
local MISUSE = {
  { "no url", { nil, "a" }, "url must be a string" },
  { "an empty url", { "", "a" }, "url must be a string" },
  { "no URL", { "report.pdf", "a" }, "client:download: url: it is neither "
    .. "absolute nor does it begin with a slash" },
  { "a file", { "file:///etc/passwd", "a" }, "client:download: url: " },
  { "another scheme", { "ftp://h/x", "a" }, "client:download: url: " },
  { "a way out of the root", { "/../x", "a" }, "client:download: url: " },
  { "a URL with a password", { "https://user:password@h/x", "a" },
    "client:download: url: " },
  { "plain http elsewhere", { "http://192.0.2.1/x", "a" }, "client:download: "
    .. "url: plain http:// to 192.0.2.1 would show the data to everyone on the "
    .. "way: use https://, or write allow_http = true" },
  { "no path", { "https://h/x" }, "path must be that of a file or a folder, "
    .. "got nil" },
  { "an empty path", { "https://h/x", "" }, "path must be that of a file" },
  { "a path with NUL", { "https://h/x", "a\0b" }, "path must be that of" },
  { "a variant", { "https://h/x", "a", { variant = "bilingual" } },
    "unknown option 'variant'" },
  { "an unknown option", { "https://h/x", "a", { tmeout = 1 } },
    "did you mean 'timeout'" },
  { "a range", { "https://h/x", "a", { headers = { Range = "bytes=0-" } } },
    "headers.Range" },
}

describe("client:download refuses", function()
  before_each(setup)
  after_each(teardown)

  for _, row in ipairs(MISUSE) do
    it(row[1], function()
      local client = client_of(storage({}))
      local ok, message = pcall(function()
        client:download(row[2][1], row[2][2], row[2][3])
      end)
      assert.is_false(ok)
      assert.truthy(tostring(message):find(row[3], 1, true), message)
      assert.matches("^[^\n]-download_spec.lua:%d+: client:download: ", message)
      assert.is_nil(message:find("the key", 1, true))
      assert.is_nil(message:find("password@", 1, true))
    end)
  end

  -- "d/new/6b04…-1e31a6e9.part: No such file or directory"
  for _, path in ipairs({ "new/", "new/a", "new//a", "new/below/a" }) do
    it("a folder that is not there: " .. path, function()
      local server = storage({})
      local _, err = client_of(server):download(server.url .. "/x",
        path_of(path))
      local missing = path_of(path):match("^(.*[^/])/+[^/]*$")
      assert.equal("file", err.kind)
      assert.equal("the folder " .. missing .. " does not exist", err.message)
      assert.equal(0, #server.requests)
    end)
  end
end)

local XML = "<?xml version='1.0'?><Error><Code>AccessDenied</Code>"
  .. "<Message>Request has expired</Message></Error>"

-- name, status, content type, body, kind, what the error says
local ANSWERS = {
  { "XML", 403, "application/xml", XML, "permission", "Request has expired" },
  { "HTML", 502, "text/html", "<html><title>Bad Gateway</title></html>",
    "server", "Bad Gateway" },
  { "JSON", 404, "application/json", '{"detail": "Not found."}', "not_found",
    "Not found." },
  { "nothing", 410, "text/plain", "", "http", "an empty answer" },
  { "not there yet", 202, "text/plain", "soon", "http",
    "answered 202, with which no file comes" },
  { "none there", 204, "text/plain", "", "http",
    "answered 204, with which no file comes" },
  { "somebody's copy", 203, "text/plain", "copy", "http",
    "answered 203, with which no file comes" },
}

describe("another host's refusal", function()
  before_each(setup)
  after_each(teardown)

  it("to connect is no matter of base_url", function()
    local gone = origin("")
    gone:stop()
    local api = storage({})
    local _, err = client_of(api):download(gone.url .. "/x", path_of("a"), ONCE)
    assert.equal("connection", err.kind)
    assert.is_nil(err.message:find("base_url", 1, true), err.message)
    local client = client_of(api)
    api:stop()
    _, err = client:download("/x", path_of("a"), ONCE)
    assert.truthy(err.message:find("check base_url", 1, true), err.message)
  end)

  it("tells no secret that was escaped in the URL", function()
    local store = origin(raw_server.reply("abc+def/0123456789 is wrong", 403))
    local _, err = client_of(storage({})):download(
      store.url .. "/x?sig=abc%2Bdef%2F0123456789", path_of("a"), ONCE)
    assert.equal("permission", err.kind)
    assert.is_nil((tostring(err) .. err.body):find("def/", 1, true))
  end)

  for _, row in ipairs(ANSWERS) do
    it("becomes an error: " .. row[1], function()
      local store = origin(raw_server.reply(
        row[4] .. (row[4] ~= "" and "<!-- signature-0123456789 -->" or ""),
        row[2], "Content-Type: " .. row[3] .. "\r\n"))
      local client = client_of(storage({}))
      local saved, err = client:download(
        store.url .. "/x?X-Signature=signature-0123456789", path_of("a"), ONCE)
      assert.is_nil(saved)
      assert.equal(row[5], err.kind)
      assert.equal(row[2], err.status)
      assert.truthy(err.message:find(row[6], 1, true)
        or row[1] == "JSON", err.message)
      assert.equal("/x", err.path)
      assert.is_nil((tostring(err) .. err.body):find("signature-", 1, true))
      assert.equal("", listing())
    end)
  end
end)

-- name, headers, URL's path, the file's name in the folder
local NAMED = {
  { "filename", { ["Content-Disposition"] = 'attachment; filename="b c.txt"' },
    "/x", "b c.txt" },
  { "filename*", { ["Content-Disposition"] =
    "attachment; filename=b.txt; filename*=UTF-8''%E4%B8%AD.txt" },
    "/x", "中.txt" },
  { "a way out", { ["Content-Disposition"] =
    'attachment; filename="../../evil.sh"' }, "/x", "evil.sh" },
  { "an absolute path", { ["Content-Disposition"] =
    'attachment; filename="/tmp/evil.sh"' }, "/x", "evil.sh" },
  { "a device of Windows", { ["Content-Disposition"] =
    "attachment; filename=CON" }, "/x", "_CON" },
  { "a device with an extension", { ["Content-Disposition"] =
    "attachment; filename=NUL.txt" }, "/x", "_NUL.txt" },
  { "a device in the URL", {}, "/files/com1", "_com1" },
  { "a device of this system", { ["Content-Disposition"] =
    'attachment; filename="/dev/tty"' }, "/x", "tty" },
  { "only dots", { ["Content-Disposition"] = "attachment; filename=.." },
    "/b.txt", "b.txt" },
  { "no header", {}, "/a/b.txt?sig=x", "b.txt" },
  { "no header, percent", {}, "/a/%E4%B8%AD%20b.txt", "中 b.txt" },
  { "no header, a way out", {}, "/a/..%2F..%2Fb.txt", "b.txt" },
  { "nothing at all", {}, "/", "download" },
  { "a long name", { ["Content-Disposition"] = "attachment; filename="
    .. ("x"):rep(300) .. ".txt" }, "/x", ("x"):rep(251) .. ".txt" },
  { "a long URL", {}, "/" .. ("x"):rep(300) .. ".txt",
    ("x"):rep(251) .. ".txt" },
}

describe("in a folder the file is called as the server says:", function()
  before_each(setup)
  after_each(teardown)

  for _, row in ipairs(NAMED) do
    it(row[1], function()
      local server = storage({ file_of(CONTENT, row[2]) })
      local inside = path_of("inside")
      assert(os.execute("mkdir " .. child.quoted(inside)))
      local saved =
        assert(client_of(server):download(server.url .. row[3], inside))
      assert.equal(inside .. "/" .. row[4], saved)
      assert.equal(CONTENT, read(saved))
      assert.equal("inside", listing())
      assert.equal(row[4], child.output_of("ls -A " .. child.quoted(inside)))
    end)
  end

  it("and a part that is gone on with", function()
    local named = { ETag = '"v1"',
      ["Content-Disposition"] = "attachment; filename=b.txt" }
    local server = storage({ file_of(CONTENT, named, { cut = 700 }),
      file_of(CONTENT, named) })
    local client = client_of(server)
    assert.is_nil(client:download(server.url .. "/x?s=1", folder .. "/", ONCE))
    assert.equal(folder .. "/b.txt",
      client:download(server.url .. "/x?s=2", folder .. "/", ONCE))
    assert.equal("bytes=700-", header_of(server.requests[2], "Range"))
    assert.equal("b.txt", listing())
  end)

  it("and two with one last segment are not in each other's way", function()
    local server = origin(function(connection, request)
      local name = request.path:match("/(%w+)/content")
      connection:send(raw_server.reply(name, 200,
        "Content-Disposition: attachment; filename=" .. name .. "\r\n"))
    end)
    local client = client_of(server)
    client:map({ "one", "two", "three" }, function(name)
      return assert(client:download(server.url .. "/" .. name .. "/content",
        folder))
    end)
    assert.equal("one three two", listing())
  end)

  local function named(name, more)
    local headers = { ETag = '"v1"',
      ["Content-Disposition"] = "attachment; filename=" .. name }
    return file_of(CONTENT, headers, more)
  end

  local function assert_refused(name, saved, err)
    assert.is_nil(saved)
    assert.equal("file", err.kind)
    assert.equal(path_of(name) .. " is there already, and a name that the "
      .. "server chose replaces no file: give the file's own path", err.message)
  end

  it("and replaces nothing, not even what it made itself", function()
    local server = storage({ named("b.sh") })
    local client = client_of(server)
    write(path_of("b.sh"), "precious")
    assert_refused("b.sh", client:download(server.url .. "/x", folder))
    assert.equal("precious", read(path_of("b.sh")))
    assert.equal("b.sh", listing())
    assert.equal(1, #server.requests)
    os.remove(path_of("b.sh"))
    assert(client:download(server.url .. "/x", folder))
    assert_refused("b.sh", client:download(server.url .. "/x", folder))
    assert.equal(path_of("b.sh"),
      client:download(server.url .. "/x", path_of("b.sh")))
  end)

  -- what has the name, how it came to be
  for _, row in ipairs({
    { "a link that leads nowhere", "ln -s nowhere b.txt" },
    { "a folder", "mkdir b.txt" },
  }) do
    it("and does not replace " .. row[1], function()
      local server = storage({ named("b.txt") })
      assert.equal(0, (child.run(folder, row[2])))
      assert_refused("b.txt",
        client_of(server):download(server.url .. "/x", folder))
      assert.equal("b.txt", listing())
    end)
  end

  it("and is refused before the body comes", function()
    local server = origin(function(connection)
      connection:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
        .. "Content-Disposition: attachment; filename=b.txt\r\n\r\n")
    end)
    write(path_of("b.txt"), "precious")
    assert_refused("b.txt", client_of(server):download(server.url .. "/x",
      folder, { timeout = { idle = 5 } }))
    assert.equal("b.txt", listing())
  end)

  it("and what an earlier call left is gone on with once it may", function()
    local server = origin(function(connection, request)
      if request.number == 2 then
        connection:send("HTTP/1.1 206 Partial\r\nContent-Length: "
          .. SIZE - 700 .. "\r\nContent-Disposition: attachment; "
          .. "filename=b.txt\r\nETag: \"v1\"\r\nContent-Range: bytes 700-"
          .. SIZE - 1 .. "/" .. SIZE .. "\r\n\r\n")
        return
      end
      serve(connection, request,
        named("b.txt", { cut = request.number == 1 and 700 or nil }))
    end)
    local client = client_of(server)
    assert.is_nil(client:download(server.url .. "/x", folder, ONCE))
    write(path_of("b.txt"), "precious")
    assert_refused("b.txt", client:download(server.url .. "/x", folder, ONCE))
    assert.equal("precious", read(path_of("b.txt")))
    os.remove(path_of("b.txt"))
    assert(client:download(server.url .. "/x", folder, ONCE))
    assert.equal("bytes=700-", header_of(server.requests[3], "Range"))
    assert.equal(CONTENT, read(path_of("b.txt")))
    assert.equal("b.txt", listing())
  end)

  it("and of two at once the second is refused", function()
    local server = origin(function(connection, request)
      connection:send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
        .. "Content-Disposition: attachment; filename=b.txt\r\n\r\n")
      if request.number == 2 then
        for _, each in ipairs(servers[1].connections) do
          each:send("x")
        end
      end
    end)
    local client = client_of(server)
    local ends = client:map({ "one", "two" }, function(name)
      local saved, err = client:download(server.url .. "/" .. name, folder)
      return saved or err
    end)
    if type(ends[1]) == "table" then
      ends[1], ends[2] = ends[2], ends[1]
    end
    assert.equal(path_of("b.txt"), ends[1])
    assert_refused("b.txt", nil, ends[2])
    assert.equal("b.txt", listing())
  end)

  it("but not into one that isn't there", function()
    local server = storage({ file_of("x", {}) })
    local saved, err =
      client_of(server):download(server.url, path_of("none/"))
    assert.is_nil(saved)
    assert.equal("file", err.kind)
  end)
end)

local function as_child(environment, script, ...)
  local path = path_of("script.lua")
  write(path, script)
  local text = child.output_of(environment
    .. child.command({}, path, { folder, ... }) .. " 2>&1")
  os.remove(path)
  return text
end

-- A download from a stand-in of its own, in another process.
local SCRIPT = [[
local maiagent = require("maiagent")
local testing = require("maiagent.testing")
local folder = ...
local server = testing.start()
local client = maiagent.new({ api_key = server.api_key,
  base_url = server.base_url, wait = server.wait, max_retries = 0 })
local kb = assert(client.knowledge_bases:create({ name = "x",
  embeddingModel = assert(client.embedding_models:list())[1].id,
  rerankerModel = assert(client.reranker_models:list())[1].id }))
local file = assert(client.knowledge_bases.files:upload(kb.id,
  { content = ("x"):rep(500000), filename = "x.bin" }))
local saved, err =
  client.knowledge_bases.files:download(kb.id, file.id, folder .. "/a")
print(saved, err and err.kind, err and err.message)
]]

-- A download that kills its own process where a quarter was there.
local KILLED = [[
local maiagent = require("maiagent")
local folder, base_url, url = ...
local client = maiagent.new({ api_key = "test-key", base_url = base_url })
client:download(url, folder .. "/a", { on_progress = function(received, total)
  if total > 0 and received > total / 4 then
    os.execute("kill -9 $PPID")
  end
end })
]]

describe("a download into a place that is not good", function()
  before_each(setup)
  after_each(teardown)

  it("does not follow a symbolic link at PATH.part", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    write(path_of("victim"), "precious")
    assert(os.execute("ln -s victim " .. child.quoted(path_of("a.part"))))
    local saved, err = client_of(server):download(server.url, path_of("a"))
    assert.is_nil(saved)
    assert.equal("file", err.kind)
    assert.equal("precious", read(path_of("victim")))
    assert.equal("a.part victim", listing())
  end)

  it("does not follow a symbolic link at PATH.part.etag", function()
    local server = storage({ file_of(CONTENT, STRONG, { cut = 5000 }) })
    write(path_of("victim"), "precious")
    assert(os.execute("ln -s victim "
      .. child.quoted(path_of("a.part.etag"))))
    assert.is_nil(client_of(server):download(server.url, path_of("a"), ONCE))
    assert.equal("precious", read(path_of("victim")))
  end)

  -- what stands there, and how
  for _, row in ipairs({
    { "a pipe", "mkfifo" }, { "an endless device", "ln -s /dev/zero" },
  }) do
    it("does not wait for " .. row[1] .. " at PATH.part.etag", function()
      local server = storage({ file_of(CONTENT, STRONG) })
      assert(os.execute(row[2] .. " "
        .. child.quoted(path_of("a.part.etag"))))
      assert(client_of(server):download(server.url, path_of("a")))
      assert.equal("a", listing())
    end)
  end

  it("leaves a file alone that is PATH.part too", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    write(path_of("victim"), "precious")
    assert(os.execute("cd " .. child.quoted(folder) .. " && ln victim a.part"))
    local _, err = client_of(server):download(server.url, path_of("a"))
    assert.equal("file", err.kind)
    assert.equal("precious", read(path_of("victim")))
  end)

  it("leaves the part of another download that nothing is missing of",
    function()
      -- The one has all its bytes, but not its end; the other gets a 416.
      local server = origin(function(connection, request)
        if header_of(request, "Range") then
          connection:send(raw_server.reply("", 416))
        else
          connection:send('HTTP/1.1 200 OK\r\nETag: "v"\r\n'
            .. "Transfer-Encoding: chunked\r\n\r\n"
            .. ("%x\r\n%s\r\n"):format(SIZE, CONTENT))
        end
      end)
      local client = client_of(server)
      local other
      assert(client:download(server.url, path_of("a"), {
        on_progress = function(received)
          if received == SIZE and not other then
            other = { client:download(server.url, path_of("a")) }
            for _, connection in ipairs(server.connections) do
              connection:send("0\r\n\r\n")
            end
          end
        end,
      }))
      assert.is_nil(other[1])
      assert.equal("file", other[2].kind)
      assert.equal(CONTENT, read(path_of("a")))
      assert.equal("a", listing())
    end)

  it("replaces a symbolic link at PATH, not what it leads to", function()
    local server = storage({ file_of("new", {}) })
    write(path_of("victim"), "precious")
    assert(os.execute("ln -s victim " .. child.quoted(path_of("a"))))
    assert(client_of(server):download(server.url, path_of("a")))
    assert.equal("precious", read(path_of("victim")))
    assert.equal("new", read(path_of("a")))
  end)

  it("says so where PATH.part is a folder", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    assert(os.execute("mkdir " .. child.quoted(path_of("a.part"))))
    local _, err = client_of(server):download(server.url, path_of("a"))
    assert.equal("file", err.kind)
    assert.equal("a.part", listing())
  end)

  it("says so where PATH has become a folder", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    local made = false
    local saved, err = client_of(server):download(server.url, path_of("a"), {
      on_progress = function()
        made = made or child.output_of("mkdir " .. child.quoted(path_of("a")))
      end,
    })
    assert.is_nil(saved)
    assert.equal("file", err.kind)
    assert.matches("cannot move the download to its name: .", err.message)
    assert.equal("a", listing())
  end)

  it("says so where the folder cannot be written", function()
    local server = storage({ file_of(CONTENT, STRONG) })
    local _, err = client_of(server):download(server.url, "/proc/none")
    assert.equal("file", err.kind)
    assert.truthy(err.message:find("/proc/none.part", 1, true), err.message)
  end)

  it("leaves another download's part alone", function()
    local server = origin(function(connection, request)
      local head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
      connection:send(head .. "12345")
      if request.number > 1 then
        connection:send("67890")
      end
    end)
    local client = client_of(server)
    local first, second
    client:gather({ function()
      first = client:download(server.url, path_of("a"), { max_retries = 0,
        on_progress = function(received)
          if received > 0 and not second then
            second = { client:download(server.url, path_of("a")) }
            for _, connection in ipairs(server.connections) do
              connection:send("67890")
            end
          end
        end })
    end })
    assert.is_nil(second[1])
    assert.equal("file", second[2].kind)
    assert.truthy(second[2].message:find("another download", 1, true))
    assert.equal(path_of("a"), first)
    assert.equal("1234567890", read(path_of("a")))
  end)

  it("says so where the disk is full", function()
    -- A limit of the size of files fails as a full disk does.
    local text = as_child("trap '' XFSZ; ulimit -f 100; ", SCRIPT)
    assert.truthy(text:find("nil\tfile\t", 1, true), text)
    assert.truthy(text:find("a.part", 1, true), text)
    assert.is_nil(read(path_of("a")))
  end)
end)

describe("a download under way in a fork's parent", function()
  before_each(setup)
  after_each(teardown)

  it("keeps its part, whatever the child does", function()
    local fork = require("fork") -- tests/support/fork.c
    local server = origin(function(connection)
      connection:send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    end)
    local client = client_of(server)
    local saved, received = nil, 0
    local task = client:go(function()
      saved = client:download(server.url, path_of("a"), {
        on_progress = function(count)
          received = count
        end,
      })
    end)
    local function step_until(condition)
      local deadline = socket.gettime() + seconds(10)
      repeat
        assert.is_true(socket.gettime() < deadline)
        server:step()
        client:step()
      until condition()
    end
    step_until(function() return received == 5 end)
    local child_id = fork.fork()
    if child_id == 0 then
      pcall(client.step, client)
      client:close()
      fork.exit(task:done() and saved == nil and 0 or 1)
    end
    local code
    step_until(function()
      code = fork.status(child_id)
      return code
    end)
    assert.equal(0, code)
    server.connections[1]:send("67890")
    step_until(function() return task:done() end)
    assert.equal(path_of("a"), saved)
    assert.equal("1234567890", read(path_of("a")))
  end)
end)

local function uploaded(options, filename)
  local server = service.start(options)
  local client = service.client(server)
  local kb = service.knowledge_base(client)
  local file = assert(client.knowledge_bases.files:upload(kb,
    { content = CONTENT, filename = filename or "年報.pdf" }))
  return server, client, kb, file.id
end

describe("knowledge_bases.files:download", function()
  before_each(setup)
  after_each(teardown)

  it("gets what was uploaded, under its name", function()
    local _, client, kb, id = uploaded()
    assert.equal(folder .. "/年報.pdf",
      client.knowledge_bases.files:download(kb, id, folder))
    assert.equal(CONTENT, read(folder .. "/年報.pdf"))
    assert.equal(path_of("b"),
      client.knowledge_bases.files:download(kb, id, path_of("b")))
  end)

  it("takes a URL from the API's root", function()
    local server, client, kb, id = uploaded()
    server:fault({ kind = "status", status = 200, path = "/files/",
      json = { id = id, filename = "a", file = "/media/a" } })
    server:fault({ kind = "status", status = 200, path = "^/media/a$",
      body = "content" })
    assert(client.knowledge_bases.files:download(kb, id, path_of("a")))
    assert.equal("content", read(path_of("a")))
  end)

  it("asks for another URL where the first is over", function()
    local server, client, kb, id = uploaded()
    server:fault({ kind = "status", status = 403, path = "^/media/",
      method = "GET" })
    assert(client.knowledge_bases.files:download(kb, id, path_of("a")))
    assert.equal(CONTENT, read(path_of("a")))
    server:fault({ kind = "status", status = 403, path = "^/media/",
      method = "GET", times = 2 })
    local _, err = client.knowledge_bases.files:download(kb, id, path_of("a"))
    assert.equal("permission", err.kind)
  end)

  for _, row in ipairs({
    { "deleting", "conflict" }, { "deleted", "not_found" },
  }) do
    it("refuses a file that is " .. row[1], function()
      local server, client, kb, id = uploaded()
      server:fault({ kind = "status", status = 200, path = "/files/",
        json = { id = id, status = row[1], file = "https://h/x" } })
      local _, err =
        client.knowledge_bases.files:download(kb, id, path_of("a"))
      assert.equal(row[2], err.kind)
      assert.truthy(err.message:find(row[1], 1, true))
    end)
  end

  it("counts its timeout over all its requests", function()
    local server, client, kb, id = uploaded()
    server:fault({ kind = "delay", seconds = seconds(0.2), times = 4 })
    server:fault({ kind = "status", status = 403, path = "^/media/",
      method = "GET" })
    local _, err = client.knowledge_bases.files:download(kb, id, path_of("a"),
      { timeout = seconds(0.3) })
    assert.equal("timeout", err.kind)
    -- Not what was left of it.
    assert.equal(("not done within %g s (timeout.total)"):format(seconds(0.3)),
      err.message)
  end)

  -- After whose answer the time is over, how many requests that makes, and of
  -- which the error is.
  for _, row in ipairs({
    { "the answer with the URL", 200, 1, "^/media/" },
    { "a URL that was over", 403, 2, "/files/" },
  }) do
    it("has no time left after " .. row[1] .. " and a slow callback",
      function()
        local server, _, kb, id = uploaded()
        server:fault({ kind = "status", status = 403, path = "^/media/",
          method = "GET" })
        local before = #server:log()
        local slow = service.client(server, { on_event = function(event)
          if event.status == row[2] then
            socket.sleep(seconds(0.6))
          end
        end })
        local _, err = slow.knowledge_bases.files:download(kb, id,
          path_of("a"), { timeout = seconds(0.5) })
        assert.equal("timeout", err.kind)
        assert.equal(TOO_LATE, err.message)
        assert.equal("GET", err.method)
        assert.matches(row[4], err.path)
        assert.equal(before + row[3], #server:log())
      end)
  end

  it("goes on after kill -9", function()
    local server = testing.spawn()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local content = CONTENT:rep(5)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = content, filename = "x.bin" }))
    local url = assert(client.knowledge_bases.files:get(kb, file.id)).file
    server:fault({ kind = "drip", bytes = 1000000, seconds = 60,
      path = "^/media/" })
    as_child("", KILLED, server.base_url, url)
    local left = #(read(path_of("a.part")) or "")
    assert.is_true(left > 0 and left < #content, left)
    assert(client:download(url, path_of("a")))
    local log = server:log()
    assert.equal("bytes=" .. left .. "-", log[#log].headers.range)
    assert.is_true(content == read(path_of("a")))
    assert.equal("a", listing())
    client:close()
    server:stop()
  end)

  -- What the service gives in the place of a file with a URL.
  for _, body in ipairs({ '{"status":"done"}', '{"file":""}', '{"file":5}',
    "{}", "[]", "5", "true", "false", '"x"' })
  do
    it("says so where there is no URL: " .. body, function()
      local server, client, kb, id = uploaded()
      server:fault({ kind = "status", status = 200, path = "/files/",
        body = body, headers = { ["Content-Type"] = "application/json" } })
      local saved, err =
        client.knowledge_bases.files:download(kb, id, path_of("a"))
      assert.is_nil(saved)
      assert.equal("not_found", err.kind)
      assert.equal("GET", err.method)
      assert.matches("/files/" .. id:gsub("%-", "%%-") .. "/$", err.path)
    end)
  end

  -- name, the URL that the service gives, what the error says, its path
  for _, row in ipairs({
    { "is none", "media/a", "download: the URL does not begin with https://" },
    { "is another host's without TLS", "http://example.com/a?b=c",
      "download: plain http:// to example.com would show", "/a" },
    { "is longer than one may be", "/" .. ("x"):rep(16384),
      "download: the URL would be longer than 16384 bytes",
      "/" .. ("x"):rep(16384) },
  }) do
    it("says so where the URL " .. row[1], function()
      local server, client, kb, id = uploaded()
      server:fault({ kind = "status", status = 200, path = "/files/",
        json = { id = id, file = row[2]:find("^/")
          and server.base_url .. row[2] or row[2] } })
      local saved, err =
        client.knowledge_bases.files:download(kb, id, path_of("a"))
      assert.is_nil(saved)
      assert.equal("http", err.kind)
      assert.truthy(err.message:find(row[3], 1, true), err.message)
      assert.equal("GET", err.method)
      assert.equal(row[4], err.path)
      assert.equal("", listing())
    end)
  end

  it("says so where there is no such file", function()
    local _, client, kb = uploaded()
    local _, err = client.knowledge_bases.files:download(kb,
      "00000000-0000-0000-0000-000000000000", path_of("a"))
    assert.equal("not_found", err.kind)
    assert.equal("", listing())
  end)
end)

local function translated(options)
  local server, client, kb, id = uploaded(options)
  local translations = client.knowledge_bases.files.translations
  assert(translations:create(kb, id, { targetLanguage = "en",
    largeLanguageModelId = "00000000-0000-0000-0000-000000000001" }))
  return server, translations, kb, id, assert(translations:list(kb, id))
    .results[1].id
end

describe("knowledge_bases.files.translations:download", function()
  before_each(setup)
  after_each(teardown)

  for _, reply in ipairs({ "json", "redirect", "bytes" }) do
    it("stores a translation that is answered as " .. reply, function()
      local _, translations, kb, file, id =
        translated({ translation_reply = reply, processing_time = 0 })
      local seen = {}
      assert.equal(path_of("a"), translations:download(kb, file, id,
        path_of("a"), { on_progress = function(received, total)
          seen[#seen + 1] = { received, total }
        end }))
      local text = read(path_of("a"))
      assert.equal("en: ", text:sub(1, 4))
      assert.equal("a", listing())
      assert.same({ #text, #text }, seen[#seen])
      local saved =
        assert(translations:download(kb, file, id, folder .. "/"))
      assert.equal(text, read(saved))
    end)
  end

  -- Only a file is given a name; the head of the JSON comes before the rest.
  it("is not hindered by a file that is called as the JSON", function()
    local server, translations, kb, file, id =
      translated({ processing_time = 0 })
    write(path_of(id), "mine")
    server:fault({ kind = "drip", bytes = 30, seconds = 0.01,
      path = "/download/" })
    local saved = assert(translations:download(kb, file, id, folder))
    assert.equal("en: ", read(saved):sub(1, 4))
    assert.equal("mine", read(path_of(id)))
  end)

  it("gives the JSON without a path", function()
    local _, translations, kb, file, id =
      translated({ processing_time = 0 })
    assert.is_string(translations:download(kb, file, id).translatedFileUrl)
  end)

  -- name, options, JSON, kind, what the error says
  for _, row in ipairs({
    { "is not completed", nil, { status = "processing",
      translatedFileUrl = require("dkjson").null }, "not completed" },
    { "has no bilingual file", { variant = "bilingual" },
      { status = "completed", translatedFileUrl = "https://h/x" },
      "not completed (status: completed)" },
  }) do
    it("says so where it " .. row[1], function()
      local server, translations, kb, file, id =
        translated({ processing_time = 0 })
      server:fault({ kind = "status", status = 200, path = "/download/",
        json = row[3] })
      local saved, err =
        translations:download(kb, file, id, path_of("a"), row[2])
      assert.is_nil(saved)
      assert.equal("not_found", err.kind)
      assert.truthy(err.message:find(row[4], 1, true), err.message)
      assert.equal("GET", err.method)
      assert.matches("/download/$", err.path)
      assert.equal("", listing())
    end)
  end

  it("says so where there is no such translation", function()
    local _, translations, kb, file = translated({ processing_time = 0 })
    local saved, err = translations:download(kb, file,
      "00000000-0000-0000-0000-000000000000", path_of("a"))
    assert.is_nil(saved)
    assert.equal("not_found", err.kind)
    assert.equal("", listing())
  end)

  it("has no time left to ask for another URL", function()
    local server, _, kb, file, id = translated({ processing_time = 0 })
    server:fault({ kind = "status", status = 403, path = "^/media/" })
    local slow = service.client(server, { on_event = function(event)
      if event.status == 403 then
        socket.sleep(seconds(0.6))
      end
    end })
    local saved, err = slow.knowledge_bases.files.translations:download(kb,
      file, id, path_of("a"), { timeout = seconds(0.5) })
    assert.is_nil(saved)
    assert.equal(TOO_LATE, err.message)
    assert.equal("GET", err.method)
    assert.matches("/download/$", err.path)
  end)

  it("gets the bilingual file", function()
    local server, translations, kb, file, id =
      translated({ processing_time = 0 })
    local plain = assert(translations:download(kb, file, id))
    server:fault({ kind = "status", status = 200, path = "/download/",
      json = { translatedFileUrl = "https://h/x",
        bilingualFileUrl = plain.translatedFileUrl } })
    assert(translations:download(kb, file, id, path_of("a"),
      { variant = "bilingual" }))
    assert.equal("en: ", read(path_of("a")):sub(1, 4))
  end)
end)
