local maiagent = require("maiagent")
local service = require("tests.support.service")

local function last_query(server)
  local log = server:log()
  return log[#log].query
end

-- The stand-in holds every query against the API's description.
local function answer(server, body)
  server:fault({ kind = "status", status = 200, body = body,
    headers = { ["Content-Type"] = "application/json" } })
end

describe("arguments", function()
  local server, client, bots, bases, files, labels, models

  setup(function()
    server = service.start()
    client = service.client(server)
    bots, bases = client.chatbots, client.knowledge_bases
    files, labels = bases.files, bases.labels
    models = client.embedding_models
  end)

  teardown(service.check)

  -- what is done, what the message says
  local refused = {
    -- an option in the place of params
    { function() return 1, bases:get("kb", { timeout = 1 }) end,
      "knowledge_bases.get: timeout is an option: pass it after params, "
        .. "get(id, nil, { timeout = … })" },
    { function() return 1, models:list({ timeout = 1 }) end,
      "embedding_models.list: timeout is an option: pass it after params, "
        .. "list(nil, { timeout = … })" },
    { function() return 1, bots:list({ headers = {} }) end,
      "chatbots.list: headers is an option: pass it after params, "
        .. "list(params, { headers = … })" },
    { function() return 1, bots:delete("id", { max_retries = 0 }) end,
      "chatbots.delete: max_retries is an option: pass it after params, "
        .. "delete(id, nil, { max_retries = … })" },
    { function() return 1, labels:create("kb", { name = "x", timeout = 5 }) end,
      "labels.create: timeout is an option: pass it after params, "
        .. "create(knowledge_base_id, params, { timeout = … })" },
    { function()
      return 1, bases.faqs:update("kb", "id", { query = { page = 1 } })
    end, "faqs.update: query is an option: pass it after params, "
      .. "update(knowledge_base_id, id, params, { query = … })" },
    { function() return 1, files:each("kb", { prefetch = 2 }) end,
      "files.each: prefetch is an option: pass it after params, "
        .. "each(knowledge_base_id, params, { prefetch = … })" },
    { function() return 1, bots:list({ all = true }) end,
      "chatbots.list: all is no parameter: it is for "
        .. "knowledge_bases.faqs:batch_delete, to delete every FAQ; all() "
        .. "gives every item of a list" },
    { function()
      return 1, files.translations:download("kb", "f", "id", { timeout = 1 })
    end, "translations.download: timeout is an option" },
    -- a query's name that is nearly one of the API's
    { function() return 1, files:each("kb", { Status = "done" }) end,
      "files.each: unknown params.Status (did you mean 'status'?)" },
    { function() return 1, bots:list({ pagesize = 5 }) end,
      "chatbots.list: unknown params.pagesize (did you mean 'pageSize'?)" },
    { function() return 1, bots:list({ page_size = 5 }) end,
      "unknown params.page_size (did you mean 'pageSize'?)" },
    { function() return 1, files:all("kb", { stauts = "done" }) end,
      "files.all: unknown params.stauts (did you mean 'status'?)" },
    { function() return 1, bases:pages({ pages = 2 }) end,
      "knowledge_bases.pages: unknown params.pages (did you mean 'page'?)" },
    { function() return 1, bases:list({ embedding_model = "x" }) end,
      "(did you mean 'embeddingModel'?); a name that the API's documentation "
        .. "lacks goes into options.query" },
    -- an option that does nothing there
    { function() return 1, bots:list(nil, { prefetch = 3 }) end,
      "chatbots.list: prefetch has no effect here: pages are fetched ahead by "
        .. "each, pages and all alone" },
    { function() return 1, bots:each(nil, { all = true }) end,
      "chatbots.each: all has no effect here: it is for "
        .. "knowledge_bases.faqs:batch_delete" },
    { function() return 1, bots:create({}, { max_speed = 1000 }) end,
      "chatbots.create: max_speed has no effect here: it is for calls that "
        .. "send or receive a file" },
    { function()
      return 1, client:request("GET", "chatbots/", nil, { prefetch = 1 })
    end, "client:request: prefetch has no effect here" },
    { function()
      return 1, bases:export_labels_excel("kb", nil, { all = true })
    end, "export_labels_excel: all has no effect here" },
    -- the operation and the ids as they are written
    { function() return 1, files:each() end,
      "knowledge_bases.files.each: knowledge_base_id expected, got nil; it is "
        .. "each(knowledge_base_id)" },
    { function() return 1, files:get("fileid") end,
      "knowledge_bases.files.get: id expected, got nil; it is "
        .. "get(knowledge_base_id, id)" },
    { function() return 1, labels:update("kb", { name = "x" }) end,
      "labels.update: id expected, got table (the ids come before the table); "
        .. "it is update(knowledge_base_id, id, params)" },
    { function() return 1, files.translations:list("kb", "") end,
      "translations.list: file_id must not be empty" },
    { function() return 1, files:all("kb", {}, {}, 1) end,
      "files.all: 4 arguments given; it takes knowledge_base_id, params, "
        .. "options" },
    { function() return 1, bots:each(nil, { prefech = 1 }) end,
      "chatbots.each: unknown option 'prefech'" },
    { function() return 1, files:wait("", "id") end,
      "knowledge_bases.files.wait: knowledge_base_id must not be empty" },
    { function() return 1, bots:get(5.5) end,
      "chatbots.get: id expected, got number (a number has to be whole" },
  }

  for _, row in ipairs(refused) do
    it("are refused: " .. row[2], function()
      local before = #server:log()
      local ok, message = pcall(row[1])
      assert.is_false(ok)
      assert.truthy(message:find(row[2], 1, true), message)
      assert.matches("^[^ ]*arguments_spec.lua:%d+: ", message)
      assert.equal(before, #server:log())
    end)
  end

  -- a query that passes, where the service gets it
  local passed = {
    { "a name of the API's", { pageSize = 3 }, nil, "pageSize=3" },
    { "what lists look for", { query = "x" }, nil, "query=x" },
    { "a name that is near none", { ordering = "name" }, nil,
      "ordering=name" },
    { "a short name that is not near enough", { name = "x" }, nil, "name=x" },
    { "whatever is in options.query", nil, { query = { page_size = 3 } },
      "page_size=3" },
  }

  for _, row in ipairs(passed) do
    it("pass: " .. row[1], function()
      answer(server, "[]")
      assert(bots:list(row[2], row[3]))
      assert.equal(row[4], last_query(server))
    end)
  end

  it("pass: an unknown filter where the API documents none", function()
    answer(server, "[]")
    assert(models:list({ query = "bge" }))
    assert.equal("query=bge", last_query(server))
  end)

  it("pass: the names of a next page, whatever they are", function()
    answer(server, '{"count":2,"results":[1],"next":"' .. server.base_url
      .. '/api/chatbots/?page_size=1&page=2"}')
    answer(server, '{"count":2,"results":[2],"next":null}')
    local count = 0
    for _ in bots:each() do
      count = count + 1
    end
    assert.equal(2, count)
    assert.truthy(last_query(server):find("page_size=1", 1, true))
  end)

  it("are told when a callback made them wrong", function()
    local headers = { X = "1" }
    local told = client:with({ on_event = function()
      headers.X = "a\nb"
    end })
    server:fault({ kind = "redirect", location = "/api/chatbots/?page=1" })
    local before = #server:log()
    local ok, message = pcall(function()
      return 1, told.chatbots:list(nil, { headers = headers })
    end)
    assert.is_false(ok)
    assert.matches('^[^ ]*arguments_spec.lua:%d+: headers%["X"%]: header X: ',
      message)
    assert.equal(before + 1, #server:log())
  end)

  it("may be an option that works there", function()
    local seen = 0
    assert(bots:list(nil, { on_progress = function() seen = seen + 1 end }))
    assert.is_true(seen > 0)
    assert(bots:all(nil, { prefetch = 1 }))
  end)
end)

describe("maiagent.array and object", function()
  local rows = {
    { "nil", nil, "table expected, got nil" },
    { "a text", "x", "table expected, got string" },
    { "an object of the program's", setmetatable({}, { __index = print }),
      "the table has another metatable: pass a plain table with its items" },
  }

  for _, name in ipairs({ "array", "object" }) do
    for _, row in ipairs(rows) do
      it(name .. " refuses " .. row[1], function()
        local ok, message = pcall(function()
          return 1, maiagent[name](row[2])
        end)
        assert.is_false(ok)
        assert.matches("^[^ ]*arguments_spec.lua:%d+: ", message)
        assert.truthy(message:find("maiagent." .. name .. ": " .. row[3], 1,
          true), message)
      end)
    end
  end

  it("mark a table", function()
    local table_of = {}
    assert.equal(table_of, maiagent.array(table_of))
    assert.equal(table_of, maiagent.object(maiagent.array(table_of)))
  end)
end)
