--- Waiting, in every host. All of it happens in Lua frames, so that a call
-- may yield on every VM (5.1 and LuaJIT cannot yield across C).
--
-- A hub is what a client and its `with` copies share: the libcurl handle, the
-- tasks made by `go`, and how to wait. Whoever waits gives a subject with a
-- method `done(early)` that answers true, or false and when to ask again; that
-- may be left out where `early` says that its time has not come.

local core = require("maiagent.core")
local errors = require("maiagent.errors")
local host = require("maiagent.host")
local slots = require("maiagent.slots")
local tasks = require("maiagent.tasks")

local now = core.now

local SHORTEST_SLEEP = 1 -- milliseconds, for hosts that can only sleep
local LONGEST_SLEEP = 20
local LONGEST_POLL = 60000 -- milliseconds blocked in C without a look at tasks
local FOREVER = math.huge
local MOST_REFUSALS = 1000 -- calls of a cancelled task that return an error
local SWEEP_INTERVAL = 0.02 -- seconds between two steps of the collector
local SWEEP_STEP = 128 -- KiB: a step does as much as if they were allocated

-- A parked task is TOLD when its answer is there and it cannot be resumed yet.
local WAITING, TOLD = "waiting", "told"

--- Makes a hub.
-- @tparam function|nil hook the option `wait`: hook(client, milliseconds)
-- @tparam function open makes the libcurl handle when it is first needed
-- @tparam integer|nil max_in_flight requests on the wire at a time
-- @tparam integer|nil max_connections that the handle may open
-- @treturn table
local function hub(hook, open, max_in_flight, max_connections)
  local self = {
    hook = hook,
    open = open,
    tasks = {},
    failures = {}, -- of tasks: { what was raised }
    threads = setmetatable({}, { __mode = "kv" }), -- coroutine → its task
    given_up = false, -- what could not be closed, one before another
    parked = setmetatable({}, { __mode = "k" }), -- task → WAITING or TOLD
    told = 0, -- how often a parked task became TOLD
    changes = 0,
    resumed = 0, -- how many tasks were, in this turn
    limit = nil, -- when this turn is to end, if it has a budget
    slots = nil, -- where max_in_flight was given
    max_connections = max_connections or FOREVER,
    swept = -FOREVER, -- when `sweep` last did something
  }
  if max_in_flight then
    self.slots = slots.new(max_in_flight, function()
      return self.native and self.native:running() or 0
    end)
  end
  return self
end

--- The hub's libcurl handle; loads libcurl the first time.
-- @treturn userdata|nil nil when the hub is closed
local function handle(self)
  if not self.native and not self.closed then
    self.native = self.open()
  end
  return self.native
end

local function begin_queued(self)
  local any = self.slots and not self.closed and slots.serve(self.slots)
  if any then
    self.changes = self.changes + 1
  end
  return any
end

--- Begins the queued requests that there is room for, where max_in_flight was
-- given. For whoever has taken one off the wire.
-- @tparam table hub
local function serve(self)
  if begin_queued(self) and self.native then
    self.native:wake(now()) -- one may have failed at once: no socket tells it
  end
end

--- Gives up what nobody waits for any more, as `tasks.give_up`, and begins
-- others in its place.
-- @tparam table hub
-- @tparam table what as `tasks.give_up` takes it
local function give_up(self, what)
  tasks.give_up(self, what)
  serve(self)
end

local function step_native(self, budget)
  if not self.native then
    return 0
  end
  local running, finished = self.native:step(budget)
  if finished ~= self.finished then
    self.changes = self.changes + 1
    self.finished = finished
  end
  begin_queued(self)
  return self.slots and self.native:running() or running
end

-- Marked in here: pcall itself may lack memory, and must leave no mark behind.
-- Nor must Ctrl-C, which may come between two instructions after it.
local function drive_all(self)
  self.driving = true
  local earliest = tasks.drive(self, self.tasks)
  self.driving = false
  return earliest
end

