-- Prepared requests: what is sent for what was asked, and what is refused
-- before anything is sent.

local core = require "maiagent.core"

local base = "https://api.example/api/"

local function list(params, query)
  return core.bindings["chatbots.list"](base, query, params)
end

local function query_of(params, query)
  local request, message = list(params, query)
  return request and (request:url():match("%?(.*)$") or ""), message
end

-- A table whose every metamethod betrays itself.
local function untouchable(fields)
  local function touched()
    error("a metamethod was called")
  end
  return setmetatable(fields, {
    __index = touched, __newindex = touched, __len = touched,
    __pairs = touched, __ipairs = touched, __tostring = touched,
    __call = touched, __concat = touched, __eq = touched, __lt = touched,
  })
end

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local result = {}
  for k, v in pairs(value) do
    result[k] = copy(v)
  end
  return result
end

describe("a query", function()
  local rows = {
    { "nothing", nil, "" },
    { "an empty table", {}, "" },
    { "names in order", { b = "2", a = "1", B = "3", ab = "4", [""] = "5" },
      "=5&B=3&a=1&ab=4&b=2" },
    { "an empty text", { query = "" }, "query=" },
    { "text that has to be escaped", { query = "a b&c=d+\195\188/?#%" },
      "query=a%20b%26c%3Dd%2B%C3%BC%2F%3F%23%25" },
    { "a name that has to be escaped", { ["a&b[]"] = "1" },
      "a%26b%5B%5D=1" },
    { "a zero byte", { query = "a\0b" }, "query=a%00b" },
    { "booleans", { a = true, b = false }, "a=true&b=false" },
    { "an integer", { page = 10 }, "page=10" },
    { "a negative integer", { page = -10 }, "page=-10" },
    { "an integral float", { page = 2 * 5.0 }, "page=10" },
    { "the largest exact integer", { page = 2 ^ 53 - 1 },
      "page=9007199254740991" },
    { "zero", { page = 0 }, "page=0" },
    { "a float", { x = 0.1 }, "x=0.1" },
    { "a float of 16 digits", { x = 0.1 + 0.2 }, "x=0.30000000000000004" },
    { "a large float", { x = 1e300 }, "x=1e%2B300" },
    { "a small float", { x = -5e-324 }, "x=-4.94065645841247e-324" },
    { "an array", { ids = { "a", 1, true, "" } },
      "ids=a&ids=1&ids=true&ids=" },
    { "a marked array", { ids = core.array { "a" } }, "ids=a" },
    { "an empty array", { ids = {}, page = 1 }, "page=1" },
  }
  for _, row in ipairs(rows) do
    it("holds " .. row[1], function()
      assert.equal(row[3], query_of(row[2]))
    end)
  end

  it("has integers to the last digit", function()
    if math.maxinteger then
      local params = { a = math.maxinteger, b = math.mininteger }
      assert.equal("a=9223372036854775807&b=-9223372036854775808",
                   query_of(params))
    end
  end)

  it("has a point whatever the locale has", function()
    local before = os.setlocale(nil, "numeric")
    for _, name in ipairs { "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8" } do
      if os.setlocale(name, "numeric") then
        break
      end
    end
    local query = query_of { x = 0.5 }
    os.setlocale(before, "numeric")
    assert.equal("x=0.5", query)
  end)

  local scalar = "string, number or boolean expected, got "
  local other_keys = "array expected, got a table with other keys"
  local refused = {
    { { page = core.null }, "params.page: " .. scalar .. "null" },
    { { page = print }, "params.page: " .. scalar .. "function" },
    { { page = io.stdout }, "params.page: " .. scalar .. "userdata" },
    { { page = { a = 1 } }, "params.page: " .. other_keys },
    { { page = { 1, a = 1 } }, "params.page: " .. other_keys },
    { { page = { 1, {} } }, "params.page[2]: " .. scalar .. "table" },
    { { page = { core.null } }, "params.page[1]: " .. scalar .. "null" },
    { { page = 0 / 0 }, "params.page: infinity and NaN cannot be sent" },
    { { page = { 1 / 0 } }, "params.page[1]: infinity and NaN cannot be sent" },
    { { "page" }, "params: names of a query are strings, got a number" },
    { { [true] = 1 }, "params: names of a query are strings, got a boolean" },
    { { page = ("x"):rep(16384) },
      "params.page: the URL would be longer than 16384 bytes" },
    { "page=1", "chatbots.list: params must be a table, got string" },
    { 1, "chatbots.list: params must be a table, got number" },
    { core.null, "chatbots.list: params must be a table, got null" },
  }
  for i, row in ipairs(refused) do
    it("refuses " .. row[2] .. " #" .. i, function()
      local query, message = query_of(row[1])
      assert.is_nil(query)
      assert.equal(row[2], message)
    end)
  end

  it("can be added to by the call's own", function()
    assert.equal("a=1&c=3&b=2", query_of({ a = 1, c = 3 }, { b = 2 }))
  end)

  it("has a name once where both give it: the call's own", function()
    assert.equal("a=1&b=2", query_of({ a = 1, b = 3 }, { b = 2 }))
  end)

  it("names the call's own in messages", function()
    local query, message = query_of(nil, { a = core.null })
    assert.is_nil(query)
    assert.equal("query.a: " .. scalar .. "null", message)
    query, message = query_of(nil, "a=b")
    assert.is_nil(query)
    assert.equal("chatbots.list: query must be a table, got string", message)
  end)

  it("goes behind the path of a call with a body", function()
    local request = assert(core.bindings["chatbots.create"](
      base, { dry = true }, { name = "x" }))
    assert.equal(base .. "chatbots/?dry=true", request:url())
    assert.equal('{"name":"x"}', request:body())
  end)

  it("sorts a thousand names", function()
    local params, expected = {}, {}
    for i = 1, 1000 do
      local name = ("n%04d"):format(i * 7 % 1000)
      params[name] = 1
      expected[i] = ("n%04d=1"):format(i - 1)
    end
    assert.equal(table.concat(expected, "&"), query_of(params))
  end)
end)

