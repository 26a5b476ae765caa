-- URLs: origins, joining, ids in paths. A mistake here sends the key astray.

local core = require "maiagent.core"

local base = "https://api.example/api/"

local function chatbot_url(id, at)
  local request, message = core.bindings["chatbots.get"](at or base, nil, id)
  return request and request:url(), message
end

describe("core.origin", function()
  local rows = {
    { "the scheme's port", "https://api.example/a?b#c",
      "https://api.example:443" },
    { "the port of http", "http://api.example", "http://api.example:80" },
    { "upper case", "HTTPS://API.Example/A", "https://api.example:443" },
    { "a written port", "http://127.0.0.1:8080/api/",
      "http://127.0.0.1:8080" },
    { "a port with zeros", "https://h:00443/", "https://h:443" },
    { "an empty port", "https://h:/x", "https://h:443" },
    { "an IPv6 literal", "http://[::1]:8000/", "http://[::1]:8000" },
    { "an IPv6 literal without a port", "https://[FE80::A]/",
      "https://[fe80::a]:443" },
    { "a query right behind the host", "https://h?a@b/c", "https://h:443" },
    { "a fragment right behind the host", "https://h#@evil/", "https://h:443" },
    { "an @ in the path", "https://h/a@b", "https://h:443" },
    { "an underscore", "http://my_host/", "http://my_host:80" },
  }
  for _, row in ipairs(rows) do
    it("reads " .. row[1], function()
      assert.equal(row[3], core.origin(row[2]))
    end)
  end

  local refused = {
    { "nothing", "", "https://" },
    { "no scheme", "api.example/api", "https://" },
    { "another scheme", "ftp://h/", "https://" },
    { "a file", "file:///etc/passwd", "https://" },
    { "one slash", "https:/h/", "https://" },
    { "leading space", " https://h/", "https://" },
    { "no host", "https:///path", "no host" },
    { "a port alone", "https://:443/", "no host" },
    { "a user", "https://user@h/", "user name" },
    { "a password", "https://user:secret@h/", "user name" },
    { "a user that looks like a host", "https://h:443@evil/", "user name" },
    { "port 0", "https://h:0/", "port" },
    { "port 65536", "https://h:65536/", "port" },
    { "a huge port", "https://h:99999999999999999999/", "port" },
    { "a port with a sign", "https://h:+80/", "port" },
    { "text behind an IPv6 literal", "https://[::1]x/", "port" },
    { "an open bracket", "https://[::1/", "host" },
    { "an empty literal", "https://[]/", "host" },
    { "a zone", "https://[fe80::1%25eth0]/", "host" },
    { "an escaped host", "https://%61pi.example/", "host" },
    { "a backslash", "https://h\\@evil/", "user name" },
    { "a backslash alone", "https://h\\evil/", "host" },
    { "a space in the host", "https://h x/", "host" },
    { "a host that is not ASCII", "https://h\195\188/", "host" },
    { "a host of 256 bytes", "https://" .. ("h"):rep(256) .. "/", "too long" },
    { "a line feed", "https://h/a\nb", "control" },
    { "a zero byte", "https://h/a\0b", "control" },
    { "no text", {}, "must be a string" },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      local origin, message = core.origin(row[2])
      assert.is_nil(origin)
      assert.truthy(message:find(row[3], 1, true), message)
      assert.is_nil(message:find("secret", 1, true))
    end)
  end
end)

describe("core.same_origin", function()
  local rows = {
    { true, "https://h/a", "https://h/b?c" },
    { true, "https://H/", "HTTPS://h:443" },
    { true, "http://h:80/", "http://h" },
    { true, "http://[::A]:8/", "http://[::a]:8/x" },
    { false, "https://h/", "http://h/" },
    { false, "https://h:443/", "http://h:443/" },
    { false, "https://h/", "https://h:8443/" },
    { false, "https://h/", "https://h.evil/" },
    { false, "https://h/", "https://evil/https://h/" },
    { false, "https://h/", "https://h@evil/" },
    { false, "https://h/", "https://sub.h/" },
    { false, "https://h/", "https://h./" },
    { false, "https://h/", "//h/" },
    { false, "no URL", "no URL" },
    { false, "", "" },
    { false, "https://h/", nil },
    { false, nil, nil },
  }
  for _, row in ipairs(rows) do
    local a, b = tostring(row[2]), tostring(row[3])
    it(("is %s for %s and %s"):format(tostring(row[1]), a, b), function()
      assert.equal(row[1], core.same_origin(row[2], row[3]))
      assert.equal(row[1], core.same_origin(row[3], row[2]))
    end)
  end
end)

