-- libevent, through luaevent: calls are made in tasks, and one event for the
-- client's descriptor says when to step.
--
--   MAIAGENT_API_KEY=… lua loop_luaevent.lua

local event = require("luaevent.core")
local socket = require("socket") -- for its clock
local client = require("maiagent").new()

local failure, answers, ticks, started = nil, 0, 0, socket.gettime()
for _ = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    answers, failure = answers + (models and 1 or 0), failure or err
  end)
end

-- The events have to be kept: luaevent drops one that the collector finds.
local base, busy = event.new(), true
local reading = base:addevent(client:fd(), event.EV_READ, function()
  busy = client:step()
  return busy and event.EV_READ or event.LEAVE
end)
local clock = base:addevent(nil, event.EV_TIMEOUT, function()
  ticks = ticks + 1
  return busy and event.EV_TIMEOUT or event.LEAVE, 0.01
end, 0.01)
base:loop()
reading:close()
clock:close()

print(("%d answers in %.2f s, %d ticks of another timer meanwhile"):format(
  answers, socket.gettime() - started, ticks))
client:close()
assert(not failure, tostring(failure))
