--- Tasks: coroutines that park while they wait and are resumed when what they
-- wait for, their subject, is done. They are lists of a hub (see `wait`), whose
-- `changes` counts whatever may have made a subject done.

local core = require("maiagent.core")
local errors = require("maiagent.errors")

local now = core.now

local FOREVER = math.huge

-- What a parked task hands to its scheduler; any other yield is the user's
-- own and means "go on at the next step".
local PARKED = {}

-- What stands for nothing further where a list of what is given up ends.
local LAST = {}

-- PUC 5.1 makes coroutines of Lua's own functions alone.
local function thread_of(fn)
  local made, thread = pcall(coroutine.create, fn)
  return made and thread or coroutine.create(function(...)
    return fn(...)
  end)
end

-- What the program gets of a task that it made with `go`.
local Task = { __name = "maiagent.task" }
local methods = {}
Task.__index = methods

--- The task whose coroutine this is.
-- @tparam table hub
-- @treturn table|nil
local function running(self)
  local thread = coroutine.running() -- nil outside of any on 5.1
  return thread and self.threads[thread]
end

--- Why nothing more may be begun here: the client is closed, or the running
-- task, or one that it was made by, is cancelled.
-- @tparam table hub
-- @tparam table|false|nil task the running one, false for none; nil: looked up
-- @treturn string|nil the reason
local function stopped(self, task)
  if self.closed then
    return "the client is closed"
  end
  if task == nil then
    task = running(self)
  end
  while task do
    if task.cancelled then
      return "the task was cancelled"
    end
    task = task.parent
  end
end

-- What changed counts as seen once nothing came of it, and not before: to be
-- interrupted on the way must not cost the task its turn.
local function due(self, task, time)
  local changes = self.changes
  local early = time < task.wake and not self.closed
  if early and task.changes == changes then
    return false
  end
  local status = coroutine.status(task.thread)
  if status == "dead" then
    return true -- memory ran out before its end could be told: tell it now
  elseif status ~= "suspended" then
    return false -- it is what drives us, or drives who drives us
  end
  if not task.subject then
    return not early
  end
  local done, wake = task.subject:done(early)
  if wake or not early then
    task.wake = math.min(task.deadline, wake or FOREVER)
  end
  if done or time >= task.deadline then
    return true
  end
  task.changes = changes
  return false
end

--- Closes what nobody waits for any more: now or, where that is interrupted, as
-- by the end of memory or a second Ctrl-C, in the next turn. Nothing else would
-- end it. Itself it needs no memory, so it comes before all else that does.
-- @tparam table hub
-- @tparam table what a request, or all of several; with close(), which may run
--   twice, and a field `before` that is false, for the use of this
local function give_up(self, what)
  if not what.before then
    what.before = self.given_up or LAST
    self.given_up = what
  end
  what:close()
  if self.given_up == what then
    self.given_up = what.before ~= LAST and what.before
    what.before = false
  end
end

--- Closes what could not be closed when it was given up.
-- @tparam table hub
local function give_up_rest(self)
  while self.given_up do
    give_up(self, self.given_up)
  end
end

local finish_all

--- Ends a task, and what runs inside of it: its exchange is closed, and nothing
-- of it runs any more. May run twice.
-- @tparam table task
local function finish(task)
  task.finished = true
  if task.exchange then
    task.exchange:close()
  end
  if task.subject and task.subject.tasks then
    finish_all(task.subject.tasks)
  end
end

--- The same for each task of a list.
-- @tparam table list
function finish_all(list)
  for i = 1, #list do
    finish(list[i])
  end
end

local function settle(self, outer, task, ok, ...)
  self.current = outer
  if ok and coroutine.status(task.thread) ~= "dead" then
    if (...) ~= PARKED then
      task.subject, task.wake = nil, 0
    end
    return
  end
  task.finished = true
  self.changes = self.changes + 1
  if task.exchange then
    give_up(self, task.exchange) -- a callback raised while it was under way
  end
  task.on_end(ok, ...)
end

--- Runs a task up to its next wait or its end.
-- @tparam table hub
-- @tparam table task
local function resume(self, task, ...)
  local outer = self.current
  self.resumed = self.resumed + 1
  self.current = task
  task.changes = nil -- what dies here, for want of memory, is looked at
  settle(self, outer, task, coroutine.resume(task.thread, ...))
end

--- Makes a task; nothing of it runs yet.
-- @tparam table hub
-- @tparam function fn
-- @tparam function on_end called with what coroutine.resume gave at the end
-- @treturn table
local function new(self, fn, on_end)
  local task = setmetatable({
    hub = self,
    parent = running(self),
    thread = thread_of(fn),
    on_end = on_end,
    wake = 0,
  }, Task)
  self.threads[task.thread] = task
  return task
