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

return files