describe("a binding", function()
  local function update(...)
    return core.bindings["chatbots.update"](base, nil, ...)
  end

  it("sends params as the JSON body", function()
    local request = assert(update("x", { name = "n", tools = {} }))
    assert.equal("PATCH", request:method())
    assert.equal('{"name":"n","tools":[]}', request:body())
    assert.same({ ["content-type"] = "application/json" }, request:headers())
  end)

  it("sends an array where the body is one", function()
    local request = assert(core.bindings["knowledge_bases.files.batch_reparse"](
      base, nil, "kb", { { id = "x", labels = {} } }))
    assert.truthy(request:body():find('"labels":[]', 1, true))
    assert.equal("[{", request:body():sub(1, 2))
  end)

  it("ignores what comes after params", function()
    assert.truthy(update("x", nil, { timeout = 5 }, 7, 8))
  end)

  it("names the place that JSON cannot hold", function()
    local request, message = update("x", { tools = { { id = print } } })
    assert.is_nil(request)
    assert.equal("params.tools[1].id: ", message:match("^.-: "))
  end)

  it("refuses params that are no table", function()
    local request, message = update("x", "y")
    assert.is_nil(request)
    assert.equal("chatbots.update: params must be a table, got string", message)
  end)

  it("calls no metamethod and changes no table", function()
    local params = untouchable { name = "n", tools = untouchable { } }
    assert.equal('{"name":"n","tools":[]}', update("x", params):body())
    params = untouchable { a = untouchable { 1, 2 } }
    local query = untouchable { b = true }
    assert.equal("a=1&a=2&b=true", query_of(params, query))
    local _, message = update(untouchable { name = "x" })
    assert.truthy(message:find("got table", 1, true))
  end)

  it("leaves the caller's numbers numbers", function()
    local params = { page = 2, ids = { 1, 2 } }
    local before = copy(params)
    list(params)
    assert.same(before, params)
    local id = 12
    update(id, {})
    assert.equal("number", type(id))
  end)

  it("makes a request of its own each time", function()
    local params = { name = "n" }
    local first = assert(update("x", params))
    params.name = "m"
    assert.equal('{"name":"n"}', first:body())
    assert.equal('{"name":"m"}', update("x", params):body())
  end)
end)

