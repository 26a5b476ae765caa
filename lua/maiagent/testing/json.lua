--- JSON for the stand-in: by dkjson, so that it can judge maiagent's own.
local dkjson = require "dkjson"

local null = dkjson.null

--- Marks a table (a new one by default) so that it is encoded as an array.
local function array(list)
  return setmetatable(list or {}, { __jsontype = "array" })
end

--- Marks a table so that it is encoded as an object, be it empty.
local function object(fields)
  return setmetatable(fields or {}, { __jsontype = "object" })
end

local function is_array(value)
  local mark = (getmetatable(value) or {}).__jsontype
  return mark == "array" or not mark and (#value > 0 or not next(value))
end

--- The JSON text of a value. dkjson alone would make an array of {n = 2}, and
-- null of an infinity, which a fault's `times` may be.
local function encode(value)
  if value == math.huge then
    return "1e999"
  elseif type(value) ~= "table" or value == null then
    return dkjson.encode(value)
  end
  local parts = {}
  if is_array(value) then
    for place, item in ipairs(value) do
      parts[place] = encode(item)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, item in pairs(value) do
    parts[#parts + 1] = dkjson.quotestring(name) .. ":" .. encode(item)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function is_utf8(text)
  local rest = text:gsub("[\194-\223][\128-\191]", "")
    :gsub("[\224-\239][\128-\191][\128-\191]", "")
    :gsub("[\240-\244][\128-\191][\128-\191][\128-\191]", "")
  return not rest:find("[\128-\255]")
end

--- The value of a JSON text, or nil and what is wrong with it.
local function decode(text)
  local value, last, problem = dkjson.decode(text, 1, null)
  if value == nil then
    return nil, problem
  elseif text:find("%S", last) or not is_utf8(text) then
    return nil, "Expecting one value, in UTF-8"
  end
  return value
end

return { array = array, decode = decode, encode = encode, null = null,
  object = object, read = dkjson.decode }
