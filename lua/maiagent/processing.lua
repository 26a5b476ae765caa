--- Waiting for the service's own work: on files, on translations of them.

local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local listing = require("maiagent.listing")
local options_of = require("maiagent.options")
local poll = require("maiagent.poll")
local progress = require("maiagent.progress")
local wait = require("maiagent.wait")

local PROCESSING_TIMEOUT = 600 -- seconds
local SHORTEST_LOOK = 1 -- seconds that a look may take after the deadline
local TOLERATED = 5 -- rounds in a row that the service may fail to answer

local rows = call.rows

local function failed(watch, id, name, object, reason)
  return errors.new({
    kind = "file",
    id = id,
    message = call.redacted(watch.state, ("%s: %s: %s"):format(name,
      progress.text(progress.status_of(object)) or "failed",
      progress.text(reason) or "the service gives no reason")),
  })
end

local function failure_of_file(watch, id, file)
  local answer = call.run(watch.state,
    rows["knowledge_bases.files.latest_failed_reason"],
    { watch.ids[1], id }, nil, watch:look())
  local reason = type(answer) == "table" and answer.errorMessage
  local name = progress.text(file.filename)
  name = name and name .. " (" .. id .. ")" or id
  return failed(watch, id, name, file, reason)
end

local function failure_of_translation(watch, id, translation)
  return failed(watch, id, "translation " .. id, translation,
    translation.errorMessage)
end

-- What can be waited for: how one is read, and what it says.
local FILES = {
  operation = "knowledge_bases.files.wait",
  noun = "file",
  get = rows["knowledge_bases.files.get"],
  list = rows["knowledge_bases.files.list"],
  verdict = progress.of_file,
  failure = failure_of_file,
}

local TRANSLATIONS = {
  operation = "knowledge_bases.files.translations.wait",
  noun = "translation",
  get = rows["knowledge_bases.files.translations.get"],
  list = rows["knowledge_bases.files.translations.list"],
  verdict = progress.of_translation,
  failure = failure_of_translation,
}

local Watch = {}
Watch.__index = Watch

-- The options of the next request: a look ends with the wait, nearly.
function Watch:look()
  local left = math.max(self.deadline - core.now(), SHORTEST_LOOK)
  return {
    timeout = math.min(left, self.state.settings.timeout.total),
    max_retries = self.options.max_retries,
    headers = self.options.headers,
  }
end

-- A list or a set of ids, each once, with what came of it.
local function new_watch(kind, state, ids, options)
  return setmetatable({
    kind = kind,
    state = state,
    ids = ids, -- in path order, the last one excepted
    options = options,
    deadline = core.now() + options.timeout,
    pending = {}, -- id → true
    statuses = {}, -- id → the last one told
    objects = {}, -- id → what is done
    errors = {}, -- id → error
    misses = 0, -- rounds in a row that failed
  }, Watch)
end

function Watch:add(id)
  self.pending[id] = true
end

function Watch:settle(id, object, err)
  self.pending[id] = nil
  self.objects[id], self.errors[id] = object, err
end

-- A service that is out of order for a moment has said nothing of the file.
function Watch:miss(id, err)
  if not self.has_missed then
    self.has_missed, self.misses = true, self.misses + 1
  end
  self.problem = err
  if not err.retryable or self.misses > TOLERATED then
    self:settle(id, nil, err)
  end
end

function Watch:reach()
  self.misses, self.problem = 0, nil
end

--- Takes in what the service says of one.
function Watch:see(id, object)
  local status = progress.status_of(object)
  if status ~= self.statuses[id] and self.options.on_status then
    self.options.on_status(status, object)
  end
  self.statuses[id] = status
  local verdict = self.kind.verdict(object)
  if verdict == "done" then
    self:settle(id, object)
  elseif verdict == "failed" then
    self:settle(id, nil, self.kind.failure(self, id, object))
  end
end

