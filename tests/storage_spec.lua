-- The storage of the stand-in: what it lets in, and how it gives it out. The
-- library stays outside, so that judge and judged stay apart.

local form = require("tests.support.form")
local http = require("socket.http")
local json = require("dkjson")
local ltn12 = require("ltn12")
local mime = require("mime")
local policy = require("maiagent.testing.policy")
local socket = require("socket")
local testing = require("maiagent.testing")

local KEY = "Api-Key test-key"
local UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
local MIB = 2 ^ 20

local server

-- A request: status, text, headers.
local function request(method, url, body, headers)
  local all, pieces = { ["Content-Length"] = body and #body }, {}
  for name, value in pairs(headers or {}) do
    all[name] = value
  end
  local ok, status, answer = http.request({ method = method, url = url,
    headers = all, redirect = false, sink = ltn12.sink.table(pieces),
    source = body and ltn12.source.string(body) or nil })
  return ok and status, table.concat(pieces), answer
end

local function api(method, path, body)
  local status, text = request(method, server.base_url .. "/api/" .. path,
    body and json.encode(body), { Authorization = KEY,
      ["Content-Type"] = "application/json" })
  return json.decode(text), status
end

local function presign(size, filename)
  return (api("POST", "upload-presigned-url/", { filename = filename or "a.txt",
    modelName = "chatbot-file", fieldName = "file", fileSize = size }))
end

local ORDER = { "key", "x-amz-algorithm", "x-amz-credential", "x-amz-date",
  "policy", "x-amz-signature" }

-- The parts of a form as it should be: the fields in the vendor's order.
local function parts_of(grant, content)
  local parts = {}
  for place, name in ipairs(ORDER) do
    parts[place] = { name, grant.fields[name] }
  end
  table.insert(parts, { "file", content, "a.txt" })
  return parts
end

local function post(grant, parts, headers)
  local all = { ["Content-Type"] = form.HEADERS["Content-Type"] }
  for name, value in pairs(headers or {}) do
    all[name] = value
  end
  return request("POST", grant.url, form.body(parts), all)
end

-- Stores content; its URL.
local function stored(content, filename)
  local grant = presign(#content, filename)
  assert.equal(204, (post(grant, parts_of(grant, content))))
  return server.storage_url .. "/" .. grant.fields.key, grant
end

-- Of a process, the files that it has open although they have no name.
local function nameless(pid)
  local listing = io.popen("ls -l /proc/" .. pid .. "/fd 2>/dev/null")
  local _, count = listing:read("*a"):gsub("/tmp/[^\n]*%(deleted%)", "")
  listing:close()
  return count
end

local function code_of(text)
  assert.matches("^<%?xml version=\"1.0\" encoding=\"UTF%-8\"%?>\n<Error>",
    text)
  return text:match("<Code>(.-)</Code>"), text:match("<Message>(.-)</Message>")
end

describe("storage", function()
  lazy_setup(function()
    server = testing.spawn({ processing_time = 0.05 })
  end)

  lazy_teardown(function()
    server:stop()
  end)

  before_each(function()
    server:reset()
  end)

  it("gives fields as the service does", function()
    local grant = presign(5)
    local names = 0
    for _ in pairs(grant.fields) do
      names = names + 1
    end
    assert.equal(#ORDER, names)
    for name, pattern in pairs({
      key = "^media/chatbots/chatbot%-file/[%x-]+%.txt$",
      policy = "^[%w+/]+=*$",
      ["x-amz-algorithm"] = "^AWS4%-HMAC%-SHA256$",
      ["x-amz-credential"] = "^%w+/%d%d%d%d%d%d%d%d/%w+/s3/aws4_request$",
      ["x-amz-date"] = "^%d%d%d%d%d%d%d%dT%d%d%d%d%d%dZ$",
      ["x-amz-signature"] = "^" .. ("%x"):rep(64) .. "$",
    }) do
      assert.matches(pattern, grant.fields[name])
    end
  end)

  it("takes what was presigned and serves it", function()
    local url = stored("hello")
    local status, text, headers = request("GET", url)
    assert.equal(200, status)
    assert.equal("hello", text)
    assert.equal("bytes", headers["accept-ranges"])
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$",
      headers["last-modified"])
    assert.same({}, server:violations())
  end)

  describe("refuses", function()
    local function renamed(parts, name, value)
      for _, part in ipairs(parts) do
        part[2] = part[1] == name and value or part[2]
      end
    end

    local function drop(name)
      return function(parts)
        for place = #parts, 1, -1 do
          if parts[place][1] == name then
            table.remove(parts, place)
          end
        end
      end
    end

    local function change(name, value)
      return function(parts)
        renamed(parts, name, value)
      end
    end

    local forged = mime.b64("{\"expiration\":\"2999-01-01T00:00:00Z\","
      .. "\"conditions\":[[\"starts-with\",\"$key\",\"\"]]}")
    local rows = {
      { "another key", 403, "AccessDenied", change("key", "media/other.txt"),
        "Policy Condition failed: %[&quot;eq&quot;,&quot;$key&quot;," },
      { "another policy", 403, "SignatureDoesNotMatch",
        change("policy", forged) },
      { "another signature", 403, "SignatureDoesNotMatch",
        change("x-amz-signature", ("0"):rep(64)) },
      { "another's credential", 403, "InvalidAccessKeyId",
        change("x-amz-credential", "AKIA/20240101/local/s3/aws4_request") },
      { "another region", 400, "InvalidArgument",
        change("x-amz-credential", "STANDIN/20240101/moon/s3/aws4_request") },
      { "another algorithm", 400, "InvalidArgument",
        change("x-amz-algorithm", "AWS4-HMAC-SHA1") },
      { "another time of the day", 403, "AccessDenied", function(parts)
        renamed(parts, "x-amz-date", parts[4][2]:sub(1, 9) .. "000000Z")
      end, "Condition failed: %[&quot;eq&quot;,&quot;$x%-amz%-date&quot;," },
      { "another day", 400, "InvalidArgument",
        change("x-amz-date", "20200101T000000Z") },
      { "no policy", 403, "AccessDenied", drop("policy"), "^Access Denied$" },
      { "no signature", 400, "InvalidArgument", drop("x-amz-signature"),
        "contain a field named 'x%-amz%-signature'" },
      { "no key", 400, "InvalidArgument", drop("key") },
      { "an extra field", 403, "AccessDenied", function(parts)
        table.insert(parts, 1, { "acl", "public" })
      end, "Extra input fields: acl" },
      { "a field twice", 403, "AccessDenied", function(parts)
        table.insert(parts, 1, parts[1])
      end, "Policy Condition failed: %[&quot;eq&quot;,&quot;$key&quot;," },
      { "a field after the file", 400, "InvalidArgument", function(parts)
        table.insert(parts, table.remove(parts, 1))
      end, "as its last field" },
      { "no file", 400, "InvalidArgument", drop("file") },
      { "two files", 400, "InvalidArgument", function(parts)
        table.insert(parts, parts[#parts])
      end },
      { "a longer file", 400, "EntityTooLarge", change("file", "hello!"),
        nil, "<ProposedSize>6</ProposedSize>" },
      { "a shorter file", 400, "EntityTooSmall", change("file", "hell"),
        nil, "<MinSizeAllowed>5</MinSizeAllowed>" },
    }
    for _, row in ipairs(rows) do
      it(row[1], function()
        local grant = presign(5)
        local parts = parts_of(grant, "hello")
        row[4](parts)
        local status, text = post(grant, parts)
        local code, message = code_of(text)
        assert.equal(row[3], code)
        assert.equal(row[2], status)
        assert.matches(row[5] or "", message)
        assert.matches(row[6] or "", text, 1, true)
        assert.equal(1, #server:violations())
        local url = server.storage_url .. "/" .. grant.fields.key
        assert.equal(404, (request("GET", url)))
      end)
    end

    it("what is no form", function()
      local grant = presign(5)
      local status, text = request("POST", grant.url, "hello",
        { ["Content-Type"] = "text/plain" })
      assert.equal(400, status)
      assert.equal("MalformedPOSTRequest", (code_of(text)))
    end)

    it("the key of the API", function()
      local grant = presign(5)
      local status, text = post(grant, parts_of(grant, "hello"), {
        Authorization = KEY,
      })
      assert.equal(400, status)
      assert.equal("InvalidArgument", (code_of(text)))
      assert.equal(1, #server:violations())
    end)
  end)

  it("takes no offence at what is late", function()
    local hasty = testing.spawn({ presign_lifetime = 0.05 })
    server, hasty = hasty, server
    local grant = presign(5)
    socket.sleep(0.06)
    local status, text = post(grant, parts_of(grant, "hello"))
    local violations = server:violations()
    server:stop()
    server = hasty
    assert.equal(403, status)
    local code, message = code_of(text)
    assert.equal("AccessDenied", code)
    assert.equal("Invalid according to Policy: Policy expired.", message)
    assert.same({}, violations)
  end)

  it("takes no offence at a client that gives up", function()
    local client = assert(socket.connect(server.storage_url:match("//(.*):"),
      server.storage_url:match("%d+$")))
    client:send("POST /maiagent-media/ HTTP/1.1\r\nContent-Length: 9999\r\n"
      .. "Content-Type: " .. form.HEADERS["Content-Type"] .. "\r\n\r\n"
      .. form.body({ { "key", "a" } }):sub(1, 40))
    socket.sleep(0.05)
    client:close()
    socket.sleep(0.05)
    assert.same({}, server:violations())
    assert.equal(0, server:connections())
    assert.is_nil(server:log()[1].status)
  end)

  describe("gives parts", function()
    local small, large = "0123456789", ("0123456789"):rep(300000)
    local rows = {
      -- Range, status, the bytes (from, to) of ten or Content-Range
      { "bytes=0-0", 206, "0", "bytes 0-0/10" },
      { "bytes=2-4", 206, "234", "bytes 2-4/10" },
      { "bytes=7-", 206, "789", "bytes 7-9/10" },
      { "bytes=7-99", 206, "789", "bytes 7-9/10" },
      { "bytes=-3", 206, "789", "bytes 7-9/10" },
      { "bytes=-99", 206, small, "bytes 0-9/10" },
      { "bytes=10-", 416, nil, "bytes */10" },
      { "bytes=-0", 416, nil, "bytes */10" },
      { "bytes=0-1,4-5", 200, small },
      { "bytes=-", 200, small },
      { "bytes=4-2", 200, small },
      { "lines=1-2", 200, small },
    }
    for _, row in ipairs(rows) do
      it(row[1], function()
        local status, text, headers = request("GET", stored(small), nil,
          { Range = row[1] })
        assert.equal(row[2], status)
        assert.equal(row[3] or text, text)
        assert.equal(row[4], headers["content-range"])
        assert.equal(row[2] == 416 and "InvalidRange" or nil,
          row[2] == 416 and code_of(text) or nil)
      end)
    end

    it("if the object is still the same", function()
      local url = stored(small)
      local _, _, head = request("HEAD", url)
      for _, known in ipairs({ head.etag, head["last-modified"] }) do
        assert.equal(206, (request("GET", url, nil, { Range = "bytes=5-",
          ["If-Range"] = known })))
      end
      local status, text = request("GET", url, nil, { Range = "bytes=5-",
        ["If-Range"] = "\"other\"" })
      assert.equal(200, status)
      assert.equal(small, text)
    end)

    it("of what is large", function()
      local url = stored(large)
      for _, range in ipairs({ { 0, 9 }, { 999999, 1000000 },
        { 1500000, 2700000 }, { 2999990, 2999999 } }) do
        local status, text = request("GET", url, nil,
          { Range = ("bytes=%d-%d"):format(range[1], range[2]) })
        assert.equal(206, status)
        assert.is_true(text == large:sub(range[1] + 1, range[2] + 1))
      end
    end)
  end)

  it("answers HEAD with the headers of GET alone", function()
    local url = stored(("x"):rep(3 * MIB))
    local status, text, headers = request("HEAD", url)
    assert.equal(200, status)
    assert.equal("", text)
    assert.equal(tostring(3 * MIB):match("%d+"), headers["content-length"])
    assert.matches("^\"[%w-]+\"$", headers.etag)
  end)

  it("has another ETag once an object was replaced", function()
    local url, grant = stored("hello")
    local _, _, before = request("HEAD", url)
    assert.equal(204, (post(grant, parts_of(grant, "world"))))
    local _, text, after = request("GET", url)
    assert.equal("world", text)
    assert.not_equal(before.etag, after.etag)
  end)

  it("names the file that an object was registered as", function()
    local base = api("POST", "knowledge-bases/",
      { name = "M", embeddingModel = UUID, rerankerModel = UUID })
    local url, grant = stored("hello")
    local page = api("POST", "knowledge-bases/" .. base.id .. "/files/",
      { files = { { filename = "路由 器.txt", file = grant.fields.key } } })
    assert.equal(url, page.results[1].file)
    local _, _, headers = request("GET", url)
    assert.equal("attachment; filename*=utf-8''"
      .. "%e8%b7%af%e7%94%b1%20%e5%99%a8%2etxt",
      headers["content-disposition"])
  end)

  it("asks a client that expects it to continue", function()
    local grant = presign(5)
    local body = form.body(parts_of(grant, "hello"))
    local client = assert(socket.connect("127.0.0.1",
      server.storage_url:match("%d+$")))
    client:settimeout(5)
    client:send("POST /maiagent-media/ HTTP/1.1\r\nExpect: 100-continue\r\n"
      .. "Content-Type: " .. form.HEADERS["Content-Type"]
      .. "\r\nContent-Length: " .. #body .. "\r\n\r\n")
    assert.equal("HTTP/1.1 100 Continue", (client:receive()))
    assert.equal("", (client:receive()))
    client:send(body)
    assert.equal("HTTP/1.1 204 OK", (client:receive()))
    client:close()
  end)

  it("keeps what is large in files that have no name", function()
    local child = testing.spawn({})
    server, child = child, server
    local url = stored(("0123456789"):rep(300000))
    local open = nameless(server.pid)
    local _, text = request("GET", url)
    server:stop()
    server = child
    assert.equal(1, open)
    assert.is_true(text == ("0123456789"):rep(300000))
  end)

  it("closes them when a server in this process stops", function()
    local mine = testing.start()
    local grant = { url = mine.storage_url .. "/maiagent-media/",
      fields = policy.grant("k", 2 * MIB, socket.gettime() + 60) }
    local body = form.body(parts_of(grant, ("y"):rep(2 * MIB)))
    local text = "POST /maiagent-media/ HTTP/1.1\r\nContent-Length: " .. #body
      .. "\r\nContent-Type: " .. form.HEADERS["Content-Type"] .. "\r\n\r\n"
      .. body
    local client = assert(socket.connect("127.0.0.1",
      mine.storage_url:match("%d+$")))
    client:settimeout(0)
    local sent = 0
    while sent < #text do
      local last, _, part = client:send(text, sent + 1)
      sent = last or part
      mine:step(0.01)
    end
    repeat
      mine:step(0.01)
    until client:receive() == "HTTP/1.1 204 OK"
    client:close()
    local stat = assert(io.open("/proc/self/stat"))
    local pid = stat:read("*n")
    stat:close()
    local open = nameless(pid)
    mine:stop()
    assert.equal(1, open - nameless(pid))
  end)
end)
