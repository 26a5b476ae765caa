-- Ends a call while its host's name is being looked up, in the way that the
-- argument names; tells its error's kind and how long the end took. Run with
-- slow_dns.so preloaded (see lookup_spec).

local core = require("maiagent.core")
local maiagent = require("maiagent")

local now = core.now

local client = maiagent.new({
  api_key = "test-key",
  base_url = "https://name.slow.test",
  max_retries = 0,
})

local kind = "nothing"
local task = client:go(function()
  local _, err = client.chatbots:list()
  kind = err.kind
end)
local until_when = now() + 0.1
while now() < until_when do
  client:step()
end

local ends = {
  cancel = function()
    task:cancel()
  end,
  close = function()
    client:close()
  end,
  collect = function()
    client, task = nil, nil
    collectgarbage()
    collectgarbage()
  end,
  exit = function() end,
}

local started = now()
ends[arg[1]]()
local took = now() - started
io.write(("%s after %.0f ms\n"):format(kind, took * 1000))
