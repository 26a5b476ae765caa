-- libevent, through luaevent: calls are made in tasks, and one event for the
-- client's descriptor says when to step.
--
--   MAIAGENT_API_KEY=… lua loop_luaevent.lua

local event = require("luaevent.core")
local client, base = require("maiagent").new(), event.new()

for number = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end

local function leave() return base:loopexit(0) end
-- Events have to be kept: luaevent drops those that the collector finds.
local reading = base:addevent(client:fd(), event.EV_READ, function()
  return client:step() and event.EV_READ or leave()
end)
-- libevent hands control to Lua for its events alone, so SIGINT (2) is one.
local interrupt = base:addevent(2, event.EV_SIGNAL, leave)
base:loop()
for _, open in ipairs({ reading, interrupt, client }) do open:close() end
