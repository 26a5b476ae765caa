-- Knowledge bases, and what is kept in them beside files.

local assert = require "luassert"
local calls = require "tests.support.calls"
local maiagent = require "maiagent"
local service = require "tests.support.service"

local answer = calls.answer
local gone = calls.gone
local must = calls.must
local connect = calls.connect
local unique = calls.unique
local ids = calls.ids
local collected = calls.collected
local assert_fields = calls.assert_fields
local assert_pages = calls.assert_pages
local new_knowledge_base = calls.new_knowledge_base
local temporary = calls.temporary
local upload = calls.upload
local five = calls.five
local null = maiagent.null
local LANGUAGE_MODEL = calls.LANGUAGE_MODEL

-- Prism hands every body on as text, which no sheet survives.
local BYTES_BECOME_TEXT = service.external

local NO_SHEET = { content = "not a sheet", filename = "標籤.xlsx" }

local function assert_not_a_sheet(value, err)
  assert.is_nil(value)
  assert.equal("invalid", err.kind)
  assert.is_string(err.fields.excelFile[1])
end

-- A sheet of one file was imported.
local function assert_imported(result)
  assert.same({}, result.errors)
  assert.is_true(result.success)
  assert.equal("1", tostring(result.total_rows))
  assert.equal("1", tostring(result.updated_count))
end

