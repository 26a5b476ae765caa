-- The files of a knowledge base, and what is made of them.

local assert = require "luassert"
local calls = require "tests.support.calls"

local answer = calls.answer
local gone = calls.gone
local must = calls.must
local connect = calls.connect
local ids = calls.ids
local with_id = calls.with_id
local collected = calls.collected
local assert_fields = calls.assert_fields
local assert_pages = calls.assert_pages
local new_knowledge_base = calls.new_knowledge_base
local temporary = calls.temporary
local upload = calls.upload
local processed = calls.processed
local eventually = calls.eventually
local five = calls.five
local null = require("maiagent").null
local LANGUAGE_MODEL = calls.LANGUAGE_MODEL

return {
  { "knowledge_bases.files: uploaded from a path, and from a string", function()
    local client = connect()
    local labels = client.knowledge_bases.labels
    local files = client.knowledge_bases.files
    local kb = new_knowledge_base(client)
    local label = must(labels:create(kb.id, { name = "手冊" }))
    local content = ("\0\255\r\n--boundary"):rep(10000)
    local path = temporary()
    local handle = assert(io.open(path, "wb"))
    handle:write(content)
    handle:close()
    local params = {
      labels = { { id = label.id } },
      rawUserDefineMetadata = { ["作者"] = "王", pages = 12 },
    }
    local file = answer(201,
      files:upload(kb.id, { path = path, filename = "路由器.pdf" }, params))
    local plain = answer(201, files:upload(kb.id, path))
    assert.equal("路由器.pdf", file.filename)
    assert.equal("pdf", file.fileType)
    assert.equal(#content, file.size)
    assert.same({ label }, file.labels)
    assert.same(params.rawUserDefineMetadata, file.rawUserDefineMetadata)
    assert.equal(path:match("[^/]+$"), plain.filename)

    local empty = upload(client, kb, "空.txt", "", { labels = {} })
    assert.equal(0, empty.size)
    assert.same({}, empty.labels)
    assert.same({ file.id, plain.id, empty.id },
      ids(answer(200, files:list(kb.id)).results))
  end },

  { "knowledge_bases.files: registered by hand, waited for, listed", function()
    local client = connect()
    local uploads, files = client.uploads, client.knowledge_bases.files
    local kb = new_knowledge_base(client)
    local list = {}
    for i = 1, 5 do
      local name = "第" .. i .. (i == 5 and "章.md" or "章.txt")
      local presigned = answer(200, uploads:presign {
        modelName = "chatbot-file",
        fieldName = "file",
        filename = name,
        fileSize = 10,
      })
      assert.truthy(presigned.url:find("^https?://"))
      list[i] = { filename = name, file = presigned.fields.key, labels = {} }
    end
    local page = answer(201, files:create(kb.id, { files = list }))
    assert.equal(5, page.count)
    for i, file in ipairs(page.results) do
      assert.equal(list[i].filename, file.filename)
    end
    assert_pages(files, { kb.id }, ids(page.results), "章")

    local seen = {}
    local done = must(files:wait(kb.id, page.results[5].id, {
      interval = 0.02,
      on_status = function(status)
        seen[#seen + 1] = status
      end,
    }))
    assert.equal("done", done.status)
    assert.equal("done", seen[#seen])
    assert.same(done, answer(200, files:get(kb.id, done.id)))
    local found = answer(200,
      files:list(kb.id, { status = "done", fileType = "md", query = "5" }))
    assert.same({ done }, found.results)
    assert.same({},
      answer(200, files:list(kb.id, { status = "failed" })).results)
  end },

  { "knowledge_bases.files: changed, reparsed, transcribed, deleted", function()
    local client = connect()
    local labels = client.knowledge_bases.labels
    local files = client.knowledge_bases.files
    local kb = new_knowledge_base(client)
    local label = must(labels:create(kb.id, { name = "舊" }))
    local list = {}
    for i = 1, 3 do
      local file = upload(client, kb, i .. ".txt", nil, {
        labels = { { id = label.id } },
        rawUserDefineMetadata = { number = i },
      })
      list[i] = processed(client, kb, file)
    end
    local first, second = list[1], list[2]

    local change = { labels = {}, rawUserDefineMetadata = null }
    local updated = answer(200, files:update(kb.id, first.id, change))
    assert_fields(change, updated)
    assert.same(updated, answer(200, files:get(kb.id, first.id)))
    local labelled = answer(200,
      files:update(kb.id, first.id, { labels = second.labels }))
    assert.same({ label }, labelled.labels)
    local replacement = { filename = "改名.txt", file = "media/x.txt" }
    assert.equal("改名.txt", answer(200,
      files:replace(kb.id, first.id, replacement)).filename)

    local reparsed = answer(200, files:batch_reparse(kb.id, {
      { id = first.id, labels = {} },
      { id = second.id },
    }))
    assert.same({ first.id, second.id }, ids(reparsed.results))
    assert.same({}, reparsed.results[1].labels)
    assert.same({ label }, reparsed.results[2].labels)
    assert.not_equal("done", reparsed.results[1].status)
    assert.equal("done", processed(client, kb, first).status)
    processed(client, kb, second)

    local transcribed = answer(200, files:transcription(kb.id, second.id))
    assert.equal(second.id, transcribed.id)

    assert.is_true(answer(204, files:delete(kb.id, second.id)))
    gone(files:get(kb.id, second.id))
    local rest = { ids = { first.id, list[3].id } }
    assert.is_true(answer(204, files:batch_delete(kb.id, rest)))
    assert.same({}, answer(200, files:list(kb.id)).results)
  end },

  { "knowledge_bases.files: failing with a reason", function()
    local client = connect()
    local files = client.knowledge_bases.files
    local kb = new_knowledge_base(client)
    local file = upload(client, kb, "will fail 失敗.pdf")
    local value, err = files:wait(kb.id, file.id, { interval = 0.02 })
    assert.is_nil(value)
    assert.equal("file", err.kind)
    local reason = answer(200, files:latest_failed_reason(kb.id, file.id))
    assert.is_string(reason.errorMessage)
    assert.truthy(err.message:find(reason.errorMessage, 1, true))
    assert.truthy(err.message:find("失敗.pdf", 1, true))
    assert.equal("failed", must(files:get(kb.id, file.id)).status)
  end },

  { "knowledge_bases.files.translations", function()
    local client = connect()
    local translations = client.knowledge_bases.files.translations
    local kb = new_knowledge_base(client)
    local file = processed(client, kb, upload(client, kb, "guide.txt", "Hello"))
    local place = { kb.id, file.id }
    local function create(language)
      local fields = {
        sourceLanguage = null,
        targetLanguage = language,
        customPrompt = "AI Agent → AI 助手",
        largeLanguageModelId = LANGUAGE_MODEL,
      }
      local sent = answer(201, translations:create(kb.id, file.id, fields))
      assert_fields(fields, sent)
      -- The answer has no id: the list has it.
      for translation in translations:each(kb.id, file.id) do
        if translation.targetLanguage == language then
          return translation
        end
      end
    end
    local all = five(function(i)
      return create("zh-TW-" .. i)
    end)
    assert_pages(translations, place, all)
    local done = eventually(function()
      local now = answer(200, translations:get(kb.id, file.id, all[1]))
      return now.completedAt and now
    end)
    assert.equal("zh-TW-1", done.targetLanguage)
    assert.equal("AI Agent → AI 助手", done.customPrompt)
    assert.same(done, with_id(
      answer(200, translations:list(kb.id, file.id)).results, all[1]))
    local download =
      answer(200, translations:download(kb.id, file.id, all[1]))
    assert.equal(all[1], download.id)
    assert.is_string(download.translatedFileUrl)
    assert.is_true(answer(204, translations:delete(kb.id, file.id, all[1])))
    gone(translations:get(kb.id, file.id, all[1]))
    gone(translations:download(kb.id, file.id, all[1]))
  end },

  { "knowledge_bases.documents", function()
    local client = connect()
    local documents = client.knowledge_bases.documents
    local kb = new_knowledge_base(client)
    local file = processed(client, kb, upload(client, kb, "a.txt", "the text"))
    local other = processed(client, kb, upload(client, kb, "b.txt", "other"))
    local list = answer(200,
      documents:list(kb.id, { knowledgeBaseFileId = file.id }))
    assert.is_true(#list > 0)
    local document = list[1]
    assert.equal(file.id, document.chatbotFile)
    assert.equal("a.txt", document.fileName)
    assert.equal("the text", document.text)
    assert.is_nil(with_id(must(documents:list(kb.id,
      { chatbotFileId = other.id })), document.id))
    assert.same(ids(must(documents:list(kb.id))),
      collected(documents:each(kb.id)))

    local change = { text = "改過的\n文字", metadata = { page = 2, tags = { "a" } } }
    local updated = answer(200, documents:update(kb.id, document.id, change))
    assert_fields(change, updated)
    local replacement = {
      fileName = "改名.txt",
      chatbotFile = file.id,
      text = "全新",
      pageNumber = 3,
      metadata = null,
      excludedEmbedMetadataKeys = { "page" },
    }
    local replaced =
      answer(200, documents:replace(kb.id, document.id, replacement))
    assert_fields(replacement, replaced)
    assert.same(replaced, with_id(must(documents:all(kb.id)), document.id))

    assert.is_true(answer(204, documents:delete(kb.id, document.id)))
    assert.is_nil(with_id(must(documents:all(kb.id)), document.id))
    gone(documents:update(kb.id, document.id, { text = "x" }))
  end },
}