describe("core.join", function()
  local rows = {
    { "a relative path", base, "chatbots/", base .. "chatbots/" },
    { "a path from the origin", base, "/v2/x/", "https://api.example/v2/x/" },
    { "a path with a query", base, "x/?a=b&c=%20", base .. "x/?a=b&c=%20" },
    { "a query alone", base, "?a=b", base .. "?a=b" },
    { "nothing", base, "", base },
    { "a fragment, which is dropped", base, "x#y", base .. "x" },
    { "to a base without a slash", "https://h/api", "x", "https://h/api/x" },
    { "to a base without a path", "https://h:1", "x", "https://h:1/x" },
    { "from the origin of a bare base", "https://h", "/x", "https://h/x" },
    { "spaces and UTF-8", base, "a b/\195\188?q=\195\188",
      base .. "a%20b/%C3%BC?q=%C3%BC" },
    { "quotes and backslashes", base, 'a"b\\c', base .. "a%22b%5Cc" },
    { "what is escaped already", base, "a%2Fb", base .. "a%2Fb" },
    { "dots inside a segment", base, "a..b/.c/d.", base .. "a..b/.c/d." },
    { "dots in a query", base, "a?b=/../c", base .. "a?b=/../c" },
    { "a colon in a path", base, "urn:x/y", base .. "urn:x/y" },
    { "a URL of its own origin", base, "HTTPS://API.example:443/x?y#z",
      "HTTPS://API.example:443/x?y" },
  }
  for _, row in ipairs(rows) do
    it("joins " .. row[1], function()
      assert.equal(row[4], core.join(row[2], row[3]))
    end)
  end

  local refused = {
    { "a URL of another origin", base, "https://evil/x", "another origin" },
    { "a URL of another scheme", base, "http://api.example/",
      "another origin" },
    { "a URL with a user", base, "https://api.example@evil/", "user name" },
    { "another kind of URL", base, "ftp://api.example/", "https://" },
    { "a host without a scheme", base, "//evil/x", "//" },
    { "a segment ..", base, "a/../b", "segment" },
    { "a segment .. at the end", base, "a/..", "segment" },
    { "a segment .. before a query", base, "a/..?b", "segment" },
    { "a segment .", base, "./a", "segment" },
    { "an escaped ..", base, "a/%2e%2E/b", "segment" },
    { "a half escaped ..", base, "a/.%2e", "segment" },
    { "an escaped .", base, "%2E/a", "segment" },
    { "a .. behind a backslash", base, "a\\..\\b", "segment" },
    { "a .. in a whole URL", base, base .. "../x", "segment" },
    { "a line feed", base, "a\nb", "control" },
    { "a zero byte", base, "a\0b", "control" },
    { "no path", base, nil, "the path must be a string, got nil" },
    { "no base", nil, "a", "the base URL must be a string, got nil" },
    { "what would be too long", base, ("x"):rep(17000), "longer than 16384" },
    { "a base that is no URL", "api.example", "a", "https://" },
    { "a base with a query", "https://h/?a", "a", "query" },
    { "a base with a fragment", "https://h/#a", "a", "fragment" },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      local url, message = core.join(row[2], row[3])
      assert.is_nil(url)
      assert.truthy(message:find(row[4], 1, true), message)
    end)
  end

  it("never leaves the origin of the base", function()
    local bytes = { "/", "\\", ":", "@", "?", "#", ".", "%2f", "h", "//" }
    for _, a in ipairs(bytes) do
      for _, b in ipairs(bytes) do
        for _, c in ipairs(bytes) do
          local url = core.join(base, a .. b .. c)
          assert.is_true(not url or core.same_origin(url, base))
        end
      end
    end
  end)
end)