return {
  { "models: listed in one array", function()
    local client = connect()
    local embedding_models = client.embedding_models
    local reranker_models = client.reranker_models
    local embedding = answer(200, embedding_models:list())
    local reranker = answer(200, reranker_models:list())
    assert.is_true(#embedding > 0 and #reranker > 0)
    for _, model in ipairs(embedding) do
      assert.is_string(model.id)
      assert.is_string(model.name)
    end
    assert.same(ids(embedding), collected(embedding_models:each()))
    assert.same(ids(reranker), ids(must(reranker_models:all())))
  end },

  { "knowledge_bases: created, fetched, listed, changed, deleted", function()
    local client = connect()
    local knowledge_bases = client.knowledge_bases
    local kb, fields = new_knowledge_base(client, {
      name = unique("產品手冊 100% & más/?#"),
      description = "第一行\n\"第二行\" \\ \226\130\172",
      numberOfRetrievedChunks = 20,
      sentenceWindowSize = 0,
      similarityCutoff = 0.25,
      enableHyde = true,
      enableRerank = false,
      vectorDatabaseType = "opensearch",
      vectorDatabaseUrl = "https://search.example:9200",
      opensearchUsername = null,
      chatbots = {},
      groups = {},
    })
    assert_fields(fields, kb)
    assert.equal("20", tostring(kb.numberOfRetrievedChunks))
    assert.same({}, kb.labels)
    assert.same(kb, answer(200, knowledge_bases:get(kb.id)))

    local page = answer(200, knowledge_bases:list { query = fields.name })
    assert.equal(1, page.count)
    assert.same(kb, page.results[1])

    local replacement = {
      name = unique("新名稱"),
      embeddingModel = fields.embeddingModel,
      rerankerModel = fields.rerankerModel,
      enableHyde = false,
    }
    local replaced = answer(200,
      knowledge_bases:replace(kb.id, replacement))
    assert_fields(replacement, replaced)

    local change = { description = null, numberOfRetrievedChunks = 7 }
    local updated = answer(200, knowledge_bases:update(kb.id, change))
    assert_fields(change, updated)
    assert.equal(replacement.name, updated.name)
    assert.same(updated, answer(200, knowledge_bases:get(kb.id)))
    local keeping = client:with { null = "keep" }
    assert.equal(null, must(keeping.knowledge_bases:get(kb.id)).description)

    assert.is_true(answer(204, knowledge_bases:delete(kb.id)))
    gone(knowledge_bases:get(kb.id))
    gone(knowledge_bases:update(kb.id, { name = "x" }))
    gone(knowledge_bases:delete(kb.id))
    assert.equal(0,
      answer(200, knowledge_bases:list { query = replacement.name }).count)
  end },

  { "knowledge_bases: listed page by page", function()
    local client = connect()
    local common = unique("分頁 & 測試")
    local expected = five(function(i)
      return (new_knowledge_base(client, { name = common .. " 第" .. i }))
    end)
    assert_pages(client.knowledge_bases, {}, expected, common)
  end },

  { "knowledge_bases: names the chatbots that use it", function()
    local client = connect()
    local chatbots, knowledge_bases = client.chatbots, client.knowledge_bases
    local chatbot = answer(201, chatbots:create {
      name = unique("客服"),
      largeLanguageModel = LANGUAGE_MODEL,
    })
    local kb =
      new_knowledge_base(client, { chatbots = { { id = chatbot.id } } })
    assert.same({ { id = chatbot.id, name = chatbot.name } }, kb.chatbots)
    local updated =
      answer(200, knowledge_bases:update(kb.id, { chatbots = {} }))
    assert.same({}, updated.chatbots)
  end },

  { "knowledge_bases: tells whether RRF is available", function()
    local client = connect()
    local knowledge_bases = client.knowledge_bases
    local kb = new_knowledge_base(client, { enableRrf = true })
    local checked =
      answer(200, knowledge_bases:check_rrf_availability(kb.id))
    assert.equal(kb.id, checked.id)
    assert.is_true(checked.enableRrf)
  end },

  { "knowledge_bases.labels", function()
    local client = connect()
    local labels = client.knowledge_bases.labels
    local kb = new_knowledge_base(client)
    local label = answer(201, labels:create(kb.id, { name = "保固期限" }))
    assert.equal("保固期限", label.name)
    assert.same(label, answer(200, labels:get(kb.id, label.id)))
    assert.same({ label }, answer(200, labels:list(kb.id)).results)
    assert.same({ label }, must(client.knowledge_bases:get(kb.id)).labels)

    local replaced = answer(200,
      labels:replace(kb.id, label.id, { name = "規格" }))
    assert.same({ id = label.id, name = "規格" }, replaced)
    local updated = answer(200,
      labels:update(kb.id, label.id, { name = "Größe & Gewicht" }))
    assert.same(updated, answer(200, labels:get(kb.id, label.id)))
    assert.equal("Größe & Gewicht", updated.name)

    assert.is_true(answer(204, labels:delete(kb.id, label.id)))
    gone(labels:get(kb.id, label.id))
    assert.same({}, answer(200, labels:list(kb.id)).results)
    assert_pages(labels, { kb.id }, five(function(i)
      return must(labels:create(kb.id, { name = "標籤" .. i }))
    end))
  end },

  { "knowledge_bases.metadata_keys", function()
    local client = connect()
    local metadata_keys = client.knowledge_bases.metadata_keys
    local kb = new_knowledge_base(client)
    local fields = {
      keyName = "出版年份",
      description = "哪一年出版",
      isRequired = true,
      defaultValue = "2024",
      enabledForSearch = false,
    }
    local key = answer(201, metadata_keys:create(kb.id, fields))
    assert_fields(fields, key)
    assert.same({ id = kb.id, name = kb.name }, key.knowledgeBase)
    assert.same(key, answer(200, metadata_keys:get(kb.id, key.id)))
    assert.same({ key.id }, ids(answer(200, metadata_keys:list(kb.id)).results))

    local replacement = { keyName = "year", defaultValue = null }
    local replaced = answer(200,
      metadata_keys:replace(kb.id, key.id, replacement))
    assert.equal(key.id, replaced.id)
    assert_fields(replacement, replaced)
    assert.same(replaced, answer(200, metadata_keys:get(kb.id, key.id)))
    gone(metadata_keys:get(kb.id, kb.id))

    local all = { key.id }
    for i = 2, 5 do
      all[i] = must(metadata_keys:create(kb.id, { keyName = "鍵" .. i })).id
    end
    assert_pages(metadata_keys, { kb.id }, all)
  end },

  { "knowledge_bases.faqs: created, fetched, changed, deleted", function()
    local client = connect()
    local labels = client.knowledge_bases.labels
    local faqs = client.knowledge_bases.faqs
    local kb = new_knowledge_base(client)
    local label = must(labels:create(kb.id, { name = "退貨" }))
    local fields = {
      question = "如何退貨？ (7 天)",
      answer = "七天內，帶發票。",
      answerMediaUrls = { "https://example.com/a.png" },
      rawUserDefineMetadata = { source = "客服", level = 3, ok = true },
    }
    local sent =
      { labels = { { id = label.id } }, knowledgeBase = { id = kb.id } }
    for name, value in pairs(fields) do
      sent[name] = value
    end
    local faq = answer(201, faqs:create(kb.id, sent))
    assert_fields(fields, faq)
    assert.same({ label }, faq.labels)
    assert.same({ id = kb.id, name = kb.name }, faq.knowledgeBase)
    assert.same(faq, answer(200, faqs:get(kb.id, faq.id)))
    local page = answer(200, faqs:list(kb.id, { query = "退貨？ (" }))
    assert.same({ faq }, page.results)
    assert.same({},
      answer(200, faqs:list(kb.id, { query = "運費" })).results)

    local replacement = { question = "運費？", answer = "免費。", labels = {} }
    local replaced = answer(200, faqs:replace(kb.id, faq.id, replacement))
    assert_fields(replacement, replaced)
    local change = { rawUserDefineMetadata = null, answer = "一百元。" }
    local updated = answer(200, faqs:update(kb.id, faq.id, change))
    assert_fields(change, updated)
    assert.equal("運費？", updated.question)
    assert.same(updated, answer(200, faqs:get(kb.id, faq.id)))

    assert.is_true(answer(204, faqs:delete(kb.id, faq.id)))
    gone(faqs:get(kb.id, faq.id))
  end },

  { "knowledge_bases.faqs: listed page by page, deleted in one go", function()
    local client = connect()
    local faqs = client.knowledge_bases.faqs
    local kb = new_knowledge_base(client)
    local all = five(function(i)
      return must(faqs:create(kb.id, { question = "問" .. i, answer = "答" }))
    end)
    assert_pages(faqs, { kb.id }, all, "問")
    assert.is_true(answer(204,
      faqs:batch_delete(kb.id, { ids = { all[2], all[4] } })))
    assert.same({ all[1], all[3], all[5] }, ids(must(faqs:all(kb.id))))
    gone(faqs:get(kb.id, all[4]))
    assert.is_true(answer(204, faqs:batch_delete(kb.id, nil, { all = true })))
    assert.same({}, must(faqs:all(kb.id)))
  end },

  { "knowledge_bases: labels exported, and imported again", function()
    local client = connect()
    local knowledge_bases = client.knowledge_bases
    local labels, files = knowledge_bases.labels, knowledge_bases.files
    local kb = new_knowledge_base(client)
    local label = must(labels:create(kb.id, { name = "保固" }))
    local file = upload(client, kb, "一.txt", nil,
      { labels = { { id = label.id } } })
    local sheet = answer(200, knowledge_bases:export_labels_excel(kb.id))
    assert.equal("PK", sheet:sub(1, 2))
    assert_not_a_sheet(knowledge_bases:import_labels_excel(kb.id, NO_SHEET))
    if BYTES_BECOME_TEXT then
      return
    end
    must(files:update(kb.id, file.id, { labels = {} }))
    assert_imported(answer(200, knowledge_bases:import_labels_excel(kb.id,
      { content = sheet, filename = "標籤.xlsx" })))
    assert.same({ label }, must(files:get(kb.id, file.id)).labels)
  end },

  { "knowledge_bases: metadata exported, and imported again", function()
    local client = connect()
    local knowledge_bases = client.knowledge_bases
    local metadata_keys = knowledge_bases.metadata_keys
    local files = knowledge_bases.files
    local kb = new_knowledge_base(client)
    must(metadata_keys:create(kb.id, { keyName = "author" }))
    local metadata = { author = "王" }
    local file = upload(client, kb, "一.txt", nil,
      { rawUserDefineMetadata = metadata })
    local path = temporary()
    assert.equal(path,
      answer(200, knowledge_bases:export_metadata_excel(kb.id, path)))
    local handle = assert(io.open(path, "rb"))
    assert.equal("PK", handle:read(2))
    handle:close()
    assert_not_a_sheet(
      knowledge_bases:import_metadata_excel(kb.id, NO_SHEET))
    if BYTES_BECOME_TEXT then
      return
    end
    must(files:update(kb.id, file.id, { rawUserDefineMetadata = null }))
    assert_imported(
      answer(200, knowledge_bases:import_metadata_excel(kb.id, path)))
    assert.same(metadata,
      must(files:get(kb.id, file.id)).rawUserDefineMetadata)
  end },
}
