--- From a local file to a registered one: presign → storage POST → register.
-- A leaf: the three requests are functions that the client passes in.

local errors = require("maiagent.errors")

local function file_error(message)
  return errors.new({ kind = "file", message = message })
end

local function base_name(path)
  return path:match("([^/]+)/*$") or path
end

-- Opening a folder succeeds on Unix and its size is then nonsense; reading a
-- byte tells.
local function size_of(path)
  local file, problem = io.open(path, "rb")
  if not file then
    return nil, file_error(problem)
  end
  local _, unreadable = file:read(1)
  local size = file:seek("end")
  file:close()
  if unreadable then
    return nil, file_error(path .. ": " .. unreadable)
  end
  return size
end

--- What an upload reads, from what the caller gave.
-- @tparam string|table given a path, or { path | content, filename }
-- @treturn table|nil { path | content, filename, size (bytes) }
-- @treturn table|nil error of kind "file"
-- Raises what is wrong with `given`.
local function source(given)
  if type(given) == "string" then
    given = { path = given }
  end
  if type(given) ~= "table" then
    errors.misuse("source must be a path or a table with path or content, got "
      .. type(given))
  end
  local path, content = given.path, given.content
  if (type(path) == "string") == (type(content) == "string") then
    errors.misuse("source must have either path or content, a string")
  end
  local name = given.filename or (path and base_name(path))
  if type(name) ~= "string" or name == "" then
    errors.misuse("source.filename must be given with content")
  end
  if content then
    return { content = content, filename = name, size = #content }
  end
  local size, err = size_of(path)
  if not size then
    return nil, err
  end
  return { path = path, filename = name, size = size }
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
    filename = from.filename,
    type = content_type,
  }
end

local function check_presigned(answer)
  local fields = type(answer) == "table" and answer.fields
  if type(fields) ~= "table" or type(fields.key) ~= "string"
    or type(answer.url) ~= "string"
  then
    return errors.new({
      kind = "decode",
      message = "upload-presigned-url answered without url or fields.key",
    })
  end
end

--- Stores a source's bytes.
-- @tparam table steps presign(params) and store(url, parts), each giving a
--   value, or nil and an error; and a response
-- @tparam table from what `source` gave
-- @tparam string model_name "chatbot-file", "attachment" or "batch-qa"
-- @treturn string|nil the storage key, to be registered unchanged
-- @treturn table|nil error
-- @treturn table|nil response of the step that failed
local function put(steps, from, model_name)
  local answer, err, response = steps.presign({
    filename = from.filename,
    modelName = model_name,
    fieldName = "file",
    fileSize = from.size,
  })
  if not answer then
    return nil, err, response
  end
  err = check_presigned(answer)
  if err then
    return nil, err, response
  end
  local parts = field_parts(answer.fields)
  parts[#parts + 1] = file_part("file", from)
  local stored
  stored, err, response = steps.store(answer.url, parts)
  if not stored then
    return nil, err, response
  end
  return answer.fields.key
end

--- The file of a registering POST's answer: a page or a bare array.
-- @tparam table answer
-- @treturn table|nil the file
-- @treturn table|nil error of kind "decode"
local function registered(answer)
  local list = type(answer) == "table" and (answer.results or answer)
  local file = type(list) == "table" and (list[1] or (list.id and list))
  if type(file) ~= "table" then
    return nil, errors.new({
      kind = "decode",
      message = "the file was stored, but the answer to its registration "
        .. "holds no file",
    })
  end
  return file
end

return {
  file_part = file_part,
  put = put,
  registered = registered,
  source = source,
}
