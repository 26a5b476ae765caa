-- ours.lua get|raw|each BASE_URL COUNT IN_FLIGHT: COUNT lists of one page,
-- COUNT bodies that aren't JSON, or every item of a list of COUNT, IN_FLIGHT
-- pages ahead, with MILLISECONDS of work for each page (a fifth argument).

local own = require("own")
local maiagent = require("maiagent")

require("maiagent.http") -- loaded before, as the others have theirs

local scene, base, count, in_flight =
  arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local PAUSE = tonumber(arg[5] or 0)
local client = maiagent.new({ api_key = "key", base_url = base,
  ca_file = os.getenv("BENCH_CA") })

local SCENES = {
  get = function()
    maiagent.assert(client.chatbots:list())
  end,
  raw = function()
    maiagent.assert(client:request("GET", "/bytes/30000"))
  end,
}

-- Some milliseconds of work for every hundredth item, as a program may have.
local function work(read)
  local stop = own.now() + PAUSE / 1000
  repeat until read % 100 > 0 or own.now() >= stop
end

local function each()
  local read, options = 0, { prefetch = in_flight }
  for item in client.chatbots:each(nil, options) do
    read = read + #item.id / #item.id
    if PAUSE > 0 then
      work(read)
    end
  end
  assert(read == count, read)
end

own.measure(function()
  if scene == "each" then
    each()
  elseif in_flight == 1 then
    for _ = 1, count do
      SCENES[scene]()
    end
  else
    local list = {}
    for i = 1, count do
      list[i] = i
    end
    local _, failures = client:map(list, SCENES[scene],
      { concurrency = in_flight })
    assert(not failures, "a call failed")
  end
end)
client:close()
collectgarbage() -- not of the time, but of what instructions.lua counts