describe("the headers of a request", function()
  local request
  before_each(function()
    request = assert(core.request("GET", "https://h/"))
  end)

  it("are kept, under lower-case names", function()
    assert.is_true(request:set("X-One", "1"))
    assert.is_true(request:set("X-Two", ""))
    assert.is_true(request:set("X-Three", 3))
    assert.same({ ["x-one"] = "1", ["x-two"] = "", ["x-three"] = "3" },
                request:headers())
  end)

  it("replace those of the same name, in either case", function()
    for _, name in ipairs { "X-A", "X-AB", "x-a", "X-", "X-a" } do
      assert.is_true(request:set(name, name))
    end
    assert.same({ ["x-a"] = "X-a", ["x-ab"] = "X-AB", ["x-"] = "X-" },
                request:headers())
  end)

  it("keep the old value where the new one does not fit", function()
    assert.is_true(request:set("X-A", "old"))
    local done, message = request:set("X-A", ("x"):rep(65536))
    assert.is_nil(done)
    assert.equal("headers longer than 65536 bytes", message)
    assert.same({ ["x-a"] = "old" }, request:headers())
  end)

  local control = "control characters are refused"
  local token = "name has to be 1 to 128"
  local refused = {
    { "X", "a\nb", control }, { "X", "a\rb", control },
    { "X", "a\0b", control }, { "X", "\127", control },
    { "X\r\nY", "a", token }, { "X:", "a", token }, { "X Y", "a", token },
    { "", "a", token }, { "\195\188", "a", token }, { "X\0", "a", token },
    { ("x"):rep(129), "a", token },
    { "Authorization", "a", "from the API key alone" },
    { "aUTHORIZATION", "a", "from the API key alone" },
    { "Content-Length", "1", "by the transport" },
    { "transfer-encoding", "chunked", "by the transport" },
    { nil, "a", "a header's name must be a string, got nil" },
    { "X", nil, "a header's value must be a string, got nil" },
    { "X", {}, "a header's value must be a string, got table" },
  }
  for i, row in ipairs(refused) do
    it("are refused: " .. row[3] .. " #" .. i, function()
      local done, message = request:set(row[1], row[2])
      assert.is_nil(done)
      assert.truthy(message:find(row[3], 1, true), message)
      assert.same({}, request:headers())
    end)
  end

  it("may hold a tab and UTF-8", function()
    assert.is_true(request:set("X", "a\t\195\188"))
    assert.equal("a\t\195\188", request:headers().x)
  end)
end)

describe("the credential", function()
  local rows = {
    { true, "https://api.example/api/x", "https://api.example/api/" },
    { true, "https://API.example:443/x", "https://api.example/other/" },
    { false, "https://storage.example/x", "https://api.example/" },
    { false, "http://api.example/x", "https://api.example/" },
    { false, "https://api.example:8443/x", "https://api.example/" },
    { false, "https://api.example.evil/x", "https://api.example/" },
    { false, "https://evil/?https://api.example/", "https://api.example/" },
  }
  for _, row in ipairs(rows) do
    it(("is %s for %s at %s"):format(
        row[1] and "attached" or "not attached", row[2], row[3]), function()
      local request = assert(core.request("GET", row[2]))
      assert.equal(row[1], request:authorize(row[3], "Api-Key secret"))
      assert.equal(row[1] and "[redacted]" or nil,
                   request:headers().authorization)
    end)
  end

  it("is nowhere to be read", function()
    local request = assert(core.request("GET", "https://h/"))
    assert.is_true(request:authorize("https://h/", "Api-Key secret"))
    for _, text in pairs(request:headers()) do
      assert.is_nil(text:find("secret", 1, true))
    end
    assert.is_nil(tostring(request):find("secret", 1, true))
  end)

  it("cannot smuggle a header, and is not quoted when refused", function()
    local request = assert(core.request("GET", "https://h/"))
    local done, message = request:authorize("https://h/", "secret\r\nX: y")
    assert.is_nil(done)
    assert.equal("header Authorization: control characters are refused",
                 message)
    assert.same({}, request:headers())
  end)

  it("needs an origin to belong to", function()
    local request = assert(core.request("GET", "https://h/"))
    local done, message = request:authorize("h", "secret")
    assert.is_nil(done)
    assert.truthy(message:find("https://", 1, true))
    done, message = request:authorize(nil, "secret")
    assert.is_nil(done)
    assert.equal("the base URL must be a string, got nil", message)
    done, message = request:authorize("https://h/")
    assert.is_nil(done)
    assert.equal("a credential must be a string, got nil", message)
  end)
end)

