--- Many files at once: workers that store one after the other, and a registrar
-- that registers what they stored, up to fifty at a time. However it ends,
-- what was stored is registered, unless that takes too long.

local core = require("maiagent.core")
local errors = require("maiagent.errors")
local host = require("maiagent.host")
local protect = require("maiagent.protect")
local tasks = require("maiagent.tasks")
local wait = require("maiagent.wait")

local now = core.now

local BATCH = 50 -- files in one POST, at most
local MOMENT = 1 -- seconds that a stored file waits for others
local LAST_WORDS = 30 -- seconds for registering after an early end
local PROGRESS_INTERVAL = 0.1 -- seconds between two reports of bytes

local Crew = {}
Crew.__index = Crew

local function have_ended(list)
  for _, task in ipairs(list) do
    if not task.finished then
      return false
    end
  end
  return true
end

-- A crew is a subject: asked whether it is done, it moves its tasks on. Those
-- that a later one has cancelled meanwhile are still in the list.
function Crew:done()
  local earliest = tasks.drive(self.hub, self.tasks)
  if have_ended(self.tasks) or now() >= self.deadline then
    return true
  end
  return false, math.min(earliest, self.deadline)
end

function Crew:close()
  tasks.finish_all(self.tasks)
end

-- Those of a crew that store, to be given up.
local Storers = {}
Storers.__index = Storers

-- The one that calls this is not cut off: it comes to its end by itself.
function Storers:close()
  for _, task in ipairs(self.crew.tasks) do
    if task.stores and coroutine.status(task.thread) == "suspended" then
      tasks.finish(task)
    end
  end
end

--- Ends it early: what is being stored is cancelled, no further job is begun,
-- what is stored is registered. May run twice.
function Crew:stop()
  if not self.stopping then
    self.stopping = true
    self.deadline = now() + LAST_WORDS
  end
  wait.give_up(self.hub, self.storers)
  self.hub.changes = self.hub.changes + 1
end

local function fail(crew, raised)
  if not crew.failed then
    crew.failed, crew.raised = true, raised
  end
  crew:stop()
end

local function is_storing(crew)
  for _, task in ipairs(crew.tasks) do
    if task.stores and not task.finished then
      return true
    end
  end
  return false
end

local function report(crew)
  crew.reported = now()
  local on_progress = crew.work.on_progress
  if not on_progress or crew.quiet or crew.refused then
    return not crew.refused
  end
  local goes_on = on_progress({
    done = crew.count.done,
    failed = crew.count.failed,
    total = crew.count.total,
    bytes_sent = crew.count.bytes_sent,
    bytes_total = crew.count.bytes_total,
  })
  if goes_on == false then
    crew.refused = true
    crew:stop()
  end
  return goes_on ~= false
end

local function moved(crew, job, sent)
  local count = crew.count
  sent = math.min(sent, job.size)
  count.bytes_sent = count.bytes_sent + sent - (job.sent or 0)
  job.sent = sent
end

-- Not every time: bytes move far more often than a program wants to know.
local function report_now_and_then(crew)
  return now() - crew.reported < PROGRESS_INTERVAL or report(crew)
end

-- Of one transfer, as the option `on_progress` of a single call takes it.
local function on_bytes(crew, job)
  if not crew.work.on_progress then
    return nil
  end
  return function(sent)
    moved(crew, job, sent)
    local is_all = sent >= job.size -- what is stored is registered
    return report_now_and_then(crew) or is_all
  end
end

--- Tells what became of a job.
-- @tparam table job
-- @tparam table|nil file
-- @tparam table|nil err
function Crew:conclude(job, file, err)
  local count = self.count
  if file then
    count.done = count.done + 1
    moved(self, job, job.size)
  else
    -- As if it had never been asked for, so that a bar ends at its end.
    count.failed = count.failed + 1
    moved(self, job, 0)
    count.bytes_total = count.bytes_total - job.size
  end
  self.work.concluded(job, file, err, self.quiet)
  report(self)
end

