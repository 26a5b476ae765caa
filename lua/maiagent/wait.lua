--- Waiting, in every host. All of it happens in Lua frames, so that a call
-- may yield on every VM (5.1 and LuaJIT cannot yield across C).
--
-- A hub is what a client and its `with` copies share: the libcurl handle, the
-- tasks made by `go`, and how to wait. Whoever waits gives a subject with a
-- method `done()` that answers true, or false and when to ask again.

local core = require("maiagent.core")
local errors = require("maiagent.errors")

local now = core.now

local SHORTEST_SLEEP = 1 -- milliseconds, for hosts that can only sleep
local LONGEST_SLEEP = 20
local LONGEST_POLL = 60000 -- milliseconds blocked in C without a look at tasks
local FOREVER = math.huge

-- What a parked task hands to its scheduler; any other yield is the user's
-- own and means "go on at the next step".
local PARKED = {}

-- A parked task is TOLD when its answer is there and it cannot be resumed yet.
local WAITING, TOLD = "waiting", "told"

-- nginx's phases in which a light thread may yield, and those that run before
-- there is an event loop, where blocking is right.
local YIELDING = {
  rewrite = true,
  server_rewrite = true,
  access = true,
  content = true,
  timer = true,
  preread = true,
  ssl_cert = true,
  ssl_session_fetch = true,
  ssl_client_hello = true,
}
local BLOCKING = { init = true, init_worker = true }

--- Makes a hub.
-- @tparam function|nil hook the option `wait`: hook(client, milliseconds)
-- @tparam function open makes the libcurl handle when it is first needed
-- @treturn table
local function hub(hook, open)
  return {
    hook = hook,
    open = open,
    tasks = {},
    failures = {}, -- of tasks: { what was raised }
    parked = setmetatable({}, { __mode = "k" }), -- task → WAITING or TOLD
    told = 0, -- how often a parked task became TOLD
    changes = 0,
  }
end

--- The hub's libcurl handle; loads libcurl the first time.
-- @treturn userdata|nil nil when the hub is closed
local function handle(self)
  if not self.native and not self.closed then
    self.native = self.open()
  end
  return self.native
end

local function poll(self, milliseconds)
  self.native:poll(milliseconds)
end

local function nginx_sleep(ngx)
  return function(_, milliseconds)
    ngx.sleep(milliseconds / 1000)
  end
end

local function nginx_wait(ngx)
  local phase = ngx.get_phase()
  if BLOCKING[phase] then
    return poll
  end
  if YIELDING[phase] then
    return nginx_sleep(ngx)
  end
  errors.misuse("maiagent: cannot wait for an answer in nginx's phase '"
    .. phase .. "'; start a timer with ngx.timer.at and call from there")
end

local function host_wait(self)
  local ngx = rawget(_G, "ngx")
  if type(ngx) == "table" and ngx.get_phase and ngx.sleep then
    return nginx_wait(ngx)
  end
  return poll
end

--- How to wait here and now; raises where nothing can wait.
-- Called before a request is sent, so that none is sent in vain.
-- @treturn function (hub, milliseconds)
local function waiter(self)
  local hook = self.hook
  if not hook then
    return host_wait(self)
  end
  return function(hub_, milliseconds)
    hook(hub_.client, milliseconds)
  end
end

local function running_task(self)
  local task = self.current
  if task and task.thread == coroutine.running() then
    return task
  end
end

local function due(self, task, time)
  local status = coroutine.status(task.thread)
  if status == "dead" then
    return true -- memory ran out before its end could be told: tell it now
  elseif status ~= "suspended" then
    return false -- it is what drives us, or drives who drives us
  end
  if not task.subject then
    return self.closed or time >= task.wake
  end
  local quiet = time < task.wake and task.changes == self.changes
  if quiet and not self.closed then
    return false
  end
  task.changes = self.changes
  local done, wake = task.subject:done()
  task.wake = math.min(task.deadline, wake or FOREVER)
  return done or time >= task.deadline
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
    task.exchange:close() -- a callback raised while it was under way
  end
  task.on_end(ok, ...)
end

local function resume(self, task, ...)
  local outer = self.current
  self.current = task
  settle(self, outer, task, coroutine.resume(task.thread, ...))
end

