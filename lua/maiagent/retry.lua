--- Whether and when to send a request again: pure functions of numbers.
-- A POST or PATCH is repeated only where the server surely did nothing.

local FIRST_DELAY = 0.5 -- seconds
local LONGEST_DELAY = 8 -- seconds, without a Retry-After
local LONGEST_RETRY_AFTER = 120 -- seconds; a longer one ends the call

local IDEMPOTENT = { GET = true, HEAD = true, PUT = true, DELETE = true }

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6,
  Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

-- Days since 1970-01-01 of a proleptic Gregorian date; os.time would read the
-- fields as local time.
local function days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local leaps = math.floor(year / 4) - math.floor(year / 100)
    + math.floor(year / 400)
  local months = math.floor((153 * (month - 3) + 2) / 5)
  return 365 * year + leaps + months + day - 1 - 719468
end

local function http_date(text)
  local day, name, year, hour, minute, second =
    text:match("(%d+)[ -](%a%a%a)[ -](%d+) (%d+):(%d+):(%d+) GMT")
  local month = MONTHS[name]
  if not month then
    return nil
  end
  year = tonumber(year)
  if year < 100 then
    year = year + (year < 70 and 2000 or 1900)
  end
  local minutes = tonumber(hour) * 60 + tonumber(minute)
  return days(year, month, tonumber(day)) * 86400 + minutes * 60
    + tonumber(second)
end

--- Reads a Retry-After header.
-- @tparam string|nil text seconds or an HTTP date
-- @tparam number now seconds since the epoch
-- @treturn number|nil seconds to wait from now; nil if absent or unreadable
local function retry_after(text, now)
  if not text then
    return nil
  end
  if text:match("^%s*%d+%.?%d*%s*$") then
    return tonumber(text)
  end
  local date = http_date(text)
  return date and math.max(0, date - now)
end

local function server_failed(status)
  return status == 408 or status == 429 or status >= 500
end

local function surely_undone(outcome)
  if outcome.status then
    return outcome.status == 429
      or (outcome.status == 503 and outcome.retry_after ~= nil)
  end
  return not outcome.sent
end

local function may_repeat(repeatable, method, outcome)
  if outcome.status and not server_failed(outcome.status) then
    return false
  end
  local kind = outcome.kind
  if not outcome.status and kind ~= "connection" and kind ~= "timeout" then
    return false
  end
  return repeatable or IDEMPOTENT[method] or surely_undone(outcome)
end

--- How long to wait before sending again.
-- @tparam table policy max_retries, random: a function giving 0 ≤ x < 1, and
--   repeatable: whether doing it twice is as good as once, whatever the method
-- @tparam string method the HTTP method
-- @tparam integer attempt how many times it has been sent
-- @tparam table outcome status and retry_after of an answer, or kind and sent
--   (whether a connection was made) of a failure
-- @treturn number|nil seconds; nil: do not repeat
local function delay(policy, method, attempt, outcome)
  if attempt > policy.max_retries
    or not may_repeat(policy.repeatable, method, outcome)
  then
    return nil
  end
  local asked = outcome.retry_after
  if asked then
    return asked <= LONGEST_RETRY_AFTER and asked or nil
  end
  local longest = math.min(FIRST_DELAY * 2 ^ (attempt - 1), LONGEST_DELAY)
  return longest * (0.75 + 0.25 * policy.random())
end

--- Whether the server may have acted although the answer didn't say so: a
-- DELETE repeated after such an outcome that then gets 404 has succeeded.
-- @tparam table outcome as for `delay`
-- @treturn boolean
local function unclear(outcome)
  if outcome.status then
    return outcome.status >= 500 or outcome.status == 408
  end
  return outcome.sent and true or false
end

--- Random numbers of our own: math.random would need seeding, which is the
-- program's affair, and unseeded it gives every process the same jitter.
-- @tparam number seed any number
-- @treturn function giving 0 ≤ x < 1
local function generator(seed)
  local state = math.floor(seed * 1e6) % 2147483646 + 1
  return function()
    state = state * 16807 % 2147483647
    return (state - 1) / 2147483646
  end
end

return {
  delay = delay,
  generator = generator,
  retry_after = retry_after,
  unclear = unclear,
}
