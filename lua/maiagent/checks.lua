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
        .. least .. " or more, got " .. tostring(value)
    end
  end
end

--- Seconds, more than none.
-- @param value
-- @treturn string|nil what is wrong with it
local function positive(value)
  if type(value) ~= "number" or not (value > 0) then
    return "must be more than 0 seconds, got " .. tostring(value)
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
    return "must be " .. table.concat(shown, " or ")
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
          .. errors.did_you_mean(name, known)
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
    if type(value) == "number" and value > 0 then
      return nil
    end
    if type(value) ~= "table" then
      return "must be a number of seconds or a table, got " .. tostring(value)
    end
    return check_parts(value)
  end
end

return {
  has_type = has_type,
  number_from = number_from,
  one_of = one_of,
  parts = parts,
  positive = positive,
  seconds = seconds,
}
