--- What was stored but maybe not registered when a run was killed: lines that
-- are only ever appended. A leaf: gets texts, clocks and functions.
--
-- A line is either of
--   1 stored KB_ID SHA256 SIZE TIME KEY NAME
--   1 used KEY
-- ended by a newline, with tabs between. Whatever else is found is not ours,
-- torn, or of another version, and means nothing. The journal is safe to
-- delete: what it forgets is uploaded once more.

local VERSION = "1"

-- Seconds in which a stored object is taken to be there still: as long as the
-- presigned form it was stored with may be used.
local REUSE_WINDOW = 3600

-- A tab or a newline in a name would be another field or line.
local function escaped(text)
  return (text:gsub("[%%\t\r\n]", function(byte)
    return string.format("%%%02X", byte:byte())
  end))
end

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function line_of(...)
  local fields = { VERSION, ... }
  for i, field in ipairs(fields) do
    fields[i] = escaped(field)
  end
  return table.concat(fields, "\t") .. "\n"
end

--- The line that says that bytes were stored.
-- @tparam string kb_id
-- @tparam table entry hash, size, name
-- @tparam string key in storage
-- @tparam number time in seconds since the epoch
-- @treturn string
local function stored(kb_id, entry, key, time)
  local size = string.format("%.0f", entry.size)
  local seconds = string.format("%.0f", time)
  return line_of("stored", kb_id, entry.hash, size, seconds, key, entry.name)
end

--- The line that says that a key was given to the service, or is of no use any
-- more. It is written before the registration is sent: a registration that may
-- still come into effect must not meet a second one of the same key.
-- @tparam string key
-- @treturn string
local function used(key)
  return line_of("used", key)
end

local function identity(kb_id, hash, size, name)
  return table.concat({ kb_id, hash, size, name }, "\t")
end

local function fields_of(line)
  local fields = {}
  for field in (line .. "\t"):gmatch("([^\t]*)\t") do
    fields[#fields + 1] = field
  end
  return fields
end

local READ = {
  stored = function(found, fields)
    local kb_id, hash, size = fields[3], fields[4], fields[5]
    local time, key, name = tonumber(fields[6]), fields[7], fields[8]
    if #fields ~= 8 or not time or not tonumber(size) or key == "" then
      return
    end
    found[key] = { time = time, id = identity(kb_id, hash, size, name) }
  end,
  used = function(found, fields)
    if #fields == 3 then
      found[fields[3]] = nil
    end
  end,
}

--- Reads a journal.
-- @tparam string|nil text of the file; nil where there is none
-- @tparam number now in seconds since the epoch
-- @treturn table what may be registered still; see `key_of`
local function read(text, now)
  local found = {}
  for line in (text or ""):gmatch("([^\n]*)\n") do
    local fields = fields_of(line)
    local reader = fields[1] == VERSION and READ[fields[2]]
    if reader then
      reader(found, fields)
    end
  end
  local waiting = {}
  for key, entry in pairs(found) do
    local age = now - entry.time
    if age >= 0 and age < REUSE_WINDOW then
      waiting[entry.id] = key
    end
  end
  return waiting
end

--- The key under which a file's bytes were stored.
-- @tparam table waiting what `read` gave
-- @tparam string kb_id
-- @tparam table entry hash, size, name
-- @treturn string|nil
local function key_of(waiting, kb_id, entry)
  local size = string.format("%.0f", entry.size)
  local id = identity(escaped(kb_id), entry.hash, size, escaped(entry.name))
  return waiting[id] and unescaped(waiting[id])
end

return {
  REUSE_WINDOW = REUSE_WINDOW,
  key_of = key_of,
  read = read,
  stored = stored,
  used = used,
}
