--- What an option's value must be: functions that give nil, or what is wrong
-- with a value. A leaf.

local errors = require("maiagent.errors")

--- A value of a type.
-- @tparam string expected a Lua type
-- @treturn function giving nil, or what is wrong with a value
local function has_type(expected)
  return function(value)
    if type(value) ~= expected then
      return "must be a " .. expected .. ", got " .. type(value)
    end
  end
end

--- A text of one line, for a header or an address.
-- @param value
-- @treturn string|nil what is wrong with it
local function line(value)
  if type(value) ~= "string" then
    return "must be a string, got " .. type(value)
  elseif value:find("[%z\1-\31\127]") then
    return "has a line break, a zero byte or another control character"
  end
end

--- A path of the disk.
-- @param value
-- @treturn string|nil what is wrong with it
local function path(value)
  if type(value) ~= "string" or value == "" then
    return "must be a path, got " .. (value == "" and "''" or type(value))
  elseif value:find("%z") then
    return "must be a path, which has no zero bytes"
  end
end

--- A number of so much or more.
-- @tparam number least
-- @tparam boolean|nil whole whether it must be finite and whole
-- @treturn function
local function number_from(least, whole)
  return function(value)
    local ok = type(value) == "number" and value >= least
      and (not whole or (value < math.huge and value % 1 == 0))
    if not ok then
      return "must be " .. (whole and "a whole number" or "a number") .. " of "
        .. least .. " or more, got " .. errors.shown(value)
    end
  end
end

--- Seconds, more than none.
-- @param value
-- @treturn string|nil what is wrong with it
local function positive(value)
  if type(value) ~= "number" or not (value > 0) then
    return "must be more than 0 seconds, got " .. errors.shown(value)
  end
end

--- One of some values.
-- @treturn function
local function one_of(...)
  local allowed, shown = { ... }, {}
  for i, candidate in ipairs(allowed) do
    shown[i] = type(candidate) == "string" and "'" .. candidate .. "'"
      or tostring(candidate)
  end
  return function(value)
    for _, candidate in ipairs(allowed) do
      if value == candidate then
        return nil
      end
    end
    return "must be " .. table.concat(shown, " or ") .. ", got "
      .. errors.shown(value)
  end
end

--- A table of known parts, each checked alike.
-- @tparam table known a table whose keys are the names
-- @tparam function problem the check of a part
-- @treturn function
local function parts(known, problem)
  return function(value)
    if type(value) ~= "table" then
      return "must be a table, got " .. type(value)
    end
    for name, part in pairs(value) do
      if not known[name] then
        return "has no '" .. tostring(name) .. "'"
          .. errors.instead(name, known)
      end
      local wrong = problem(part)
      if wrong then
        return "." .. name .. " " .. wrong
      end
    end
  end
end

--- A number of seconds, or a table of some.
-- @tparam table known a table whose keys are the names
-- @treturn function
local function seconds(known)
  local check_parts = parts(known, positive)
  return function(value)
    if type(value) == "number" then
      return positive(value)
    elseif type(value) ~= "table" then
      return "must be a number of seconds or a table, got "
        .. errors.shown(value)
    end
    return check_parts(value)
  end
end

--- Another check, or false: nothing of it.
-- @tparam function problem the check
-- @treturn function
local function or_false(problem)
  return function(value)
    if value ~= false then
      return problem(value)
    end
  end
end

--- Headers: a table of names and values.
-- @param value
-- @treturn string|nil what is wrong with it
local function headers(value)
  if type(value) ~= "table" then
    return "must be a table of names and values, got " .. type(value)
  end
  for name in pairs(value) do
    if type(name) ~= "string" then
      return "has the name " .. errors.shown(name) .. ": a header's name is a "
        .. 'string, as in headers = { ["X-Name"] = "value" }'
    end
  end
end

return {
  has_type = has_type,
  headers = headers,
  line = line,
  number_from = number_from,
  one_of = one_of,
  or_false = or_false,
  parts = parts,
  path = path,
  positive = positive,
  seconds = seconds,
}
