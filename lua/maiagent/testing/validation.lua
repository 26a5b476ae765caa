--- Field checks, with the service's own messages (Django REST Framework).
-- A schema is a text: NAME[!][?]:TYPE[=DEFAULT] ..., where ! is required, ? may
-- be null, and TYPE is one of CHECKS, an enumeration a|b|c, [TYPE] for a list,
-- or {}, a reference {id}; {KIND} where there has to be such a record.
local json = require "maiagent.testing.json"

local array = json.array
local UUID = "^" .. ("%x"):rep(8) .. "%-" .. (("%x"):rep(4) .. "%-"):rep(3)
  .. ("%x"):rep(12) .. "$"

-- name -> check(value, call), which returns the value, or nil and what is wrong
local CHECKS = {}

--- The other form of a name that the service takes: pageSize, page_size.
local function snake(name)
  return (name:gsub("%u", function(letter) return "_" .. letter:lower() end))
end

-- "string", "number", "boolean", "array", "object" or "null".
local function json_type(value)
  return type(value) ~= "table" and type(value)
    or getmetatable(value).__jsontype or "null"
end

local function text_check(longest)
  return function(value)
    if type(value) ~= "string" then
      return nil, "Not a valid string."
    elseif longest and not value:find("%S") then
      return nil, "This field may not be blank."
    elseif longest and #value:gsub("[\128-\191]", "") > longest then
      return nil, ("Ensure this field has no more than %d characters."):format(
        longest)
    end
    return value
  end
end

local function number_check(kind, low, high)
  return function(value)
    if type(value) ~= "number" or kind == "integer" and value % 1 ~= 0 then
      return nil, "A valid " .. kind .. " is required."
    elseif value < low then
      return nil, "Ensure this value is greater than or equal to " .. low .. "."
    elseif value > high then
      return nil, "Ensure this value is less than or equal to " .. high .. "."
    end
    return value
  end
end

local function type_check(expected, problem)
  return function(value)
    if json_type(value) == expected then
      return value
    end
    return nil, problem
  end
end

local function uuid_check(problem)
  return function(value)
    if tostring(value):find(UUID) then
      return value:lower()
    end
    return nil, problem:format(tostring(value))
  end
end

CHECKS.string, CHECKS.name = text_check(), text_check(255)
CHECKS.text = text_check(math.huge)
CHECKS.natural = number_check("integer", 0, math.huge)
CHECKS.count = number_check("integer", 1, math.huge)
CHECKS.ratio = number_check("number", 0, 1)
CHECKS.boolean = type_check("boolean", "Must be a valid boolean.")
CHECKS.object = type_check("object", "Expected a dictionary of items.")
CHECKS.uuid = uuid_check("“%s” is not a valid UUID.")
CHECKS.id = uuid_check("Must be a valid UUID.") -- for what is no reference

function CHECKS.any(value) return value end

local function choice_check(choices)
  return function(value)
    local text = tostring(value)
    if ("|" .. choices .. "|"):find("|" .. text .. "|", 1, true) then
      return value
    end
    return nil, ('"%s" is not a valid choice.'):format(text)
  end
end

local function reference_check(kind)
  return function(value, call)
    local id = CHECKS.uuid(json_type(value) == "object" and value.id)
    local record = id and kind ~= "" and call:referred(kind, id)
    if record or id and kind == "" then
      return { id = id, record = record }
    end
    return nil, { id = array({ ('Invalid pk "%s" - object does not exist.')
      :format(id or json.encode(value)) }) }
  end
end

-- Messages as they are answered: a list, even if it is one.
local function listed(problem)
  return type(problem) == "string" and array({ problem }) or problem
end

-- The errors of item n stand at place n.
local function list_check(check_item)
  return function(value, call)
    if json_type(value) ~= "array" then
      return nil, "Expected a list of items."
    end
    local clean, errors, failed = array(), array(), false
    for place, item in ipairs(value) do
      local good, bad = check_item(item, call)
      clean[place], failed = good, failed or good == nil
      errors[place] = good == nil and listed(bad) or json.object()
    end
    return not failed and clean or nil, errors
  end
end

local function check_of(kind)
  local item, referred = kind:match("^%[(.*)%]$"), kind:match("^{(.*)}$")
  return item and list_check(check_of(item))
    or referred and reference_check(referred)
    or CHECKS[kind] or choice_check(kind)
end

--- Reads a schema text into a list of fields.
local function schema(text)
  local fields = {}
  for name, required, nullable, kind, default in
    text:gmatch("(%w+)(!?)(%??):([^=%s]+)=?(%S*)") do
    local value = json.read(default)
    fields[#fields + 1] = { name = name, required = required == "!",
      nullable = nullable == "?", check = check_of(kind),
      refers = kind:find("{", 1, true) ~= nil,
      default = value == nil and default ~= "" and default or value }
  end
  return fields
end

local function report_unknown(fields, data, call)
  local known = {}
  for _, field in ipairs(fields) do
    known[field.name], known[snake(field.name)] = true, true
  end
  for name in pairs(data) do
    if not known[name] then
      call:violation("unknown body field " .. tostring(name))
    end
  end
end

local function check_field(field, value, call, partial)
  if value == nil then
    return nil, field.required and not partial and "This field is required."
  elseif value == json.null then
    return field.nullable and value or nil, "This field may not be null."
  end
  return field.check(value, call)
end

--- The known fields of an object, checked; or nil and field -> what is wrong.
-- call is that of the request; partial: nothing is required.
local function check(fields, data, call, partial)
  if json_type(data) ~= "object" then
    return nil, { nonFieldErrors = array({
      "Invalid data. Expected a dictionary, but got " .. json_type(data) .. "."
    }) }
  end
  report_unknown(fields, data, call)
  local clean, errors = {}, {}
  for _, field in ipairs(fields) do
    local value = data[field.name]
    if value == nil then
      value = data[snake(field.name)]
    end
    local good, bad = check_field(field, value, call, partial)
    clean[field.name], errors[field.name] = good, good == nil and listed(bad)
      or nil
  end
  return not next(errors) and clean or nil, errors
end

--- A check of lists whose items are objects with these fields.
local function list_of(fields)
  return list_check(function(item, call) return check(fields, item, call) end)
end

return { check = check, list_of = list_of, schema = schema, snake = snake }
