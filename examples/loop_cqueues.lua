-- cqueues: the client is something to poll, so a call waits like any other
-- coroutine of the controller.
--
--   MAIAGENT_API_KEY=… lua loop_cqueues.lua

local cqueues = require("cqueues")
local client = require("maiagent").new({
  wait = function(client)
    cqueues.poll(client)
  end,
})

local loop, answers, ticks, running = cqueues.new(), 0, 0, 20
local started = cqueues.monotime()
for _ = 1, 20 do
  loop:wrap(function()
    if client.embedding_models:list() then
      answers = answers + 1
    end
    running = running - 1
  end)
end
loop:wrap(function()
  while running > 0 do
    cqueues.sleep(0.01)
    ticks = ticks + 1
  end
end)
assert(loop:loop())

print(("%d answers in %.2f s, %d ticks of another timer meanwhile"):format(
  answers, cqueues.monotime() - started, ticks))
client:close()