-- Ids in an order that does not change from look to look.
local function sorted(set)
  local list = {}
  for id in pairs(set) do
    list[#list + 1] = id
  end
  table.sort(list)
  return list
end

-- Some of the ids may be nil still, which `prepare` tells.
local function path_of(kind, ids, id)
  local path, last = {}, #kind.get.ids
  for i = 1, last - 1 do
    path[i] = ids[i]
  end
  path[last] = id
  return path
end

function Watch:get(id)
  local object, err, response = call.run(self.state, self.kind.get,
    path_of(self.kind, self.ids, id), nil, self:look())
  self.response = response
  if object == nil then
    return self:miss(id, err)
  end
  self:reach()
  self:see(id, object)
end

-- Reads pages until every id was seen, or until asking for the rest one by
-- one takes fewer requests. Gives the ids that were not seen.
function Watch:read_list()
  local unseen, left, pages = {}, 0, 0
  for id in pairs(self.pending) do
    unseen[id], left = true, left + 1
  end
  local _, err, response = listing.look(self.state, self.kind.list, self.ids,
    {}, function()
      return self:look()
    end, function(objects, count)
      self:reach()
      pages = count
      for _, object in ipairs(objects) do
        local id = type(object) == "table" and object.id
        if id and unseen[id] then
          unseen[id], left = nil, left - 1
          self:see(id, object)
        end
      end
      return left <= count
    end)
  self.response = response
  -- Deleted from meanwhile: the page that was the last is no more.
  local shrunk = err and err.kind == "not_found" and pages > 0
  return sorted(unseen), not shrunk and err or nil
end

-- Asks once for all that is pending.
function Watch:ask()
  local list, err = sorted(self.pending), nil
  self.has_missed = false
  if #list > 1 then
    list, err = self:read_list()
  end
  for _, id in ipairs(list) do
    if err then
      self:miss(id, err)
    else
      self:get(id)
    end
  end
end

local function overdue(watch)
  local left = sorted(watch.pending)
  local problem = watch.problem
    and ("; the last look failed: " .. tostring(watch.problem)) or ""
  for _, id in ipairs(left) do
    local others = #left > 1 and (" (%d are left)"):format(#left) or ""
    watch:settle(id, nil, errors.new({
      kind = "timeout",
      message = ("%s %s was not processed within %g s%s%s"):format(
        watch.kind.noun, id, watch.options.timeout, others, problem),
    }))
  end
end

local function run(watch)
  local clock = {
    now = core.now,
    sleep = function(seconds)
      wait.sleep(watch.state.hub, seconds)
    end,
  }
  poll.until_known(function()
    watch:ask()
    return next(watch.pending) == nil or nil
  end, clock, watch.options)
  overdue(watch)
end

local function hint(value)
  local has_id = type(value) == "table" and rawget(value, "id") ~= nil
  return has_id and " (did you mean obj.id?)" or ""
end

-- What stands outside the list would not be waited for.
local function check_list(kind, list)
  local count = 0
  for i, id in ipairs(list) do
    if type(id) ~= "string" or id == "" then
      errors.misuse(("%s: ids[%d] must be a string that is not empty, got "
        .. "%s%s"):format(kind.operation, i, errors.shown(id), hint(id)))
    end
    count = i
  end
  for key in pairs(list) do
    if type(key) ~= "number" or key < 1 or key > count or key % 1 ~= 0 then
      errors.misuse(("%s: an id or a list of ids expected, got a table with "
        .. "'%s'%s"):format(kind.operation, tostring(key), hint(list)))
    end
  end
end

-- Wrong ids are told before anything is sent.
local function check_ids(kind, state, ids, wanted)
  local many = type(wanted) == "table"
  if many then
    check_list(kind, wanted)
  end
  local function check(id)
    call.prepare(state, kind.get, path_of(kind, ids, id), nil, {},
      kind.operation)
  end
  check(many and "id" or wanted)
  for _, id in ipairs(many and wanted or {}) do
    check(id)
  end
end

-- Results and errors in the order of the ids.
local function in_order(watch, list)
  local objects, failures = {}, nil
  for i, id in ipairs(list) do
    objects[i] = watch.objects[id]
    if watch.errors[id] then
      failures = failures or {}
      failures[i] = watch.errors[id]
    end
  end
  return objects, failures, watch.response
end

local function wait_options(kind, given)
  local options = options_of.merged({},
    options_of.checked("wait", kind.operation, given))
  options.timeout = options.timeout or PROCESSING_TIMEOUT
  return options
end

local function wait_for(kind, state, ids, wanted, given)
  local options = wait_options(kind, given)
  check_ids(kind, state, ids, wanted)
  local many = type(wanted) == "table"
  local list = many and wanted or { wanted }
  local watch = new_watch(kind, state, ids, options)
  for _, id in ipairs(list) do
    watch:add(id)
  end
  if next(watch.pending) ~= nil then
    run(watch)
  end
  if many then
    return in_order(watch, list)
  end
  return watch.objects[wanted], watch.errors[wanted], watch.response
end

--- Waits until files are processed (operations knowledge_bases.files.get, list
-- and latest_failed_reason), asking at growing intervals of 1 to 10 s. A
-- status that is not known counts as still working. Many files are looked for
-- on the pages of the list rather than asked for one by one. A few looks in a
-- row may fail for reasons that pass (5xx, connections).
-- @tparam table state
-- @tparam string kb_id
-- @tparam string|table wanted a file's id, or a list of ids
-- @tparam table|nil given timeout (600 s; a number), interval (seconds),
--   on_status(status, file) at each change of each file, max_retries, headers
-- @treturn table|nil the file, once its status is "done"; of a list: the
--   files in the order of the ids, nil where there is an error
-- @treturn table|nil error: kind "file" with the reason where processing
--   failed, "timeout" where it took too long; of a list: index → error, nil
--   where there is none
-- @treturn table|nil response of the last look
local function wait_for_files(state, kb_id, wanted, given)
  return wait_for(FILES, state, { kb_id }, wanted, given)
end

--- Waits until translations are made (operations
-- knowledge_bases.files.translations.get and list), as for files. A
-- translation is done when it says so, or has a file or a time of completion;
-- it failed when it has an error message.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string file_id
-- @tparam string|table wanted a translation's id, or a list of ids
-- @tparam table|nil given as for files
-- @return as for files
local function wait_for_translations(state, kb_id, file_id, wanted, given)
  return wait_for(TRANSLATIONS, state, { kb_id, file_id }, wanted, given)
end

return {
  wait_for_files = wait_for_files,
  wait_for_translations = wait_for_translations,
}
