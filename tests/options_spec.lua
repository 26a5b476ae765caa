local child = require("tests.support.child")
local maiagent = require("maiagent")
local options = require("maiagent.options")

local HERE = "options_spec.lua:%d+: "

local function new(given)
  return pcall(function()
    return maiagent.new(given)
  end)
end

local function with_key(given)
  local all = { api_key = "prefix.secret" }
  for name, value in pairs(given) do
    all[name] = value
  end
  return all
end

describe("maiagent.new", function()
  -- name, options, what the message says
  local refused = {
    { "no key", {}, "api_key is missing.*MAIAGENT_API_KEY.*env " },
    { "an empty key", { api_key = "" }, "api_key is missing" },
    { "a key of the wrong type", { api_key = 5 },
      "api_key must be a string or a function, got number" },
    { "a key with its newline", { api_key = "abc\n" }, "line break" },
    { "a key with a space", { api_key = "a b" }, "a space or a byte" },
    { "a key with a zero byte", { api_key = "a\0b" }, "a space or a byte" },
    { "the whole header", { api_key = "Api-Key abc" },
      "must be the key alone" },
    { "a misspelt option", with_key({ base_ur = "https://a" }),
      "unknown option 'base_ur' %(did you mean 'base_url'%?%)" },
    { "a base_url without scheme", with_key({ base_url = "api.maiagent.ai" }),
      "base_url" },
    { "a base_url with a query", with_key({ base_url = "https://a/?x=1" }),
      "query" },
    { "a base_url with a user", with_key({ base_url = "https://u:p@a/" }),
      "base_url" },
    { "plain http", with_key({ base_url = "http://example.com" }),
      "plain http://.*allow_http = true" },
    { "plain http to a name that begins like loopback",
      with_key({ base_url = "http://127.0.0.1.example.com" }), "plain http" },
    { "plain http to localhost's namesake",
      with_key({ base_url = "http://localhost.example.com" }), "plain http" },
    { "a timeout of 0", with_key({ timeout = 0 }), "timeout" },
    { "a timeout as text", with_key({ timeout = "5" }), "timeout" },
    { "a timeout as text, shown as one", with_key({ timeout = "5" }),
      'timeout must be a number of seconds or a table, got "5" %(a string%)' },
    { "a timeout of 0, with the reason", with_key({ timeout = 0 }),
      "timeout must be more than 0 seconds, got 0" },
    { "a timeout of another library's", with_key({ timeout = { read = 5 } }),
      "timeout has no 'read' %(its fields are connect, idle, total%)" },
    { "a number as text", with_key({ max_retries = "2" }),
      'max_retries must be a whole number of 0 or more, got "2" %(a string%)' },
    { "an unknown option", with_key({ model = "x" }),
      "option 'model' %(its options are allow_http, api_key, .*wait%)" },
    { "a second header in user_agent", with_key({ user_agent = "a\r\nX: 1" }),
      "user_agent has a line break, a zero byte or another control" },
    { "a zero byte in proxy", with_key({ proxy = "http://a\0b" }),
      "proxy has a line break, a zero byte or another control" },
    { "a proxy that is no text", with_key({ proxy = true }),
      "proxy must be a string, got boolean" },
    { "a zero byte in ca_file", with_key({ ca_file = "a\0b" }),
      "ca_file must be a path, which has no zero bytes" },
    { "an empty ca_file", with_key({ ca_file = "" }),
      "ca_file must be a path, got ''" },
    { "a header's wrong name", with_key({ headers = { ["X A"] = "b" } }),
      'maiagent.new: headers%["X A"%]: a header\'s name has to be' },
    { "a header that is a table", with_key({ headers = { X = {} } }),
      'headers%["X"%]: a header\'s value must be a string, got table' },
    { "the header of the key", with_key({ headers = { Authorization = "b" } }),
      "Authorization is set from the API key alone" },
    { "a header without a name", with_key({ headers = { "X-A: b" } }),
      "headers has the name 1: a header's name is a string" },
    { "headers that are no table", with_key({ headers = "X-A: b" }),
      "headers must be a table of names and values, got string" },
    { "an on_event of true", with_key({ on_event = true }),
      "on_event must be a function, got boolean" },
    { "a misspelt timeout", with_key({ timeout = { conect = 5 } }),
      "timeout has no 'conect' %(did you mean 'connect'%?%)" },
    { "a negative part", with_key({ timeout = { idle = -1 } }),
      "timeout%.idle must be more than 0 seconds" },
    { "NaN seconds", with_key({ timeout = { idle = 0 / 0 } }),
      "timeout%.idle" },
    { "half a retry", with_key({ max_retries = 1.5 }), "max_retries" },
    { "an unknown null", with_key({ null = "nil" }), "'drop' or 'keep'" },
    { "an unknown limit", with_key({ limits = { repli = 1 } }),
      "limits has no 'repli' %(did you mean 'reply'%?%)" },
    { "a limit of 0", with_key({ limits = { reply = 0 } }), "limits%.reply" },
    { "limits that are no table", with_key({ limits = 5 }),
      "limits must be a table, got number" },
    { "a wait that is no function", with_key({ wait = 5 }), "wait" },
    { "options that are no table", "key", "options must be a table" },
  }

  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      local ok, message = new(row[2])
      assert.is_false(ok)
      assert.truthy(message:find(row[3]), message)
      assert.truthy(message:find(HERE), message)
    end)
  end

  -- Read when the library is loaded, so by a process of its own.
  local function new_with_environment(variables)
    local folder = child.folder()
    local script = folder .. "/new.lua"
    local file = assert(io.open(script, "w"))
    file:write("print(pcall(require('maiagent').new))\n")
    file:close()
    local _, output = child.run(child.root, child.command(variables, script))
    child.remove(folder)
    return output
  end

  it("names the variable of a wrong base_url", function()
    local output = new_with_environment({ MAIAGENT_API_KEY = "k",
      MAIAGENT_BASE_URL = "foo" })
    assert.truthy(output:find("maiagent.new: base_url (MAIAGENT_BASE_URL): the "
      .. "URL does not begin with https://", 1, true), output)
  end)

  it("tells one who writes a colon", function()
    local ok, message = pcall(function()
      return 1, maiagent:new({ api_key = "k" })
    end)
    assert.is_false(ok)
    assert.matches(HERE .. "maiagent%.new: called with a colon; write "
      .. "maiagent%.new{ … }", message)
  end)

  it("refuses a wrong key of the environment, without repeating it", function()
    local output = new_with_environment({ MAIAGENT_API_KEY = "SECRET x" })
    assert.truthy(output:find("maiagent.new: api_key (MAIAGENT_API_KEY) "
      .. "contains a space", 1, true), output)
    assert.is_nil(output:find("SECRET"))
  end)

  it("never repeats the key in a message", function()
    for _, key in ipairs({ "SECRET\n", "SECRET x", "Api-Key SECRET" }) do
      local _, message = new({ api_key = key })
      assert.is_nil(message:find("SECRET"))
    end
  end)

  it("does not write into the caller's table", function()
    local timeout = { connect = 1 }
    local given = { api_key = "k", timeout = timeout }
    maiagent.new(given):close()
    assert.same({ api_key = "k", timeout = timeout }, given)
    assert.same({ connect = 1 }, timeout)
  end)
