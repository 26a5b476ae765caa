--- Asking again and again until something is so: pure of client and network.

local FIRST_INTERVAL = 1 -- seconds
local LONGEST_INTERVAL = 10
local GROWTH = 1.5

--- Asks until the answer is not nil, or an error, or the time is over.
-- @tparam function check gives a value (over), nil (not yet), or nil and an
--   error
-- @tparam table clock now() and sleep(seconds)
-- @tparam table options timeout (seconds in all), interval (seconds; the first
--   wait, growing to ten times that)
-- @treturn value|nil what check gave; nil when the time is over
-- @treturn table|nil check's error
local function until_known(check, clock, options)
  local deadline = clock.now() + options.timeout
  local interval = options.interval or FIRST_INTERVAL
  local longest = LONGEST_INTERVAL * (interval / FIRST_INTERVAL)
  while true do
    local value, err = check()
    if value ~= nil or err ~= nil then
      return value, err
    end
    local left = deadline - clock.now()
    if left <= 0 then
      return nil
    end
    clock.sleep(math.min(interval, left))
    interval = math.min(interval * GROWTH, longest)
  end
end

return { until_known = until_known }
