--- How much slower than in `make test` the specs run: SLOWNESS, which `make
-- valgrind` and `make collect` set. A spec about time stretches what it waits
-- for and what it allows by the same factor, so that it says the same.

local pace = {}

--- 1 in `make test`.
pace.slowness = tonumber(os.getenv("SLOWNESS") or 1)

--- What some seconds of `make test` are here.
-- @tparam number seconds
-- @treturn number
function pace.seconds(seconds)
  return seconds * pace.slowness
end

--- Whether collector.lua lets the collector be for now.
pace.is_measured = false

--- Runs a function whose time is measured: a cycle of the collector at each of
-- its allocations would say nothing of the function.
-- @tparam function fn
-- @return what it returns
function pace.measured(fn)
  pace.is_measured = true
  local result = fn()
  pace.is_measured = false
  return result
end

--- Whether upload_all registered in as few requests as it should. A stored file
-- waits a second for others, at any pace: where the specs are slow, one request
-- more may have gone out in each second.
-- @tparam integer count of requests
-- @tparam integer expected in `make test`
-- @tparam number took seconds
-- @treturn boolean
function pace.batched(count, expected, took)
  local more = pace.slowness > 1 and math.floor(took) or 0
  return count >= expected and count <= expected + more
end

return pace
