--- Deleting files of a knowledge base, once what takes their place is there;
-- and why some never get that far.

local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local gather = require("maiagent.gather")
local poll = require("maiagent.poll")
local processing = require("maiagent.processing")
local registration = require("maiagent.registration")
local wait = require("maiagent.wait")

-- A file that is being processed cannot be deleted: seconds until we give up,
-- at the latest.
local CONFLICT_TIMEOUT = 60
local CONFLICT_INTERVAL = 0.5

local row = call.rows["knowledge_bases.files.delete"]
local reason_row = call.rows["knowledge_bases.files.latest_failed_reason"]

local function attempt(state, kb_id, id, options)
  local deleted, err = call.run(state, row, { kb_id, id }, nil, options)
  if deleted or err.kind == "not_found" then
    return true
  elseif err.kind ~= "conflict" then
    return nil, err
  end
end

local function without_id(purpose)
  return errors.new({
    kind = "decode",
    message = "the service gives no id " .. purpose,
  })
end

-- Deletes one file; one that is gone already counts as deleted.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string id
-- @tparam table options of the requests
-- @tparam number|nil timeout seconds that its processing is waited for
-- @treturn boolean|nil true
-- @treturn table|nil error, of kind "conflict" where it is processed too long
local function delete_one(state, kb_id, id, options, timeout)
  local clock = {
    now = core.now,
    sleep = function(seconds)
      wait.sleep(state.hub, seconds)
    end,
  }
  local deleted, err = poll.until_known(function()
    return attempt(state, kb_id, id, options)
  end, clock, {
    timeout = math.min(timeout or math.huge, CONFLICT_TIMEOUT),
    interval = CONFLICT_INTERVAL,
  })
  if not deleted and not err then
    err = errors.new({ kind = "conflict", message = "the file is still being "
      .. "processed, so it could not be deleted" })
  end
  return deleted, err
end

--- Deletes files, some at a time.
-- @tparam table state
-- @tparam string kb_id
-- @tparam table files a list of objects with an id
-- @tparam table options of the requests
-- @tparam integer concurrency
-- @tparam number|nil timeout seconds that their processing is waited for
-- @treturn table index → error of those that were not deleted
local function deleted(state, kb_id, files, options, concurrency, timeout)
  local _, failures = gather.map(state.hub, files, function(file)
    if not registration.is_id(file.id) then
      return nil, without_id("to delete it by")
    end
    return delete_one(state, kb_id, file.id, options, timeout)
  end, concurrency)
  return failures or {}
end

--- Waits until files are processed.
-- @tparam table state
-- @tparam string kb_id
-- @tparam table files a list of objects with an id
-- @tparam table options of the requests
-- @tparam number|nil timeout seconds
-- @treturn table index → error of those that are not: kind "file" where
--   processing failed, "timeout" where it takes longer
local function processed(state, kb_id, files, options, timeout)
  local ids, places, result = {}, {}, {}
  for i, file in ipairs(files) do
    if registration.is_id(file.id) then
      ids[#ids + 1], places[#ids + 1] = file.id, i
    else
      result[i] = without_id("to ask by whether it is processed")
    end
  end
  local _, failures = processing.wait_for_files(state, kb_id, ids, {
    timeout = timeout,
    max_retries = options.max_retries,
    headers = options.headers,
  })
  for i, err in pairs(failures or {}) do
    result[places[i]] = err
  end
  return result
end

--- Why the service could not process files, one request each.
-- @tparam table state
-- @tparam string kb_id
-- @tparam table files a list of objects with an id
-- @tparam table options of the requests
-- @tparam integer concurrency
-- @treturn table index → text, where the service gives one
local function reasons_of(state, kb_id, files, options, concurrency)
  local answers = gather.map(state.hub, files, function(file)
    return call.run(state, reason_row, { kb_id, file.id }, nil, options)
  end, concurrency)
  local texts = {}
  for i = 1, #files do
    local answer = answers[i]
    local text = type(answer) == "table" and answer.errorMessage
    texts[i] = type(text) == "string" and call.redacted(state, text) or nil
  end
  return texts
end

-- What is to be processed before the summary can be told: file → error, where
-- it is not.
local function failures_of(run)
  local waited_for, is_there = {}, {}
  local function add(file)
    if file and not is_there[file] then
      waited_for[#waited_for + 1], is_there[file] = file, true
    end
  end
  for _, item in ipairs(run.replaced) do
    add(item.by)
  end
  for file, landed in pairs(run.landed) do
    add(landed.is_awaited and file)
  end
  local failures, result = processed(run.state, run.kb_id, waited_for,
    run.quiet, run.options.processing_timeout), {}
  for i, err in pairs(failures) do
    result[waited_for[i]] = err
  end
  return result
end

--- The older versions whose new ones are processed by now: until then nothing
-- else can be found. The others stay; what cannot be processed failed.
-- @tparam table run of `sync`: replaced, a list of { name, file, by, reason },
--   where `by` is what has to be processed, if anything; landed, file → { list,
--   item (of the summary), is_awaited } of each that may be waited for
-- @treturn table those of the list that may go
local function outdated(run)
  local failures, list = failures_of(run), {}
  for file, err in pairs(failures) do
    local landed = run.landed[file]
    if err.kind ~= "timeout" then
      run.summary:move(landed.item, landed.list, "failed", tostring(err), err)
    end
  end
  for _, item in ipairs(run.replaced) do
    local err = item.by and failures[item.by]
    if err then
      run.summary:add("kept", {
        name = item.name,
        id = item.file.id,
        reason = "the older version stays: " .. tostring(err),
      })
    else
      list[#list + 1] = item
    end
  end
  return list
end

local function targets_of(list)
  local targets = {}
  for i, action in ipairs(list) do
    targets[i] = action.file
  end
  return targets
end

--- Deletes files, and tells the summary.
-- @tparam table run of `sync`
-- @tparam table list of { name, file, reason }
local function delete(run, list)
  local failures = deleted(run.state, run.kb_id, targets_of(list),
    run.quiet, run.concurrency, run.options.processing_timeout)
  for i, action in ipairs(list) do
    local err = failures[i]
    run.summary:add(err and "failed" or "deleted", {
      name = action.name,
      id = action.file.id,
      reason = err and tostring(err) or action.reason,
      error = err,
    })
  end
end

--- Tells the summary what failed on the service, and why.
-- @tparam table run of `sync`
-- @tparam table list of { name, file, reason }
local function tell_failed(run, list)
  local reasons = reasons_of(run.state, run.kb_id, targets_of(list),
    run.quiet, run.concurrency)
  for i, action in ipairs(list) do
    run.summary:add("failed", {
      name = action.name,
      id = action.file.id,
      reason = reasons[i] or action.reason,
    })
  end
end

return {
  delete = delete,
  outdated = outdated,
  tell_failed = tell_failed,
}
