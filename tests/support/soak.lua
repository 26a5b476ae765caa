-- Many calls with random faults, 32 in flight, against a stand-in in a process
-- of its own: memory and descriptors have to stay flat, every call has to be
-- answered. `make soak CALLS=200000`; prints a line every tenth.

local disk = require("maiagent.disk")
local maiagent = require("maiagent")
local testing = require("maiagent.testing")

local CALLS = tonumber(arg[1]) or 200000
local IN_FLIGHT = 32
local TENTH = math.ceil(CALLS / 10)
local RENEWED = math.min(5000, TENTH) -- calls until the log is emptied
local GROWTH = 3072 -- KiB that memory may grow by after the first tenth
local DESCRIPTORS = IN_FLIGHT + 16
local CHANCE = 0.02 / 5 -- of each fault

local FAULTS = {
  { kind = "reset" },
  { kind = "cut", bytes = 5 },
  { kind = "raw", bytes = "garbage\r\n\r\n" },
  { kind = "status", status = 503, headers = { ["Retry-After"] = "0" } },
  { kind = "status", status = 500, json = { detail = "broken" } },
}

local server = testing.spawn({})
local client = maiagent.new({ api_key = server.api_key, timeout = 30,
  base_url = server.base_url })

local function prepare(round)
  server:reset()
  local kb = assert(client.knowledge_bases:create({ name = "soak",
    embeddingModel = client.embedding_models:list()[1].id,
    rerankerModel = client.reranker_models:list()[1].id })).id
  for i, fault in ipairs(FAULTS) do
    local copy = { chance = CHANCE, seed = round * 10 + i }
    for name, value in pairs(fault) do
      copy[name] = value
    end
    server:fault(copy)
  end
  return kb
end

local function resident()
  for line in io.lines("/proc/self/status") do
    local size = line:match("^VmRSS:%s*(%d+)")
    if size then
      return tonumber(size)
    end
  end
end

local answered, failed, created = 0, 0, 0

local KINDS = {
  function(labels, kb)
    return labels:list(kb)
  end,
  function(labels, kb)
    return labels:list(kb, { pageSize = 3 })
  end,
  function(labels, kb, i)
    local made, err = labels:create(kb, { name = "label " .. i })
    created = created + (made and 1 or 0)
    return made, err
  end,
  function(labels, kb, i)
    local made, err = labels:create(kb, { name = "short " .. i })
    if not made then
      return nil, err
    end
    return labels:delete(kb, made.id)
  end,
}

local function call(kb, i)
  local value, err =
    KINDS[i % #KINDS + 1](client.knowledge_bases.labels, kb, i)
  assert(value or err.kind, "a call without an answer")
  answered = answered + 1
  failed = failed + (value and 0 or 1)
  return true
end

local function run(kb, first, last)
  local list = {}
  for i = first, last do
    list[#list + 1] = i
  end
  local _, errors = client:map(list, function(i)
    return call(kb, i)
  end, { concurrency = IN_FLIGHT })
  assert(not errors)
end

-- Prints how it stands, and gives the memory in KiB.
local function report(began)
  collectgarbage()
  local size, descriptors = resident(), #disk.list("/proc/self/fd")
  print(("%3d %%  %7d calls  %6d failed  RSS %6d KiB  Lua %5d KiB  %3d fds  "
    .. "%d s"):format(math.floor(answered * 100 / CALLS), answered, failed,
    size, math.floor(collectgarbage("count")), descriptors,
    os.difftime(os.time(), began)))
  io.stdout:flush()
  assert(descriptors <= DESCRIPTORS, "descriptors are left")
  return size
end

local began, shown, sizes = os.time(), 0, {}
for first = 1, CALLS, RENEWED do
  server:faults_clear()
  run(prepare(first), first, math.min(first + RENEWED - 1, CALLS))
  if answered >= (shown + 1) * TENTH or answered == CALLS then
    sizes[#sizes + 1] = report(began)
    shown = math.floor(answered / TENTH)
  end
end
local growth = sizes[#sizes] - sizes[1]
assert(growth <= GROWTH, ("memory grew by %d KiB"):format(growth))
assert(answered == CALLS)
client:close()
server:stop()
print(("%d of %d calls answered, %d of them with an error"):format(answered,
  CALLS, failed))
