-- libevent, through luaevent: calls are made in tasks, and one event for the
-- client's descriptor says when to step.
--
--   MAIAGENT_API_KEY=… lua loop_luaevent.lua

local event = require("luaevent.core")
local client = require("maiagent").new()

for number = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end

-- The event has to be kept: luaevent drops one that the collector finds.
local base = event.new()
local reading = base:addevent(client:fd(), event.EV_READ, function()
  return client:step() and event.EV_READ or event.LEAVE
end)
base:loop()
reading:close()
client:close()
