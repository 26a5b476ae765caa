-- Brings a folder into a knowledge base and shows how far it is: a bar on a
-- terminal, plain lines elsewhere. Only what is new or changed is uploaded, so
-- it may be stopped at any moment, and run again.
--
--   MAIAGENT_API_KEY=… lua upload_folder.lua KNOWLEDGE_BASE_ID FOLDER [SHARD]
--
-- SHARD is a part of the work for each of several processes, such as 2/8.
-- Without MAIAGENT_API_KEY it takes the folder `data` beside it to a stand-in
-- of the service, which it starts on this machine.

local maiagent = require("maiagent")
local check = maiagent.assert -- Lua 5.1's own `assert` takes only strings

local HERE = arg[0]:match("^(.*[/\\])") or ""
local WIDTH = 30

-- Lua 5.1 gives the exit code, later ones true.
local tested = os.execute("test -t 2")
local is_terminal = tested == true or tested == 0

local function draw(progress, share)
  local full = math.floor(share * WIDTH)
  io.stderr:write(("\r[%s%s] %d of %d files, %.1f of %.1f MB\27[K"):format(
    ("#"):rep(full), ("."):rep(WIDTH - full), progress.done, progress.total,
    progress.bytes_sent / 1e6, progress.bytes_total / 1e6))
end

local last_tenth = -1
local function write_line(progress, share)
  local tenth = math.floor(share * 10)
  if tenth > last_tenth then
    last_tenth = tenth
    io.stderr:write(("%3d %%: %d of %d files\n"):format(tenth * 10,
      progress.done, progress.total))
  end
end

-- Files and bytes count half each: small files take time, too.
local function on_progress(progress)
  local files = (progress.done + progress.failed) / progress.total
  local bytes = progress.bytes_total > 0
    and progress.bytes_sent / progress.bytes_total or 1
  local show = is_terminal and draw or write_line
  show(progress, (files + bytes) / 2)
end

-- A stand-in has no knowledge base yet.
local function demonstration()
  local server = require("maiagent.testing").spawn({ processing_time = 0.2 })
  local client = maiagent.new({ api_key = server.api_key,
    base_url = server.base_url })
  local kb = check(client.knowledge_bases:create({
    name = "Manuals",
    embeddingModel = check(client.embedding_models:list())[1].id,
    rerankerModel = check(client.reranker_models:list())[1].id,
  }))
  print("MAIAGENT_API_KEY is not set, so this runs on a stand-in of the "
    .. "service:\n" .. server.base_url)
  return client, kb.id, arg[2] or arg[1] or HERE .. "data", server
end

local function connect()
  local key = os.getenv("MAIAGENT_API_KEY")
  if not key or key == "" then
    return demonstration()
  elseif not arg[2] then
    io.stderr:write("usage: lua upload_folder.lua KNOWLEDGE_BASE_ID FOLDER "
      .. "[SHARD]\n")
    os.exit(2)
  end
  return maiagent.new(), arg[1], arg[2]
end

local function show(summary)
  for _, list in ipairs({ "uploaded", "replaced", "registered", "skipped",
    "failed" }) do
    for _, item in ipairs(summary[list]) do
      print(("%-10s %s (%s)"):format(list, item.name, item.reason))
    end
  end
  print(summary)
end

local client, kb_id, folder, server = connect()
local ok, summary, err = pcall(function()
  return client.knowledge_bases:sync(kb_id, folder,
    { on_progress = on_progress, shard = arg[3] })
end)
if is_terminal then
  io.stderr:write("\n")
end
if ok and summary then
  show(summary)
else -- Ctrl-C is an error that is raised: `summary` holds it then
  io.stderr:write(tostring(err or summary), "\nRun it again to go on.\n")
end
client:close()
if server then
  server:stop()
end
os.exit(ok and summary and summary.counts.failed == 0 and 0 or 1)
