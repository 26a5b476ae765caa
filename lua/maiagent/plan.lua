--- What a knowledge base lacks of a folder: a comparison without side effects.
-- A leaf.
--
-- Files are the same by name and by the SHA-256 that sync writes into each
-- file's metadata. The rules, for all files of one name on the service ("ours"
-- carry a hash of that kind, "foreign" ones were made by someone else):
--
-- * Of several with the right hash the oldest that has not failed stays. The
--   others of ours go, but only once what stays is processed.
-- * Where all with the right hash failed the newest of them stays. A version of
--   ours that failed is of no use to anyone: it goes as soon as another is
--   there.
-- * None with the right hash: upload, then those of ours go.
-- * Only foreign ones: one of the same size is taken for the same file and
--   kept as it is (its content is unknown, so no hash is claimed for it); else
--   ours is uploaded beside them.
-- * Foreign files are never deleted unless delete = "all".

local progress = require("maiagent.progress")

local status_of = progress.status_of

-- The one key of ours in rawUserDefineMetadata; all else in there is the
-- user's. Lower case, as a service that renders camelCase may re-case it.
local HASH = "maiagent_sha256"

local GONE = { deleting = true, deleted = true }
local FAILED = { failed = true, delete_failed = true }

-- A folder without a file is more often a disk that isn't mounted than a wish.
local EMPTY = "the folder has no file at all, so nothing is deleted"

-- A prime just below 2^32; products stay exact in a double.
local MODULUS, MULTIPLIER = 4294967291, 257

--- Reads the option `shard`.
-- @tparam string text "2/8": the second of eight
-- @treturn table|nil { index, count }
local function shard(text)
  local index, count = text:match("^(%d+)/(%d+)$")
  index, count = tonumber(index), tonumber(count)
  if index and index >= 1 and index <= count then
    return { index = index, count = count }
  end
end

--- Whether a name belongs to a shard; every machine answers alike.
-- @tparam string name
-- @tparam table|nil of what `shard` gave; nil: everything
-- @treturn boolean
local function in_shard(name, of)
  if not of then
    return true
  end
  local sum = 0
  for i = 1, #name do
    sum = (sum * MULTIPLIER + name:byte(i)) % MODULUS
  end
  return sum % of.count == of.index - 1
end

-- As a service that changes names to camelCase and back may give it.
local function folded(key)
  return (tostring(key):gsub("_", ""):lower())
end

local OWN_KEY = folded(HASH)

--- The hash that sync wrote into a file's metadata.
-- @tparam table file object of the service
-- @treturn string|nil
local function hash_of(file)
  local metadata = file.rawUserDefineMetadata
  if type(metadata) ~= "table" then
    return nil
  end
  for key, value in pairs(metadata) do
    if folded(key) == OWN_KEY and type(value) == "string" then
      return value
    end
  end
end

--- Metadata with our key, beside all of the user's own.
-- @tparam table|nil before the metadata of what is replaced
-- @tparam table|nil given what the caller wants in it
-- @tparam string hash
-- @treturn table
local function metadata(before, given, hash)
  local result = {}
  for _, part in ipairs({ before or {}, given or {} }) do
    for key, value in pairs(part) do
      if folded(key) ~= OWN_KEY then
        result[key] = value
      end
    end
  end
  result[HASH] = hash
  return result
end

-- Every run of sync, on whatever machine, has to find the same one.
local function older(a, b)
  local at, bt = tostring(a.createdAt), tostring(b.createdAt)
  if at ~= bt then
    return at < bt
  end
  return tostring(a.id) < tostring(b.id)
end

