-- A program that ends in the way that its argument names while its requests
-- are in every state. Run under valgrind (see hosts/ends.lua).

local maiagent = require("maiagent")

local function make_client()
  local client = maiagent.new({ max_retries = 0 })
  local finished, waiting
  client:go(function()
    maiagent.assert(client.embedding_models:list())
    finished = true
  end)
  while not finished do
    client:step()
  end
  for _ = 1, 2 do -- the stand-in does not answer these
    waiting = client:go(function()
      client.chatbots:list()
    end)
  end
  client:go(function()
    client:gather({ function()
      return client.chatbots:list()
    end })
  end)
  for _ = 1, 20 do
    client:step()
  end
  return client, waiting
end

-- A call in a coroutine of the program's own, dropped in its middle.
local function drop_coroutine()
  local client = maiagent.new({ wait = coroutine.yield })
  local call = coroutine.wrap(function()
    client.chatbots:list()
  end)
  call()
  return client
end

local client, task = make_client()
local other = drop_coroutine()

local ends = {
  ["falls off its end"] = function() end,
  ["drops all"] = function()
    client, task, other = nil, nil, nil
    collectgarbage()
    collectgarbage()
  end,
  ["cancels and drops requests"] = function()
    task:cancel()
    task = nil
    collectgarbage()
    client:step()
  end,
  closes = function()
    client:close()
    other:close()
  end,
  exits = function()
    os.exit(0, true)
  end,
}

io.write(arg[1])
io.flush()
ends[arg[1]]()
