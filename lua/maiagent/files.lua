--- Files into a knowledge base: stored, then registered exactly once.

local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local listing = require("maiagent.listing")
local options_of = require("maiagent.options")
local registration = require("maiagent.registration")
local storing = require("maiagent.storing")
local wait = require("maiagent.wait")

local PAUSES = { 0.5, 1, 2 } -- seconds before each look after an unclear answer
local SINGLE_LOOKS = 10 -- up to so many files are looked for by name

local rows = call.rows

local FILE_FIELDS =
  { parser = true, labels = true, rawUserDefineMetadata = true }

--- An item of `register`; raises what is wrong with params.
-- @tparam string operation for messages
-- @tparam string key of storage
-- @tparam string filename
-- @tparam table|nil params parser, labels, rawUserDefineMetadata
-- @treturn table
local function item_of(operation, key, filename, params)
  storing.check_params(operation, params, FILE_FIELDS)
  local item = { file = key, filename = filename }
  for name, value in pairs(params or {}) do
    item[name] = value
  end
  return item
end

--- Checks what a registration will take, before a byte of a file is sent.
-- @tparam table state
-- @tparam string operation for messages
-- @tparam string kb_id
-- @tparam table|nil params parser, labels, rawUserDefineMetadata
-- Raises what is wrong.
local function check(state, operation, kb_id, params)
  local item = item_of(operation, "key", "name", params)
  local _, problem = core.encode(params or {})
  if problem then
    errors.misuse(operation .. ": " .. problem)
  end
  call.prepare(state, rows["knowledge_bases.files.create"], { kb_id },
    { files = { item } }, {}, operation)
end

-- Registers what has no file yet.
local function create(task)
  local sent = registration.missing(task.list, task.found)
  local files = {}
  for position, index in ipairs(sent) do
    files[position] = task.list[index]
  end
  local row, ids = rows["knowledge_bases.files.create"], { task.kb_id }
  local answer, err, response = storing.run(task.state, task.clock,
    task.options, row, ids, { files = files })
  if answer == nil then
    return err, response
  end
  if registration.read_answer(task.list, task.found, sent, answer) then
    return nil, response
  end
  return storing.unexpected(task.state, row, ids,
    "the answer to the registration doesn't hold every file", response),
    response
end

local function is_complete(task)
  return #registration.missing(task.list, task.found) == 0
end

local function search(task, query)
  local read, _, response = listing.look(task.state,
    rows["knowledge_bases.files.list"], { task.kb_id }, query,
    function()
      return storing.quiet(task.clock, task.options)
    end,
    function(files)
      registration.place(task.list, task.found, files)
      return is_complete(task)
    end)
  task.response = response or task.response
  return read
end

-- The service's search may not know every name, so the last look is through
-- the whole list.
local function look_once(task, thorough)
  local missing = registration.missing(task.list, task.found)
  if thorough or #missing > SINGLE_LOOKS then
    return search(task, {})
  end
  local read = true
  for _, index in ipairs(missing) do
    if not task.found[index] then
      read = search(task, { query = task.list[index].filename }) and read
    end
  end
  return read
end

-- Whether the list was read to its end at last; what it shows goes to
-- task.found.
local function look(task)
  local read = false
  for i, pause in ipairs(PAUSES) do
    if task.clock:left() <= pause then
      return false
    end
    wait.sleep(task.state.hub, pause)
    read = look_once(task, i == #PAUSES)
    if is_complete(task) then
      return true
    end
  end
  return read
end

local function names_of(task)
  local missing = registration.missing(task.list, task.found)
  local name = task.list[missing[1]].filename
  return #missing == 1 and name
    or name .. " and " .. (#missing - 1) .. " more files"
end

-- One round: nil where every file is registered; else the error, and whether
-- registering once more can do no harm.
local function round(task)
  local err, response = create(task)
  if not err then
    return nil, response
  end
  if not registration.may_be_done(err) then
    return err, response
  end
  local read = look(task)
  if is_complete(task) then
    return nil, task.response
  end
  if read and registration.is_refusal(err) then
    return err, response, true
  end
  return registration.unclear(err, names_of(task), read), response
end

--- Registers stored files (operation knowledge_bases.files.create). After an
-- answer that leaves it open whether the service acted, the list of files is
-- looked through before it is done again or reported as failed, so that each
-- file is there once.
-- @tparam table state
-- @tparam string kb_id
-- @tparam table list up to 50 items with file (a storage key), filename, and
--   maybe parser, labels, rawUserDefineMetadata
-- @tparam table|nil options checked: timeout (of all requests together),
--   max_retries, headers
-- @tparam table|nil clock of a flow that this is a part of
-- @treturn table|nil the file objects, in the order of the list
-- @treturn table|nil error
-- @treturn table|nil response of the registration, or of the list that showed
--   the files
-- @treturn table|nil with an error: index → file object of those that are
--   registered all the same
local function register(state, kb_id, list, options, clock)
  options = options or {}
  local task = {
    state = state,
    kb_id = kb_id,
    list = list,
    options = options,
    clock = clock or storing.clock_of(state, options),
    found = {},
  }
  local retries = options.max_retries or state.settings.max_retries
  while true do
    local err, response, harmless = round(task)
    if not err then
      return task.found, nil, response
    end
    if not harmless or retries < 1 then
      return nil, err, response, task.found
    end
    retries = retries - 1
  end
end

--- Uploads one file into a knowledge base: presign, storage POST, register
-- (operations uploads.presign and knowledge_bases.files.create). The file is
-- streamed; memory does not grow with it.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string|table given a path, or { path | content | reader, filename,
--   size }: reader() gives the next bytes, nil at the end, or nil and a
--   message; size (bytes) must be given with it
-- @tparam table|nil params parser, labels, rawUserDefineMetadata
-- @tparam table|nil options timeout (seconds, of all requests together),
--   max_retries, headers, max_speed (bytes/s), on_progress(sent, total) in
--   bytes of the file, about ten times a second and at the end: from 0 again
--   where they have to be repeated; returning false cancels, at the end too
-- @treturn table|nil the file object
-- @treturn table|nil error (kind "file" where the file cannot be read)
-- @treturn table|nil response of the registration, or of what failed
local function upload_file(state, kb_id, given, params, options)
  local operation = "knowledge_bases.files.upload"
  options = options_of.checked("upload", operation, options)
  if given == nil then
    errors.misuse(operation .. ": source expected, got nil; it is "
      .. "upload(knowledge_base_id, source, params, options)")
  end
  check(state, operation, kb_id, params)
  local stored, err, response =
    storing.put_given(state, given, "chatbot-file", options, operation)
  if not stored then
    return nil, err, response
  end
  local item = item_of(operation, stored.key, stored.filename, params)
  local files
  files, err, response =
    register(state, kb_id, { item }, options, stored.clock)
  return files and files[1], err, response
end

return {
  check = check,
  item_of = item_of,
  register = register,
  upload = upload_file,
}
