-- The loop of a game without an engine: what Defold, Solar2D and others call
-- in their update functions. LuaSocket is here for its clock alone.
--
--   MAIAGENT_API_KEY=… lua frame_loop.lua

local maiagent = require("maiagent")
local socket = require("socket")

local FRAME = 1 / 60 -- seconds

-- On the loading screen: the first connection costs some ten milliseconds.
local client = maiagent.new()
maiagent.assert(client:warm_up())

local answer
local task = client:go(function()
  local models, err = client.embedding_models:list()
  answer = models and #models .. " embedding models" or tostring(err)
end)

local frames, longest = 0, 0
while not task:done() do
  local began = socket.gettime()
  client:step({ max_ms = 2 })
  longest = math.max(longest, socket.gettime() - began)
  frames = frames + 1
  -- draw here; the answer is there when it is there
  socket.sleep(math.max(0, began + FRAME - socket.gettime()))
end

print(("%s; %d frames meanwhile, the longest step took %.1f ms"):format(answer,
  frames, longest * 1000))
client:close() -- at the end of the game, whatever is still under way
