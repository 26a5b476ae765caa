--- Which file of an answer or a list is which that was registered.
-- A leaf: nothing here is sent.

local errors = require("maiagent.errors")

-- Outcomes of a POST after which the service may have acted.
local UNCLEAR =
  { server = true, connection = true, timeout = true, decode = true }

-- A service that says so has done nothing, unless the list shows otherwise.
local REFUSED = { [500] = true, [503] = true }

local function last_part(path)
  return path:match("[^/]*$")
end

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function has_uuid(text)
  return (text:gsub("%-", "")):find(("%x"):rep(32)) ~= nil
end

--- Whether the service gave an id that a call takes.
-- @param id decoded
-- @treturn boolean
local function is_id(id)
  return type(id) == "string" and id ~= "" and id ~= "." and id ~= ".."
end

--- Whether a file object is the one that was registered under a storage key.
-- Its `file` is a key or a URL, maybe a signed one, of some host and folder.
-- @tparam table file
-- @tparam string key
-- @treturn boolean
local function is_of_key(file, key)
  if type(file) ~= "table" or type(file.file) ~= "string" then
    return false
  end
  local path = decoded(file.file:gsub("[?#].*$", ""))
  if last_part(path) ~= last_part(key) then
    return false
  end
  local whole = "/" .. key:gsub("^/*media/", ""):gsub("^/+", "")
  return has_uuid(last_part(key)) or ("/" .. path):sub(-#whole) == whole
end

--- Puts files into their places.
-- @tparam table list what was registered: items with `file`, a storage key
-- @tparam table found index → file object; what is recognised is added
-- @tparam table files of an answer or a page
-- @treturn integer how many were recognised
local function place(list, found, files)
  local count = 0
  for i, item in ipairs(list) do
    for _, file in ipairs(found[i] and {} or files) do
      if is_of_key(file, item.file) then
        found[i], count = file, count + 1
        break
      end
    end
  end
  return count
end

--- What has no file yet.
-- @tparam table list
-- @tparam table found index → file object
-- @treturn table a list of indexes
local function missing(list, found)
  local indexes = {}
  for i = 1, #list do
    if not found[i] then
      indexes[#indexes + 1] = i
    end
  end
  return indexes
end

-- The files of an answer as they were sent: by their names, where each of these
-- is there, else in the order of the answer.
local function in_order(list, sent, files)
  local ordered, taken = {}, {}
  for position, index in ipairs(sent) do
    for i, file in ipairs(files) do
      local name = type(file) == "table" and file.filename
      if not taken[i] and name == list[index].filename then
        ordered[position], taken[i] = file, true
        break
      end
    end
    if not ordered[position] then
      return files
    end
  end
  return ordered
end

--- Puts the files of a registering POST's answer into their places: a page or
-- a bare array. Where none can be recognised by its key, names and the order
-- sent tell which is which.
-- @tparam table list
-- @tparam table found index → file object; it is filled
-- @tparam table sent the indexes that were sent
-- @param answer decoded
-- @treturn boolean whether each has its file now
local function read_answer(list, found, sent, answer)
  local files = type(answer) == "table" and (answer.results or answer)
  if type(files) ~= "table" then
    return false
  end
  if files.id then
    files = { files }
  end
  if place(list, found, files) == 0 and #files == #sent then
    files = in_order(list, sent, files)
    for position, index in ipairs(sent) do
      local file = files[position]
      found[index] = type(file) == "table" and file or nil
    end
  end
  return #missing(list, found) == 0
end

--- Whether the service may have acted although the error doesn't say so.
-- @tparam table err
-- @treturn boolean
local function may_be_done(err)
  if err.status == 503 and err.retry_after then
    return false
  end
  return (UNCLEAR[err.kind] and (err.status or err.sent)) and true or false
end

--- Whether the error says that nothing was done.
-- @tparam table err
-- @treturn boolean
local function is_refusal(err)
  return REFUSED[err.status] or false
end

--- The error of a registration that nobody knows the outcome of.
-- @tparam table err of the POST
-- @tparam string names what it was for
-- @tparam boolean listed whether the list could be read
-- @treturn table a new error of the same kind; not retryable, because doing
--   it all again may give the file twice
local function unclear(err, names, listed)
  local copy = {}
  for name, value in pairs(err) do
    copy[name] = value
  end
  copy.message = names .. " was stored, but whether it was registered is "
    .. "unclear: " .. err.message .. "; "
    .. (listed and "the list of files doesn't show it"
      or "the list of files could not be read")
  copy = errors.new(copy)
  copy.retryable = false
  return copy
end

return {
  is_id = is_id,
  is_of_key = is_of_key,
  is_refusal = is_refusal,
  may_be_done = may_be_done,
  missing = missing,
  place = place,
  read_answer = read_answer,
  unclear = unclear,
}
