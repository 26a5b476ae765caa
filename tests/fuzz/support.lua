--- What several targets need.

local support = {}

--- Takes an input apart: numbers and texts, as long as there are bytes. Texts
-- are cut at a byte that is neither ASCII nor any part of UTF-8, so that a
-- mutation of one does not shift the others.
-- @tparam string input
-- @treturn table with :byte() (0 to 255; 0 at the end) and :text()
function support.reader(input)
  local reader = { at = 1 }
  function reader:byte()
    local byte = input:byte(self.at) or 0
    self.at = self.at + 1
    return byte
  end
  function reader:text()
    local stop = input:find("\255", self.at, true) or #input + 1
    local text = input:sub(self.at, stop - 1)
    self.at = stop + 1
    return text
  end
  function reader:ended()
    return self.at > #input
  end
  return reader
end

local function same_tables(a, b)
  if getmetatable(a) ~= getmetatable(b) then
    return false
  end
  for key, value in pairs(a) do
    if not support.same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

--- Whether two values are the same to the last bit, marks included.
-- @treturn boolean
function support.same(a, b)
  if type(a) == "table" and type(b) == "table" then
    return same_tables(a, b)
  end
  if math.type(a) == "float" and math.type(b) == "float" then
    return string.pack("d", a) == string.pack("d", b)
  end
  return a == b and math.type(a) == math.type(b)
end

--- Undoes %XX.
-- @tparam string text
-- @treturn string
function support.unescaped(text)
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

--- Well-formed by an independent judge: Lua's own, without its leniency.
-- @tparam string text
-- @treturn boolean
function support.is_utf8(text)
  return utf8.len(text) ~= nil
end

return support
