-- A loop of one's own around LuaSocket's select: the client is something to
-- select, beside the program's sockets.
--
--   MAIAGENT_API_KEY=… lua loop_select.lua

local socket = require("socket")
local client = require("maiagent").new()

for number = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end

while client:step() do
  socket.select({ client }, nil, 1) -- … and your sockets
end
client:close()
