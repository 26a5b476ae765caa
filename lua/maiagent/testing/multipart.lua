--- multipart/form-data, read piece by piece: a large part is never held whole.

local function part_of(head)
  local disposition = head:match("[Cc]ontent%-[Dd]isposition:([^\r]*)") or ""
  return { name = disposition:match('; *name="(.-)"'), size = 0,
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

-- Reads a part: its headers, then its content, kept if not above `limit`.
local function read_part(buffer, mark, read, limit)
  local head, pieces = {}, {}
  local rest = read_until("\r\n\r\n", buffer, read, function(data)
    head[#head + 1] = data
  end)
  local part = part_of(table.concat(head))
  rest = rest and read_until(mark, rest, read, function(data)
    part.size = part.size + #data
    pieces[#pieces + 1] = part.size <= limit and data or nil
  end)
  part.content = part.size <= limit and table.concat(pieces) or nil
  return part, rest
end

--- The parts of a body, an array of {name, filename, type, size, content}; nil
-- if it is malformed. read() gives the body's next piece, then nil; a content
-- of more than `limit` bytes is forgotten.
local function parse(read, content_type, limit)
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
    parts[#parts + 1], rest = read_part(rest, mark, read, limit)
  end
end

return { parse = parse }