end

local function enter(self, task, fn, ...)
  task.thread = coroutine.running()
  if task.thread then
    self.threads[task.thread] = task
  end
  return fn(...)
end

--- Runs a function as a task that the host resumes, not `drive`.
-- @tparam table hub
-- @tparam function start the host's: start(fn, ...)
-- @tparam function fn called with the further arguments
-- @tparam function on_end called with the task and what pcall gave at the end
-- @treturn table
local function begin(self, start, fn, on_end, ...)
  local task = setmetatable({ hub = self, hosted = true }, Task)
  start(function(...)
    local ok, err = pcall(enter, self, task, fn, ...)
    task.finished = true
    on_end(task, ok, err)
  end, ...)
  return task
end

-- A host may watch the descriptor until `step` says that nothing is left.
local function tell(self)
  if self.native then
    self.native:wake(now())
  end
end

--- Makes a task's call in progress, and every later one, fail as cancelled: it
-- is resumed at once where it waits, and runs on to its next wait or its end.
-- @tparam table task
local function cancel(task)
  if task.finished or task.cancelled then
    return
  end
  task.cancelled = true
  if task.hosted then
    if task.exchange then
      give_up(task.hub, task.exchange)
    end
  elseif coroutine.status(task.thread) == "suspended" then
    resume(task.hub, task)
    tell(task.hub)
  end
end

local function receiver(task, name)
  if getmetatable(task) ~= Task then
    errors.misuse("task." .. name .. ": called with a dot; write task:"
      .. name .. "()")
  end
  return task
end

--- Cancels the task: its call in progress returns nil and an error of kind
-- "cancelled", as does every call that it makes afterwards. A task that runs,
-- being the one that calls this, goes on to its next call. One that makes a
-- thousand more is ended by the error, raised. Nothing happens to one that has
-- ended.
function methods:cancel()
  cancel(receiver(self, "cancel"))
end

--- Whether the task has ended, in whatever way.
-- @treturn boolean
function methods:done()
  return receiver(self, "done").finished or false
end

function Task.__tostring(task)
  local state = "running"
  if task.finished then
    state = "done"
  elseif task.cancelled then
    state = "cancelled"
  elseif not task.hosted and coroutine.status(task.thread) == "suspended" then
    state = "waiting"
  end
  return "maiagent.task (" .. state .. ")"
end

Task.__close = cancel

-- At least one task is resumed, however late it is.
local function spent(self)
  return self.resumed > 0 and now() >= self.limit
end

-- Who was not served this time comes first the next time.
local function put_last(tasks, served, next_one)
  local order = {}
  for i = next_one, #tasks do
    order[#order + 1] = tasks[i]
  end
  for i = 1, served do
    order[#order + 1] = tasks[i]
  end
  for i = 1, #tasks do
    tasks[i] = order[i]
  end
end

--- Resumes what is due in a list of tasks and drops the finished ones; stops
-- where the hub's `limit` is over.
-- @tparam table hub
-- @tparam table tasks the list; it is changed
-- @treturn number when to look again at the latest, on core.now()'s clock
local function drive(self, tasks)
  -- Tasks may be added meanwhile; `kept` never overtakes the reading index.
  local time, earliest, kept = now(), FOREVER, 0
  local i = 1
  while i <= #tasks and not (self.limit and spent(self)) do
    local task = tasks[i]
    if not task.finished and due(self, task, time) then
      resume(self, task)
    end
    if not task.finished then
      kept = kept + 1
      tasks[kept] = task
      earliest = task.wake < earliest and task.wake or earliest
    end
    i = i + 1
  end
  if i <= #tasks then
    put_last(tasks, kept, i)
    return time
  end
  for j = #tasks, kept + 1, -1 do
    tasks[j] = nil
  end
  return earliest
end

--- Parks the running task until its subject is done or the time is over.
-- @tparam table hub
-- @tparam table task
-- @param subject as `wait.pause` takes it, or nil
-- @tparam number deadline on core.now()'s clock
-- @tparam number|nil wake when to ask the subject again
local function park(self, task, subject, deadline, wake)
  task.subject, task.deadline = subject, deadline
  task.wake = math.min(deadline, wake or FOREVER)
  task.changes = self.changes
  coroutine.yield(PARKED)
end

return {
  begin = begin,
  cancel = cancel,
  drive = drive,
  finish = finish,
  finish_all = finish_all,
  give_up = give_up,
  give_up_rest = give_up_rest,
  new = new,
  park = park,
  resume = resume,
  running = running,
  stopped = stopped,
}
