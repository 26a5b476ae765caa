--- Waiting for the service's own work on a file.

local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local options_of = require("maiagent.options")
local poll = require("maiagent.poll")
local wait = require("maiagent.wait")

local PROCESSING_TIMEOUT = 600 -- seconds

local FINAL =
  { done = true, failed = true, deleted = true, delete_failed = true }

local rows = call.rows

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
  local options = options_of.merged({},
    options_of.wait("knowledge_bases.files.wait", given))
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

return { wait = wait_for }
