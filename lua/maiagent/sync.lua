--- A knowledge base made to hold what a folder holds.
--
-- The service is the only record: which file it has is told by its name (the
-- path in the folder, with "/"; the service takes any text of 255 characters)
-- and by the SHA-256 that is registered with it, under one key in its
-- rawUserDefineMetadata. So a run that was killed is simply run again.

local clearing = require("maiagent.clearing")
local crew = require("maiagent.crew")
local disk = require("maiagent.disk")
local errors = require("maiagent.errors")
local files = require("maiagent.files")
local folder = require("maiagent.folder")
local inventory = require("maiagent.inventory")
local ledger = require("maiagent.ledger")
local options_of = require("maiagent.options")
local plan = require("maiagent.plan")
local protect = require("maiagent.protect")
local storing = require("maiagent.storing")
local summary = require("maiagent.summary")
local upload = require("maiagent.upload")
local upload_all = require("maiagent.upload_all")

local NAME = "knowledge_bases.sync"

-- Why the counterparts of what is in the folder but not taken stay.
local UNREADABLE = "there, but it cannot be read here"
local SKIPPED = "in the folder, but skipped"

-- Refusals that may be of the key rather than of the file.
local OF_THE_KEY = { invalid = true, not_found = true, conflict = true }

-- What a success is called in the summary.
local LISTS = { upload = "uploaded", replace = "replaced", retry = "replaced" }

local function file_error(name, reason)
  return errors.new({ kind = "file", message = name .. ": " .. reason })
end

local function check(state, kb_id, path, options)
  if type(path) ~= "string" or path == "" or path:find("%z") then
    errors.misuse(NAME .. ": folder must be a path, got "
      .. (type(path) == "string" and "an empty or unusable one" or type(path)))
  end
  local params = {
    parser = options.parser,
    labels = options.labels,
    rawUserDefineMetadata = options.rawUserDefineMetadata,
  }
  files.check(state, NAME, kb_id, params)
  return params
end

