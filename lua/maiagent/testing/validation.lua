--- Field checks, with the service's own messages (Django REST Framework).
-- A schema is a text: NAME[!][?]:TYPE[=DEFAULT] ..., where ! is required, ? may
-- be null, and TYPE is one of CHECKS, an enumeration a|b|c, [TYPE] for a list,
-- or {}, a reference {id}; {KIND} where there has to be such a record.
local json = require "maiagent.testing.json"

local array = json.array
local UUID = "^" .. ("%x"):rep(8) .. "%-" .. (("%x"):rep(4) .. "%-"):rep(3)
  .. ("%x"):rep(12) .. "$"

--- The other form of a name that the service takes: pageSize, page_size.
local function snake(name)
  return (name:gsub("%u", function(letter) return "_" .. letter:lower() end))
end

-- "string", "number", "boolean", "array", "object" or "null".
local function json_type(value)
  return type(value) ~= "table" and type(value)
    or getmetatable(value).__jsontype or "null"
end

-- Pairs of what is wrong with a value and of the test that tells otherwise.
local function is(kind, problem)
  return { problem, function(value) return json_type(value) == kind end }
end

local function within(low, high)
  return { ("Ensure this value is between %s and %s."):format(low, high),
    function(value) return value >= low and value <= high end }
end

local function is_uuid(value)
  return tostring(value):find(UUID)
end

local STRING, NUMBER = is("string", "Not a valid string."),
  is("number", "A valid number is required.")
local FILLED = { "This field may not be blank.",
  function(value) return value:find("%S") end }
local SHORT = { "Ensure this field has no more than 255 characters.",
  function(value) return #value:gsub("[\128-\191]", "") <= 255 end }
local WHOLE = { "A valid integer is required.",
  function(value) return type(value) == "number" and value % 1 == 0 end }

-- type -> its tests, one after the other
local CHECKS = {
  any = {},
  string = { STRING },
  text = { STRING, FILLED },
  name = { STRING, FILLED, SHORT },
  natural = { WHOLE, within(0, math.huge) },
  count = { WHOLE, within(1, math.huge) },
  ratio = { NUMBER, within(0, 1) },
  boolean = { is("boolean", "Must be a valid boolean.") },
  object = { is("object", "Expected a dictionary of items.") },
  uuid = { { "“%s” is not a valid UUID.", is_uuid } },
  id = { { "Must be a valid UUID.", is_uuid } }, -- where it is no reference
}

local function choice(choices)
  return { { '"%s" is not a valid choice.', function(value)
    return ("|" .. choices .. "|"):find("|" .. tostring(value) .. "|", 1, true)
  end } }
end

local function simple_check(tests)
  return function(value)
    for _, test in ipairs(tests) do
      if not test[2](value) then
        return nil, test[1]:format(tostring(value))
      end
    end
    return value
  end
end

local function reference_check(kind)
  return function(value, call)
    local id = json_type(value) == "object" and value.id
    local record = kind ~= "" and call:referred(kind, id)
    if record or is_uuid(id) and kind == "" then
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
    or simple_check(CHECKS[kind] or choice(kind))
end

--- Reads a schema text into a list of fields, which also has them by name.
local function schema(text)
  local fields = {}
  for name, required, nullable, kind, default in
    text:gmatch("(%w+)(!?)(%??):([^=%s]+)=?(%S*)") do
    local value = json.read(default)
    if value == nil then
      value = default ~= "" and default or nullable == "?" and json.null or nil
    end
    local field = { name = name, required = required == "!",
      nullable = nullable == "?", check = check_of(kind),
      refers = kind:find("{", 1, true) ~= nil, default = value }
    table.insert(fields, field)
    fields[name], fields[snake(name)] = field, field
  end
  return fields
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
  local clean, errors, values = {}, {}, {}
  for name, value in pairs(data) do
    if fields[name] then
      values[fields[name]] = value
    else
      call:violation("unknown body field " .. name)
    end
  end
  for _, field in ipairs(fields) do
    local value = values[field]
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