end)

describe("base_url", function()
  local rows = {
    { nil, "https://api.maiagent.ai/api/" },
    { "https://api.maiagent.ai", "https://api.maiagent.ai/api/" },
    { "https://api.maiagent.ai/", "https://api.maiagent.ai/api/" },
    { "https://api.maiagent.ai//", "https://api.maiagent.ai/api/" },
    { "https://api.maiagent.ai/api", "https://api.maiagent.ai/api/" },
    { "https://api.maiagent.ai/api/v1/", "https://api.maiagent.ai/api/v1/" },
    { "https://api.maiagent.ai/api/v1", "https://api.maiagent.ai/api/v1/" },
    { "https://intern:8443/x/y//", "https://intern:8443/x/y/" },
    { "http://127.0.0.1:8000", "http://127.0.0.1:8000/api/" },
    { "http://localhost:8000", "http://localhost:8000/api/" },
    { "http://[::1]:8000", "http://[::1]:8000/api/" },
  }

  for _, row in ipairs(rows) do
    it(tostring(row[1]), function()
      local settings = options.client({ api_key = "k", base_url = row[1] })
      assert.equal(row[2], settings.base)
    end)
  end

  it("may be plain http when that is written out", function()
    local settings = options.client({
      api_key = "k",
      base_url = "http://10.0.0.1:443/api/v1/",
      allow_http = true,
    })
    assert.equal("http://10.0.0.1:443/api/v1/", settings.base)
  end)
end)

describe("timeouts", function()
  local rows = {
    { "the default", nil, { connect = 10, idle = 60, total = 300 } },
    { "a number is total", 7, { connect = 10, idle = 60, total = 7 } },
    { "a table changes what it names", { idle = 5 },
      { connect = 10, idle = 5, total = 300 } },
  }

  for _, row in ipairs(rows) do
    it(row[1], function()
      local settings = options.client({ api_key = "k", timeout = row[2] })
      assert.same(row[3], settings.timeout)
    end)
  end

  local files = {
    { "no total of its own", nil, math.huge },
    { "the total that is given", { total = 9 }, 9 },
    { "a total given as a number", 7, 7 },
    { "none where another part is given", { idle = 5 }, math.huge },
  }

  for _, row in ipairs(files) do
    it("of files: " .. row[1], function()
      local settings = options.client({ api_key = "k", timeout = row[2] })
      assert.equal(row[3], settings.file_timeout.total)
      local copy = options.copy(settings, { null = "keep" })
      assert.equal(row[3], copy.file_timeout.total)
    end)
  end
end)

