--- multipart/form-data, read piece by piece: a part is never held whole.

local function part_head(text)
  local disposition = text:match("[Cc]ontent%-[Dd]isposition:([^\r]*)") or ""
  return { name = disposition:match('; *name="(.-)"'),
    filename = disposition:match('; *filename="(.-)"'),
    type = text:match("[Cc]ontent%-[Tt]ype: *([^\r]*)") }
end

-- Text up to `mark`, given to sink(data) in pieces; returns what follows it.
local function read_until(read, buffer, mark, sink)
  while true do
    local first, last = buffer:find(mark, 1, true)
    if first then
      sink(buffer:sub(1, first - 1))
      return buffer:sub(last + 1)
    end
    local safe = #buffer - #mark + 1
    if safe > 0 then
      sink(buffer:sub(1, safe))
      buffer = buffer:sub(safe + 1)
    end
    local data = read()
    if not data then
      return nil
    end
    buffer = buffer .. data
  end
end

--- Reads a body: read() returns its next piece; on_part{name, filename, type}
-- returns the function that is given that part's pieces. True if it was whole.
local function parse(read, content_type, on_part)
  local boundary = content_type:match('boundary="?([^";]+)"?')
  if not boundary or not content_type:find("^multipart/form%-data") then
    return false
  end
  local mark, sink = "\r\n--" .. boundary, function() end
  local buffer = "\r\n"
  while true do
    buffer = read_until(read, buffer, mark, sink)
    local head = ""
    buffer = buffer and read_until(read, buffer, "\r\n", function(data)
      head = head .. data
    end)
    if not buffer then
      return head:sub(1, 2) == "--"
    elseif head:sub(1, 2) == "--" then
      return true
    end
    buffer = read_until(read, "\r\n" .. buffer, "\r\n\r\n", function(data)
      head = head .. data
    end)
    if not buffer then
      return false
    end
    sink = on_part(part_head(head))
  end
end

return { parse = parse }
