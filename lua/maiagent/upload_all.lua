--- Many sources into a knowledge base.

local crew = require("maiagent.crew")
local errors = require("maiagent.errors")
local files = require("maiagent.files")
local options_of = require("maiagent.options")
local storing = require("maiagent.storing")
local upload = require("maiagent.upload")

local NAME = "knowledge_bases.files.upload_all"
local CONCURRENCY = 8

--- The options of each single transfer: a speed is that of all together.
-- @tparam table options timeout, max_retries, headers, max_speed, concurrency
-- @tparam integer count of all transfers: few don't go at a share of many
-- @treturn table
local function transfer_options(options, count)
  local speed = options.max_speed
  local together = math.min(options.concurrency or CONCURRENCY, count)
  return {
    timeout = options.timeout,
    max_retries = options.max_retries,
    headers = options.headers,
    max_speed = speed
      and math.max(1, speed / math.max(1, together)),
  }
end

local function quiet_options(options)
  return {
    timeout = options.timeout,
    max_retries = options.max_retries,
    headers = options.headers,
  }
end

local function part(list, first, last)
  local result = {}
  for i = first, last do
    result[#result + 1] = list[i]
  end
  return result
end

--- Registers stored files: one that the service refuses takes no other with
-- it.
-- @tparam table context state, kb_id, options
-- @tparam table batch a list of { job, key }; job.item(key) gives what is
--   registered
-- @tparam function conclude called with (job, file | nil, err)
local function register(context, batch, conclude)
  local list = {}
  for i, item in ipairs(batch) do
    list[i] = item.job.item(item.key)
  end
  local found, err, _, in_part = files.register(context.state, context.kb_id,
    list, quiet_options(context.options))
  if not found and err.kind == "invalid" and #batch > 1 then
    local middle = math.floor(#batch / 2)
    register(context, part(batch, 1, middle), conclude)
    return register(context, part(batch, middle + 1, #batch), conclude)
  end
  found = found or in_part or {}
  for i, item in ipairs(batch) do
    local file = found[i]
    conclude(item.job, file, not file and err or nil)
  end
end

-- Wrong sources are told before anything is sent; what cannot be read now is
-- told when its turn comes.
local function jobs_of(sources, params)
  if type(sources) ~= "table" then
    errors.misuse(NAME .. ": sources must be a list, got " .. type(sources))
  end
  local jobs, bytes = {}, 0
  for i, given in ipairs(sources) do
    local from = upload.source(given, ("%s: sources[%d]"):format(NAME, i))
    local job = { index = i, given = given, size = from and from.size or 0 }
    bytes = bytes + job.size
    function job.item(key)
      return files.item_of(NAME, key, job.filename, params)
    end
    jobs[i] = job
  end
  for key in pairs(sources) do
    if not jobs[key] then
      errors.misuse(NAME .. ": sources[" .. tostring(key)
        .. "] is not part of the list")
    end
  end
  return jobs, bytes
end

local function storer(context, count)
  local transfer = transfer_options(context.options, count)
  return function(job, on_bytes)
    local from, err = upload.source(job.given)
    if not from then
      return nil, err
    end
    job.filename = from.filename
    local options = options_of.merged(transfer, { on_progress = on_bytes })
    return storing.put(context.state, from, "chatbot-file", options)
  end
end

-- With a wrong key nothing that follows can succeed: it is not even tried.
local function iterator(jobs, outcome)
  local index = 0
  return function()
    if index < #jobs and not outcome.hopeless then
      index = index + 1
      return jobs[index]
    end
  end
end

local function keeper(outcome, on_file)
  return function(job, file, err, quiet)
    outcome.results[job.index] = file
    outcome.ended[job.index] = true
    if err then
      outcome.errors = outcome.errors or {}
      outcome.errors[job.index] = err
      outcome.hopeless = outcome.hopeless
        or (err.kind == "authentication" and err or nil)
    end
    if on_file and not quiet then
      on_file(job.index, file, err)
    end
  end
end

--- Uploads many files into a knowledge base, some at a time, and registers up
-- to fifty in one request (operations uploads.presign and
-- knowledge_bases.files.create). One that fails does not stop the others.
-- @tparam table state
-- @tparam string kb_id
-- @tparam table sources a list; each as `knowledge_bases.files:upload` takes it
-- @tparam table|nil params parser, labels, rawUserDefineMetadata: of every file
-- @tparam table|nil given concurrency (8 at a time), on_file(index, file, err)
--   as each is known, on_progress({ done, failed, total, bytes_sent,
--   bytes_total }), where returning false ends it, max_speed (bytes/s of all
--   together), timeout (of each file's upload, and of each registration),
--   max_retries, headers
-- @treturn table index → file object, in the order of the sources
-- @treturn table|nil index → error of those that failed (kind "cancelled"
--   where on_progress ended it first); nil when none did
-- Raises wrong arguments before anything is sent; and what a callback or a
-- Ctrl-C raised, once what was stored is registered.
local function upload_all(state, kb_id, sources, params, given)
  local options = options_of.checked("upload_all", NAME, given)
  files.check(state, NAME, kb_id, params)
  local jobs, bytes = jobs_of(sources, params)
  local context = { state = state, kb_id = kb_id, options = options }
  local outcome = { results = {}, ended = {} }
  local concluded = keeper(outcome, options.on_file)
  local cancelled = crew.run(state.hub, {
    concurrency = options.concurrency or CONCURRENCY,
    total = #jobs,
    bytes_total = bytes,
    next = iterator(jobs, outcome),
    store = storer(context, #jobs),
    register = function(self, batch)
      register(context, batch, function(...)
        self:conclude(...)
      end)
    end,
    concluded = concluded,
    on_progress = options.on_progress,
  })
  for i, job in ipairs(jobs) do
    if not outcome.ended[i] then
      concluded(job, nil, outcome.hopeless or cancelled)
    end
  end
  return outcome.results, outcome.errors
end

return {
  CONCURRENCY = CONCURRENCY,
  quiet_options = quiet_options,
  register = register,
  transfer_options = transfer_options,
  upload_all = upload_all,
}
