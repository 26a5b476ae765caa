-- cqueues: the client is something to poll, so a call waits like any other
-- coroutine of the controller.
--
--   MAIAGENT_API_KEY=… lua loop_cqueues.lua

local cqueues = require("cqueues")
local client = require("maiagent").new({
  wait = function(client)
    cqueues.poll(client)
  end,
})

local loop = cqueues.new()
for number = 1, 20 do
  loop:wrap(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end
assert(loop:loop())
client:close()
