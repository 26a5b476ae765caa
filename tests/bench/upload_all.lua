-- Many small files against a service that takes its time to answer: one after
-- the other with files:upload, and together with files:upload_all.
--
--   make bench BENCHES=upload_all BENCH_FILES=2000
--
-- Every round uploads BENCH_FILES (200) files both ways, each way into a
-- knowledge base of its own; each answer comes MILLISECONDS (20) late. There
-- are no more than 3 rounds: they are long, and differ little. CONCURRENCY (8)
-- and SIZE (bytes of a file; 1000) are taken from the environment too.

package.path = "tests/bench/?.lua;" .. package.path

local bench = require("bench")
local core = require("maiagent.core")
local maiagent = require("maiagent")
local testing = require("maiagent.testing")

local COUNT = bench.setting("BENCH_FILES", 200)
local ROUNDS = math.min(3, bench.rounds)
local LATENCY = bench.setting("MILLISECONDS", 20) / 1000
local CONCURRENCY = bench.setting("CONCURRENCY", 8)
local SIZE = bench.setting("SIZE", 1000)

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

local function sources()
  local list = {}
  for i = 1, COUNT do
    list[i] = { filename = i .. ".txt", content = ("x"):rep(SIZE) }
  end
  return list
end

local function one_by_one(id)
  for _, source in ipairs(sources()) do
    maiagent.assert(files:upload(id, source))
  end
end

local function together(id)
  local _, failures = files:upload_all(id, sources(), nil,
    { concurrency = CONCURRENCY })
  assert(not failures, "an upload failed")
end

-- Wall and CPU seconds of fn(knowledge base).
local function timed(fn)
  local id = knowledge_base()
  server:fault({ kind = "delay", seconds = LATENCY, times = 1e9 })
  local wall, cpu = core.now(), os.clock()
  fn(id)
  wall, cpu = core.now() - wall, os.clock() - cpu
  server:reset()
  return wall, cpu
end

local walls, cpus, ratios = { {}, {} }, { {}, {} }, {}
for round = 1, ROUNDS do
  for way, fn in ipairs({ one_by_one, together }) do
    walls[way][round], cpus[way][round] = timed(fn)
  end
  ratios[round] = walls[1][round] / walls[2][round]
end
client:close()
server:stop()

local function show(name, way)
  print(("  %-28s %8.2f %8.3f"):format(name, bench.median(walls[way]),
    bench.median(cpus[way])))
end

print(("%d files of %d bytes, each answer %g ms late (%d rounds)"):format(COUNT,
  SIZE, LATENCY * 1000, ROUNDS))
print(("  %-28s %8s %8s"):format("", "wall s", "CPU s"))
show("upload, one by one", 1)
show(("upload_all, %d at once"):format(CONCURRENCY), 2)
print(("  speed: %.1fx"):format(bench.median(ratios)))
