--- Bytes that arrive piece by piece: a string or, above a megabyte, a file that
-- has no name, so that it goes with the process, however that ends.

local KEPT = 2 ^ 20

local Content = { __name = "maiagent.testing.content" }
local content_index = {}
Content.__index = content_index

--- No bytes yet.
local function new()
  return setmetatable({ size = 0, pieces = {} }, Content)
end

--- Adds bytes at the end.
function content_index:add(data)
  self.size = self.size + #data
  if self.pieces then
    table.insert(self.pieces, data)
  end
  if self.pieces and self.size > KEPT then
    self.file = assert(io.tmpfile())
    self.file:setvbuf("no")
    data, self.pieces = table.concat(self.pieces), nil
  end
  if self.file then
    assert(self.file:write(data))
  end
end

--- What was added: a string, or this object if it is too large for one.
function content_index:done()
  return self.file and self or table.concat(self.pieces)
end

--- The bytes from `first` to `last`, as string.sub gives them.
function content_index:sub(first, last)
  self.file:seek("set", first - 1)
  return self.file:read(math.min(last, self.size) - first + 1) or ""
end

return { new = new }
