--- What an upload is made of: the source's bytes, and the POST that object
-- storage wants. Nothing here is sent.

local errors = require("maiagent.errors")

local function file_error(message)
  return errors.new({ kind = "file", message = message })
end

local function base_name(path)
  return path:match("([^/]+)/*$") or path
end

-- Asked before it is opened: opening a FIFO waits for whoever writes to it.
local function kind_problem(found)
  if found.kind == "folder" then
    return "Is a directory"
  elseif found.kind ~= "file" then
    return "not a regular file"
  end
end

-- Whether it can be read is known once a byte was. What the system makes up
-- while it is read, as in /proc, has no size.
local function content_problem(path, size)
  local file, problem = io.open(path, "rb")
  if not file then
    return problem
  end
  local byte, unreadable = file:read(1)
  file:close()
  if unreadable then
    return path .. ": " .. unreadable
  elseif byte and size == 0 then
    return path .. ": its size is not known before it is read"
  end
end

local SOURCE_FIELDS = {
  path = true,
  content = true,
  reader = true,
  filename = true,
  size = true,
}

local LARGEST_SIZE = 2 ^ 53 -- bytes; beyond it a number is not exact everywhere
local LONGEST_PATH = 4096 -- bytes; no system opens a longer one
local LONGEST_SHOWN = 80 -- bytes of a name in a message

-- What stands in the place of a path more often than not.
local BYTES = " (for the bytes themselves write { content = …, filename = … })"

local function size_of(path)
  if #path > LONGEST_PATH then
    return nil, file_error(path:sub(1, LONGEST_SHOWN) .. "…: File name too long"
      .. BYTES)
  end
  -- Loaded when it is used: most programs upload no file.
  local found, problem = require("maiagent.disk").stat(path, true)
  if not found then
    return nil, file_error(problem)
  end
  local wrong = kind_problem(found)
  problem = wrong and (path .. ": " .. wrong)
    or content_problem(path, found.size)
  if problem then
    return nil, file_error(problem)
  end
  return found.size
end

local function check_size(called, size)
  local ok = type(size) == "number" and size >= 0 and size < LARGEST_SIZE
    and size % 1 == 0
  if not ok then
    errors.misuse(called .. ".size must be given with reader: how many bytes "
      .. "it gives in all, got " .. errors.shown(size))
  end
end

-- Checks what only the caller can have written wrong.
local function check_source(called, given)
  for name in pairs(given) do
    if not SOURCE_FIELDS[name] then
      errors.misuse(called .. " has no '" .. tostring(name) .. "'"
        .. errors.instead(name, SOURCE_FIELDS))
    end
  end
  local kinds = (type(given.path) == "string" and 1 or 0)
    + (type(given.content) == "string" and 1 or 0)
    + (type(given.reader) == "function" and 1 or 0)
  local named = (given.path ~= nil and 1 or 0)
    + (given.content ~= nil and 1 or 0) + (given.reader ~= nil and 1 or 0)
  if kinds ~= 1 or named ~= 1 then
    errors.misuse(called .. " must have one of path or content, a string, or "
      .. "reader, a function")
  end
  if given.path and (given.path == "" or given.path:find("%z")) then
    errors.misuse(called .. ".path is empty or has a zero byte" .. BYTES)
  end
  if given.reader then
    check_size(called, given.size)
  elseif given.size ~= nil then
    errors.misuse(called .. ".size is for a reader; others are measured")
  end
end

local function name_of(called, given)
  local name = given.filename
  if name ~= nil and type(name) ~= "string" then
    errors.misuse(called .. ".filename must be a string, got " .. type(name))
  elseif name == nil and given.path then
    name = base_name(given.path)
  end
  if name == nil or name == "" then
    errors.misuse(called .. ".filename must be given, and not be empty, with "
      .. "content or reader")
  end
  return name
end

--- Whether a name cannot be written into a header, as an upload does. A tab
-- can.
-- @tparam string name
-- @treturn boolean
local function has_control(name)
  return name:find("[%z\1-\8\10-\31\127]") ~= nil
end

