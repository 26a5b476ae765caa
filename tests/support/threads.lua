-- The scenario of threads.c: what touches each part of the library that lives
-- outside of a Lua state, with answers that tell whose they are.

local number, round = ...
local maiagent = require "maiagent"

local KEY = assert(os.getenv "MAIAGENT_TEST_KEY")
local FOLDER = assert(os.getenv "MAIAGENT_TEST_FOLDER")
local NAME = ("thread %d, round %d"):format(number, round)

local function connect(url, options)
  options = options or {}
  options.api_key, options.base_url, options.timeout = KEY, url, 60
  return maiagent.new(options)
end

local function knowledge_base(client)
  return assert(client.knowledge_bases:create {
    name = NAME,
    embeddingModel = assert(client.embedding_models:list())[1].id,
    rerankerModel = assert(client.reranker_models:list())[1].id,
  })
end

local function check_questions(client, kb)
  local faqs = client.knowledge_bases.faqs
  local _, errors = client:map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i)
    return faqs:create(kb.id, { question = NAME .. " #" .. i, answer = "…" })
  end)
  assert(not errors, errors and tostring(next(errors)))
  local count = 0
  for faq in faqs:each(kb.id, { pageSize = 3 }, { prefetch = 2 }) do
    assert(faq.question:find(NAME, 1, true), faq.question)
    count = count + 1
  end
  assert(count == 8, count)
end

local function check_files(client, kb)
  local path = ("%s/%d-%d"):format(FOLDER, number, round)
  local file = assert(io.open(path .. ".txt", "wb"))
  file:write(("0123456789"):rep(20000))
  file:close()
  local files = client.knowledge_bases.files
  assert(files:upload(kb.id, path .. ".txt"))
  assert(files:upload(kb.id, { content = NAME, filename = "name.txt" }))
  assert(client.knowledge_bases:export_labels_excel(kb.id, path .. ".xlsx"))
  local hasher = assert(require "maiagent.disk".hasher(path .. ".txt"))
  local digest
  repeat
    digest = hasher:step(65536)
    assert(digest ~= nil)
  until digest
  assert(#digest == 64, digest)
end

local function check_failures(client)
  local _, err =
    client.chatbots:get "00000000-0000-4000-8000-000000000000"
  assert(err.kind == "not_found", tostring(err))
  local nobody = connect("http://127.0.0.1:1", { max_retries = 0 })
  _, err = nobody.chatbots:list()
  assert(err.kind == "connection", tostring(err))
  local page
  local task = client:go(function()
    page, err = client.chatbots:list()
  end)
  client:close() -- the answer may have been there already
  assert(task:done() and (page or err.kind == "cancelled"), tostring(err))
end

local function check_tls()
  local client = connect(os.getenv "MAIAGENT_TEST_TLS_URL",
    { ca_file = os.getenv "MAIAGENT_TEST_CA" })
  for _ = 1, 3 do
    assert(client:gather {
      function()
        return assert(client.embedding_models:list())
      end,
      function()
        return assert(client.chatbots:list())
      end,
    })
  end
end

local client = connect(os.getenv "MAIAGENT_TEST_URL", { max_in_flight = 4 })
local kb = knowledge_base(client)
assert(kb.name == NAME, kb.name)
check_questions(client, kb)
check_files(client, kb)
check_tls()
check_failures(client)
