-- A value made of any bytes: a text that is read as the same value, or a
-- message that names the place.

local core = require("maiagent.core")
local support = require("support")

local DEEPEST = 20
local value_of

local function array_of(reader, depth)
  local array = core.array({})
  for i = 1, reader:byte() % 8 do
    array[i] = value_of(reader, depth + 1)
  end
  return array
end

local function object_of(reader, depth)
  local object = core.object({})
  for _ = 1, reader:byte() % 8 do
    object[reader:text()] = value_of(reader, depth + 1)
  end
  return object
end

-- Without a mark: an array, an object, or neither.
local function plain_of(reader, depth)
  local plain = {}
  for _ = 1, reader:byte() % 4 do
    local key = reader:byte() % 2 == 0 and #plain + 1 or reader:text()
    plain[key] = value_of(reader, depth + 1)
  end
  return plain
end

local function bytes(reader, count)
  local list = {}
  for i = 1, count do
    list[i] = string.char(reader:byte())
  end
  return table.concat(list)
end

local KINDS = {
  array_of,
  object_of,
  plain_of,
  function(reader) return reader:text() end,
  function(reader) return (string.unpack("<d", bytes(reader, 8))) end,
  function(reader) return (string.unpack("<i8", bytes(reader, 8))) end,
  function(reader) return reader:byte() end,
  function(reader) return reader:byte() % 2 == 0 end,
  function() return core.null end,
}

function value_of(reader, depth)
  if depth > DEEPEST or reader:ended() then
    return "end"
  end
  return KINDS[reader:byte() % #KINDS + 1](reader, depth)
end

-- JSON has one kind of number: a float that is whole is read as an integer as
-- long as floats tell neighbouring integers apart.
local function number_read(value)
  local whole = math.tointeger(value)
  local negative_zero = value == 0 and 1 / value < 0
  local exact = whole and value > -2 ^ 53 and value < 2 ^ 53
  return exact and not negative_zero and whole or value
end

-- The value that comes back: arrays are marked, objects aren't.
local function read(value)
  if math.type(value) == "float" then
    return number_read(value)
  elseif type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, item in pairs(value) do
    copy[key] = read(item)
  end
  local mark = getmetatable(value)
  local is_array = mark and mark.__jsontype == "array"
    or not mark and #value > 0
  return is_array and core.array(copy) or copy
end

return function(input)
  local value = value_of(support.reader(input), 1)
  local text, problem = core.encode(value)
  if not text then
    assert(problem:find("^params"), problem)
    return
  end
  assert(support.is_utf8(text), text)
  local again, unread = core.decode(text, true)
  assert(not unread, unread)
  assert(support.same(read(value), again), text)
end