--- A service's files by name, the oldest first, without those being deleted.
-- @tparam table files
-- @treturn table name → list
local function by_name(files)
  local result = {}
  for _, file in ipairs(files) do
    if not GONE[status_of(file)] and type(file.filename) == "string" then
      local list = result[file.filename] or {}
      result[file.filename] = list
      list[#list + 1] = file
    end
  end
  for _, list in pairs(result) do
    table.sort(list, older)
  end
  return result
end

local function sorted_out(remotes, hash)
  local same, other, foreign = {}, {}, {}
  for _, file in ipairs(remotes) do
    local theirs = hash_of(file)
    local list = not theirs and foreign or theirs == hash and same or other
    list[#list + 1] = file
  end
  return same, other, foreign
end

--- Whether a file's hash decides anything before it is uploaded.
-- @tparam table|nil remotes of the same name
-- @treturn boolean
local function needs_hash(remotes)
  for _, file in ipairs(remotes or {}) do
    if hash_of(file) then
      return true
    end
  end
  return false
end

local function first(list, test)
  for _, file in ipairs(list) do
    if test(file) then
      return file
    end
  end
end

--- Whether the service could not process a file, or not delete it.
-- @tparam table file
-- @treturn boolean
local function has_failed(file)
  return FAILED[status_of(file)] or false
end

local function has_not_failed(file)
  return not has_failed(file)
end

local function action(what, name, file, reason)
  return { action = what, name = name, reason = reason, file = file }
end

--- A file, if what takes its content for its own has to wait for it.
-- @tparam table file
-- @treturn table|nil nil where it is processed
local function unprocessed(file)
  return status_of(file) ~= "done" and file or nil
end

-- The others of a name may go once `stays` is processed.
local function clear_away(actions, name, stays, others)
  for _, file in ipairs(others) do
    if file ~= stays then
      local gone =
        action("delete", name, file, "a duplicate, or an older version")
      gone.by = not has_failed(file) and unprocessed(stays) or nil
      actions[#actions + 1] = gone
    end
  end
end

-- Beside one that failed: those that failed, too, go; the others are all that
-- there is of it.
local function clear_away_failed(actions, name, newest, others)
  for _, file in ipairs(others) do
    if file ~= newest and has_failed(file) then
      actions[#actions + 1] =
        action("delete", name, file, "an older version, which failed")
    elseif file ~= newest then
      actions[#actions + 1] = action("keep", name, file,
        "an older version; the newer one failed on the service")
    end
  end
end

local function leave_foreign(actions, name, foreign, except)
  for _, file in ipairs(foreign) do
    if file ~= except then
      actions[#actions + 1] = action("keep", name, file,
        "another file of this name, which sync did not make")
    end
  end
end

local function joined(...)
  local result = {}
  for _, list in ipairs({ ... }) do
    for _, file in ipairs(list) do
      result[#result + 1] = file
    end
  end
  return result
end

local function upload_action(what, entry, old, reason)
  local result = action(what, entry.name, nil, reason)
  result.entry, result.old = entry, old
  return result
end

local function with_failed(entry, failed, old, options)
  if options.retry_failed then
    return upload_action("retry", entry, old, "it had failed on the service")
  end
  return action("failed", entry.name, failed, "failed on the service")
end

-- Nobody else's file is in the way: only ours decide.
local function with_foreign(entry, foreign, options)
  local alike = first(foreign, function(file)
    return file.size == entry.size
  end)
  local old = options.delete == "all" and foreign or {}
  if not alike then
    local reason = #foreign > 0 and "of another size than the one there"
      or "new"
    return upload_action(#old > 0 and "replace" or "upload", entry, old, reason)
  elseif has_failed(alike) then
    return with_failed(entry, alike, old, options)
  end
  return action("keep", entry.name, alike,
    "same name and size; sync did not make it, so its content is not known"),
    alike
end

local function chosen(entry, same, other, foreign, options)
  local everything = options.delete == "all" and foreign or {}
  if #same > 0 then
    return with_failed(entry, same[#same], joined(same, other, everything),
      options)
  elseif #other > 0 then
    return upload_action("replace", entry, joined(other, everything),
      "its content changed")
  end
  return with_foreign(entry, foreign, options)
end

-- All that has to happen to one local file.
local function of_entry(actions, entry, remotes, options)
  local same, other, foreign = sorted_out(remotes, entry.hash)
  local stays = first(same, has_not_failed)
  local leaves = foreign
  if stays then
    actions[#actions + 1] = action("keep", entry.name, stays, "unchanged")
    if options.delete == "all" then
      other, leaves = joined(other, foreign), {}
    end
    clear_away(actions, entry.name, stays, joined(same, other))
    return leave_foreign(actions, entry.name, leaves)
  end
  local decided, alike = chosen(entry, same, other, foreign, options)
  actions[#actions + 1] = decided
  if decided.action == "failed" and #same > 0 then
    clear_away_failed(actions, entry.name, decided.file, joined(same, other))
  end
  if options.delete ~= "all" then
    leave_foreign(actions, entry.name, foreign, alike or decided.file)
  elseif alike then
    clear_away(actions, entry.name, alike, foreign)
  end
end

-- What is on the service only.
local function of_remote(actions, file, options)
  local deletes = options.delete == "all" or (options.delete and hash_of(file))
  local reason = "not in the folder"
  if deletes and options.is_empty then
    deletes, reason = false, EMPTY
  elseif not deletes and not hash_of(file) then
    reason = "not in the folder, and sync did not make it"
  end
  actions[#actions + 1] = action(deletes and "delete" or "keep", file.filename,
    file, reason)
end

-- Why what is on the service stays, if it does: it is in the folder, although
-- it is not one of the files that were compared.
local function protection(name, protected)
  local reason = protected[name]
  for position in name:gmatch("()/") do
    reason = reason or protected[name:sub(1, position)]
  end
  return reason
end

local function gone_names(remotes, present, options)
  local names = {}
  for name in pairs(remotes) do
    if not present[name] and in_shard(name, options.shard) then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

--- Compares a folder with a knowledge base.
-- @tparam table entries local files of this shard: name, size, and hash where
--   `needs_hash` said so
-- @tparam table remotes what `by_name` gave
-- @tparam table protected names (folders end in "/") → reason, of what is in
--   the folder but is not compared: its counterparts stay
-- @tparam table options delete (true or "all"), is_empty (the folder has no
--   file, of whatever shard: nothing is deleted), retry_failed, shard
-- @treturn table a list of { action, name, reason, file (of the service, for
--   "keep", "delete", "failed"), by (for "delete": the file that has to be
--   processed first, if any), entry and old (for "upload", "replace",
--   "retry": the local file, and the service's files to be deleted after) }
local function compare(entries, remotes, protected, options)
  local actions, present = {}, {}
  for _, entry in ipairs(entries) do
    present[entry.name] = true
    of_entry(actions, entry, remotes[entry.name] or {}, options)
  end
  for _, name in ipairs(gone_names(remotes, present, options)) do
    for _, file in ipairs(remotes[name]) do
      local reason = protection(name, protected)
      if reason then
        actions[#actions + 1] = action("keep", name, file, reason)
      else
        of_remote(actions, file, options)
      end
    end
  end
  return actions
end

--- Sorts actions by what is to be done.
-- @tparam table actions what `compare` gave
-- @treturn table keep, delete, failed, and upload (with "replace" and "retry"):
--   lists
local function by_action(actions)
  local lists = { keep = {}, delete = {}, failed = {}, upload = {} }
  for _, decided in ipairs(actions) do
    local list = lists[decided.action] or lists.upload
    list[#list + 1] = decided
  end
  return lists
end

return {
  HASH = HASH,
  by_action = by_action,
  by_name = by_name,
  compare = compare,
  has_failed = has_failed,
  hash_of = hash_of,
  in_shard = in_shard,
  metadata = metadata,
  needs_hash = needs_hash,
  shard = shard,
  unprocessed = unprocessed,
}
