-- copas 1 to 3: a call waits in copas.receive, on a stand-in for a socket that
-- has the client's descriptor; one for each wait. With copas 4 it is simpler:
-- wait = function(_, ms) copas.pause(ms / 1000) end.
--
--   MAIAGENT_API_KEY=… lua loop_copas.lua          (copas 1 has no end: Ctrl-C)

local copas = require("copas")

local function wait(client)
  local proxy = { dirty = client.dirty, close = function() end }
  function proxy.getfd() return client:fd() end
  -- copas hands back what it got as a part: after one wait there is one.
  function proxy.receive(_, _, part) return part, "timeout", "readable" end
  copas.receive(proxy)
end

local client = require("maiagent").new({ wait = wait })
for number = 1, 20 do
  copas.addthread(function()
    local models, err = client.embedding_models:list()
    print(number, err or #models .. " embedding models")
  end)
end
copas.loop(1) -- second: for longer LuaSocket would not let Ctrl-C through
