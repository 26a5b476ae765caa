--- What the benchmarks share: commands run in turns, their medians, a table.

local payload = require("payload")

local bench = {}

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

bench.quoted = quoted

--- The output of a shell command, without its last line end.
function bench.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("\n$", ""))
end

--- Whether a shell command succeeds.
function bench.works(command)
  local result = os.execute(command .. " >/dev/null 2>&1")
  return result == true or result == 0
end

--- The interpreter that runs this, as it was called.
function bench.interpreter()
  local place = 0
  while arg[place - 1] do
    place = place - 1
  end
  return arg[place]
end

--- A number from the environment, or the one given.
function bench.setting(name, default)
  return tonumber(os.getenv(name) or "") or default
end

--- An amount of work: the one given, times BENCH_SIZE (1), at least 1.
function bench.amount(full)
  return math.max(1, math.floor(full * bench.setting("BENCH_SIZE", 1)))
end

--- How often each program is run.
bench.rounds = bench.setting("BENCH_ROUNDS", 9)

--- Makes an empty folder; on a memory file system where there is one, so that
-- a disk is not what is measured.
function bench.folder()
  local base = bench.works("test -w /dev/shm") and "/dev/shm" or "/tmp"
  local path = bench.output_of("mktemp -d " .. base .. "/bench.XXXXXX")
  assert(path ~= "", "mktemp gave nothing")
  return path
end

--- Compiles a C program into a folder.
-- @treturn string the command that runs it
function bench.compile(source, folder, libraries)
  local program = folder .. "/" .. source:match("([^/]*)%.c$")
  assert(bench.works("cc -O2 -std=c99 -D_GNU_SOURCE -pthread -o "
    .. quoted(program) .. " " .. source .. " " .. (libraries or "")),
    source .. " doesn't build")
  return quoted(program)
end

--- Writes a text into a file of a folder.
-- @treturn string its path
function bench.write(folder, name, text)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

--- Builds and starts the C server; it ends with the pipe.
-- @treturn file the pipe, to be closed at the end
-- @treturn string its base URL
function bench.server(folder)
  local records = {}
  for i = 1, 100 do
    records[i] = payload.record(i)
  end
  local program = bench.compile("tests/bench/server.c", folder) .. " "
    .. quoted(bench.write(folder, "records", table.concat(records, "\n")))
  local told = folder .. "/port"
  local pipe = assert(io.popen(program .. " >" .. quoted(told), "w"))
  local port
  repeat
    local file = io.open(told)
    port = file and file:read("*n")
    if file then
      file:close()
    end
  until port
  return pipe, "http://127.0.0.1:" .. math.floor(port)
end

--- Runs fn(folder) and removes the folder, whatever happens.
function bench.in_folder(fn)
  local folder = bench.folder()
  local ok, problem = pcall(fn, folder)
  os.execute("rm -rf " .. quoted(folder))
  if not ok then
    error(problem, 0)
  end
end

--- Runs fn(base, folder) beside the C server.
function bench.with_server(fn)
  bench.in_folder(function(folder)
    local pipe, base = bench.server(folder)
    local ok, problem = pcall(fn, base, folder)
    pipe:close()
    if not ok then
      error(problem, 0)
    end
  end)
end

local meters = {} -- folder → the command that measures another

local function meter(folder)
  meters[folder] = meters[folder]
    or bench.compile("tests/bench/measure.c", folder)
  return meters[folder]
end

-- { wall, cpu (seconds), memory (MiB) } of a command, from its start to its
-- end, as often as the subject says.
local function timed(subject, folder)
  local report = folder .. "/measured"
  local ok = os.execute(("%s %s %d %s >/dev/null"):format(meter(folder),
    bench.quoted(report), subject.times or 1, subject.command))
  assert(ok == true or ok == 0, "failed: " .. subject.command)
  local file = assert(io.open(report))
  local wall, cpu, peak = file:read("*n", "*n", "*n")
  file:close()
  return { wall = wall, cpu = cpu, memory = peak / 1024 }
end

-- The same of a command that measures itself, without its start, and prints
-- wall and CPU seconds and its VmHWM in KiB.
local function told(subject)
  local text = bench.output_of(subject.command)
  local wall, cpu, peak = text:match("([%d.e-]+)%s+([%d.e-]+)%s+(%d+)%s*$")
  assert(peak, "failed: " .. subject.command .. "\n" .. text)
  return { wall = tonumber(wall), cpu = tonumber(cpu), memory = peak / 1024 }
end

--- The one in the middle; sorts the list.
local function median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

bench.median = median

local MEASURES = { "wall", "cpu", "memory" }

local function new_samples()
  local samples = { ratio = {} }
  for _, name in ipairs(MEASURES) do
    samples[name], samples.ratio[name] = {}, {}
  end
  return samples
end

local function add(samples, sample, first)
  for _, name in ipairs(MEASURES) do
    local list, ratios = samples[name], samples.ratio[name]
    list[#list + 1] = sample[name]
    ratios[#ratios + 1] = sample[name] / first[name]
  end
end

local function medians(name, samples)
  local result = { name = name, ratio = {} }
  for _, measure in ipairs(MEASURES) do
    result[measure] = median(samples[measure])
    result.ratio[measure] = median(samples.ratio[measure])
  end
  return result
end

-- The subjects that are installed; a line for each that isn't.
local function present(subjects)
  local list = {}
  for _, subject in ipairs(subjects) do
    if not subject.needs or bench.works(subject.needs) then
      list[#list + 1] = subject
    else
      print("  left out, not installed: " .. subject.name)
    end
  end
  return list
end

--- Runs commands in turns, so that what else the machine does meets all alike.
-- @tparam table subjects a list of { name, command, needs (a command that
--   fails where it isn't installed), tells (whether it measures itself), times
--   (how often one that doesn't is run in a round; 1) }
-- @tparam integer rounds how often each; the first of all is thrown away
-- @tparam string folder for what is written meanwhile
-- @treturn table a list of { name, wall, cpu, memory, ratio = { the same, to
--   the first subject's of the same round } }: medians
function bench.compare(subjects, rounds, folder)
  subjects = present(subjects)
  local all = {}
  for place in ipairs(subjects) do
    all[place] = new_samples()
  end
  for round = rounds > 1 and 0 or 1, rounds do
    local first
    for place, subject in ipairs(subjects) do
      local sample = (subject.tells and told or timed)(subject, folder)
      first = first or sample
      if round > 0 then
        add(all[place], sample, first)
      end
    end
  end
  local results = {}
  for place, subject in ipairs(subjects) do
    results[place] = medians(subject.name, all[place])
  end
  return results
end

--- Prints results, each beside the first of them.
-- @tparam string title
-- @tparam table results of `compare`
-- @tparam number amount done per run
-- @tparam string unit of the amount
function bench.print(title, results, amount, unit)
  print(("%s (%d rounds)"):format(title, bench.rounds))
  print(("  %-28s %10s %7s %10s %7s %9s"):format("", unit .. "/s", "speed",
    "CPU ms", "CPU", "peak MiB"))
  for _, result in ipairs(results) do
    print(("  %-28s %10.0f %6.2fx %10.1f %6.2fx %9.1f"):format(result.name,
      amount / result.wall, 1 / result.ratio.wall, result.cpu * 1000,
      result.ratio.cpu, result.memory))
  end
end

return bench
