local maiagent = require("maiagent")
local service = require("tests.support.service")

local function answer(server, body)
  server:fault({
    kind = "status",
    status = 200,
    body = body,
    headers = { ["Content-Type"] = "application/json" },
    apply = true,
  })
end

local function last(server)
  local log = server:log()
  return log[#log]
end

describe("misuse", function()
  after_each(service.check)

  local function line()
    return debug.getinfo(2, "l").currentline
  end

  -- name, what is done with a client, what the message says
  local rows = {
    { "an unknown resource", function(client)
      return line(), client.chatbot
    end, "client has no 'chatbot' (did you mean 'chatbots'?)" },
    { "an unknown method", function(client)
      return line(), client.chatbots.lst
    end, "client.chatbots has no 'lst' (did you mean 'list'?)" },
    { "an unknown resource below", function(client)
      return line(), client.knowledge_bases.file
    end, "client.knowledge_bases has no 'file' (did you mean 'files'?)" },
    { "a dot for a colon", function(client)
      return line(), client.chatbots.get("x")
    end, "chatbots.get: called with a dot; write client.chatbots:get(…)" },
    { "no id", function(client)
      return line(), client.chatbots:get()
    end, "chatbots.get: id expected, got nil" },
    { "one id of two", function(client)
      return line(), client.knowledge_bases.files:get("kb")
    end, "knowledge_bases.files.get: id expected, got nil" },
    { "an object for an id", function(client)
      return line(), client.chatbots:get({ id = "x" })
    end, "id expected, got table (did you mean obj.id?)" },
    { "an empty id", function(client)
      return line(), client.chatbots:get("")
    end, "id must not be empty" },
    { "an id that climbs", function(client)
      return line(), client.chatbots:delete("..")
    end, "id must not be . or .." },
    { "params that are no table", function(client)
      return line(), client.chatbots:create("name")
    end, "params must be a table, got string" },
    { "one argument too many", function(client)
      return line(), client.chatbots:get("id", nil, nil, 5)
    end, "chatbots.get: 4 arguments given; it takes id, params, options" },
    { "a second table of options, of a synchronisation", function(client)
      return line(), client.knowledge_bases:sync("kb", "/no/such/folder", nil,
        { dry_run = true })
    end, "knowledge_bases.sync: 4 arguments given; it takes knowledge_base_id, "
      .. "folder, options" },
    { "a second table of options, of a wait", function(client)
      return line(), client.knowledge_bases.files:wait("kb", "id", nil,
        { timeout = 1 })
    end, "files.wait: 4 arguments given; it takes knowledge_base_id, id, "
      .. "options" },
    { "a second table of options, of a translation's", function(client)
      return line(), client.knowledge_bases.files.translations:wait("kb", "f",
        "id", nil, { timeout = 1 })
    end, "translations.wait: 5 arguments given" },
    { "a second table of options, of an upload", function(client)
      return line(), client.knowledge_bases.files:upload("kb", "a", nil, nil,
        { timeout = 1 })
    end, "files.upload: 5 arguments given; it takes knowledge_base_id, source, "
      .. "params, options" },
    { "a second table of options, of many uploads", function(client)
      return line(), client.knowledge_bases.files:upload_all("kb", {}, nil, nil,
        { timeout = 1 })
    end, "files.upload_all: 5 arguments given" },
    { "a second table of options, of a download", function(client)
      return line(), client.knowledge_bases.files:download("kb", "id", "a", nil,
        { timeout = 1 })
    end, "files.download: 5 arguments given" },
    { "a second table of options, of a translation", function(client)
      return line(), client.knowledge_bases.files.translations:download("kb",
        "f", "id", "a", nil, { timeout = 1 })
    end, "translations.download: 6 arguments given" },
    { "a second table of options, of an export", function(client)
      return line(), client.knowledge_bases:export_labels_excel("kb", "a", nil,
        { timeout = 1 })
    end, "export_labels_excel: 4 arguments given; it takes knowledge_base_id, "
      .. "path, options" },
    { "a second table of options, of the other export", function(client)
      return line(), client.knowledge_bases:export_metadata_excel("kb", nil,
        nil, { timeout = 1 })
    end, "export_metadata_excel: 4 arguments given" },
    { "a second table of options, of an attachment", function(client)
      return line(), client.attachments:upload("a", nil, nil, { timeout = 1 })
    end, "attachments.upload: 4 arguments given; it takes source, params, "
      .. "options" },
    { "a second table of options, of what is stored", function(client)
      return line(), client.uploads:put("a", "attachment", nil, { timeout = 1 })
    end, "uploads.put: 4 arguments given" },
    { "a wait for a file of no knowledge base", function(client)
      return line(), client.knowledge_bases.files:wait(nil, "id")
    end, "files.wait: knowledge_base_id expected, got nil" },
    { "a wait for files of no knowledge base", function(client)
      return line(), client.knowledge_bases.files:wait(nil, { "id" })
    end, "files.wait: knowledge_base_id expected, got nil" },
    { "a wait for no file", function(client)
      return line(), client.knowledge_bases.files:wait("kb")
    end, "files.wait: id expected, got nil" },
    { "a wait for a translation of no file", function(client)
      return line(), client.knowledge_bases.files.translations:wait("kb", nil,
        "id")
    end, "translations.wait: file_id expected, got nil" },
    { "a download of no file", function(client)
      return line(), client.knowledge_bases.files:download("kb", nil, "a")
    end, "files.download: id expected, got nil" },
    { "a download of a file with a variant", function(client)
      return line(), client.knowledge_bases.files:download("kb", "id", "a",
        { variant = "bilingual" })
    end, "files.download: unknown option 'variant'" },
    { "a synchronisation into nothing", function(client)
      return line(), client.knowledge_bases:sync(nil, "folder")
    end, "knowledge_bases.sync: knowledge_base_id expected, got nil" },
    { "an upload into an object", function(client)
      return line(), client.knowledge_bases.files:upload({ id = "kb" }, "a")
    end, "files.upload: knowledge_base_id expected, got table" },
    { "the deletion of no files", function(client)
      return line(), client.knowledge_bases.files:batch_delete("kb",
        { ids = {} })
    end, "files.batch_delete: params.ids is missing or empty" },
    { "the deletion of files without params", function(client)
      return line(), client.knowledge_bases.files:batch_delete("kb")
    end, "files.batch_delete: params.ids is missing or empty" },
    { "the deletion of one file", function(client)
      return line(), client.knowledge_bases.files:batch_delete("kb",
        { ids = "id" })
    end, 'files.batch_delete: params.ids must be a list of ids, got "id"' },
    { "the deletion of one FAQ", function(client)
      return line(), client.knowledge_bases.faqs:batch_delete("kb",
        { ids = 5 })
    end, "faqs.batch_delete: params.ids must be a list of ids, got 5" },
    { "a number for options, of a map", function(client)
      return line(), client:map({}, print, nil, 4)
    end, "client:map: 4 arguments given; it takes list, fn, options" },
    { "functions that are no list", function(client)
      return line(), client:gather({}, print)
    end, "client:gather: 2 arguments given; it takes functions" },
    { "a second table of options, of a path", function(client)
      return line(), client:request("GET", "chatbots/", nil, nil,
        { timeout = 1 })
    end, "client:request: 5 arguments given; it takes method, path, params, "
      .. "options" },
    { "a second table of options, of a URL", function(client)
      return line(), client:download("/x", "a", nil, { timeout = 1 })
    end, "client:download: 4 arguments given; it takes url, path, options" },
    { "an unknown option", function(client)
      return line(), client.chatbots:list(nil, { timout = 5 })
    end, "unknown option 'timout' (did you mean 'timeout'?)" },
    { "a value JSON cannot hold", function(client)
      return line(), client.chatbots:create({ name = { print } })
    end, "params.name[1]: JSON has no function" },
    { "invalid UTF-8", function(client)
      return line(), client.chatbots:create({ name = "ab\255" })
    end, "params.name: invalid UTF-8 at byte 3" },
    { "a query value that is none", function(client)
      return line(), client.chatbots:list({ page = print })
    end, "params.page" },
    { "each with a wrong id", function(client)
      return line(), client.knowledge_bases.files:each("")
    end, "must not be empty" },
    { "pages with wrong params", function(client)
      return line(), client.chatbots:pages(5)
    end, "params must be a table, got number" },
    { "all with an unknown option", function(client)
      return line(), client.chatbots:all(nil, { prefech = 5 })
    end, "did you mean 'prefetch'?" },
    { "every FAQ deleted by accident", function(client)
      return line(), client.knowledge_bases.faqs:batch_delete("kb", {})
    end, "{ all = true }" },
    { "every FAQ deleted by an empty list", function(client)
      return line(), client.knowledge_bases.faqs:batch_delete("kb",
        { ids = {} })
    end, "{ all = true }" },
    { "an unknown verb", function(client)
      return line(), client:request("FETCH", "chatbots/")
    end, "method must be GET" },
    { "a query that is no table", function(client)
      return line(), client:request("GET", "chatbots/", 5)
    end, "client:request: params must be a table, got number" },
    { "a URL of another host", function(client)
      return line(), client:request("GET", "https://evil.example/")
    end, "another origin" },
    { "a path with a line break", function(client)
      return line(), client:request("GET", "chatbots/\r\nX: y")
    end, "client:request" },
    { "a request's query value that is none", function(client)
      return line(), client:request("GET", "chatbots/", { page = print })
    end, "client:request: query.page" },
    { "a request's body that JSON cannot hold", function(client)
      return line(), client:request("POST", "chatbots/", { name = print })
    end, "params.name: JSON has no function" },
    { "a client's method with a dot", function(client)
      return line(), client.request("GET", "chatbots/")
    end, "client.request: called with a dot; write client:request(…)" },
    { "a task that is no function", function(client)
      return line(), client:go("list")
    end, "client:go: a function expected, got string" },
    { "a gather of one function", function(client)
      return line(), client:gather(print)
    end, "client:gather: a list of functions expected, got function" },
    { "a map over nothing", function(client)
      return line(), client:map(nil, print)
    end, "client:map: a list and a function expected, got nil and function" },
    { "a map without a function", function(client)
      return line(), client:map({ 1 })
    end, "client:map: a list and a function expected, got table and nil" },
    { "a gather of something else", function(client)
      return line(), client:gather({ print, 5 })
    end, "client:gather: functions[2] is a number" },
    { "a gather with a gap", function(client)
      return line(), client:gather({ nil, print })
    end, "client:gather: functions[2] is not part of the list" },
    { "a gather by name", function(client)
      return line(), client:gather({ bots = print })
    end, "client:gather: functions[bots] is not part of the list" },
    { "a map with an unknown option", function(client)
      return line(), client:map({}, print, { concurency = 2 })
    end, "client:map: unknown option 'concurency' (did you mean" },
    { "a map with NaN at a time", function(client)
      return line(), client:map({ 1 }, print, { concurrency = 0 / 0 })
    end, "client:map: concurrency must be a whole number of 1 or more" },
    { "a map with options that are no table", function(client)
      return line(), client:map({ 1 }, print, 5)
    end, "client:map: options must be a table, got number" },
    { "a map over an object", function(client)
      return line(), client:map({ x = 1 }, print)
    end, "client:map: list expected, but 'x' is not part of one" },
    { "a map over a page", function(client)
      return line(), client:map({ results = { 1 } }, print)
    end, "'results' is not part of one (pass page.results)" },
    { "a map over an iterator", function(client)
      return line(), client:map(client.chatbots:each(), print)
    end, "client:map: list expected, got an iterator: pass what all() gives" },
    { "a map over an iterator of pages", function(client)
      return line(), client:map(client.chatbots:pages(), print)
    end, "client:map: list expected, got an iterator" },
    { "a map over a list with a hole", function(client)
      return line(), client:map({ 1, nil, 3, 4 }, print)
    end, "client:map: list expected, but 1 of its 4 items are nil" },
    { "a map over half an item", function(client)
      return line(), client:map({ 1, [1.5] = 2 }, print)
    end, "client:map: list expected, but '1.5' is not part of one" },
    { "a map of 2.5 at a time", function(client)
      return line(), client:map({ 1 }, print, { concurrency = 2.5 })
    end, "concurrency must be a whole number of 1 or more, got 2.5" },
    { "a map of all at a time", function(client)
      return line(), client:map({ 1 }, print, { concurrency = math.huge })
    end, "concurrency must be a whole number of 1 or more, got inf" },
    { "an option written into a client", function(client)
      return line(), (function() client.max_retries = 7 end)()
    end, "client.max_retries cannot be set: a copy with other options is made "
      .. "by client:with{ max_retries = … }" },
    { "a method written over", function(client)
      return line(), (function() client.timeout = 3 end)()
    end, "client.timeout cannot be set" },
    { "a resource below another", function(client)
      return line(), client.files
    end, "client has no 'files' (did you mean client.knowledge_bases.files?)" },
    { "a resource two below", function(client)
      return line(), client.translations
    end, "(did you mean client.knowledge_bases.files.translations?)" },
    { "a header that has no name", function(client)
      return line(), client.chatbots:list(nil, { headers = { "X-A: b" } })
    end, "chatbots.list: headers has the name 1: a header's name is a string, "
      .. 'as in headers = { ["X-Name"] = "value" }' },
    { "a header's wrong name", function(client)
      return line(), client.chatbots:list(nil, { headers = { ["X A"] = "b" } })
    end, 'chatbots.list: headers["X A"]: a header\'s name has to be' },
    { "a header's wrong value, before the first page", function(client)
      return line(), client.chatbots:each(nil, { headers = { X = "a\nb" } })
    end, 'chatbots.each: headers["X"]: header X: control characters' },
    { "a header's wrong value, before the first file", function(client)
      return line(), client.knowledge_bases.files:upload_all("kb",
        { { content = "x", filename = "x" } }, nil, { headers = { X = {} } })
    end, 'files.upload_all: headers["X"]: a header\'s value must be a' },
    { "a header's wrong value, in a copy", function(client)
      return line(), client:with({ headers = { X = {} } })
    end, 'client:with: headers["X"]: a header\'s value must be a string' },
    { "a wrong option that is inherited", function(client)
      return line(), client.chatbots:list(nil,
        setmetatable({}, { __index = { timeout = "5" } }))
    end, "chatbots.list: timeout must be a number of seconds or a table" },
    { "two tables of options for a client", function()
      return line(), maiagent.new({ api_key = "k" }, { timeout = 5 })
    end, "maiagent.new: 2 arguments given; it takes options" },
    { "two tables of options for a copy", function(client)
      return line(), client:with({}, { timeout = 5 })
    end, "client:with: 2 arguments given; it takes options" },
    { "two tables of options for a step", function(client)
      return line(), client:step({}, { max_ms = 5 })
    end, "client:step: 2 arguments given; it takes options" },
    { "a descriptor asked for with a dot", function(client)
      return line(), client.pollfd()
    end, "client.pollfd: called with a dot; write client:pollfd(…)" },
    { "a socket asked for with a dot", function(client)
      return line(), client.getfd()
    end, "client.getfd: called with a dot; write client:getfd(…)" },
    { "a list for names", function(client)
      return line(), client.chatbots:list({ "x" })
    end, "chatbots.list: params: names of a query are strings" },
    { "a value that JSON has not", function(client)
      return line(), client.chatbots:create({ name = print })
    end, "chatbots.create: params.name: JSON has no function" },
    { "a value that JSON has not, by a path", function(client)
      return line(), client:request("POST", "x/", { name = print })
    end, "client:request: params.name: JSON has no function" },
    { "a value that JSON has not, of an upload", function(client)
      return line(), client.knowledge_bases.files:upload("kb", "x.pdf",
        { labels = { print } })
    end, "files.upload: params.labels[1]: JSON has no function" },
    { "a value that JSON has not, of an attachment", function(client)
      return line(), client.attachments:upload("x.pdf", { type = print })
    end, "attachments.upload: params.type: JSON has no function" },
    { "an import without an id, of no file", function(client)
      return line(), client.knowledge_bases:import_labels_excel(nil, "/no/x")
    end, "import_labels_excel: id expected, got nil" },
    { "a method that is near none", function(client)
      return line(), client.embedding_models.create
    end, "client.embedding_models has no 'create' (its methods are all, each, "
      .. "list, pages)" },
    { "an option of another method", function(client)
      return line(), client.knowledge_bases.files:wait("kb", "id",
        { concurrency = 2 })
    end, "unknown option 'concurrency' (its options are headers, interval, "
      .. "max_retries, on_status, timeout)" },
    { "a field that is near none", function(client)
      return line(), client.uploads:put({ url = "x" }, "attachment")
    end, "source has no 'url' (its fields are content, filename, path, "
      .. "reader, size)" },
    { "a table for a model's name", function(client)
      return line(), client.uploads:put("x.pdf", {})
    end, "'attachment' or 'batch-qa', got table" },
    { "an option of an upload in its params", function(client)
      return line(), client.knowledge_bases.files:upload("kb", { content = "x",
        filename = "x.txt" }, { timeout = 5 })
    end, "files.upload: unknown params.timeout: it is an option, behind "
      .. "params" },
    { "a wait of no number", function(client)
      return line(), client.knowledge_bases.files:wait("kb", "id",
        { timeout = { total = 5 } })
    end, "files.wait: timeout must be a number of 0 or more" },
    { "a wait without a pause", function(client)
      return line(), client.knowledge_bases.files:wait("kb", "id",
        { interval = 0 })
    end, "files.wait: interval must be more than 0 seconds" },
    { "a wait that calls no function", function(client)
      return line(), client.knowledge_bases.files:wait("kb", "id",
        { on_status = 5 })
    end, "files.wait: on_status must be a function" },
    { "a wait with options that are no table", function(client)
      return line(), client.knowledge_bases.files:wait("kb", "id", "done")
    end, "files.wait: options must be a table, got string" },
    { "an upload with params that are no table", function(client)
      return line(), client.knowledge_bases.files:upload("kb", "x", "parser")
    end, "files.upload: params must be a table, got string" },
    { "an upload of nothing", function(client)
      return line(), client.knowledge_bases.files:upload("kb")
    end, "files.upload: source expected, got nil; it is upload(knowledge_base_"
      .. "id, source, params, options)" },
    { "an upload of a number", function(client)
      return line(), client.knowledge_bases.files:upload("kb", 5)
    end, "files.upload: source must be a path or a table with path, content or "
      .. "reader, got number" },
    { "bytes stored of no name", function(client)
      return line(), client.uploads:put({ content = "x" }, "attachment")
    end, "uploads.put: source.filename must be given" },
    { "an import of bytes", function(client)
      return line(), client.knowledge_bases:import_labels_excel("kb", "PK\0")
    end, "import_labels_excel: source.path is empty or has a zero byte (for "
      .. "the bytes themselves write { content = …, filename = … })" },
    { "an upload without an id", function(client)
      return line(), client.knowledge_bases.files:upload(nil, "x.pdf")
    end, "knowledge_bases.files.upload: knowledge_base_id expected, got nil" },
    { "an upload with an unknown field", function(client)
      return line(), client.knowledge_bases.files:upload("kb", "x.pdf",
        { label = {} })
    end, "unknown params.label (did you mean 'labels'?)" },
  }

  for _, row in ipairs(rows) do
    it("is told at the caller's line: " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      local defined = debug.getinfo(row[2], "S").linedefined
      local ok, message = pcall(function()
        local _ = { row[2](client) }
      end)
      assert.is_false(ok)
      local place = "client_spec.lua:" .. (defined + 1) .. ": "
      assert.truthy(message:find(place, 1, true), message)
      assert.truthy(message:find(row[3], 1, true), message)
      assert.equal(0, #server:log())
    end)
  end
end)

describe("client:with", function()
  after_each(service.check)

  it("takes a hook and a proxy away by false", function()
    local server = service.start()
    local events = 0
    local client = service.client(server, { max_retries = 0,
      proxy = "http://127.0.0.1:1",
      on_event = function() events = events + 1 end })
    local _, err = client.chatbots:list()
    assert.equal("connection", err.kind)
    assert.equal(2, events)
    assert(client:with({ proxy = false, on_event = false }).chatbots:list())
    assert.equal(2, events)
  end)
end)

describe("misuse without a line of Lua above it", function()
  after_each(service.check)

  it("is told without a place", function()
    local client = service.client(service.start())
    local ok, message =
      coroutine.resume(coroutine.create(client.chatbots.get), client.chatbots)
    assert.is_false(ok)
    assert.equal("chatbots.get: id expected, got nil", message)
  end)
end)

describe("values", function()
  after_each(service.check)

  it("null fields of objects are absent, those of lists stay", function()
    local server = service.start()
    answer(server, '{"a": null, "b": [1, null, 3], "c": {"d": null}}')
    local value = assert(service.client(server):request("GET", "x/"))
    assert.is_nil(value.a)
    assert.equal(maiagent.null, value.b[2])
    assert.equal(3, #value.b)
    assert.is_nil(next(value.c))
  end)

  it("null is kept everywhere with null = 'keep'", function()
    local server = service.start()
    answer(server, '{"a": null, "c": {"d": null}}')
    local client = service.client(server, { null = "keep" })
    local value = assert(client:request("GET", "x/"))
    assert.equal(maiagent.null, value.a)
    assert.equal(maiagent.null, value.c.d)
  end)

  it("null is sent as null and clears a field", function()
    local server = service.start()
    local client = service.client(server)
    local _, kb = service.knowledge_base(client)
    assert(client.knowledge_bases:update(kb.id, { description = "x" }))
    assert(client.knowledge_bases:update(kb.id,
      { description = maiagent.null }))
    assert.equal('{"description":null}', last(server).body)
    assert.is_nil(assert(client.knowledge_bases:get(kb.id)).description)
  end)

  it("an empty table is [] where the API says array, else {}", function()
    local server = service.start()
    local client = service.client(server)
    local _, kb = service.knowledge_base(client)
    local faq = assert(client.knowledge_bases.faqs:create(kb.id, {
      question = "q", answer = "a", labels = {}, rawUserDefineMetadata = {},
    }))
    local body = last(server).body
    assert.truthy(body:find('"labels":[]', 1, true))
    assert.truthy(body:find('"rawUserDefineMetadata":{}', 1, true))
    assert.same({}, faq.labels)
  end)

  it("an empty list fetched is an empty list sent", function()
    local server = service.start()
    local client = service.client(server)
    answer(server, '{"tags": [], "more": {}}')
    local value = assert(client:request("GET", "x/"))
    client:request("POST", "x/", value)
    local body = last(server).body
    assert.truthy(body == '{"tags":[],"more":{}}'
      or body == '{"more":{},"tags":[]}', body)
  end)

  it("integers come to the digit", function()
    local server = service.start()
    answer(server, '{"big": 9007199254740993, "small": 10}')
    local value = assert(service.client(server):request("GET", "x/"))
    local big = type(value.big) == "string" and value.big
      or string.format("%d", value.big)
    assert.equal("9007199254740993", big)
    assert.equal("10", tostring(value.small))
  end)

  it("texts come byte for byte", function()
    local server = service.start()
    local client = service.client(server)
    local _, kb = service.knowledge_base(client)
    local name = "中文 \"quoted\" \\ \n\t\1 \226\128\168 😀"
    local label = assert(client.knowledge_bases.labels:create(kb.id,
      { name = name }))
    assert.equal(name, label.name)
    local got = assert(client.knowledge_bases.labels:get(kb.id, label.id))
    assert.equal(name, got.name)
  end)
end)

describe("client.RESOURCE:all", function()
  after_each(service.check)

  it("gives the response as every call does", function()
    local server = service.start()
    local client = service.client(server, { max_retries = 0 })
    local list, err, response = client.chatbots:all()
    assert.same({}, list)
    assert.is_nil(err)
    assert.equal(200, response.status)
    server:fault({ kind = "status", status = 500, json = {} })
    list, err, response = client.chatbots:all()
    assert.is_nil(list)
    assert.equal("server", err.kind)
    assert.equal(500, response.status)
  end)

  for _, body in ipairs({ "5", "true", "null", '{"results":null}' }) do
    it("refuses " .. body .. " for a page, with on_event as well", function()
      local server = service.start()
      local client = service.client(server, { on_event = function() end })
      for _, null in ipairs({ "drop", "keep" }) do
        answer(server, body)
        local list, err = client:with({ null = null }).chatbots:all()
        assert.is_nil(list)
        assert.equal("decode", err.kind)
      end
    end)
  end
end)

describe("nil at the end of the arguments", function()
  after_each(service.check)

  it("is no argument too many", function()
    local client = service.client(service.start())
    local kb = service.knowledge_base(client)
    local files = client.knowledge_bases.files
    assert(client.chatbots:list(nil, nil, nil))
    assert(client:request("GET", "chatbots/", nil, nil, nil, nil))
    assert(files:upload(kb, { content = "x", filename = "x" }, nil, nil, nil))
    assert.same({}, files:wait(kb, {}, nil, nil))
    assert.same({}, client:map({}, print, nil, nil))
  end)
end)

describe("ids and queries", function()
  after_each(service.check)

  it("ids are percent-encoded", function()
    local server = service.start()
    local client = service.client(server)
    local _, err = client.chatbots:get("a/b?c=d e#中")
    assert.equal("not_found", err.kind)
    assert.equal("/api/chatbots/a%2Fb%3Fc%3Dd%20e%23%E4%B8%AD/",
      err.path)
    assert.equal("", last(server).query or "")
  end)

  it("params of GET are the query", function()
    local server = service.start()
    local client = service.client(server)
    assert(client.chatbots:list({ pageSize = 5, query = "a&b=c 中" }))
    assert.equal("pageSize=5&query=a%26b%3Dc%20%E4%B8%AD", last(server).query)
  end)

  it("options.query goes with a body", function()
    local server = service.start()
    local client = service.client(server)
    local _, kb = service.knowledge_base(client)
    client.knowledge_bases.files:create(kb.id, { files = {} },
      { query = { page = 2 } })
    assert.equal("page=2", last(server).query)
    assert.equal('{"files":[]}', last(server).body)
  end)
end)

describe("base_url", function()
  after_each(service.check)

  it("with /api/v1/ serves every operation from there", function()
    local server = service.start()
    local client = service.client(server,
      { base_url = server.base_url .. "/api/v1/" })
    assert(client.chatbots:list())
    assert.equal("/api/v1/chatbots/", last(server).path)
    assert(client.uploads:presign({ filename = "a.txt", fileSize = 1,
      modelName = "attachment", fieldName = "file" }))
    assert.equal("/api/v1/upload-presigned-url/", last(server).path)
  end)

  it("by default sends presign to /api/v1/, where it is documented",
    function()
      local server = service.start()
      assert(service.client(server).uploads:presign({ filename = "a.txt",
        fileSize = 1, modelName = "attachment", fieldName = "file" }))
      assert.equal("/api/v1/upload-presigned-url/", last(server).path)
    end)
end)

describe("client:request", function()
  after_each(service.check)

  -- name, path, what the server sees
  local rows = {
    { "a path below the base", "chatbots/", "/api/chatbots/" },
    { "a path from the root", "/api/v1/chatbots/", "/api/v1/chatbots/" },
  }

  for _, row in ipairs(rows) do
    it("takes " .. row[1], function()
      local server = service.start()
      local page, _, response =
        service.client(server):request("get", row[2], { pageSize = 3 })
      assert.equal(0, page.count)
      assert.equal(200, response.status)
      assert.equal(row[3], last(server).path)
      assert.equal("pageSize=3", last(server).query)
    end)
  end

  it("takes a whole URL of the same origin", function()
    local server = service.start()
    local client = service.client(server)
    assert(client:request("GET", server.base_url .. "/api/chatbots/?page=1"))
    assert.equal("page=1", last(server).query)
  end)

  it("sends a body, gives true for 204 and text for other types", function()
    local server = service.start()
    local client = service.client(server)
    local _, kb = service.knowledge_base(client)
    local path = "knowledge-bases/" .. kb.id .. "/"
    local changed = assert(client:request("PATCH", path, { name = "new" }))
    assert.equal("new", changed.name)
    assert.is_true(client:request("DELETE", path))
    server:fault({ kind = "status", status = 200, body = "plain",
      headers = { ["Content-Type"] = "text/plain" } })
    assert.equal("plain", (client:request("GET", "x/")))
  end)

  -- name, the answer's type and body, the value
  local answers = {
    { "JSON, its type in capitals", "Application/JSON", '{"a":1}', { a = 1 } },
    { "nothing as true", "text/plain", "", true },
  }

  for _, row in ipairs(answers) do
    it("takes " .. row[1], function()
      local server = service.start()
      server:fault({ kind = "status", status = 202, body = row[3],
        headers = { ["Content-Type"] = row[2] } })
      local client = service.client(server)
      assert.same(row[4], (client:request("POST", "chatbots/")))
    end)
  end

  it("gives true for a DELETE done before, not what a 404 says", function()
    local server = service.start()
    server:fault({ kind = "status", status = 500, json = {} })
    local value, err, response = service.client(server, { max_retries = 1 })
      :request("DELETE", "chatbots/00000000-0000-4000-8000-000000000000/")
    assert.is_true(value)
    assert.is_nil(err)
    assert.equal(404, response.status)
  end)
end)

describe("client:with", function()
  after_each(service.check)

  it("shares the connections", function()
    local server = service.start()
    local client = service.client(server)
    assert(client.chatbots:list())
    local copy = client:with({ headers = { ["X-Copy"] = "1" } })
    assert(copy.chatbots:list())
    assert(client.chatbots:list())
    local log = server:log()
    assert.equal(log[1].connection, log[2].connection)
    assert.equal("1", log[2].headers["x-copy"])
    assert.is_nil(log[3].headers["x-copy"])
  end)

  it("has its own headers, in whatever case their names are", function()
    local server = service.start()
    local headers, changed = {}, {}
    for i = 1, 20 do
      headers["X-Name-" .. i], changed["x-name-" .. i] = "old", "new"
    end
    local client = service.client(server, { headers = headers })
    assert(client:with({ headers = changed }).chatbots:list())
    assert(client.chatbots:list())
    for i = 1, 20 do
      assert.equal("new", server:log()[1].headers["x-name-" .. i])
      assert.equal("old", server:log()[2].headers["x-name-" .. i])
    end
  end)

  it("may have another key", function()
    local server = service.start()
    local client = service.client(server)
    local _, err = client:with({ api_key = "wrong" }).chatbots:list()
    assert.equal("authentication", err.kind)
    assert(client.chatbots:list())
  end)
end)

describe("dangerous calls", function()
  after_each(service.check)

  it("delete every FAQ only where that is written out", function()
    local server = service.start()
    local client = service.client(server)
    local faqs, _, kb =
      client.knowledge_bases.faqs, service.knowledge_base(client)
    for i = 1, 3 do
      assert(faqs:create(kb.id, { question = "q" .. i, answer = "a" }))
    end
    local first = assert(faqs:list(kb.id)).results[1]
    assert.is_true(faqs:batch_delete(kb.id, { ids = { first.id } }))
    assert.equal(2, assert(faqs:list(kb.id)).count)
    assert.is_true(faqs:batch_delete(kb.id, nil, { all = true }))
    assert.equal(0, assert(faqs:list(kb.id)).count)
  end)
end)

describe("maiagent.assert", function()
  it("gives its arguments back", function()
    assert.same({ 1, 2, 3 }, { maiagent.assert(1, 2, 3) })
  end)

  it("raises the error itself, on every VM", function()
    local server = service.start()
    local client = service.client(server)
    local ok, err = pcall(function()
      maiagent.assert(client.chatbots:get("nowhere"))
    end)
    assert.is_false(ok)
    assert.equal("not_found", err.kind)
    assert.is_true(maiagent.is_error(err))
    service.check()
  end)
end)

describe("printing", function()
  it("a client can be looked through like any table", function()
    local client = maiagent.new({ api_key = "k" })
    assert.is_nil(client[1])
    assert.is_nil(client[true])
    client:close()
  end)

  it("a client shows where it goes, and no key", function()
    local client = maiagent.new({ api_key = "prefix.SECRET" })
    assert.equal("maiagent.client (https://api.maiagent.ai/api/)",
      tostring(client))
    assert.equal("maiagent resource knowledge_bases.files",
      tostring(client.knowledge_bases.files))
    client:close()
  end)
end)
