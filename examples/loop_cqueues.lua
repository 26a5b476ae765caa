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
local failure
local started = cqueues.monotime()
for _ = 1, 20 do
  loop:wrap(function()
    local models, err = client.embedding_models:list()
    answers, failure = answers + (models and 1 or 0), failure or err
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
assert(not failure, tostring(failure))
