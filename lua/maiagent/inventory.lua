--- Both sides of a synchronisation as lists: what the service has, and the
-- bytes that a local file holds.

local call = require("maiagent.call")
local core = require("maiagent.core")
local listing = require("maiagent.listing")
local registration = require("maiagent.registration")
local upload = require("maiagent.upload")
local wait = require("maiagent.wait")

local now = core.now

local PASSES = 3
local STEP = 1024 * 1024 -- bytes hashed at once
local LONGEST_BLOCK = 0.01 -- seconds of hashing without a look at anything else
local LOOK = 0.001

local NAME_LIMIT = 255 -- characters

-- Ten thousand file objects would otherwise be held with all they have.
local function slim(file)
  return {
    id = file.id,
    filename = file.filename,
    size = file.size,
    status = file.status,
    createdAt = file.createdAt,
    labels = file.labels,
    parser = file.parser,
    rawUserDefineMetadata = file.rawUserDefineMetadata,
  }
end

-- Whether nothing moved between the pages while they were read.
local function one_pass(state, kb_id, options, seen)
  local first, moved, pages = nil, false, 0
  local row = call.rows["knowledge_bases.files.list"]
  local read, err = listing.look(state, row, { kb_id }, {}, function()
    return options
  end, function(items, _, page)
    pages = pages + 1
    first = first or page.count
    moved = moved or page.count ~= first
    for _, file in ipairs(items) do
      if type(file) == "table" and registration.is_id(file.id) then
        seen[file.id] = slim(file)
      end
    end
  end)
  -- Deleted from meanwhile: the page that was the last is no more.
  if not read and err.kind == "not_found" and pages > 0 then
    return false
  end
  return read and not moved, not read and err or nil
end

--- All files of a knowledge base. Where the list changes while its pages are
-- read, a file may slip from one page to another, unseen, so it is read again
-- and everything seen counts: one too many is found out when it is used, one
-- too few would be uploaded twice.
-- @tparam table state
-- @tparam string kb_id
-- @tparam table options of the requests
-- @treturn table|nil a list of id, filename, size, status, createdAt, labels,
--   parser, rawUserDefineMetadata
-- @treturn table|nil error
local function remote(state, kb_id, options)
  local seen = {}
  for _ = 1, PASSES do
    local steady, err = one_pass(state, kb_id, options, seen)
    if err then
      return nil, err
    elseif steady then
      break
    end
  end
  local files = {}
  for _, file in pairs(seen) do
    files[#files + 1] = file
  end
  return files
end

local function characters(text)
  return #text - select(2, text:gsub("[\128-\191]", ""))
end

--- Why the service cannot have a file of that name.
-- @tparam string name
-- @treturn string|nil
local function name_problem(name)
  local _, problem = core.encode({ name })
  if problem then
    return "its name is not valid UTF-8"
  elseif characters(name) > NAME_LIMIT then
    return "its name has more than " .. NAME_LIMIT .. " characters"
  elseif upload.has_control(name:match("[^/]*$")) then
    return "its name has a control character"
  end
end

--- Whether a file is still what it was.
-- @tparam table disk the module maiagent.disk
-- @tparam table entry path, size, mtime
-- @treturn boolean
local function is_unchanged(disk, entry)
  local found = disk.stat(entry.path, true)
  return found ~= nil and found.size == entry.size
    and found.mtime == entry.mtime
end

local function digest_of(hub, hasher)
  local looked = now()
  while true do
    local digest, size = hasher:step(STEP)
    if digest ~= false then
      return digest, size
    end
    if now() - looked > LONGEST_BLOCK then
      wait.pause(hub, nil, now() + LOOK)
      looked = now()
    end
  end
end

--- Hashes a file in steps, so that everything else goes on.
-- @tparam table disk the module maiagent.disk
-- @tparam table hub of `wait`
-- @tparam table entry path, size, mtime; its hash is set, and size and mtime
--   to those of the bytes hashed
-- @treturn boolean whether it was
-- @treturn string|nil why it was not
local function hash(disk, hub, entry)
  local found, problem = disk.stat(entry.path, true)
  if not found then
    return false, problem
  end
  local hasher, refused = disk.hasher(entry.path)
  if not hasher then
    return false, refused
  end
  entry.size, entry.mtime = found.size, found.mtime
  local digest, size = digest_of(hub, hasher)
  hasher:close()
  if not digest then
    return false, size
  elseif size ~= entry.size or not is_unchanged(disk, entry) then
    return false, "it changed while it was read; the next run takes it"
  end
  entry.hash = digest
  return true
end

return {
  hash = hash,
  is_unchanged = is_unchanged,
  name_problem = name_problem,
  remote = remote,
}
