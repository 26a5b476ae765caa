-- copas 1 to 3: a call waits in copas.receive, on a stand-in for a socket that
-- has the client's descriptor; one for each wait. With copas 4 it is simpler:
-- wait = function(_, ms) copas.pause(ms / 1000) end.
--
--   MAIAGENT_API_KEY=… lua loop_copas.lua

local copas = require("copas")
local socket = require("socket")

local function wait(client)
  local proxy, woken = {}, false
  function proxy.getfd() return client:fd() end
  function proxy.dirty() return false end
  function proxy.settimeout() end
  function proxy.close() end
  function proxy.receive()
    if woken then return "" end
    woken = true
    return nil, "timeout"
  end
  copas.receive(proxy, 1)
end

local client = require("maiagent").new({ wait = wait })
local answers, ticks, running, started = 0, 0, 20, socket.gettime()
local failure
for _ = 1, 20 do
  copas.addthread(function()
    local models, err = client.embedding_models:list()
    answers, failure = answers + (models and 1 or 0), failure or err
    running = running - 1
  end)
end
local next_tick = started + 0.01
while running > 0 do
  copas.step(math.max(0, next_tick - socket.gettime()))
  if socket.gettime() >= next_tick then
    ticks, next_tick = ticks + 1, next_tick + 0.01
  end
end

print(("%d answers in %.2f s, %d ticks of another timer meanwhile"):format(
  answers, socket.gettime() - started, ticks))
client:close()
assert(not failure, tostring(failure))
