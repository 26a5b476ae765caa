--- Field checks, with the service's own messages (Django REST Framework).
-- A schema is a text: NAME[!][?]:TYPE[=DEFAULT] ..., where ! is required, ? may
-- be null, and TYPE is one of CHECKS, an enumeration a|b|c, or refs, ref, an
-- array of {id} or one, refs/COLLECTION where the records must exist.
local json = require "dkjson"
local state = require "maiagent.testing.state"

local null, array = json.null, state.array
local UUID = "^" .. ("%x"):rep(8) .. "%-" .. (("%x"):rep(4) .. "%-"):rep(3)
  .. ("%x"):rep(12) .. "$"
local REQUIRED = "This field is required."
local MAX_NAME = 255
local TYPES = { string = "str", boolean = "bool", array = "list",
  object = "dict" }

local CHECKS = {}

local function snake(name)
  return (name:gsub("%u", function(letter) return "_" .. letter:lower() end))
end

-- The name that the service, written in Python, has for a value's type.
local function python_type(value)
  if value == null then
    return "NoneType"
  elseif type(value) == "number" then
    return value % 1 == 0 and "int" or "float"
  end
  return TYPES[type(value)] or TYPES[getmetatable(value).__jsontype]
end

local function quoted(value)
  return type(value) == "string" and value or json.encode(value)
end

local function is_uuid(value)
  return type(value) == "string" and value:find(UUID) ~= nil
end

local function number_check(problem, low, high, whole)
  return function(value)
    local number = type(value) ~= "boolean" and tonumber(value)
    if not number or whole and number % 1 ~= 0 then
      return nil, problem
    elseif low and number < low then
      return nil, "Ensure this value is greater than or equal to " .. low .. "."
    elseif high and number > high then
      return nil, "Ensure this value is less than or equal to " .. high .. "."
    end
    return whole and math.floor(number) or number
  end
end

local INTEGER = "A valid integer is required."
CHECKS.integer = number_check(INTEGER, nil, nil, true)
CHECKS.natural = number_check(INTEGER, 0, nil, true)
CHECKS.count = number_check(INTEGER, 1, nil, true)
CHECKS.ratio = number_check("A valid number is required.", 0, 1)

function CHECKS.any(value) return value end

function CHECKS.string(value)
  if type(value) == "string" or type(value) == "number" then
    return tostring(value)
  end
  return nil, "Not a valid string."
end

function CHECKS.text(value)
  local text, problem = CHECKS.string(value)
  if text and not text:find("%S") then
    return nil, "This field may not be blank."
  end
  return text, problem
end

-- A text no longer than the service's columns.
function CHECKS.name(value)
  local text, problem = CHECKS.text(value)
  if text and #text:gsub("[\128-\191]", "") > MAX_NAME then
    return nil, "Ensure this field has no more than 255 characters."
  end
  return text, problem
end

function CHECKS.uuid(value)
  if is_uuid(value) then
    return value:lower()
  end
  return nil, "“" .. quoted(value) .. "” is not a valid UUID."
end

-- A plain UUID field (not a reference) words it differently.
function CHECKS.id(value)
  if is_uuid(value) then
    return value:lower()
  end
  return nil, "Must be a valid UUID."
end

function CHECKS.boolean(value)
  if type(value) == "boolean" then
    return value
  end
  return nil, "Must be a valid boolean."
end

function CHECKS.object(value)
  if python_type(value) == "dict" then
    return value
  end
  return nil, 'Expected a dictionary of items but got type "'
    .. python_type(value) .. '".'
end

local function not_a_dictionary(value)
  return { nonFieldErrors = array({ "Invalid data. Expected a dictionary, but "
    .. "got " .. python_type(value) .. "." }) }
end

--- Checks the items of a list; the errors of item n stand at place n.
local function check_list(value, check_item)
  if python_type(value) ~= "list" then
    return nil, 'Expected a list of items but got type "'
      .. python_type(value) .. '".'
  end
  local clean, errors, failed = array(), array(), false
  for place, item in ipairs(value) do
    local good, bad = check_item(item)
    clean[place], errors[place] = good, bad or state.object()
    failed = failed or bad ~= nil
  end
  if failed then
    return nil, errors
  end
  return clean
end

function CHECKS.ids(value)
  return check_list(value, function(item)
    local id, problem = CHECKS.id(item)
    return id, problem and array({ problem })
  end)
end

local function check_ref(value, context, collection)
  if python_type(value) ~= "dict" then
    return nil, not_a_dictionary(value)
  end
  local id, problem, record = nil, REQUIRED, nil
  if value.id ~= nil then
    id, problem = CHECKS.uuid(value.id)
  end
  if id and collection then
    record = context.find(collection, id)
    problem = not record
      and ('Invalid pk "%s" - object does not exist.'):format(id) or nil
  end
  if problem then
    return nil, { id = array({ problem }) }
  end
  return { id = id, record = record }
end

local function check_refs(value, context, collection)
  return check_list(value, function(item)
    return check_ref(item, context, collection)
  end)
end

local function check_choice(value, choices)
  for choice in choices:gmatch("[^|]+") do
    if value == choice then
      return value
    end
  end
  return nil, ('"%s" is not a valid choice.'):format(quoted(value))
end

local function check_of(kind)
  local reference, collection = kind:match("^(refs?)/?(.*)$")
  if not reference then
    return CHECKS[kind] or function(value) return check_choice(value, kind) end
  end
  local check = reference == "refs" and check_refs or check_ref
  return function(value, context)
    return check(value, context, collection ~= "" and collection or nil)
  end, reference
end

local function parse_field(text)
  local name, required, nullable, kind, default =
    text:match("^(%w+)(!?)(%??):([^=]+)=?(.*)$")
  local field = { name = name, snake = snake(name), required = required == "!",
    nullable = nullable == "?" }
  field.check, field.reference = check_of(kind)
  if default ~= "" then
    field.default = json.decode(default)
    if field.default == nil then
      field.default = default
    end
  end
  return field
end

--- Reads a schema text into a list of fields.
local function schema(text)
  local fields = {}
  for word in text:gmatch("%S+") do
    fields[#fields + 1] = parse_field(word)
  end
  return fields
end

local function report_unknown(fields, data, context)
  local known = {}
  for _, field in ipairs(fields) do
    known[field.name], known[field.snake] = true, true
  end
  for name in pairs(data) do
    if not known[name] then
      context.violation("unknown body field " .. tostring(name))
    end
  end
end

local function check_field(field, value, context)
  if value == nil then
    return nil, field.required and not context.partial and REQUIRED or nil
  elseif value ~= null then
    return field.check(value, context)
  elseif field.nullable then
    return null
  end
  return nil, "This field may not be null."
end

--- The known fields of a body, checked; or nil and field -> list of messages.
-- context: partial (PATCH), find(collection, id), violation(text).
local function check(fields, data, context)
  if python_type(data) ~= "dict" then
    return nil, not_a_dictionary(data)
  end
  report_unknown(fields, data, context)
  local clean, errors = {}, {}
  for _, field in ipairs(fields) do
    local value = data[field.name]
    if value == nil then
      value = data[field.snake]
    end
    local good, bad = check_field(field, value, context)
    clean[field.name] = good
    errors[field.name] = type(bad) == "string" and array({ bad }) or bad
  end
  if next(errors) ~= nil then
    return nil, errors
  end
  return clean
end

return { check = check, check_list = check_list, python_type = python_type,
  schema = schema, snake = snake }