local function new_task(fn, on_end)
  return { thread = coroutine.create(fn), on_end = on_end, wake = 0 }
end

-- Resumes what is due in a list of tasks and drops the finished ones.
-- Tasks may be added meanwhile; `kept` never overtakes the reading index.
local function drive(self, tasks)
  local time, earliest, kept = now(), FOREVER, 0
  local i = 1
  while i <= #tasks do
    local task = tasks[i]
    if not task.finished and due(self, task, time) then
      resume(self, task)
    end
    if not task.finished then
      kept = kept + 1
      tasks[kept] = task
      earliest = math.min(earliest, task.wake)
    end
    i = i + 1
  end
  for j = #tasks, kept + 1, -1 do
    tasks[j] = nil
  end
  return earliest
end

local function step_native(self)
  if not self.native then
    return 0
  end
  local running, finished = self.native:step()
  if finished ~= self.finished then
    self.finished = finished
    self.changes = self.changes + 1
  end
  return running
end

-- Marked in here: pcall itself may lack memory, and must leave no mark behind.
local function drive_all(self)
  self.driving = true
  return drive(self, self.tasks)
end

-- One turn of the wheel; nested turns (a call inside a task's own coroutine)
-- leave the list of tasks to the outer one. Where a task closes the client, or
-- waits in such a coroutine, a second pass serves those before it in the list.
local function turn(self)
  local running = step_native(self)
  if self.driving then
    return running, FOREVER
  end
  local closed, told, ok, earliest
  repeat
    closed, told = self.closed, self.told
    ok, earliest = pcall(drive_all, self)
    self.driving = false
  until not ok or (closed == self.closed and told == self.told)
  if not ok then
    error(earliest, 0)
  end
  return running, earliest
end

-- While one task waits in a coroutine of its own, the others cannot go on.
-- Their answers are looked at, or the descriptor would stay readable.
local function acknowledge(self)
  for task, state in pairs(self.parked) do
    if state == WAITING and task.exchange and task.exchange:done() then
      self.parked[task] = TOLD
      self.told = self.told + 1
    end
  end
end

local function milliseconds_until(time)
  local left = math.ceil((time - now()) * 1000)
  return math.max(SHORTEST_SLEEP, math.min(left, LONGEST_POLL))
end

-- A host that can only sleep is asked to sleep a twentieth of what has been
-- waited so far: short answers come soon, long ones cost little.
local function adaptive_sleep(started)
  local elapsed = (now() - started) * 1000
  return math.max(SHORTEST_SLEEP, math.min(LONGEST_SLEEP, elapsed / 20))
end

local function block(self, subject, deadline)
  local wait = waiter(self)
  local started = now()
  while true do
    local open, told = handle(self), self.told
    local _, earliest = turn(self)
    if self.current then
      acknowledge(self)
    end
    local done, wake = false, nil
    if subject then
      done, wake = subject:done()
    end
    if done or now() >= deadline or not open then
      return
    end
    local left =
      milliseconds_until(math.min(deadline, earliest, wake or FOREVER))
    if wait ~= poll then
      left = math.min(left, adaptive_sleep(started))
    end
    if self.native and told == self.told then
      wait(self, left)
    end
  end
end

--- Waits until `subject:done()` or the deadline, whichever is first; inside a
-- task of this hub by parking it, else by waiting as the host does.
-- @tparam table hub
-- @param subject with a method done() → true | false, when to ask again
-- @tparam number deadline on the clock of core.now(); math.huge: none
local function pause(self, subject, deadline)
  local task = running_task(self)
  if not task then
    return block(self, subject, deadline)
  end
  local done, wake = false, nil
  if subject then
    done, wake = subject:done()
  end
  if done then
    return
  end
  task.subject, task.deadline = subject, deadline
  task.wake = math.min(deadline, wake or FOREVER)
  task.changes = self.changes
  self.parked[task] = WAITING
  coroutine.yield(PARKED)
  self.parked[task] = nil
end

--- Waits for a time without keeping anything else from running.
-- @tparam table hub
-- @tparam number seconds
local function sleep(self, seconds)
  local deadline = now() + seconds
  while now() < deadline and not self.closed do
    pause(self, nil, deadline)
  end
end

--- Runs a function as a task: up to its first wait now, then by `step`.
-- @tparam table hub
-- @tparam function fn called with the further arguments
local function go(self, fn, ...)
  local task = new_task(fn, function(ok, err)
    if not ok then
      self.failures[#self.failures + 1] = { err }
    end
  end)
  self.tasks[#self.tasks + 1] = task
  resume(self, task, ...)
end

local function raise_failure(self)
  if #self.failures > 0 then
    error(table.remove(self.failures, 1)[1], 0)
  end
end

--- Moves everything on that can be moved without blocking.
-- @tparam table hub
-- @treturn boolean whether anything is still under way
-- Raises the error of a task that raised one.
local function step(self)
  local running = turn(self)
  raise_failure(self)
  return running > 0 or #self.tasks > 0
end

--- Moves requests and tasks on, without raising a task's error.
-- @tparam table hub
local function pump(self)
  turn(self)
end

--- Seconds until a task wants to be resumed whatever happens on the wire.
-- @tparam table hub
-- @treturn number|nil nil: none does
local function next_look(self)
  local earliest = FOREVER
  for _, task in ipairs(self.tasks) do
    earliest = math.min(earliest, task.wake)
  end
  return earliest < FOREVER and math.max(0, earliest - now()) or nil
end

local Group = {}
Group.__index = Group

-- A group is a subject: asked whether it is done, it moves its tasks on.
function Group:done()
  local earliest = drive(self.hub, self.tasks)
  if self.failure or #self.tasks == 0 then
    return true
  end
  return false, earliest
end

-- With all that runs inside of them.
local function cancel(tasks)
  for _, task in ipairs(tasks) do
    task.finished = true
    if task.exchange then
      task.exchange:close()
    end
    if getmetatable(task.subject) == Group then
      cancel(task.subject.tasks)
    end
  end
end

-- What has not ended when the client was closed waits for something else.
local function abandon(tasks)
  for _, task in ipairs(tasks) do
    task.on_end(true, nil, errors.new({
      kind = "cancelled",
      message = "the client is closed",
    }))
  end
end

--- Runs functions side by side and waits for all of them. Where one raises,
-- the others are cancelled and its error is raised.
-- @tparam table hub
-- @tparam table functions a list
-- @treturn table the first value of each, in order
-- @treturn table|nil index → the second value of each that gave nil; nil when
--   every function gave a value
local function gather(self, functions)
  local group = setmetatable({ hub = self, tasks = {} }, Group)
  local results, failures = {}, nil
  for i, fn in ipairs(functions) do
    group.tasks[i] = new_task(fn, function(ok, value, err)
      if not ok then
        group.failure = group.failure or { value }
        cancel(group.tasks)
      elseif value == nil and err ~= nil then
        failures = failures or {}
        failures[i] = err
      end
      if ok then
        results[i] = value
      end
    end)
  end
  pause(self, group, FOREVER)
  if group.failure then
    error(group.failure[1], 0)
  end
  abandon(group.tasks)
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
    while index < #list do
      index = index + 1
      local i = index
      keep(i, fn(list[i], i))
    end
  end
  local workers = {}
  for i = 1, math.min(concurrency, #list) do
    workers[i] = worker
  end
  local _, abandoned = gather(self, workers)
  for _, err in pairs(abandoned or {}) do
    for i = 1, #list do
      if not ended[i] then
        keep(i, nil, err)
      end
    end
  end
  return results, failures
end

--- Tells the running task, if any, which exchange it waits for, so that it
-- can be cancelled with it.
-- @tparam table hub
-- @tparam userdata|nil exchange
local function watch(self, exchange)
  local task = running_task(self)
  if task then
    task.exchange = exchange
  end
end

--- Cancels everything under way and closes the connections. May run twice.
-- Raises the error of a task that raised one and was never stepped since.
-- @tparam table hub
local function close(self)
  self.closed = true
  if self.native then
    self.native:close()
    self.changes = self.changes + 1
    turn(self)
    self.native = nil
    if not self.driving then
      self.tasks = {}
    end
  end
  raise_failure(self)
end

return {
  close = close,
  gather = gather,
  go = go,
  handle = handle,
  hub = hub,
  map = map,
  next_look = next_look,
  pause = pause,
  pump = pump,
  sleep = sleep,
  step = step,
  waiter = waiter,
  watch = watch,
}
