--- Where there is no key: a stand-in for the service in this process, with a
-- knowledge base about a router, that takes its time to answer.

local FAQS = {
  { "How long is the warranty?",
    "Two years from the day of purchase. Keep the receipt: its date counts." },
  { "How do I reset the router?",
    "Hold the small button on the back for ten seconds, until the lamp blinks "
      .. "twice. All settings are then as on the first day." },
  { "Where do I find the password of the wireless network?",
    "On the label underneath, beside the letters WPA. You can change it in "
      .. "the settings, under Network." },
  { "What does the red lamp mean?",
    "There is no connection to the provider. Look at the cable first, then "
      .. "switch the router off and on." },
  { "How do I update the firmware?",
    "It does so by itself at night. Or open Settings, System, Update." },
}

local function fill(client)
  local embedding = assert(client.embedding_models:list())[1]
  local reranker = assert(client.reranker_models:list())[1]
  local kb = assert(client.knowledge_bases:create({ name = "Router N1",
    embeddingModel = embedding.id, rerankerModel = reranker.id }))
  for _, faq in ipairs(FAQS) do
    assert(client.knowledge_bases.faqs:create(kb.id,
      { question = faq[1], answer = faq[2] }))
  end
end

--- Starts the stand-in; it has to be stepped in every frame.
-- @tparam table maiagent
-- @treturn table its server
-- @treturn table a client of it
local function start(maiagent)
  local server = require("maiagent.testing").start({ page_size = 20 })
  local options = { api_key = server.api_key, base_url = server.base_url,
    wait = server.wait }
  local once = maiagent.new(options)
  fill(once)
  once:close()
  server:fault({ kind = "delay", seconds = 0.8, path = "/faqs/$",
    method = "GET", times = math.huge })
  return server, maiagent.new(options)
end

return { start = start }
