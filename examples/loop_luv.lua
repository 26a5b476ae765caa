-- libuv, through luv: calls are made in tasks, and one poll handle for the
-- client's descriptor says when to step. (In Neovim: see loop_neovim.lua.)
--
--   MAIAGENT_API_KEY=… lua loop_luv.lua

local uv = require("luv")
local client = require("maiagent").new()

local failure, answers, ticks, started = nil, 0, 0, uv.hrtime()
for _ = 1, 20 do
  client:go(function()
    local models, err = client.embedding_models:list()
    answers, failure = answers + (models and 1 or 0), failure or err
  end)
end

local clock, poll = uv.new_timer(), uv.new_poll(client:fd())
clock:start(10, 10, function()
  ticks = ticks + 1
end)
poll:start("r", function()
  if not client:step() then -- nothing is under way any more
    poll:stop()
    clock:stop()
  end
end)
uv.run()

print(("%d answers in %.2f s, %d ticks of another timer meanwhile"):format(
  answers, (uv.hrtime() - started) / 1e9, ticks))
client:close()
assert(not failure, tostring(failure))
