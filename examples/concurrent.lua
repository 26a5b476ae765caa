-- Several requests at a time, in a plain script: no threads, no event loop.
--
--   MAIAGENT_API_KEY=… lua concurrent.lua

local maiagent = require("maiagent")
local client = maiagent.new()

-- gather: different things side by side. Every function runs until its first
-- request, and goes on when that is answered.
local lists, failed = client:gather({
  function() return client.chatbots:all() end,
  function() return client.knowledge_bases:all() end,
  function() return client.embedding_models:list() end,
})
for index, err in pairs(failed or {}) do
  print("list " .. index .. " failed: " .. err)
end
print(("%d assistants, %d knowledge bases, %d embedding models"):format(
  #(lists[1] or {}), #(lists[2] or {}), #(lists[3] or {})))

-- map: the same for every item of a list, four at a time; results in order.
local bases = lists[2] or {}
local pages = client:map(bases, function(kb)
  return client.knowledge_bases.files:list(kb.id, { pageSize = 1 })
end, { concurrency = 4 })
for index, kb in ipairs(bases) do
  local page = pages[index]
  print(("  %s: %s files"):format(kb.name, page and page.count or "?"))
end

-- go and step: a task beside a loop that must not stop, such as a game's.
client:go(function()
  local models = maiagent.assert(client.reranker_models:list())
  print(#models .. " reranker models")
end)
while client:step() do
  -- draw a frame here; step itself never blocks
end

client:close()
