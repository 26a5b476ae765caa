--- Flows over the files of a knowledge base.

local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local options_of = require("maiagent.options")
local poll = require("maiagent.poll")
local upload = require("maiagent.upload")
local wait = require("maiagent.wait")

local PROCESSING_TIMEOUT = 600 -- seconds

local FINAL =
  { done = true, failed = true, deleted = true, delete_failed = true }

local rows = call.rows

local function storing(state, options)
  local quiet = {
    timeout = options.timeout,
    max_retries = options.max_retries,
    headers = options.headers,
  }
  return {
    presign = function(params)
      return call.run(state, rows["uploads.presign"], {}, params, quiet)
    end,
    store = function(url, parts)
      local pending, err = call.store(state, options, url, parts)
      if not pending then
        return nil, err
      end
      return call.collect(state, pending, "none")
    end,
  }, quiet
end

local FILE_FIELDS =
  { parser = true, labels = true, rawUserDefineMetadata = true }

local function registration(key, filename, params)
  if params ~= nil and type(params) ~= "table" then
    errors.misuse("knowledge_bases.files.upload: params must be a table, got "
      .. type(params))
  end
  local file = { file = key, filename = filename }
  for name, value in pairs(params or {}) do
    if not FILE_FIELDS[name] then
      errors.misuse("knowledge_bases.files.upload: unknown params."
        .. tostring(name) .. errors.did_you_mean(name, FILE_FIELDS))
    end
    file[name] = value
  end
  return { files = { file } }
end

--- Uploads one file into a knowledge base: presign, storage POST, register
-- (operations uploads.presign and knowledge_bases.files.create). The file is
-- streamed; memory does not grow with it.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string|table source a path, or { path | content, filename }
-- @tparam table|nil params parser, labels, rawUserDefineMetadata
-- @tparam table|nil options timeout, max_retries, headers,
--   on_progress(sent, total) in bytes; returning false cancels
-- @treturn table|nil the file object
-- @treturn table|nil error (kind "file" where the file cannot be read)
-- @treturn table|nil response of the registration, or of what failed
local function upload_file(state, kb_id, given, params, options)
  local row = rows["knowledge_bases.files.create"]
  options = options_of.call("knowledge_bases.files.upload", options)
  -- The registration is prepared first with a stand-in key, so that a wrong
  -- id or parameter is told before a byte of the file is sent.
  call.prepare(state, row, { kb_id }, registration("key", "name", params), {})
  local from, err = upload.source(given)
  if not from then
    return nil, err
  end
  local steps, quiet = storing(state, options)
  local key, refused, refusal = upload.put(steps, from, "chatbot-file")
  if not key then
    return nil, refused, refusal
  end
  local files = registration(key, from.filename, params)
  local answer, failure, response =
    call.run(state, row, { kb_id }, files, quiet)
  if not answer then
    return nil, failure, response
  end
  local file, unexpected = upload.registered(answer)
  return file, unexpected, response
end

-- One page of the vendor's documentation shows an object in place of the text.
local function status_of(file)
  local status = type(file) == "table" and file.status
  return type(status) == "table" and status.code or status
end

local function failure_of(state, kb_id, id, file, options)
  local row = rows["knowledge_bases.files.latest_failed_reason"]
  local reason = call.run(state, row, { kb_id, id }, nil, options)
  local text = type(reason) == "table" and reason.errorMessage
  if type(text) ~= "string" then
    text = "the service gives no reason"
  end
  local name = type(file.filename) == "string" and file.filename or id
  return errors.new({
    kind = "file",
    message = name .. ": " .. tostring(status_of(file)) .. ": " .. text,
  })
end

local function wait_options(given)
  local options = options_of.merged({}, options_of.wait(given))
  options.timeout = options.timeout or PROCESSING_TIMEOUT
  return options, {
    max_retries = options.max_retries,
    headers = options.headers,
  }
end

local function checker(state, kb_id, id, options, quiet, seen)
  local last
  return function()
    local row = rows["knowledge_bases.files.get"]
    local file, err, response = call.run(state, row, { kb_id, id }, nil, quiet)
    seen.response = response
    if not file then
      return nil, err
    end
    local status = status_of(file)
    if status ~= last and options.on_status then
      options.on_status(status, file)
    end
    last = status
    return FINAL[status] and file or nil
  end
end

--- Waits until a file is processed (operations knowledge_bases.files.get and
-- latest_failed_reason), asking at growing intervals of 1 to 10 s. A status
-- that is not known counts as still working.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string id of the file
-- @tparam table|nil given timeout (600 s; a number), interval (seconds),
--   on_status(status, file), max_retries, headers
-- @treturn table|nil the file, once its status is "done"
-- @treturn table|nil error: kind "file" with the reason where processing
--   failed, "timeout" where it took too long
-- @treturn table|nil response of the last look
local function wait_for(state, kb_id, id, given)
  local options, quiet = wait_options(given)
  local clock = {
    now = core.now,
    sleep = function(seconds)
      wait.sleep(state.hub, seconds)
    end,
  }
  local seen = {}
  local check = checker(state, kb_id, id, options, quiet, seen)
  local file, err = poll.until_known(check, clock, options)
  if not file and not err then
    err = errors.new({
      kind = "timeout",
      message = string.format("file %s was not processed within %g s", id,
        options.timeout),
    })
  end
  if file and status_of(file) ~= "done" then
    file, err = nil, failure_of(state, kb_id, id, file, quiet)
  end
  return file, err, seen.response
end

return { upload = upload_file, wait = wait_for }
