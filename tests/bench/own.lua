--- What a Lua program of the benchmarks measures of itself.

local own = {}

--- Seconds of a clock that only runs forward.
function own.now()
  return require("maiagent.core").now()
end

--- The most memory that this process had, in KiB.
function own.peak()
  for line in io.lines("/proc/self/status") do
    local kibibytes = line:match("^VmHWM:%s*(%d+)")
    if kibibytes then
      return tonumber(kibibytes)
    end
  end
end

--- Runs fn and prints its wall and CPU seconds and the VmHWM; divided by the
-- number that fn returns, if it does.
function own.measure(fn)
  local wall, cpu = own.now(), os.clock()
  local count = fn() or 1
  wall, cpu = own.now() - wall, os.clock() - cpu
  print(("%.9f %.9f %d"):format(wall / count, cpu / count, own.peak()))
end

return own
