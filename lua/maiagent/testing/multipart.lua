--- multipart/form-data, read piece by piece: a large part is never held whole.
local content = require "maiagent.testing.content"

local function part_of(head)
  local disposition = head:match("[Cc]ontent%-[Dd]isposition:([^\r]*)") or ""
  return { name = disposition:match('; *name="(.-)"'),
    filename = disposition:match('; *filename="(.-)"'),
    type = head:match("[Cc]ontent%-[Tt]ype: *([^\r]*)") }
end

-- Looks for `mark`: what comes after it, nil if it does not come; and what came
-- before it.
local function read_until(mark, buffer, read)
  local store = content.new()
  while true do
    local first, last = buffer:find(mark, 1, true)
    local safe = first and first - 1 or math.max(#buffer - #mark + 1, 0)
    store:add(buffer:sub(1, safe))
    local data = not first and read()
    if not data then
      return first and buffer:sub(last + 1), store
    end
    buffer = buffer:sub(safe + 1) .. data
  end
end

-- Reads a part: its headers, then its content.
local function read_part(buffer, mark, read)
  local rest, head = read_until("\r\n\r\n", buffer, read)
  local part, after, store = part_of(head:done():sub(1, 65536)),
    read_until(mark, rest or "", read)
  part.size, part.content = store.size, store:done()
  return part, after
end

--- The parts of a body, an array of {name, filename, type, size, content}; nil
-- if it is malformed. read() gives the body's next piece, then nil; content is
-- a string or, if large, a file with the sub() of one (see content.lua).
local function parse(read, content_type)
  local boundary =
    content_type:match('^multipart/form%-data.*boundary="?([^";]+)')
  local mark, parts = "\r\n--" .. (boundary or ""), {}
  local rest = boundary and read_until(mark, "\r\n", read)
  while rest do
    while #rest < 2 do
      rest = rest .. (read() or "  ") -- which ends nothing
    end
    if rest:sub(1, 2) == "--" then
      return parts
    end
    parts[#parts + 1], rest = read_part(rest, mark, read)
  end
end

return { parse = parse }