-- A host that looks at nothing but the descriptor must not sleep through the
-- time of a task: a repetition, a time-out, what a budget left over.
local function wake_at(self, time)
  if self.native and time < FOREVER then
    self.native:wake(math.max(time, now() + SHORTEST_SLEEP / 1000))
  end
end

-- One turn of the wheel; nested turns (a call inside a task's own coroutine)
-- leave the list of tasks to the outer one. Where a task closes the client, or
-- waits in such a coroutine, a second pass serves those before it in the list.
local function turn(self, budget)
  local limit = budget and now() + budget / 1000
  tasks.give_up_rest(self)
  local running = step_native(self, budget)
  if self.driving or #self.tasks == 0 then
    return running, FOREVER
  end
  self.limit, self.resumed = limit, 0
  local closed, told, ok, earliest
  repeat
    closed, told = self.closed, self.told
    ok, earliest = pcall(drive_all, self)
    self.driving = false -- where it raised
  until not ok or (closed == self.closed and told == self.told)
  self.limit = nil
  if not ok then
    error(earliest, 0)
  end
  wake_at(self, earliest)
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

local function is_crowded(self)
  return self.slots and slots.is_wanted(self.slots)
    or self.native and self.native:running() > self.max_connections
end

-- The request of a caller that its host has dropped keeps its place until the
-- collector finds it, and those that wait for a place give it nothing to do:
-- two visitors who went away held two of two slots for ever. Gives when to do
-- this again.
local function sweep(self)
  if not is_crowded(self) then
    return FOREVER
  end
  local time = now()
  if time >= self.swept + SWEEP_INTERVAL then
    self.swept = time
    collectgarbage("step", SWEEP_STEP)
  end
  return self.swept + SWEEP_INTERVAL
end

local function block(self, task, subject, deadline)
  local wait = host.waiter(self)
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
    if done or now() >= deadline or not open or (task and task.cancelled) then
      return
    end
    local time = math.min(deadline, earliest, wake or FOREVER)
    local left = milliseconds_until(time)
    if wait ~= host.poll then
      left = math.min(left, adaptive_sleep(started))
      time = math.min(time, sweep(self))
    end
    if self.hook then
      wake_at(self, time) -- it may look at nothing but the descriptor
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
  local task = tasks.running(self)
  if not task or task.hosted then
    return block(self, task, subject, deadline)
  end
  local done, wake = false, nil
  if subject then
    done, wake = subject:done()
  end
  if done then
    return
  end
  self.parked[task] = WAITING
  tasks.park(self, task, subject, deadline, wake)
  self.parked[task] = nil
end

--- Waits for a time without keeping anything else from running; less where
-- the client is closed or the task cancelled.
-- @tparam table hub
-- @tparam number seconds
local function sleep(self, seconds)
  local deadline = now() + seconds
  while now() < deadline and not tasks.stopped(self) do
    pause(self, nil, deadline)
  end
end

-- A running task that is still marked as parked could not yield: in a callback
-- of C's, as string.gsub's, or on PUC 5.1 in a pcall. The VM raised that to the
-- program, and nothing of ours was told.
local function drop_failed_wait(self, task)
  if task and self.parked[task] then
    self.parked[task] = nil
    if task.exchange then
      give_up(self, task.exchange)
    end
  end
end

--- Why no request may be begun here, as `stopped`. Raises it in a task that
-- goes on and on without a look at its errors: nothing else would end it, and
-- whoever cancelled it, or closed the client, would wait for ever.
-- @tparam table hub
-- @treturn string|nil the reason
local function refused(self)
  local task = tasks.running(self) or false
  local reason = tasks.stopped(self, task)
  drop_failed_wait(self, task)
  if reason and task then
    task.refusals = (task.refusals or 0) + 1
    if task.refusals > MOST_REFUSALS then
      error(errors.new({ kind = "cancelled", message = reason }), 0)
    end
  end
  return reason
end

--- Puts a request on the wire.
-- @tparam table hub
-- @tparam userdata request
-- @tparam table settings of the exchange
-- @treturn userdata|nil exchange
-- @treturn string|nil kind of what is wrong
-- @treturn string|nil message
local function begin(self, request, settings)
  local native = handle(self)
  if not native then -- a callback of this call closed the client
    return nil, "cancelled", tasks.stopped(self)
  end
  return native:start(request, settings)
end

-- Who cancelled a task knows why its calls failed.
local function expected(self, task, err)
  return (self.closed or task.cancelled) and errors.is(err)
    and err.kind == "cancelled"
end

-- The host tells what was raised, nginx in its log, where an error is a text.
local function raise_unexpected(task, ok, err)
  if not ok and not expected(task.hub, task, err) then
    error(tostring(err), 0)
  end
end

--- Runs a function as a task: up to its first wait now, then by `step`, or as
-- the host resumes it.
-- @tparam table hub
-- @tparam function fn called with the further arguments
-- @treturn table task
local function go(self, fn, ...)
  local start = host.starter()
  if start then
    return tasks.begin(self, start, fn, raise_unexpected, ...)
  end
  local task
  task = tasks.new(self, fn, function(ok, err)
    if not ok and not expected(self, task, err) then
      self.failures[#self.failures + 1] = { errors.placed(err, fn) }
    end
  end)
  task.parent = nil -- it may outlive the task that made it
  self.tasks[#self.tasks + 1] = task
  tasks.resume(self, task, ...)
  if not task.finished then
    wake_at(self, task.wake)
  end
  return task
end

local function raise_failure(self)
  if #self.failures > 0 then
    error(table.remove(self.failures, 1)[1], 0)
  end
end

--- Moves everything on that can be moved without blocking.
-- @tparam table hub
-- @tparam number|nil budget milliseconds after which nothing more is begun
-- @treturn boolean whether anything is still under way
-- Raises the error of a task that raised one.
local function step(self, budget)
  local running = turn(self, budget)
  raise_failure(self)
  return running > 0 or #self.tasks > 0
end

--- Moves requests and tasks on, without raising a task's error.
-- @tparam table hub
local function pump(self)
  turn(self)
end

local function earliest_wake(self)
  local earliest = FOREVER
  for _, task in ipairs(self.tasks) do
    earliest = math.min(earliest, task.wake)
  end
  return earliest
end

--- Seconds until a task wants to be resumed whatever happens on the wire.
-- @tparam table hub
-- @treturn number|nil nil: none does
local function next_look(self)
  local earliest = earliest_wake(self)
  return earliest < FOREVER and math.max(0, earliest - now()) or nil
end

--- The descriptor that is readable when `step` has something to do.
-- @tparam table hub
-- @treturn integer|nil nil where the platform has none, or when closed
local function descriptor(self)
  local native = handle(self)
  local fd = native and native:fd()
  if fd and not self.driving then
    wake_at(self, earliest_wake(self)) -- of tasks that were there before it
  end
  return fd
end

--- Tells the running task, if any, which request it waits for, so that it
-- can be cancelled with it.
-- @tparam table hub
-- @tparam table exchange with done() and close()
-- @treturn table|false the task, for `unwatch` and `stopped`
local function watch(self, exchange)
  local task = tasks.running(self) or false
  if task then
    task.exchange = exchange
  end
  return task
end

--- Tells it that it waits no more.
-- @tparam table|false task
local function unwatch(task)
  if task then
    task.exchange = nil
  end
end

--- Cancels everything under way and closes the connections. May run twice.
-- Raises the error of a task that raised one and was never stepped since.
-- @tparam table hub
local function close(self)
  local first = not self.closed
  self.closed = true
  if self.native then
    self.native:close()
    self.changes = self.changes + 1
  end
  if first or self.native then
    turn(self)
    self.native = nil
  end
  raise_failure(self)
end

return {
  begin = begin,
  close = close,
  descriptor = descriptor,
  give_up = give_up,
  go = go,
  hub = hub,
  next_look = next_look,
  pause = pause,
  pump = pump,
  refused = refused,
  serve = serve,
  sleep = sleep,
  step = step,
  stopped = tasks.stopped,
  unwatch = unwatch,
  waiter = host.waiter,
  watch = watch,
}