-- The folder's files of this shard; what cannot be taken is told.
local function local_files(run, found)
  local entries = {}
  for _, item in ipairs(found.skipped) do
    run.protected[item.name] = SKIPPED
    run.protected[item.name .. "/"] = SKIPPED
    if plan.in_shard(item.name, run.shard) then
      run.summary:add("skipped", item)
    end
  end
  for _, item in ipairs(found.unreadable) do
    run.protected[item.name] = UNREADABLE
    if plan.in_shard(item.name, run.shard) then
      run.summary:add("failed", item)
    end
  end
  for _, entry in ipairs(found.files) do
    if plan.in_shard(entry.name, run.shard) then
      local problem = inventory.name_problem(entry.name)
      if problem then
        run.protected[entry.name] = SKIPPED
        run.summary:add("failed", { name = entry.name, reason = problem })
      else
        entries[#entries + 1] = entry
      end
    end
  end
  return entries
end

-- Only what has a counterpart needs its hash before its turn.
local function hashed(run, entries, remotes)
  local usable = {}
  for _, entry in ipairs(entries) do
    local needed = run.ledger:has_any() or plan.needs_hash(remotes[entry.name])
    local ok, reason = true, nil
    if needed then
      ok, reason = inventory.hash(disk, run.state.hub, entry)
    end
    if ok then
      usable[#usable + 1] = entry
    else
      run.protected[entry.name] = UNREADABLE
      run.summary:add("failed", { name = entry.name, reason = reason })
    end
  end
  return usable
end

-- What the service's files have that the caller does not give anew stays.
local function item_of(run, job, key)
  local before = job.old[#job.old] or {}
  local labels, parser = run.params.labels, run.params.parser
  if not labels and type(before.labels) == "table" then
    labels = {}
    for i, label in ipairs(before.labels) do
      labels[i] = { id = label.id }
    end
  end
  if not parser and type(before.parser) == "table" then
    parser = before.parser.id
  end
  local metadata = type(before.rawUserDefineMetadata) == "table"
    and before.rawUserDefineMetadata or nil
  return files.item_of(NAME, key, job.name, {
    parser = parser,
    labels = labels and #labels > 0 and labels or nil,
    rawUserDefineMetadata = plan.metadata(metadata,
      run.params.rawUserDefineMetadata, job.entry.hash),
  })
end

local function job_of(run, action)
  local job = {
    name = action.name,
    entry = action.entry,
    size = action.entry.size,
    old = action.old,
    reason = action.reason,
    list = LISTS[action.action],
    is_awaited = action.action ~= "upload",
  }
  job.key = action.entry.hash and run.ledger:key_of(action.entry)
  function job.item(key)
    return item_of(run, job, key)
  end
  return job
end

local function source_of(entry)
  local from, err = upload.source({
    path = entry.path,
    filename = entry.name:match("[^/]+$"),
  })
  if from and from.size ~= entry.size then
    return nil, file_error(entry.name, "it changes; the next run takes it")
  end
  return from, err
end

-- Hash, bytes, and once more a look whether they still are what was hashed: a
-- file is never registered with another one's hash.
local function store(run, job, options)
  local entry = job.entry
  local ok, reason = true, nil
  if not entry.hash then
    ok, reason = inventory.hash(disk, run.state.hub, entry)
  end
  if not ok then
    return nil, file_error(job.name, reason)
  end
  local from, err = source_of(entry)
  if not from then
    return nil, err
  end
  local key, refused = storing.put(run.state, from, "chatbot-file", options)
  if not key then
    return nil, refused
  elseif not inventory.is_unchanged(disk, entry) then
    return nil, file_error(job.name,
      "it changed while it was uploaded; the next run takes it")
  end
  run.ledger:stored(entry, key)
  return key
end

local function succeeded(run, job, file)
  local item = { name = job.name, reason = job.reason, id = file.id }
  run.arrived[job.entry.hash] = file
  run.summary:add(job.list, item)
  run.landed[file] =
    { list = job.list, item = item, is_awaited = job.is_awaited }
  for _, old in ipairs(job.old) do
    run.replaced[#run.replaced + 1] = { name = job.name, file = old,
      by = not plan.has_failed(old) and file or nil, reason = "replaced" }
  end
end

local function failed(run, job, err)
  local hash = job.entry.hash
  if hash then
    run.arrived[hash] = run.arrived[hash] or false
  end
  run.summary:add("failed", {
    name = job.name,
    reason = tostring(err),
    error = err,
  })
  run.hopeless = run.hopeless or (err.kind == "authentication" and err or nil)
end

local function conclude(run, job, file, err)
  job.ended = true
  -- Taken for what it is not, it would be uploaded again by every run, and be
  -- there once more each time.
  if file and file.filename ~= nil and file.filename ~= job.name then
    err = file_error(job.name, "the service registered it under another name, "
      .. tostring(file.filename))
    run.replaced[#run.replaced + 1] = { name = tostring(file.filename),
      file = file, reason = "it is " .. job.name .. " under another name" }
    file = nil
  end
  if file then
    succeeded(run, job, file)
  else
    failed(run, job, err)
  end
end

-- Whether a registration surely did nothing, and nothing is wrong with the key.
local function may_be_reused(err)
  return err.retryable or err.kind == "authentication"
    or err.kind == "permission"
end

local function register(run, batch, told)
  local keys = {}
  for i, item in ipairs(batch) do
    keys[i], item.job.key = item.key, item.key
  end
  run.ledger:used(keys)
  upload_all.register(run, batch, function(job, file, err)
    if err and may_be_reused(err) then
      run.ledger:stored(job.entry, job.key)
    end
    told(job, file, err)
  end)
end

-- An earlier run's object is believed only as far as the service confirms it.
local function is_whole(file, job)
  return type(file.size) ~= "number" or file.size == job.entry.size
end

-- Registers what an earlier run stored; what does not work out is uploaded.
local function register_known(run, jobs)
  local batch, rest = {}, {}
  for _, job in ipairs(jobs) do
    local list = job.key and batch or rest
    list[#list + 1] = job.key and { job = job, key = job.key } or job
  end
  for first = 1, #batch, crew.BATCH do
    local some = {}
    for i = first, math.min(first + crew.BATCH - 1, #batch) do
      some[#some + 1] = batch[i]
    end
    register(run, some, function(job, file, err)
      if file and not is_whole(file, job) then
        run.replaced[#run.replaced + 1] = { name = job.name, file = file,
          reason = "stored by an earlier run, but not whole" }
        rest[#rest + 1] = job
      elseif not file and OF_THE_KEY[err.kind] then
        rest[#rest + 1] = job
      else
        job.list = "registered"
        conclude(run, job, file, err)
      end
    end)
  end
  return rest
end

local function upload_jobs(run, jobs)
  local index, bytes = 0, 0
  for _, job in ipairs(jobs) do
    bytes = bytes + job.size
  end
  local transfer = upload_all.transfer_options(run.options, #jobs)
  local cancelled = crew.run(run.state.hub, {
    concurrency = run.concurrency,
    total = #jobs,
    bytes_total = bytes,
    on_progress = run.options.on_progress,
    next = function()
      index = index + 1
      return not run.hopeless and jobs[index] or nil
    end,
    store = function(job, on_bytes)
      return store(run, job,
        options_of.merged(transfer, { on_progress = on_bytes }))
    end,
    register = function(self, batch)
      register(run, batch, function(...)
        self:conclude(...)
      end)
    end,
    concluded = function(job, file, err)
      conclude(run, job, file, err)
    end,
  })
  for _, job in ipairs(jobs) do
    if not job.ended then
      conclude(run, job, nil, run.hopeless or cancelled)
    end
  end
  run.summary.cancelled = cancelled ~= nil
end

-- What would happen, in the words of what did.
local function foretell(run, lists)
  for _, action in ipairs(lists.upload) do
    local job = job_of(run, action)
    run.summary:add(job.key and "registered" or job.list,
      { name = action.name, reason = action.reason })
    for _, old in ipairs(action.old) do
      run.summary:add("deleted",
        { name = action.name, id = old.id, reason = "replaced" })
    end
  end
  for _, action in ipairs(lists.delete) do
    run.summary:add("deleted",
      { name = action.name, id = action.file.id, reason = action.reason })
  end
end

-- What became of a file's content under another name. Nothing waits for that
-- with a file that failed itself.
local function moved_to(run, file)
  if not plan.has_failed(file) then
    return run.arrived[plan.hash_of(file) or false]
  end
end

-- What goes now. The old name of a file that was moved goes only once its new
-- one is processed, and stays where that failed.
local function without_moved(run, actions)
  local ready = {}
  for _, action in ipairs(actions) do
    local moved = moved_to(run, action.file)
    if moved == false then
      run.summary:add("kept", { name = action.name, id = action.file.id,
        reason = "in the folder under another name, which failed" })
    else
      action.by = action.by or moved
      local list = action.by and run.replaced or ready
      list[#list + 1] = action
    end
  end
  return ready
end

local function carry_out(run, lists)
  local jobs = {}
  for i, action in ipairs(lists.upload) do
    jobs[i] = job_of(run, action)
  end
  upload_jobs(run, register_known(run, jobs))
  if run.summary.cancelled or run.hopeless then
    return
  end
  clearing.delete(run, without_moved(run, lists.delete))
  clearing.delete(run, clearing.outdated(run))
  run.ledger:tidy()
  if run.ledger.problem then
    run.summary:add("skipped",
      { name = "the journal", reason = run.ledger.problem })
  end
end

local function new_run(state, kb_id, path, options, params)
  return {
    state = state,
    kb_id = kb_id,
    options = options,
    params = params,
    quiet = upload_all.quiet_options(options),
    concurrency = options.concurrency or upload_all.CONCURRENCY,
    shard = options.shard and plan.shard(options.shard),
    ledger = ledger.open(options.cache or path, kb_id,
      not options.dry_run and (options.shard or "1/1") or nil),
    summary = summary.new(options.dry_run or false),
    protected = {}, -- name → why its counterparts stay
    replaced = {}, -- { name, file, by, reason }: goes once `by` is processed
    landed = {}, -- file → { list, item, is_awaited }: where it is told
    arrived = {}, -- hash → the file that has it now; false: it failed
  }
end

local function arrive(run, file, outcome)
  local hash = plan.hash_of(file)
  if hash then
    run.arrived[hash] = outcome
  end
end

local function keep(run, action)
  local file, reason = action.file, action.reason
  local item = { name = action.name, id = file.id, reason = reason }
  local unprocessed = plan.unprocessed(file)
  arrive(run, file, unprocessed)
  run.summary:add("kept", item)
  run.landed[file] = unprocessed and { list = "kept", item = item }
end

-- All of a run, once the folder is known.
local function run_through(run, found)
  local options = run.options
  local listed, err = inventory.remote(run.state, run.kb_id, run.quiet)
  if not listed then
    return nil, err
  end
  local remotes = plan.by_name(listed)
  local entries = hashed(run, local_files(run, found), remotes)
  local lists = plan.by_action(plan.compare(entries, remotes, run.protected, {
    delete = options.delete,
    is_empty = #found.files == 0,
    retry_failed = options.retry_failed,
    shard = run.shard,
  }))
  for _, action in ipairs(lists.keep) do
    keep(run, action)
  end
  for _, action in ipairs(lists.failed) do
    arrive(run, action.file, false)
  end
  clearing.tell_failed(run, lists.failed)
  if options.dry_run then
    foretell(run, lists)
  else
    carry_out(run, lists)
  end
  return run.summary:close()
end

--- Makes a knowledge base hold what a folder holds (operations
-- knowledge_bases.files.list, uploads.presign, knowledge_bases.files.create,
-- .delete, .latest_failed_reason). New and changed files are uploaded, and the
-- older versions deleted once the new ones are processed. Killed at any moment
-- it is simply run again.
-- A file of the same name that sync did not make is kept where its size is the
-- same, else the new one is put beside it; it is deleted only by delete="all".
-- Of a folder without any file nothing is deleted: more often than not it is
-- one that isn't mounted.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string path of the folder; links are followed, but not in circles
-- @tparam table|nil given delete (true: what sync uploaded and the folder has
--   no more; "all": whatever the folder doesn't have), dry_run (tells what
--   would happen), shard ("2/8": the second of eight parts, by name),
--   retry_failed (uploads what failed on the service again), hidden (names
--   that begin with a dot, too), concurrency (8), on_progress({ done, failed,
--   total, bytes_sent, bytes_total } of the uploads; false ends it), parser,
--   labels, rawUserDefineMetadata (of what is uploaded), cache (the folder
--   that ".maiagent", with the journal, is made in; the folder itself),
--   processing_timeout (seconds that replaced files wait for the new ones,
--   600; and what is to be deleted for the end of its own processing, 60 at
--   most), max_speed (bytes/s of all together), timeout (of each file's upload,
--   each registration, and each other request), max_retries, headers
-- @treturn table|nil summary: the lists uploaded, replaced, registered (stored
--   by an earlier run), deleted, kept, failed, skipped of { name, reason, id };
--   counts of each; dry_run, cancelled; tostring gives one line
-- @treturn table|nil error where the folder or the list cannot be read, and of
--   kind "file" where another run is at the same work on this disk
local function sync(state, kb_id, path, given)
  local options = options_of.checked("sync", NAME, given)
  local params = check(state, kb_id, path, options)
  local found, problem = folder.walk(disk, path, options)
  if not found then
    return nil, errors.new({ kind = "file", message = problem })
  end
  local run = new_run(state, kb_id, path, options, params)
  if not run.ledger then
    return nil, file_error(path, "another sync of it into this knowledge base "
      .. "is under way")
  end
  local ok, result, err = protect.call_here(run_through, run, found)
  run.ledger:close()
  if not ok then
    error(result, 0)
  end
  return result, err
end

return { sync = sync }
