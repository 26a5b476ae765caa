--- Functions side by side, and the wait for all of them.

local errors = require("maiagent.errors")
local host = require("maiagent.host")
local protect = require("maiagent.protect")
local tasks = require("maiagent.tasks")
local wait = require("maiagent.wait")

local Group = {}
Group.__index = Group

-- A group is a subject: asked whether it is done, it moves its tasks on.
function Group:done()
  local earliest = tasks.drive(self.hub, self.tasks)
  if self.failed or #self.tasks == 0 then
    return true
  end
  return false, earliest
end

function Group:close()
  tasks.finish_all(self.tasks)
end

-- Keeps what was raised first, and ends all.
local function fail(group, raised, fn)
  local is_first = not group.failed
  if is_first then
    group.failed, group.raised = true, raised
  end
  wait.give_up(group.hub, group)
  if is_first and fn then
    group.raised = errors.placed(raised, fn)
  end
end

local function cancelled(reason)
  return errors.new({ kind = "cancelled", message = reason })
end

-- What has not ended when it was cancelled waits for something else.
local function abandon(list, reason)
  for _, task in ipairs(list) do
    if not task.finished then
      tasks.cancel(task)
    end
    if not task.finished then
      task.finished = true
      task.on_end(true, nil, cancelled(reason))
    end
  end
end

-- Where the host has no coroutines.
local function run_in_order(group, functions, ending)
  for i, fn in ipairs(functions) do
    if not group.failed then
      ending(i)(pcall(fn))
    end
  end
end

local function run_together(group, functions, ending)
  for i, fn in ipairs(functions) do
    group.tasks[i] = tasks.new(group.hub, fn, ending(i))
  end
  local ok, problem =
    protect.call_here(wait.pause, group.hub, group, math.huge)
  if not ok then -- a wait hook raised, or Ctrl-C
    fail(group, problem)
  elseif not group.failed then
    abandon(group.tasks, tasks.stopped(group.hub))
  end
end

--- Runs functions side by side and waits for all of them. Where one raises,
-- the others are cancelled and its error is raised.
-- @tparam table hub
-- @tparam table functions a list
-- @tparam function|nil inner what all of them call, where they are ours
-- @treturn table the first value of each, in order
-- @treturn table|nil index → the second value of each that gave nil; nil when
--   every function gave a value
local function gather(self, functions, inner)
  local group = setmetatable({ hub = self, tasks = {}, failed = false,
    raised = false, before = false }, Group)
  local results, failures = {}, nil
  local function ending(i)
    return function(ok, value, err)
      if not ok then
        fail(group, value, inner or functions[i])
      elseif value == nil and err ~= nil then
        failures = failures or {}
        failures[i] = err
      end
      if ok then
        results[i] = value
      end
    end
  end
  local _, in_order = host.starter()
  local run = in_order and run_in_order or run_together
  run(group, functions, ending)
  if group.failed then
    error(group.raised, 0)
  end
  return results, failures
end

--- Applies a function to every item of a list, some at a time.
-- @tparam table hub
-- @tparam table list
-- @tparam function fn called with (item, index)
-- @tparam integer concurrency how many at a time
-- @treturn table as `gather`
-- @treturn table|nil as `gather`
local function map(self, list, fn, concurrency)
  local results, failures, ended, index = {}, nil, {}, 0
  local function keep(i, value, err)
    results[i], ended[i] = value, true
    if value == nil and err ~= nil then
      failures = failures or {}
      failures[i] = err
    end
  end
  local function worker()
    while index < #list and not tasks.stopped(self) do
      index = index + 1
      local i = index
      keep(i, fn(list[i], i))
    end
  end
  local workers = {}
  for i = 1, math.min(concurrency, #list) do
    workers[i] = worker
  end
  gather(self, workers, fn)
  for i = 1, #list do
    if not ended[i] then
      keep(i, nil, cancelled(tasks.stopped(self)))
    end
  end
  return results, failures
end

return { gather = gather, map = map }
