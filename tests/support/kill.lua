-- What becomes of a synchronisation that is killed, and of one whose
-- connections drop: kill.lua [SEED] [FILES] [KILLS]
--
-- A folder of FILES (500) is brought into a knowledge base of a stand-in by
-- processes that are ended with kill -9 at KILLS (20) random moments, while the
-- folder changes between them. In the end every file has to be there exactly
-- once, byte for byte. Then the same with a server that drops one connection in
-- ten, and no kills. Ends with "N passed, N failed".

local child = require("tests.support.child")
local maiagent = require("maiagent")
local socket = require("socket")
local testing = require("maiagent.testing")
local read = require("tests.support.files").read

local CHILD = [[
local maiagent = require("maiagent")
local client = maiagent.new({ api_key = arg[1], base_url = arg[2] })
local summary = maiagent.assert(client.knowledge_bases:sync(arg[3], arg[4],
  { delete = true }))
print(summary)
for _, item in ipairs(summary.failed) do
  print(item.name .. ": " .. item.reason)
end
local status = io.open("/proc/self/status")
if arg[5] and status then
  print(status:read("*a"):match("VmHWM:%s*(%d+)") .. " KiB at most")
end
]]

local LONGEST_RUN = 0.45 -- seconds until a kill
local LATENCY = 0.015 -- seconds, of each answer
local ROUNDS = 20 -- until nothing fails
local LARGE = 2 ^ 31 + 1 -- bytes
local MOST_MEMORY = 30 * 1024 -- KiB

local seed = tonumber(arg[1] or "") or os.time()
local count = tonumber(arg[2] or 500)
local kills = tonumber(arg[3] or 20)

local passed, failed = 0, 0
local function check(ok, what)
  if ok then
    passed = passed + 1
  else
    failed = failed + 1
  end
  print((ok and "ok    " or "FAIL  ") .. what)
end

local function write(folder, name, content)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(content)
  file:close()
end

local function random_content()
  local size = math.random(0, 3) == 0 and math.random(0, 60000)
    or math.random(1, 600)
  local words = {}
  for i = 1, math.ceil(size / 8) do
    words[i] = ("%08x"):format(math.random(0, 2 ^ 31 - 1))
  end
  return table.concat(words):sub(1, size)
end

