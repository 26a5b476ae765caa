-- libevent, through luaevent: calls are made in tasks, and one event for the
-- client's descriptor says when to step.
--
--   MAIAGENT_API_KEY=… lua loop_luaevent.lua

local event = require("luaevent.core")
local client = require("maiagent").new()

local SIGINT = 2

for number = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end

-- Events have to be kept: luaevent drops those that the collector finds.
local base = event.new()
local reading = base:addevent(client:fd(), event.EV_READ, function()
  if not client:step() then
    base:loopexit(0)
  end
  return event.EV_READ
end)
-- libevent hands control to Lua for its events alone, so Ctrl-C is one.
local interrupt = base:addevent(SIGINT, event.EV_SIGNAL, function()
  base:loopexit(0)
  return event.EV_SIGNAL
end)
base:loop()
reading:close()
interrupt:close()
client:close() -- where it was Ctrl-C the calls fail as cancelled