describe("core.request", function()
  for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD" } do
    it("knows " .. method, function()
      assert.equal(method, core.request(method, "https://h/"):method())
    end)
  end

  it("keeps the URL but for what no URL may hold", function()
    local url = "https://h/a b?x=%20&y=\195\188#z"
    local request = assert(core.request("GET", url))
    assert.equal("https://h/a%20b?x=%20&y=%C3%BC", request:url())
  end)

  for _, row in ipairs({
    { "https://h", "" },
    { "https://h/", "/" },
    { "https://h:1/a/b%20c/?x=/1", "/a/b%20c/" },
    { "https://h?x=/1", "" },
  }) do
    it("gives the path of " .. row[1], function()
      assert.equal(row[2], core.request("GET", row[1]):path())
    end)
  end

  it("adds a query to what is there", function()
    local request = assert(core.request("GET", "https://h/a?x=1",
                                        { query = { y = { 1, 2 } } }))
    assert.equal("https://h/a?x=1&y=1&y=2", request:url())
  end)

  it("takes a body, byte for byte, and its type", function()
    local request = assert(core.request("PUT", "https://h/", {
      body = "a\0b", type = "text/plain" }))
    assert.equal("a\0b", request:body())
    assert.same({ ["content-type"] = "text/plain" }, request:headers())
    assert.equal("", core.request("PUT", "https://h/", { body = "" }):body())
    assert.is_nil(core.request("PUT", "https://h/"):body())
  end)

  it("takes parts", function()
    local options = untouchable { parts = untouchable {
      untouchable { name = "key", value = "a\0b" },
      untouchable { name = "file", path = "a\nb.xlsx", filename = "a.xlsx",
                    type = "text/plain" },
      untouchable { name = "memory", value = "", filename = "\195\188" },
    } }
    local request = assert(core.request("POST", "https://h/", options))
    assert.is_nil(request:body())
    assert.same({}, request:headers())
  end)

  local refused = {
    { "get", "https://h/", nil, "the method is none of" },
    { "GET\0", "https://h/", nil, "the method is none of" },
    { "CONNECT", "https://h/", nil, "the method is none of" },
    { nil, "https://h/", nil, "the method must be a string, got nil" },
    { "GET", nil, nil, "the URL must be a string, got nil" },
    { "GET", "h", nil, "https://" },
    { "GET", "https://u:secret@h/", nil, "user name" },
    { "GET", "https://h/" .. ("x"):rep(16384), nil, "longer than 16384" },
    { "GET", "https://h/", "x", "options must be a table, got string" },
    { "PUT", "https://h/", { body = 5 }, "body must be a string, got number" },
    { "PUT", "https://h/", { type = {} }, "type must be a string, got table" },
    { "PUT", "https://h/", { type = "a\nb" }, "control characters" },
    { "PUT", "https://h/", { query = "x" }, "query must be a table" },
    { "PUT", "https://h/", { query = { a = print } }, "query.a: " },
    { "PUT", "https://h/", { parts = "x" }, "parts must be a table" },
    { "PUT", "https://h/", { parts = {}, body = "" }, "either a body or" },
    { "PUT", "https://h/", { parts = {} }, "parts: an array of 1 to 1000" },
  }
  for i = 1, 17 do
    local row = refused[i]
    it("refuses #" .. i .. ": " .. row[4], function()
      local request, message = core.request(row[1], row[2], row[3])
      assert.is_nil(request)
      assert.truthy(message:find(row[4], 1, true), message)
      assert.is_nil(message:find("secret", 1, true))
    end)
  end

  local control = "control characters are refused"
  local wrong_parts = {
    { "x", "parts[2]: table expected" },
    { {}, "parts[2].name: a string is expected" },
    { { name = "a" }, "parts[2]: either a value or a path expected" },
    { { name = "a", value = "b", path = "c" },
      "parts[2]: either a value or a path expected" },
    { { name = 1, value = "b" }, "parts[2].name: a string is expected" },
    { { name = "a", value = 1 }, "parts[2].value: a string is expected" },
    { { name = "a\r\nb", value = "c" }, "parts[2].name: " .. control },
    { { name = "a", value = "b", type = "c\r\nd" },
      "parts[2].type: " .. control },
    { { name = "a", value = "b", filename = "c\0d" },
      "parts[2].filename: " .. control },
    { { name = "a", path = "b\0c" },
      "parts[2].path: a path has no zero bytes" },
  }
  for _, row in ipairs(wrong_parts) do
    it("refuses a part: " .. row[2], function()
      local parts = { { name = "key", value = "x" }, row[1] }
      local request, message = core.request("POST", "https://h/",
                                            { parts = parts })
      assert.is_nil(request)
      assert.equal(row[2], message)
    end)
  end

  it("refuses more than 1000 parts", function()
    local parts = {}
    for i = 1, 1000 do
      parts[i] = { name = "a", value = "b" }
    end
    assert.truthy(core.request("POST", "https://h/", { parts = parts }))
    parts[1001] = parts[1]
    assert.is_nil((core.request("POST", "https://h/", { parts = parts })))
  end)
end)