local function refused_name(name, given)
  local shown = name:sub(1, LONGEST_SHOWN):gsub("[%c\127]", function(char)
    return ("\\%d"):format(char:byte())
  end)
  return file_error(('"%s%s": a file\'s name must not have a line break, a '
    .. "zero byte or another control character%s"):format(shown,
    #name > LONGEST_SHOWN and "…" or "",
    given.filename == nil and BYTES or ""))
end

--- What an upload reads, from what the caller gave.
-- @tparam string|table given a path, or { path | content | reader, filename,
--   size }: reader() gives the next bytes, nil at the end, or nil and a
--   message; size is how many bytes it gives in all. While it runs its upload
--   is on the wire: with max_in_flight = 1 a call of the same client in it
--   waits for its own time-out.
-- @tparam string|nil called what a message calls it: the operation, and which
--   of its arguments ("source")
-- @treturn table|nil { path | content | feed, filename, size (bytes) }
-- @treturn table|nil error of kind "file": it cannot be read, or its name has
--   a control character
-- Raises what is wrong with `given`.
local function source(given, called)
  called = called or "source"
  if type(given) == "string" then
    given = { path = given }
  end
  if type(given) ~= "table" then
    errors.misuse(called .. " must be a path or a table with path, content or "
      .. "reader, got " .. type(given))
  end
  check_source(called, given)
  local name = name_of(called, given)
  if has_control(name) then
    return nil, refused_name(name, given)
  end
  if given.reader then
    local size = math.floor(given.size)
    return { feed = given.reader, filename = name, size = size }
  end
  if given.content then
    return { content = given.content, filename = name, size = #given.content }
  end
  local size, err = size_of(given.path)
  if not size then
    return nil, err
  end
  return { path = given.path, filename = name, size = size }
end

-- Storage wants `key` first of all; the order of the others is free, so they
-- are sorted to make the same upload the same bytes.
local function field_parts(fields)
  local names = {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    if (a == "key") ~= (b == "key") then
      return a == "key"
    end
    return a < b
  end)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = { name = name, value = fields[name] }
  end
  return parts
end

--- The multipart part that carries a source's bytes.
-- @tparam string name of the part
-- @tparam table from what `source` gave
-- @tparam string|nil content_type
-- @treturn table
local function file_part(name, from, content_type)
  return {
    name = name,
    path = from.path,
    value = from.content,
    feed = from.feed and true,
    size = from.feed and from.size,
    filename = from.filename,
    type = content_type,
  }
end

--- What counts the file's own bytes where a form's are told: those around the
-- file are not of it.
-- @tparam function|nil on_progress the caller's
-- @tparam table from what `source` gave
-- @treturn function|nil
local function file_progress(on_progress, from)
  return on_progress and function(sent, total)
    local around = math.max(0, total - from.size)
    return on_progress(math.max(0, sent - around), from.size)
  end
end

--- The storage POST that a presigned answer asks for.
-- @param answer decoded
-- @tparam table from what `source` gave
-- @treturn table|nil { url, key, parts }
-- @treturn string|nil what is wrong, where the answer is something else
local function storage_post(answer, from)
  local fields = type(answer) == "table" and answer.fields
  if type(fields) ~= "table" or type(fields.key) ~= "string"
    or type(answer.url) ~= "string"
  then
    return nil, "upload-presigned-url answered without url or fields.key"
  end
  local parts = field_parts(fields)
  parts[#parts + 1] = file_part("file", from)
  return { url = answer.url, key = fields.key, parts = parts }
end

local EXPIRED = { ExpiredToken = true, RequestExpired = true }

--- Whether storage refused because what was presigned is too old by now.
-- @tparam table err
-- @treturn boolean
local function expired(err)
  if err.status ~= 403 and err.status ~= 400 then
    return false
  end
  local told = err.code == "AccessDenied"
    and err.message:lower():find("expired", 1, true)
  return (told or EXPIRED[err.code]) and true or false
end

return {
  expired = expired,
  file_part = file_part,
  file_progress = file_progress,
  has_control = has_control,
  source = source,
  storage_post = storage_post,
}