local function storer(crew)
  return function()
    while not crew.stopping do
      local job = crew.work.next()
      if not job then
        return
      end
      local key, err = crew.work.store(job, on_bytes(crew, job))
      if key then
        crew.stored[#crew.stored + 1] = { job = job, key = key }
        crew.since = crew.since or now()
        moved(crew, job, job.size)
        report_now_and_then(crew)
      elseif not crew.stopping then
        crew:conclude(job, nil, err)
      end
    end
  end
end

-- The subject of the registrar.
local Ready = {}
Ready.__index = Ready

function Ready:done()
  local crew, time = self.crew, now()
  local stored = #crew.stored
  if stored >= BATCH or not is_storing(crew) then
    return true
  elseif stored > 0 and time >= crew.since + MOMENT then
    return true
  end
  return false, (crew.since or time) + MOMENT
end

local function taken(crew)
  local batch, rest = {}, {}
  for i, item in ipairs(crew.stored) do
    local list = i <= BATCH and batch or rest
    list[#list + 1] = item
  end
  crew.stored = rest
  crew.since = rest[1] and now()
  return batch
end

local function registrar(crew)
  local ready = setmetatable({ crew = crew }, Ready)
  return function()
    repeat
      wait.pause(crew.hub, ready, math.huge)
      local batch = taken(crew)
      if #batch > 0 then
        crew.work.register(crew, batch)
      end
    until #crew.stored == 0 and not is_storing(crew)
  end
end

local function add_storer(crew)
  local task = tasks.new(crew.hub, storer(crew), function(ok, raised)
    if not ok then
      fail(crew, raised)
    end
  end)
  task.stores = true
  crew.tasks[#crew.tasks + 1] = task
end

-- Where a callback raised, the rest is registered without callbacks.
local function add_registrar(crew)
  local task = tasks.new(crew.hub, registrar(crew), function(ok, raised)
    if not ok then
      fail(crew, raised)
      if not crew.quiet then
        crew.quiet = true
        add_registrar(crew)
      end
    end
  end)
  crew.tasks[#crew.tasks + 1] = task
end

local function attempt(crew, fn)
  local ok, raised = pcall(fn)
  if not ok then
    fail(crew, raised)
  end
  return ok
end

-- Where the host has no coroutines.
local function run_in_order(crew)
  attempt(crew, storer(crew))
  if not attempt(crew, registrar(crew)) then
    crew.quiet = true
    attempt(crew, registrar(crew))
  end
end

-- A Ctrl-C is raised out of the wait of the main chunk; out of a parked task
-- nothing is, and parking minds in which coroutine it happens.
local function await(crew)
  local call = tasks.running(crew.hub) and protect.call_here or protect.call
  local ok, raised = call(wait.pause, crew.hub, crew, math.huge)
  if not ok then
    fail(crew, raised)
  end
  return ok
end

local function run_together(crew)
  for _ = 1, math.min(crew.work.concurrency, crew.work.total) do
    add_storer(crew)
  end
  add_registrar(crew)
  if not await(crew) then
    await(crew) -- for the registrar
  end
end

--- Stores and registers.
-- @tparam table hub of `wait`
-- @tparam table work concurrency; total and bytes_total (of all jobs); next()
--   → job | nil (a table with size in bytes); store(job, on_bytes) → key | nil,
--   err; register(crew, batch of { job, key }), which tells crew:conclude(job,
--   file | nil, err) for each; concluded(job, file | nil, err, quiet);
--   on_progress(counts) | nil
-- @treturn table|nil nil when all jobs were begun; else an error of kind
--   "cancelled" for those that were not concluded
-- Raises what a callback, or a Ctrl-C, raised.
local function run(hub, work)
  wait.waiter(hub)
  local crew = setmetatable({
    hub = hub,
    work = work,
    tasks = {},
    stored = {},
    stopping = false,
    failed = false,
    raised = false,
    before = false,
    deadline = math.huge,
    reported = -math.huge,
    count = { done = 0, failed = 0, total = work.total, bytes_sent = 0,
      bytes_total = work.bytes_total },
  }, Crew)
  crew.storers = setmetatable({ crew = crew, before = false }, Storers)
  local _, in_order = host.starter()
  local ok, raised =
    protect.call_here(in_order and run_in_order or run_together, crew)
  local abandoned = #crew.tasks > 0
  wait.give_up(hub, crew)
  if crew.failed or not ok then
    error(crew.failed and crew.raised or raised, 0)
  end
  if crew.stopping or abandoned then
    local message = crew.refused and "on_progress returned false"
      or tasks.stopped(hub) or "it was ended"
    return errors.new({ kind = "cancelled", message = message })
  end
end

return { BATCH = BATCH, run = run }