describe("the class of requests", function()
  it("prints without query", function()
    local request = assert(core.request("GET", "https://h/a?signature=secret"))
    assert.equal("maiagent.request: GET https://h/a", tostring(request))
  end)

  it("says its version, which the transport compares", function()
    local registry = debug.getregistry()
    local class = rawget(registry, "maiagent.request")
    assert.equal(core.version, rawget(class, "version"))
    assert.equal("maiagent.request", rawget(class, "__name"))
  end)

  it("has methods that take requests only", function()
    local request = assert(core.request("GET", "https://h/"))
    for _, name in ipairs { "set", "authorize", "method", "url", "path",
                            "body", "headers" } do
      assert.is_false(pcall(request[name], io.stdout))
      assert.is_false(pcall(request[name], {}))
      assert.is_false(pcall(request[name]))
    end
  end)

  it("survives being finalised by hand", function()
    local request = assert(core.request("POST", "https://h/a?b", {
      parts = { { name = "a", value = "b" } } }))
    local finalise = debug.getmetatable(request).__gc
    finalise(request)
    finalise(request)
    assert.equal("", request:url())
    assert.is_nil(request:body())
    assert.same({}, request:headers())
    assert.equal("maiagent.request: POST ", tostring(request))
    assert.is_false((request:authorize("https://h/", "secret")))
  end)

  it("gives its memory back", function()
    local body = ("x"):rep(1024 * 1024)
    for _ = 1, 100 do
      assert(core.request("PUT", "https://h/", { body = body }))
    end
    collectgarbage()
    collectgarbage()
  end)
end)

describe("core.now", function()
  it("counts seconds and never goes back", function()
    local before = core.now()
    assert.equal("number", type(before))
    for _ = 1, 1000 do
      local now = core.now()
      assert.is_true(now >= before)
      before = now
    end
  end)
end)
