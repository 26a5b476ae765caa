-- A loop of one's own around LuaSocket's select: the client is something to
-- select, beside the program's sockets.
--
--   MAIAGENT_API_KEY=… lua loop_select.lua

local socket = require("socket")
local client = require("maiagent").new()

local failure, answers, ticks, started = nil, 0, 0, socket.gettime()
for _ = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    answers, failure = answers + (models and 1 or 0), failure or err
  end)
end

local next_tick = started + 0.01
while client:step() do
  local rest = math.max(0, next_tick - socket.gettime())
  socket.select({ client }, nil, rest) -- … and your sockets
  if socket.gettime() >= next_tick then
    ticks, next_tick = ticks + 1, next_tick + 0.01
  end
end

print(("%d answers in %.2f s, %d ticks of another timer meanwhile"):format(
  answers, socket.gettime() - started, ticks))
client:close()
assert(not failure, tostring(failure))