describe("the key", function()
  local function contains(value, text, seen)
    seen = seen or {}
    if type(value) == "string" then
      return value:find(text, 1, true) ~= nil
    end
    if type(value) ~= "table" or seen[value] then
      return false
    end
    seen[value] = true
    for key, item in pairs(value) do
      if contains(key, text, seen) or contains(item, text, seen) then
        return true
      end
    end
    return contains(getmetatable(value), text, seen)
  end

  it("is nowhere in the client's tables or its text", function()
    local client = maiagent.new({ api_key = "prefix.SECRET" })
    local copy = client:with({ api_key = "other.SECRET", timeout = 5 })
    for _, thing in ipairs({ client, copy }) do
      assert.is_false(contains(thing, "SECRET"))
      assert.is_nil(tostring(thing):find("SECRET"))
    end
    client:close()
  end)

  it("is asked for each time where it is a function", function()
    local calls = 0
    local settings = options.client({
      api_key = function()
        calls = calls + 1
        return "key" .. calls
      end,
    })
    assert.equal("Api-Key key1", (settings.authorization()))
    assert.equal("Api-Key key2", (settings.authorization()))
  end)

  local reasons = {
    { "nothing", nil, nil, "it returned nil" },
    { "nothing, with a reason", nil, "vault down",
      "it returned nil: vault down" },
    { "no text", 5, nil, "it returned number" },
    { "an empty text", "", nil, "it returned ''" },
    { "two lines", "a\nb", nil, "it contains a line break" },
  }
  for _, row in ipairs(reasons) do
    it("and the reason why there is none is told: " .. row[1], function()
      local settings = options.client({ api_key = function()
        return row[2], row[3]
      end })
      local ok, message = pcall(settings.authorization)
      assert.is_false(ok)
      assert.truthy(message:find("maiagent: api_key() must return the key: "
        .. row[4], 1, true), message)
    end)
  end

  local wrong = { "", "a\nb", 5, false }
  for _, returned in ipairs(wrong) do
    it("is refused when the function gives " .. type(returned), function()
      local settings = options.client({
        api_key = function()
          return returned
        end,
      })
      assert.has_error(function()
        settings.authorization()
      end)
    end)
  end
end)

describe("client:with", function()
  local client = maiagent.new({ api_key = "k", timeout = { idle = 5 } })

  it("changes what it names and keeps the rest", function()
    local before = options.client({ api_key = "k", timeout = { idle = 5 },
      headers = { ["X-A"] = "1" } })
    local after = options.copy(before, { timeout = { total = 9 },
      headers = { ["X-B"] = "2" }, null = "keep" })
    assert.same({ connect = 10, idle = 5, total = 9 }, after.timeout)
    assert.same({ ["X-A"] = "1", ["X-B"] = "2" }, after.headers)
    assert.is_true(after.keep_null)
    assert.equal("Api-Key k", (after.authorization()))
    assert.is_false(before.keep_null)
  end)

  it("refuses what the copies share", function()
    assert.has_error(function()
      client:with({ wait = function() end })
    end)
    assert.has_error(function()
      client:with({ max_connections = 3 })
    end)
  end)

  it("names itself in messages", function()
    local ok, message = pcall(client.with, client, { base_url = "foo" })
    assert.is_false(ok)
    assert.truthy(message:find("client:with: base_url: the URL does not", 1,
      true), message)
  end)

  it("takes a hook and a proxy away", function()
    local before = options.client({ api_key = "k", on_event = print,
      on_retry = print, proxy = "http://127.0.0.1:1" })
    local after = options.copy(before, { on_event = false, on_retry = false,
      proxy = false })
    assert.is_false(after.on_event)
    assert.is_false(after.on_retry)
    assert.equal("", after.proxy)
    assert.equal("", options.copy(after, { null = "keep" }).proxy)
  end)

  it("refuses an empty key", function()
    local ok, message = pcall(client.with, client, { api_key = "" })
    assert.is_false(ok)
    assert.truthy(message:find("client:with: api_key is empty", 1, true))
  end)

  it("refuses misspelt options", function()
    local ok, message = pcall(client.with, client, { timeot = 5 })
    assert.is_false(ok)
    assert.truthy(message:find("did you mean 'timeout'", 1, true))
  end)
end)