describe("an id in a path", function()
  local rows = {
    { "a UUID", "6f9c8d8e-0000-4000-8000-00000000000a",
      "6f9c8d8e-0000-4000-8000-00000000000a" },
    { "what is unreserved", "aZ09-._~", "aZ09-._~" },
    { "a slash", "a/b", "a%2Fb" },
    { "a way up", "../a", "..%2Fa" },
    { "a query and a fragment", "a?b#c", "a%3Fb%23c" },
    { "a per cent sign", "%2e%2e", "%252e%252e" },
    { "a plus and a space", "a+ b", "a%2B%20b" },
    { "UTF-8", "\231\159\165", "%E7%9F%A5" },
    { "control bytes", "a\r\n\0b", "a%0D%0A%00b" },
    { "three dots", "...", "..." },
    { "an integer", 42, "42" },
    { "a large integer", 2 ^ 53 - 1, "9007199254740991" },
    { "a negative integer", -1, "-1" },
  }
  for _, row in ipairs(rows) do
    it("takes " .. row[1], function()
      assert.equal(base .. "chatbots/" .. row[3] .. "/", chatbot_url(row[2]))
    end)
  end

  it("escapes each byte to what it was", function()
    for byte = 0, 255 do
      local url = chatbot_url("x" .. string.char(byte))
      local text = url:match("/x(.-)/$"):gsub("%%(%x%x)", function(digits)
        return string.char(tonumber(digits, 16))
      end)
      assert.equal(string.char(byte), text)
    end
  end)

  local NOT_WHOLE = "chatbots.get: id expected, got number "
    .. "(a number has to be whole, and below 2^53)"
  local refused = {
    { "", "chatbots.get: id must not be empty" },
    { ".", "chatbots.get: id must not be . or .." },
    { "..", "chatbots.get: id must not be . or .." },
    { 1.5, NOT_WHOLE },
    { 0 / 0, NOT_WHOLE },
    { 1 / 0, NOT_WHOLE },
    { true, "chatbots.get: id expected, got boolean" },
    { print, "chatbots.get: id expected, got function" },
    { core.null, "chatbots.get: id expected, got null" },
    { nil, "chatbots.get: id expected, got nil" },
    { { id = "x" },
      "chatbots.get: id expected, got table (did you mean obj.id?)" },
    { { name = "x" },
      "chatbots.get: id expected, got table (the ids come before the table)" },
  }
  for i = 1, 12 do
    local row = refused[i]
    it("is refused: " .. row[2] .. " #" .. i, function()
      local url, message = chatbot_url(row[1])
      assert.is_nil(url)
      assert.equal(row[2], message)
    end)
  end

  it("may make a URL of 16 KiB and no longer", function()
    local frame = #(base .. "chatbots//")
    local longest = ("x"):rep(16384 - frame)
    assert.equal(16384, #chatbot_url(longest))
    local url, message = chatbot_url(longest .. "x")
    assert.is_nil(url)
    assert.equal("chatbots.get: the URL would be longer than 16384 bytes",
                 message)
  end)
end)

describe("the base URL of a binding", function()
  local function presign_url(at)
    local request, message = core.bindings["uploads.presign"](at)
    return request and request:url(), message
  end

  local rows = {
    { "https://h/api/", "https://h/api/v1/upload-presigned-url/" },
    { "https://h/api", "https://h/api/v1/upload-presigned-url/" },
    { "https://h/api/v1/", "https://h/api/v1/upload-presigned-url/" },
    { "https://h/proxy/api/", "https://h/proxy/api/upload-presigned-url/" },
    { "https://h/", "https://h/upload-presigned-url/" },
  }
  for _, row in ipairs(rows) do
    it(row[1] .. " leads to " .. row[2], function()
      assert.equal(row[2], presign_url(row[1]))
    end)
  end

  it("leaves other operations below it as it is", function()
    assert.equal("http://[::1]:8000/api/chatbots/x/",
                 chatbot_url("x", "http://[::1]:8000/api/"))
  end)

  local refused = {
    { nil, "the base URL must be a string, got nil" },
    { "api.example", "the URL does not begin with https:// or http://" },
    { "https://h/?a", "the base URL must not have a query or a fragment" },
    { "https://u:p@h/", "the URL must not hold a user name or password" },
  }
  for i = 1, 4 do
    it("is refused: " .. refused[i][2], function()
      local url, message = presign_url(refused[i][1])
      assert.is_nil(url)
      assert.equal(refused[i][2], message)
    end)
  end
end)
