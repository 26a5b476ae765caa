local core = require("maiagent.core")
local errors = require("maiagent.errors")
local maiagent = require("maiagent")
local service = require("tests.support.service")

local unpack = table.unpack or rawget(_G, "unpack")

local function plain(text)
  return text
end

local CALL = { method = "POST", path = "/api/chatbots/", attempts = 1 }

local function failed(status, value, text, content_type)
  return errors.from_status({
    status = status,
    value = value,
    text = text or "",
    content_type = content_type,
  }, CALL, plain)
end

describe("errors.from_status", function()
  local kinds = {
    { 400, "invalid", false },
    { 401, "authentication", false },
    { 403, "permission", false },
    { 404, "not_found", false },
    { 405, "http", false },
    { 408, "timeout", true },
    { 409, "conflict", false },
    { 413, "http", false },
    { 422, "invalid", false },
    { 429, "rate_limit", true },
    { 302, "http", false },
    { 500, "server", true },
    { 503, "server", true },
  }

  for _, row in ipairs(kinds) do
    it(row[1] .. " is " .. row[2], function()
      local err = failed(row[1], { detail = "x" })
      assert.equal(row[2], err.kind)
      assert.equal(row[1], err.status)
      assert.equal(row[3], err.retryable)
    end)
  end

  local fields = {
    { "one field", { name = { "This field is required." } },
      { name = { "This field is required." } } },
    { "several messages", { name = { "a", "b" } }, { name = { "a", "b" } } },
    { "nested objects", { a = { b = { "bad" } } }, { ["a.b"] = { "bad" } } },
    { "a list of items, counted from 1",
      { files = { {}, { filename = { "This field is required." } } } },
      { ["files.2.filename"] = { "This field is required." } } },
    { "a bare list", { "no", "never" },
      { nonFieldErrors = { "no", "never" } } },
    { "a bare text", { name = "bad" }, { name = { "bad" } } },
    { "null is no message", { a = { core.null, "x" }, b = { { core.null } } },
      { a = { "x" } } },
    { "detail is not a field", { detail = "x", name = { "y" } },
      { name = { "y" } } },
  }

  for _, row in ipairs(fields) do
    it("fields: " .. row[1], function()
      assert.same(row[3], failed(400, row[2]).fields)
    end)
  end

  local messages = {
    { "the service's detail", 404, { detail = "Not found." }, "", nil,
      "Not found." },
    { "a list of details", 400, { detail = { "a", "b" } }, "", nil, "a b" },
    { "a list of details that are objects", 422,
      { detail = { { loc = { "body" }, msg = "missing" } } },
      '{"detail":…}', "application/json", 'application/json: {"detail":…}' },
    { "a list of details with null in it", 500,
      { detail = { core.null, "b", true } }, "", nil, "b" },
    { "fields, in order", 400, { b = { "2" }, a = { "1" } }, "", nil,
      "a: 1; b: 2" },
    { "an HTML page's title", 502, nil,
      "<html><head><title>502 Bad Gateway</title>", "text/html",
      "HTML instead of JSON: 502 Bad Gateway" },
    { "an HTML page without one", 502, nil, "<html>", "text/html",
      "HTML instead of JSON" },
    { "plain text", 500, nil, "out of\n order", "text/plain",
      "text/plain: out of order" },
    { "nothing", 500, nil, "", nil, "an empty answer" },
    { "a remedy", 401, { detail = "Invalid key." }, "", nil,
      "Invalid key. (check api_key (MAIAGENT_API_KEY))" },
  }

  for _, row in ipairs(messages) do
    it("message: " .. row[1], function()
      local err = failed(row[2], row[3], row[4], row[5])
      assert.equal(row[6], err.message)
    end)
  end

  local DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

  -- name, the body, code, message
  local storage = {
    { "code and message",
      "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
      "AccessDenied", "AccessDenied: No." },
    { "a declaration and other fields",
      DECLARATION .. "<Error>\n  <Code>EntityTooLarge</Code>\n"
        .. "  <Message>Too\nlarge</Message><MaxSizeAllowed>5</MaxSizeAllowed>"
        .. "<RequestId>4442587FB7D0A2F9</RequestId></Error>\n",
      "EntityTooLarge", "EntityTooLarge: Too\nlarge" },
    { "numbers that are no characters",
      "<Error><Code>X</Code><Message>&#xFFFFFFFFFFFFFFFF; &#1e1; &#xD800; "
        .. "&#0; &#x110000; &#99999999999999999999; &#x00041;</Message>"
        .. "</Error>",
      "X", "X: &#xFFFFFFFFFFFFFFFF; &#1e1; &#xD800; &#0; &#x110000; "
        .. "&#99999999999999999999; A" },
    { "entities",
      "<Error><Code>X</Code><Message>&lt;a&gt; &amp;amp; &quot;b&#34; "
        .. "&apos;&#x4E2D;&#25991; &#233; &#x1F600; &odd;</Message></Error>",
      "X", "X: <a> &amp; \"b\" '中文 é 😀 &odd;" },
    { "a namespace",
      '<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        .. "<Code>SlowDown</Code><Message>Slow.</Message></Error>",
      "SlowDown", "SlowDown: Slow." },
    { "prefixes and attributes",
      '<s3:Error xmlns:s3="urn:s3"><s3:Code a="b">C</s3:Code>'
        .. "<s3:Message>M</s3:Message></s3:Error>", "C", "C: M" },
    { "CDATA",
      "<Error><Code>C</Code><Message><![CDATA[a < b]]></Message></Error>",
      "C", "C: a < b" },
    { "no message", "<Error><Code>C</Code><Message/></Error>", "C", "C" },
    { "fields of similar names",
      "<Error><CodeName>no</CodeName><Code>C</Code></Error>", "C", "C" },
    { "no code", "<Error><Message>M</Message></Error>", nil,
      "application/xml: <Error><Message>M</Message></Error>" },
    { "half an answer", "<Error><Code>Acc", nil,
      "application/xml: <Error><Code>Acc" },
    { "other XML", "<Fault><Code>C</Code></Fault>", nil,
      "application/xml: <Fault><Code>C</Code></Fault>" },
  }

  for _, row in ipairs(storage) do
    it("storage's XML: " .. row[1], function()
      local err = failed(403, nil, row[2], "application/xml")
      assert.equal("permission", err.kind)
      assert.equal(row[3], err.code)
      assert.equal(row[4], err.message)
      assert.equal(row[2], err.body)
    end)
  end

  it("takes the secret out of storage's code and message", function()
    local err = errors.from_status({
      status = 403,
      text = "<Error><Code>SECRET</Code><Message>a SECRET</Message></Error>",
    }, CALL, function(text)
      return (text:gsub("SECRET", "[redacted]"))
    end)
    assert.equal("[redacted]", err.code)
    assert.equal("[redacted]: a [redacted]", err.message)
  end)

  it("caps the body and the message", function()
    local err = failed(500, nil, ("x"):rep(100000), "text/plain")
    assert.is_true(#err.body < 20000)
    assert.is_true(#err.message < 3000)
  end)

  local function redact(text)
    return (text:gsub("SECRET", "[redacted]"))
  end

  it("takes the secret out of body and message", function()
    local err = errors.from_status({
      status = 500, text = "your key SECRET", content_type = "text/plain",
    }, CALL, redact)
    assert.is_nil(err.body:find("SECRET"))
    assert.is_nil(tostring(err):find("SECRET"))
  end)

  it("takes the secret out of fields and request id", function()
    local err = errors.from_status({
      status = 400, text = "", value = { SECRET = { "not SECRET" } },
    }, { request_id = "SECRET-1" }, redact)
    assert.same({ ["[redacted]"] = { "not [redacted]" } }, err.fields)
    assert.equal("[redacted]-1", err.request_id)
  end)

  it("takes out a secret that ends beyond the limit", function()
    for cut = 1, 6 do
      for _, limit in ipairs({ 2000, 16 * 1024 }) do
        local text = ("x"):rep(limit - cut) .. "SECRET"
        local err = errors.from_status({ status = 500, text = text,
          value = { detail = text } }, CALL, redact)
        assert.is_nil(err.message:find("S", 1, true))
        assert.is_nil(err.body:find("S", 1, true))
      end
    end
  end)
end)

describe("an error", function()
  local err = errors.new({
    kind = "rate_limit",
    status = 429,
    message = "slow down",
    method = "GET",
    path = "/api/chatbots/",
    attempts = 3,
    request_id = "r-1",
  })
  local TEXT = "maiagent: rate_limit 429: slow down (GET /api/chatbots/), "
    .. "after 3 attempts, request id r-1"

  it("prints well", function()
    assert.equal(TEXT, tostring(err))
    assert.equal("failed: " .. TEXT, "failed: " .. err)
    assert.equal(TEXT .. "!", err .. "!")
  end)

  -- message, how it stands in the one line of tostring
  local lines = {
    { "a\nb", "a\\nb" },
    { "a\r\nmaiagent: forged", "a\\x0D\\nmaiagent: forged" },
    { "\27[31mred\0\127", "\\x1B[31mred\\x00\\x7F" },
    { "\194\155m \194\133", "\\u{9B}m \\u{85}" },
    { "常見問題 é ü \194\160", "常見問題 é ü \194\160" },
    { "C:\\new", "C:\\new" },
  }

  for _, row in ipairs(lines) do
    it("prints one line: " .. row[2], function()
      local one = errors.new({ kind = "file", message = row[1],
        method = "GET", path = "/a\nb" })
      local expected = "maiagent: file: " .. row[2] .. " (GET /a\\nb)"
      assert.equal(expected, tostring(one))
      assert.equal(expected .. ".", one .. ".")
      assert.equal(row[1], one.message)
    end)
  end

  it("is known as one", function()
    assert.is_true(errors.is(err))
    assert.is_false(errors.is({ kind = "rate_limit" }))
    assert.is_false(errors.is("text"))
  end)
end)

describe("a failed call", function()
  after_each(service.check)

  local plain_assert = _G.assert
  -- PUC 5.1 and 5.2 take only a string there; LuaJIT raises the last argument.
  local asserts = { maiagent.assert }
  if type(select(2, pcall(plain_assert, nil, {}))) == "table" then
    asserts[2] = plain_assert
  end

  local ID = "00000000-0000-4000-8000-000000000000"
  local WAIT = { timeout = 5, interval = 0.01 }

  -- name, a call that fails with an answer of the service
  local rows = {
    { "get", function(client) return client.chatbots:get(ID) end },
    { "delete", function(client) return client.chatbots:delete(ID) end },
    { "create", function(client) return client.chatbots:create({}) end },
    { "a list below another", function(client)
      return client.knowledge_bases.files:list(ID)
    end },
    { "all", function(client)
      return client.knowledge_bases.files:all(ID)
    end },
    { "request", function(client)
      return client:request("GET", "chatbots/" .. ID .. "/")
    end },
    { "an upload", function(client)
      return client.knowledge_bases.files:upload(ID, { content = "x",
        filename = "x.txt" })
    end },
    { "wait", function(client)
      return client.knowledge_bases.files:wait(ID, ID, WAIT)
    end },
    { "a download", function(client)
      return client:download("/api/nothing", "nothing")
    end },
    { "a download by its id", function(client)
      return client.knowledge_bases.files:download(ID, ID, "nothing")
    end },
    { "an export", function(client)
      return client.knowledge_bases:export_labels_excel(ID, "nothing")
    end },
    { "an import", function(client)
      return client.knowledge_bases:import_labels_excel(ID,
        { content = "x", filename = "x.xlsx" })
    end },
    { "a flow", function(client)
      return client.knowledge_bases:sync(ID, "/nonexistent")
    end },
  }

  local function check(client, fn)
    local value, err, response = fn(client)
    assert.is_nil(value)
    assert.is_true(errors.is(err))
    assert.is_true(response == nil or response.status == err.status)
    for _, each_assert in ipairs(asserts) do
      local ok, raised = pcall(function()
        each_assert(fn(client))
      end)
      assert.is_false(ok)
      assert.is_true(errors.is(raised), tostring(raised))
      assert.equal(err.kind, raised.kind)
    end
  end

  for _, row in ipairs(rows) do
    it("raises its error through assert: " .. row[1], function()
      check(service.client(service.start()), row[2])
    end)
  end

  it("raises its error through assert in a task", function()
    local server = service.start()
    local client = service.client(server)
    local raised = {}
    for i, each_assert in ipairs(asserts) do
      client:go(function()
        -- PUC 5.1 cannot wait inside a pcall
        local outcome = { client.chatbots:get(ID) }
        local count = outcome[4] ~= nil and 4 or 3
        raised[i] = select(2, pcall(each_assert, unpack(outcome, 1, count)))
      end)
    end
    service.drive(client, server, function()
      return #raised == #asserts
    end)
    for _, err in ipairs(raised) do
      assert.is_true(errors.is(err), tostring(err))
      assert.equal("not_found", err.kind)
    end
  end)

  it("is told as before by gather and map", function()
    local client = service.client(service.start())
    local function get()
      return client.chatbots:get(ID)
    end
    for _, results in ipairs({ { client:gather({ get }) },
      { client:map({ 1 }, get) } })
    do
      assert.same({}, results[1])
      assert.equal("not_found", results[2][1].kind)
      assert.is_nil(results[3])
    end
  end)

  it("and one that worked gives what it gave", function()
    local client = service.client(service.start())
    local models, err, response, more = client.embedding_models:list()
    assert.truthy(models[1])
    assert.is_nil(err)
    assert.equal(200, response.status)
    assert.is_nil(more)
  end)
end)

describe("errors.did_you_mean", function()
  local known = { chatbots = true, knowledge_bases = true, attachments = true }
  local rows = {
    { "chatbot", " (did you mean 'chatbots'?)" },
    { "Chatbots", " (did you mean 'chatbots'?)" },
    { "knowledgebases", " (did you mean 'knowledge_bases'?)" },
    { "knowledgeBases", " (did you mean 'knowledge_bases'?)" },
    { "zebra", "" },
  }

  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.equal(row[2], errors.did_you_mean(row[1], known))
    end)
  end
end)

describe("errors.misuse", function()
  it("raises at the line of whoever called the library", function()
    local ok, message = pcall(errors.misuse, "bad")
    assert.is_false(ok)
    assert.equal("bad", message:match("bad$"))
  end)
end)
