--- One clock for the several requests of a flow: each gets what is left.
-- A leaf: the time is a function.

local errors = require("maiagent.errors")

local Deadline = { __name = "maiagent.deadline" }
local methods = {}
Deadline.__index = methods

--- Seconds left.
-- @treturn number math.huge where there is no end
function methods:left()
  return self.ends - self.now()
end

-- The user's own connect and idle, and what is left for a total.
local function timeout_of(self, left)
  local timeout = {}
  for name, value in pairs(type(self.given) == "table" and self.given or {}) do
    timeout[name] = value
  end
  timeout.total = left
  return timeout
end

local function message_of(self)
  return string.format("not done within %g s (timeout.total)", self.total)
end

--- An error of one of the flow's requests. Where the time is over, the user is
-- told the time that was asked for rather than what was left of it.
-- @tparam table|nil err
-- @treturn table|nil err
function methods:explained(err)
  if err and err.kind == "timeout" and not err.status and self:left() <= 0 then
    err.message = message_of(self)
  end
  return err
end

--- The options of the flow's next request.
-- @tparam table options of the flow
-- @treturn table|nil a copy whose timeout is what is left
-- @treturn table|nil error of kind "timeout" where nothing is left
function methods:options(options)
  local left, copy = self:left(), {}
  if left <= 0 then
    return nil, errors.new({ kind = "timeout", message = message_of(self) })
  end
  for name, value in pairs(options) do
    copy[name] = value
  end
  if left < math.huge then
    copy.timeout = timeout_of(self, left)
  end
  return copy
end

--- Starts a clock.
-- @tparam function now gives the time in seconds
-- @tparam number total seconds; math.huge: each request has its own limit
-- @param given the flow's option timeout: nil, a number or a table
-- @treturn table
local function start(now, total, given)
  return setmetatable({
    now = now,
    total = total,
    ends = now() + total,
    given = given,
  }, Deadline)
end

return { start = start }
