-- Chatbots and attachments.

local assert = require "luassert"
local calls = require "tests.support.calls"
local maiagent = require "maiagent"

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
local five = calls.five
local null = maiagent.null
local LANGUAGE_MODEL = calls.LANGUAGE_MODEL

return {
  { "chatbots: created, fetched, listed, changed, deleted", function()
    local client = connect()
    local chatbots = client.chatbots
    local kb = new_knowledge_base(client)
    local fields = {
      name = unique("小幫手"),
      largeLanguageModel = LANGUAGE_MODEL,
      rerankerModel = kb.rerankerModel,
      instructions = "你是客服。\n請用繁體中文。",
      replyMode = "agent",
      outputMode = "json_schema",
      rawOutputFormat = {
        type = "object",
        required = maiagent.array {},
        properties = maiagent.object {},
      },
      includeTables = { "訂單", "客戶" },
      totalWordsCount = 123456789012,
      enableInlineCitations = true,
      organization = null,
      groups = {},
      toolkits = {},
      tools = {},
    }
    local sent = { knowledgeBases = { { id = kb.id } } }
    for name, value in pairs(fields) do
      sent[name] = value
    end
    local chatbot = answer(201, chatbots:create(sent))
    assert_fields(fields, chatbot)
    assert.same({ { id = kb.id, name = kb.name } }, chatbot.knowledgeBases)
    assert.equal("123456789012", ("%.0f"):format(chatbot.totalWordsCount))
    assert.same(chatbot, answer(200, chatbots:get(chatbot.id)))
    local query =
      { query = fields.name, replyMode = "agent", pageSize = 5 }
    local page = answer(200, chatbots:list(query))
    assert.same({ chatbot.id }, ids(page.results))
    assert.equal(kb.rerankerModel, page.results[1].rerankerModel.id)

    local replacement = {
      name = unique("改名"),
      largeLanguageModel = LANGUAGE_MODEL,
      knowledgeBases = {},
    }
    assert_fields(replacement,
      answer(200, chatbots:replace(chatbot.id, replacement)))
    local change = { instructions = null, rerankerModel = null,
      replyMode = "normal", template = "答：{}" }
    local updated = answer(200, chatbots:update(chatbot.id, change))
    assert_fields(change, updated)
    assert.same(updated, answer(200, chatbots:get(chatbot.id)))

    assert.is_true(answer(204, chatbots:delete(chatbot.id)))
    gone(chatbots:get(chatbot.id))
    assert.equal(0, must(chatbots:list { query = replacement.name }).count)
  end },

  { "chatbots: listed page by page, or without pages", function()
    local client = connect()
    local chatbots = client.chatbots
    local common = unique("機器人")
    local all = five(function(i)
      return must(chatbots:create {
        name = common .. "/" .. i,
        largeLanguageModel = LANGUAGE_MODEL,
      })
    end)
    assert_pages(chatbots, {}, all, common)
    local query = { query = common, pagination = "false" }
    assert.same(all, ids(answer(200, chatbots:list(query))))
    assert.same(all, collected(chatbots:each(query)))
  end },

  { "attachments", function()
    local client = connect()
    local uploads, attachments = client.uploads, client.attachments
    local function create(name, kind)
      local presigned = answer(200, uploads:presign {
        modelName = "attachment",
        fieldName = "file",
        filename = name,
        fileSize = 3,
      })
      return answer(201, attachments:create {
        filename = name,
        file = presigned.fields.key,
        type = kind,
      })
    end
    local attachment = create("照片.jpg", "image")
    assert.equal("照片.jpg", attachment.filename)
    assert.equal("image", attachment.type)
    assert.is_string(attachment.file)
    assert.same(attachment, answer(200, attachments:get(attachment.id)))
    assert.equal("影片.jpg", answer(200, attachments:replace(attachment.id,
      { filename = "影片.jpg", file = "media/v.jpg" })).filename)
    local updated =
      answer(200, attachments:update(attachment.id, { type = "other" }))
    assert.equal("other", updated.type)
    assert.equal("影片.jpg", updated.filename)

    -- Others may be there too, and nothing here singles ours out.
    local ours = { [attachment.id] = true, [create("b").id] = true,
      [create("c").id] = true }
    assert.equal(2, #answer(200, attachments:list { pageSize = 2 }).results)
    local found = 0
    for one in attachments:each { pageSize = 2 } do
      found = found + (ours[one.id] and 1 or 0)
    end
    assert.equal(3, found)
    assert.is_true(answer(204, attachments:delete(attachment.id)))
    gone(attachments:get(attachment.id))
  end },
}
