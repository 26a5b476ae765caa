-- Many small files against a service that takes its time to answer: one after
-- the other with files:upload, and together with files:upload_all.
--
--   LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/5.4/?.so;;' \
--     lua5.4 tests/bench/upload_all.lua [FILES [SEQUENTIAL [MILLISECONDS]]]
--
-- FILES (2000) go together; SEQUENTIAL of them (200; the time of all is that
-- times FILES / SEQUENTIAL) one by one; each answer comes MILLISECONDS (20)
-- late. CONCURRENCY (8) and SIZE (bytes of a file; 1000) are taken from the
-- environment.

local core = require("maiagent.core")
local maiagent = require("maiagent")
local testing = require("maiagent.testing")

local COUNT = tonumber(arg[1] or 2000)
local SAMPLE = math.min(COUNT, tonumber(arg[2] or 200))
local LATENCY = tonumber(arg[3] or 20) / 1000
local CONCURRENCY = tonumber(os.getenv("CONCURRENCY") or 8)
local SIZE = tonumber(os.getenv("SIZE") or 1000)

local server = testing.spawn({})
local client = maiagent.new({ api_key = server.api_key,
  base_url = server.base_url })
local files = client.knowledge_bases.files

local function knowledge_base()
  return maiagent.assert(client.knowledge_bases:create({
    name = "Benchmark",
    embeddingModel = maiagent.assert(client.embedding_models:list())[1].id,
    rerankerModel = maiagent.assert(client.reranker_models:list())[1].id,
  })).id
end

local function sources(count)
  local list = {}
  for i = 1, count do
    list[i] = { filename = i .. ".txt", content = ("x"):rep(SIZE) }
  end
  return list
end

local function timed(fn)
  local started = core.now()
  fn()
  return core.now() - started
end

local together, one_by_one = knowledge_base(), knowledge_base()
server:fault({ kind = "delay", seconds = LATENCY, times = 1e9 })

local all = timed(function()
  local _, failures = files:upload_all(together, sources(COUNT), nil,
    { concurrency = CONCURRENCY })
  assert(not failures, "an upload failed")
end)
local sequential = timed(function()
  for _, source in ipairs(sources(SAMPLE)) do
    maiagent.assert(files:upload(one_by_one, source))
  end
end) * COUNT / SAMPLE

client:close()
server:stop()
print(("%d files of %d bytes, %g ms latency"):format(COUNT, SIZE,
  LATENCY * 1000))
print(("upload, one by one   %7.1f s%s"):format(sequential,
  SAMPLE < COUNT and (" (from %d files)"):format(SAMPLE) or ""))
print(("upload_all, %2d at once %5.1f s"):format(CONCURRENCY, all))
print(("ratio                %7.1f"):format(sequential / all))
