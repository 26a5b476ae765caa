--- multipart/form-data, read piece by piece: a large part is never held whole.
local content = require "maiagent.testing.content"

local function part_of(head)
  local disposition = head:match("[Cc]ontent%-[Dd]isposition:([^\r]*)") or ""
  return { name = disposition:match('; *name="(.-)"'),
    filename = disposition:match('; *filename="(.-)"'),
    type = head:match("[Cc]ontent%-[Tt]ype: *([^\r]*)") }
end

-- Gives what comes before `mark` to sink(data); returns what comes after it.
local function read_until(mark, buffer, read, sink)
  while true do
    local first, last = buffer:find(mark, 1, true)
    if first then
      sink(buffer:sub(1, first - 1))
      return buffer:sub(last + 1)
    end
    local safe = math.max(#buffer - #mark + 1, 0)
    sink(buffer:sub(1, safe))
    local data = read()
    if not data then
      return nil
    end
    buffer = buffer:sub(safe + 1) .. data
  end
end

-- Reads a part: its headers, then its content.
local function read_part(buffer, mark, read)
  local head, store = {}, content.new()
  local rest = read_until("\r\n\r\n", buffer, read, function(data)
    head[#head + 1] = data
  end)
  rest = rest and read_until(mark, rest, read, function(data)
    store:add(data)
  end)
  local part = part_of(table.concat(head))
  part.size, part.content = store.size, store:done()
  return part, rest
end

--- The parts of a body, an array of {name, filename, type, size, content}; nil
-- if it is malformed. read() gives the body's next piece, then nil; content is
-- a string or, if large, a file with the sub() of one (see content.lua).
local function parse(read, content_type)
  local boundary =
    content_type:match('^multipart/form%-data.*boundary="?([^";]+)')
  local mark, parts = "\r\n--" .. (boundary or ""), {}
  local rest = boundary and read_until(mark, "\r\n", read, function() end)
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
