--- What the benchmarks share: commands run in turns, their medians, a table.

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

--- Makes an empty folder; on a memory file system where there is one, so that
-- a disk is not what is measured.
function bench.folder()
  local base = bench.works("test -w /dev/shm") and "/dev/shm" or "/tmp"
  local path = bench.output_of("mktemp -d " .. base .. "/bench.XXXXXX")
  assert(path ~= "", "mktemp gave nothing")
  return path
end

--- Builds and starts the C server; it ends with the pipe.
-- @treturn file the pipe, to be closed at the end
-- @treturn string its base URL
function bench.server(folder)
  local program = folder .. "/server"
  assert(bench.works("cc -O2 -std=c99 -D_GNU_SOURCE -pthread -o "
    .. quoted(program) .. " tests/bench/server.c"), "the server doesn't build")
  local told = folder .. "/port"
  local pipe = assert(io.popen(quoted(program) .. " >" .. quoted(told), "w"))
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

-- { wall, cpu (seconds), memory (MiB) } of one run of a command, by GNU time.
local function measure(command, folder)
  local report = folder .. "/time"
  local ok = os.execute("/usr/bin/time -q -f '%e %U %S %M' -o "
    .. quoted(report) .. " " .. command .. " >/dev/null")
  assert(ok == true or ok == 0, "failed: " .. command)
  local file = assert(io.open(report))
  local wall, user, system, peak = file:read("*n", "*n", "*n", "*n")
  file:close()
  return { wall = wall, cpu = user + system, memory = peak / 1024 }
end

local function median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

--- Runs commands in turns, so that what else the machine does meets all alike.
-- @tparam table subjects a list of { name, command }
-- @tparam integer rounds how often each; the first of all is thrown away
-- @tparam string folder for what is written meanwhile
-- @treturn table a list of { name, wall, cpu, memory }: medians
function bench.compare(subjects, rounds, folder)
  local samples = {}
  for round = 0, rounds do
    for place, subject in ipairs(subjects) do
      local sample = measure(subject.command, folder)
      samples[place] = round > 0 and samples[place]
        or { wall = {}, cpu = {}, memory = {} }
      for name, list in pairs(round > 0 and samples[place] or {}) do
        list[#list + 1] = sample[name]
      end
    end
  end
  local results = {}
  for place, subject in ipairs(subjects) do
    results[place] = { name = subject.name }
    for name, list in pairs(samples[place]) do
      results[place][name] = median(list)
    end
  end
  return results
end

--- Prints results, each beside the first of them.
-- @tparam string title
-- @tparam table results of `compare`
-- @tparam number amount done per run
-- @tparam string unit of the amount
function bench.print(title, results, amount, unit)
  local first = results[1]
  print(title)
  print(("  %-24s %12s %7s %9s %7s %10s"):format("", unit .. "/s", "speed",
    "CPU s", "CPU", "peak MiB"))
  for _, result in ipairs(results) do
    print(("  %-24s %12.0f %6.2fx %9.2f %6.2fx %10.1f"):format(result.name,
      amount / result.wall, first.wall / result.wall, result.cpu,
      result.cpu / first.cpu, result.memory))
  end
end

return bench
