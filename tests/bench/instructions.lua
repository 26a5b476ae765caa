-- The instructions of a call with the decoding of its answer, beside those of
-- the same call by bare libcurl and of the decoder alone: what everything in
-- between costs. callgrind (of valgrind) counts them, whatever else the machine
-- does.
--
-- Of each program two runs are counted, one longer than the other: the
-- difference leaves out how it starts. There are 3 rounds of that, because Lua
-- hashes strings anew in each process.

package.path = "tests/bench/?.lua;./?.lua;" .. package.path

local bench = require("bench")

local RECORDS = 22 -- 30 KB of JSON

local FEW = bench.amount(20)
local MANY = FEW + bench.amount(100)
local ROUNDS = math.min(3, bench.rounds)

-- glibc copies and clears blocks of 2 KiB and more by one instruction ("rep
-- movsb", "rep stosb"), which callgrind counts once for each byte. Told not to,
-- it takes one instruction for 32 bytes, and that is what is counted.
local IN_VECTORS = "GLIBC_TUNABLES="
  .. "glibc.cpu.x86_rep_movsb_threshold=100000000:"
  .. "glibc.cpu.x86_rep_stosb_threshold=100000000"

local function started(settings, command)
  return assert(io.popen(("LUA_PATH=%s %s valgrind --tool=callgrind "
    .. "--callgrind-out-file=/dev/null %s 2>&1 >/dev/null"):format(
    bench.quoted(package.path), settings, command)))
end

local function total(pipe)
  local text = pipe:read("*a")
  pipe:close()
  local count = text:match("Collected : (%d+)")
  return tonumber((assert(count, "nothing was counted:\n" .. text)))
end

-- Of one time of what the command does as often as its %d says. Both runs go
-- on together: that changes no count.
local function instructions(settings, command)
  local many = started(settings, command:format(MANY))
  local few = started(settings, command:format(FEW))
  return (total(many) - total(few)) / (MANY - FEW)
end

-- The commands: a call of ours, one of bare libcurl, the decoder alone.
local function programs(base, folder)
  local lua = bench.quoted(bench.interpreter())
  local limit = bench.compile("tests/bench/limit.c", folder, "-lcurl")
  local list = ("%s/pages/%d/%d/0/"):format(base, RECORDS, RECORDS)
  local page = folder .. "/page"
  assert(bench.works(("curl -sf -o %s %schatbots/"):format(page, list)))
  return {
    lua .. " tests/bench/peers/ours.lua get " .. list .. " %d 1",
    limit .. " " .. list .. "chatbots/ %d 1",
    lua .. " tests/bench/json_one.lua maiagent decode " .. page .. " 0 %d",
  }
end

local function show(name, settings, commands)
  local counts, ratios = { {}, {}, {} }, {}
  for round = 1, ROUNDS do
    for place, command in ipairs(commands) do
      counts[place][round] = instructions(settings, command)
    end
    ratios[round] = counts[1][round] / (counts[2][round] + counts[3][round])
  end
  print(("  %-28s %9.0f %9.0f %9.0f %7.3fx  (%.3f to %.3f)"):format(name,
    bench.median(counts[1]), bench.median(counts[2]), bench.median(counts[3]),
    bench.median(ratios), ratios[1], ratios[#ratios]))
end

if not bench.works("valgrind --version") then
  print("left out: instructions (needs valgrind)")
  return
end
bench.with_server(function(base, folder)
  local commands = programs(base, folder)
  print(("instructions of a call of 30 KB, of %d calls (%d rounds)"):format(
    MANY - FEW, ROUNDS))
  print(("  %-28s %9s %9s %9s %8s"):format("", "maiagent", "C/libcurl",
    "decoder", "to both"))
  show("as it is", "", commands)
  show("large blocks by vectors", IN_VECTORS, commands)
end)
