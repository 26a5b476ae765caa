-- libuv, through luv: calls are made in tasks, and one poll handle for the
-- client's descriptor says when to step. (In Neovim: see loop_neovim.lua.)
--
--   MAIAGENT_API_KEY=… lua loop_luv.lua

local uv = require("luv")
local client = require("maiagent").new()

for number = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end

local poll = uv.new_poll(client:fd())
poll:start("r", function()
  return client:step() or uv.stop() -- where nothing is under way any more
end)
-- libuv hands control to Lua for what it watches alone, so Ctrl-C is watched.
uv.new_signal():start("sigint", uv.stop)
uv.run()
client:close() -- calls that Ctrl-C found under way fail as cancelled
