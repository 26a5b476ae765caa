-- A tour: picks models, creates a knowledge base with labels, FAQs, metadata
-- keys and files, waits until the files are processed, pages through it all,
-- creates an assistant on it, exports the labels, and deletes what it made.
--
--   lua quickstart.lua [LABELS.xlsx]
--
-- Without MAIAGENT_API_KEY it talks to a stand-in of the service that it starts
-- on this machine. With the key it runs on the service itself.

local maiagent = require("maiagent")
local check = maiagent.assert -- Lua 5.1's own `assert` takes only strings

local HERE = arg[0]:match("^(.*[/\\])") or ""
local DOCUMENTS = {
  { name = "router-manual.md", label = "manual" },
  { name = "quick-start-card.pdf", label = "manual" },
  { name = "常見問題.txt", label = "support" },
  { name = "price-list.csv", label = "sales" },
}
local FAQS = {
  { "How long is the warranty?", "Two years.", "support" },
  { "保固多久？", "自購買日起二年。", "support" },
  { "Which ports does it have?", "Four Gigabit ports, one WAN.", "manual" },
}
local PAGE = { pageSize = 2 } -- small, so that there is more than one page

io.stdout:setvbuf("line")

local function say(text, ...)
  print(select("#", ...) > 0 and text:format(...) or text)
end

-- Without a key: a stand-in in a child process, which ends with this one.
local function connect(tour)
  local key = os.getenv("MAIAGENT_API_KEY")
  if key and key ~= "" then
    tour.client = maiagent.new()
    say("This runs on a live account: %s", tostring(tour.client))
    say("What it makes there, it deletes at the end.")
    return
  end
  tour.server = require("maiagent.testing").spawn({ processing_time = 1.5 })
  tour.client = maiagent.new({
    api_key = tour.server.api_key,
    base_url = tour.server.base_url,
  })
  say("MAIAGENT_API_KEY is not set, so this runs on a stand-in of the "
    .. "service,\nstarted on this machine: %s", tour.server.base_url)
end

local function later(tour, what, delete)
  table.insert(tour.made, 1, { what = what, delete = delete })
end

local function default_of(models, kind)
  local chosen = models[1]
  for _, model in ipairs(models) do
    chosen = model.isDefault and model or chosen
  end
  if not chosen then
    error("the account has no " .. kind .. " model", 0)
  end
  say("  %s: %s", kind, chosen.name)
  return chosen.id
end

local function create_knowledge_base(tour)
  local client = tour.client
  say("\nPicking models")
  local embedding = check(client.embedding_models:list())
  local reranker = check(client.reranker_models:list())
  local kb = check(client.knowledge_bases:create({
    name = "maiagent-lua quickstart " .. os.date("%Y-%m-%d %H:%M:%S"),
    embeddingModel = default_of(embedding, "embedding"),
    rerankerModel = default_of(reranker, "reranker"),
  }))
  later(tour, "knowledge base " .. kb.name, function()
    return client.knowledge_bases:delete(kb.id)
  end)
  say("\nCreated the knowledge base '%s'", kb.name)
  tour.kb = kb
end

local function describe(tour)
  local bases, id = tour.client.knowledge_bases, tour.kb.id
  tour.labels = {}
  for _, name in ipairs({ "manual", "support", "sales" }) do
    tour.labels[name] = check(bases.labels:create(id, { name = name }))
    say("  label %s", name)
  end
  for _, name in ipairs({ "product", "edition" }) do
    check(bases.metadata_keys:create(id, { keyName = name }))
    say("  metadata key %s", name)
  end
  for _, faq in ipairs(FAQS) do
    check(bases.faqs:create(id, {
      question = faq[1],
      answer = faq[2],
      labels = { { id = tour.labels[faq[3]].id } },
    }))
    say("  FAQ '%s'", faq[1])
  end
end

-- Side by side: map runs the function for several documents at a time.
local function upload(tour)
  local files, id = tour.client.knowledge_bases.files, tour.kb.id
  say("\nUploading %d files", #DOCUMENTS)
  tour.client:map(DOCUMENTS, function(document)
    local file = check(files:upload(id, HERE .. "data/" .. document.name, {
      labels = { { id = tour.labels[document.label].id } },
      rawUserDefineMetadata = { product = "R100" },
    }))
    check(files:wait(id, file.id, {
      on_status = function(status)
        say("  %-14s %s", status, document.name)
      end,
    }))
  end)
end

local function list(tour)
  local bases, id = tour.client.knowledge_bases, tour.kb.id
  say("\nReading it all back, %d to a page", PAGE.pageSize)
  for _, kind in ipairs({ "files", "faqs", "labels", "metadata_keys" }) do
    for item in bases[kind]:each(id, PAGE) do
      say("  %-14s %s", kind,
        item.filename or item.question or item.name or item.keyName)
    end
  end
end

-- The API has no list of language models: the stand-in takes any id; on a live
-- account an existing assistant shows one.
local function language_model(tour)
  local id = os.getenv("MAIAGENT_LARGE_LANGUAGE_MODEL")
  if id and id ~= "" then
    return id
  elseif tour.server then
    return "5e1f0000-0000-4000-8000-000000000001"
  end
  for chatbot in tour.client.chatbots:each() do
    local model = chatbot.largeLanguageModel
    if model then
      return type(model) == "table" and model.id or model
    end
  end
end

local function create_assistant(tour)
  local chatbots, model = tour.client.chatbots, language_model(tour)
  if not model then
    say("\nNo assistant: the account has none whose language model could be "
      .. "used;\nset MAIAGENT_LARGE_LANGUAGE_MODEL to a model's id.")
    return
  end
  local bot = check(chatbots:create({
    name = "maiagent-lua quickstart",
    largeLanguageModel = model,
    knowledgeBases = { { id = tour.kb.id } },
  }))
  later(tour, "assistant " .. bot.name, function()
    return chatbots:delete(bot.id)
  end)
  say("\nCreated the assistant '%s'", bot.name)
  check(chatbots:update(bot.id, { instructions = "Answer in one sentence." }))
  say("  its instructions now: %s", check(chatbots:get(bot.id)).instructions)
end

local function export(tour)
  local path, kept = arg[1], "kept"
  if not path then
    path, kept = os.tmpname(), "deleted at the end; name a file to keep it"
    os.remove(path) -- some systems create it
    path = path .. ".xlsx"
    later(tour, "file " .. path, function()
      return os.remove(path)
    end)
  end
  check(tour.client.knowledge_bases:export_labels_excel(tour.kb.id, path))
  say("\nExported the labels to %s\n  (%s)", path, kept)
end

local function clean_up(tour)
  say("\nCleaning up")
  for _, thing in ipairs(tour.made) do
    local ok, err = thing.delete()
    say(ok and "  deleted the %s" or "  NOT DELETED: the %s: %s", thing.what,
      tostring(err))
  end
end

local function main()
  local tour = { made = {} }
  local ok, err = pcall(function()
    connect(tour)
    create_knowledge_base(tour)
    describe(tour)
    upload(tour)
    list(tour)
    create_assistant(tour)
    export(tour)
  end)
  if #tour.made > 0 then
    clean_up(tour)
  end
  if tour.client then
    tour.client:close()
  end
  if tour.server then
    tour.server:stop()
  end
  if not ok then
    io.stderr:write("The quickstart failed: ", tostring(err), "\n")
    os.exit(1)
  end
  say("\nDone.")
end

main()
