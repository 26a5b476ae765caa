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

return pace