-- name → content, in the folder and in the table.
local function fill(folder)
  local tree = {}
  assert(child.run(folder, "mkdir -p manuals/deep 手冊") == 0)
  local places = { "", "manuals/", "manuals/deep/", "手冊/" }
  for i = 1, count do
    local name = places[i % #places + 1] .. ("file %03d.txt"):format(i)
    tree[name] = random_content()
  end
  for _, name in ipairs({ "常見問題.txt", "價目表.csv", "手冊/說明.md" }) do
    tree[name] = random_content()
  end
  tree["empty.txt"] = ""
  for name, content in pairs(tree) do
    write(folder, name, content)
  end
  return tree
end

local function names_of(tree)
  local names = {}
  for name in pairs(tree) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- What a person does meanwhile: some files changed, one gone, one new.
local function change(folder, tree, round)
  local names = names_of(tree)
  for _ = 1, 5 do
    local name = names[math.random(#names)]
    tree[name] = random_content()
    write(folder, name, tree[name])
  end
  local gone = names[math.random(#names)]
  os.remove(folder .. "/" .. gone)
  tree[gone] = nil
  local new = "new " .. round .. ".txt"
  tree[new] = random_content()
  write(folder, new, tree[new])
end

-- A synchronisation in a process of its own, killed after so many seconds.
local function run(place, seconds, memory)
  local server = place.server
  local command = child.command({}, place.script,
    { server.api_key, server.base_url, place.kb, place.folder,
      memory and "memory" })
  local pipe = assert(io.popen("exec 2>/dev/null; " .. command
    .. " 2>&1 & p=$!; echo $p; wait $p; echo \"exit $?\""))
  local pid = assert(tonumber(pipe:read("*l")))
  if seconds then
    socket.sleep(seconds)
    os.execute("kill -9 " .. pid .. " 2>/dev/null")
  end
  local output = pipe:read("*a")
  pipe:close()
  return output
end

-- How the knowledge base differs from the folder; nil where it does not.
local function difference(client, kb, tree, scratch)
  local files, seen = client.knowledge_bases.files, {}
  local total = 0
  for file in files:each(kb, { pageSize = 100 }) do
    local name = file.filename
    total = total + 1
    if seen[name] then
      return name .. " is there twice"
    elseif not tree[name] then
      return name .. " should not be there"
    end
    seen[name] = true
    local path = maiagent.assert(client:download(file.file, scratch .. "/x"))
    local content = read(path)
    os.remove(path)
    if content ~= tree[name] then
      return name .. " has other bytes"
    end
  end
  for name in pairs(tree) do
    if not seen[name] then
      return name .. " is missing"
    end
  end
  return nil, total
end

local function knowledge_base(client)
  return maiagent.assert(client.knowledge_bases:create({
    name = "Killed",
    embeddingModel = maiagent.assert(client.embedding_models:list())[1].id,
    rerankerModel = maiagent.assert(client.reranker_models:list())[1].id,
  })).id
end

local function last_line(output)
  return output:match("([^\n]*)\nexit %d+\n$") or output
end

-- Runs until nothing fails; how often that took.
local function finish(place)
  for round = 1, ROUNDS do
    local output = run(place)
    if output:find(" 0 failed", 1, true) then
      return round, output
    end
    print("      again: " .. last_line(output))
  end
end

local function conclude(place, what)
  local rounds, output = finish(place)
  check(rounds, what .. ": a run without failures, the " .. tostring(rounds)
    .. ".: " .. last_line(output or "none"))
  place.server:faults_clear()
  local wrong, total =
    difference(place.client, place.kb, place.tree, place.scratch)
  check(not wrong, what .. ": " .. (wrong or ("all %d files are there once, "
    .. "byte for byte"):format(total)))
  local idle = run(place)
  check(idle:find("^0 uploaded, 0 replaced, 0 registered, 0 deleted, "
    .. #names_of(place.tree) .. " kept, 0 failed, 0 skipped"), what
    .. ": nothing is left to do: " .. last_line(idle))
end

-- One that no memory holds; it is sparse, so no disk has to, either.
local function large(place)
  child.run(place.folder, "rm -r *; truncate -s " .. ("%d"):format(LARGE)
    .. " large.bin")
  local output = run(place, nil, true)
  check(output:find("^1 uploaded"), "large: " .. last_line(output))
  local list = maiagent.assert(
    place.client.knowledge_bases.files:all(place.kb))
  check(#list == 1 and list[1].size == LARGE, "large: it is there")
  local most = tonumber(output:match("(%d+) KiB at most"))
  check(not most or most < MOST_MEMORY, "large: " .. tostring(most)
    .. " KiB of memory")
end

local function in_place(fn)
  local server = testing.spawn({ processing_time = 0.1 })
  local client = maiagent.new({ api_key = server.api_key,
    base_url = server.base_url })
  local folder, scratch = child.folder(), child.folder()
  write(scratch, "sync.lua", CHILD)
  local place = { server = server, client = client, folder = folder,
    scratch = scratch, script = scratch .. "/sync.lua",
    kb = knowledge_base(client), tree = fill(folder) }
  local ok, problem = pcall(fn, place)
  client:close()
  server:stop()
  child.remove(folder)
  child.remove(scratch)
  check(ok, ok and "cleaned up" or tostring(problem))
end

print("seed " .. seed .. ", " .. count .. " files, " .. kills .. " kills")
math.randomseed(seed)

in_place(function(place)
  place.server:fault({ kind = "delay", seconds = LATENCY, times = 1e9 })
  for round = 1, kills do
    local seconds = 0.03 + math.random() * LONGEST_RUN
    local output = run(place, seconds)
    local files = maiagent.assert(place.client.knowledge_bases.files:list(
      place.kb, { pageSize = 1 }))
    print(("      kill %2d after %.3f s: %s, %d files there"):format(round,
      seconds, output:find("exit 137") and "killed" or "it was done",
      files.count))
    change(place.folder, place.tree, round)
  end
  conclude(place, "killed")
end)

in_place(function(place)
  place.server:fault({ kind = "reset", chance = 0.05, seed = seed % 1000 + 1 })
  place.server:fault({ kind = "cut", reset = true, chance = 0.05,
    seed = seed % 1000 + 2 })
  conclude(place, "connections drop")
end)

in_place(large)

print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)
