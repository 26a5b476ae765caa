--- Files of the specs and of this repository.

local files = {}

--- All bytes of a file; raises where it cannot be opened.
-- @tparam string path
-- @treturn string
function files.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The bytes of a text, some at a time.
-- @tparam string content
-- @tparam integer size bytes of each piece but the last
-- @treturn function gives the next piece, or nil at the end
function files.pieces(content, size)
  local at = 1
  return function()
    local piece = content:sub(at, at + size - 1)
    at = at + size
    return piece ~= "" and piece or nil
  end
end

return files
