--- One call on the wire: start → wait → done, under one deadline, repeated as
-- `retry` allows. The request is prepared before and stays as it is.

local core = require("maiagent.core")
local errors = require("maiagent.errors")
local protect = require("maiagent.protect")
local response = require("maiagent.response")
local retry = require("maiagent.retry")
local slots = require("maiagent.slots")
local wait = require("maiagent.wait")

local now = core.now

local LONGEST_REDIRECTS = 5
local READER_REST = 0.001 -- seconds after a reader gave nothing
local PROGRESS_INTERVAL = 0.1 -- seconds between two looks at the counters

local Pending = { __name = "maiagent.pending" }
local methods = {}
Pending.__index = methods

local function see_end(pending)
  local sink = pending.call.sink
  if sink and pending.exchange then
    sink:leave(pending.exchange, pending.head_seen)
    pending.head_seen = true -- a closed exchange has none any more
  end
end

-- Ends an exchange that will not be what the call gives, or the wait for one.
local function leave(pending)
  see_end(pending)
  local under_way = pending.exchange or pending.ticket
  if under_way then
    under_way:close()
  end
end

-- Nothing is left running by what raises: a callback, a wait hook, Ctrl-C.
local function settle(pending, ok, ...)
  if not ok then
    wait.give_up(pending.hub, pending)
    error((...), 0)
  end
  return ...
end

local function callback(pending, fn, ...)
  return settle(pending, protect.call(fn, ...))
end

-- Whoever named the URL, or its host, may have written the key into it.
function methods:path()
  return self.redact(self.first:path())
end

-- For a call that has on_event.
local function emit(pending, event)
  event.operation = pending.call.operation
  event.method = pending.request:method()
  event.path = pending:path()
  event.attempt = pending.attempts
  callback(pending, pending.call.on_event, event)
end

local function announce(pending)
  pending.attempts = pending.attempts + 1
  if pending.call.on_event then
    emit(pending, { type = "request", headers = pending.request:headers() })
  end
end

local function launch(pending)
  local exchange, kind, message =
    wait.begin(pending.hub, pending.request, pending.call.settings)
  pending.exchange = exchange or false
  if not exchange then
    pending.problem = { kind = kind, message = message }
  end
end

-- With a limit, whoever makes room launches, so the event comes afterwards.
local function begin(pending)
  pending.head_seen, pending.exchange, pending.started = false, false, true
  local stopped = wait.refused(pending.hub)
  if stopped then
    pending.problem = { kind = "cancelled", message = stopped }
  elseif pending.hub.slots then
    pending.ticket = slots.enter(pending.hub.slots, launch, pending)
  else
    announce(pending)
    launch(pending)
  end
end

-- Seconds without a byte while somebody looked: a page that was asked for
-- ahead may have come long ago and waits in the kernel.
local function idle_time(pending)
  return math.min(pending.exchange:idle(), now() - pending.watched_since)
end

-- The subject that `wait` asks: done when the exchange is, or when the call's
-- idle limit is over, of which there is nothing new before its time.
function methods:done(early)
  local exchange = self.exchange
  if self.ticket then
    return self.ticket:done() or self.hub.closed or false
  end
  local rests = self.rests_until and now() < self.rests_until
  if exchange:done() or (self.call.feed and not rests and exchange:hungry())
  then
    return true
  elseif early then
    return false
  end
  local left = self.call.timeout.idle - idle_time(self)
  if left <= 0 then
    return true
  end
  return false, self.rests_until or now() + left
end

local function report_progress(pending)
  local sent, send_total, received, total = pending.exchange:progress()
  local call, done, of = pending.call, sent, send_total
  if call.progress == "received" then
    done, of = received, total
  end
  if call.sink then
    done, of = call.sink:progress(pending.exchange, done, of)
  end
  if done and callback(pending, call.on_progress, done, of) == false then
    return { kind = "cancelled", message = "on_progress returned false" }
  end
end

local function overdue(pending, task)
  local timeout = pending.call.timeout
  local stopped = wait.stopped(pending.hub, task)
  if stopped then
    return { kind = "cancelled", message = stopped }
  end
  local time = now()
  if time >= pending.deadline then
    return { kind = "timeout", message = string.format(
      "no whole answer within %g s (timeout.total)%s", timeout.total,
      pending.ticket and pending.ticket:reason() or "") }
  end
  if pending.exchange and time >= pending.watched_since + timeout.idle
    and idle_time(pending) >= timeout.idle
  then
    return { kind = "timeout", message = string.format(
      "not a byte moved for %g s (timeout.idle)", timeout.idle) }
  end
end

-- The time that a reader takes is not one in which the line was idle. One that
-- has nothing yet is asked again after others had their turn.
local function feed(pending)
  local exchange, problem = pending.exchange, nil
  pending.rests_until = nil
  while not problem and not exchange:done() and exchange:hungry() do
    local bytes, message = callback(pending, pending.call.feed)
    pending.watched_since = now()
    if bytes == nil and message ~= nil then
      return { kind = "file", message = "reader: " .. tostring(message) }
    elseif bytes ~= nil and type(bytes) ~= "string" then
      return { kind = "file",
        message = "reader: a string or nil expected, got " .. type(bytes) }
    elseif bytes == "" then
      pending.rests_until = now() + READER_REST
      return nil
    elseif not exchange:done() then
      exchange:feed(bytes)
    end
    problem = overdue(pending)
  end
  return problem
end

local function see_head(pending)
  local sink = pending.call.sink
  if sink and not pending.head_seen and pending.exchange:status() then
    pending.head_seen = true
    return sink:head(pending.exchange)
  end
end

-- What is to be done between two waits, and when again at the latest.
local function attend(pending)
  local call, problem = pending.call, see_head(pending)
  if call.on_progress and not problem then
    problem = report_progress(pending)
  end
  if call.feed and not problem then
    problem = feed(pending)
  end
  if call.on_progress or (call.sink and not pending.head_seen) then
    return problem, math.min(pending.deadline, now() + PROGRESS_INTERVAL)
  end
  return problem, pending.deadline
end

-- Waits for a slot, where there is a limit.
local function take_slot(pending)
  local ticket, problem = pending.ticket, nil
  local task = wait.watch(pending.hub, pending)
  while not ticket:done() and not problem do
    wait.pause(pending.hub, pending, pending.deadline)
    problem = not ticket:done() and overdue(pending, task) or nil
  end
  wait.unwatch(task)
  ticket:close()
  if ticket:begun() then
    announce(pending)
  else
    problem = problem or overdue(pending)
  end
  pending.ticket = nil
  return problem
end

local function await(pending)
  local exchange = pending.exchange
  local task = wait.watch(pending.hub, pending)
  pending.watched_since = now()
  local problem, until_when
  while not problem and not exchange:done() do
    problem = overdue(pending, task)
    if not problem then
      problem, until_when = attend(pending)
    end
    if not problem then
      wait.pause(pending.hub, pending, until_when)
    end
  end
  wait.unwatch(task)
  if not problem and pending.call.on_progress then
    local refused = report_progress(pending)
    problem = pending.call.is_step and refused or nil
  end
  if problem then
    problem.sent = exchange:sent()
    leave(pending)
    wait.serve(pending.hub)
  end
  return problem
end

local function outcome_of(pending)
  local exchange = pending.exchange
  local kind, message = exchange:failure()
  if kind then
    return { kind = kind, message = message, sent = exchange:sent() }
  end
  local status = exchange:status()
  local outcome = { status = status }
  if status == 429 or status >= 500 then
    local text = exchange:header("retry-after")
    outcome.retry_after = retry.retry_after(text, os.time())
  end
  return outcome
end

local function attempt(pending)
  local outcome = pending.ticket and take_slot(pending) or pending.problem
  pending.problem = nil
  outcome = outcome or await(pending) or outcome_of(pending)
  outcome.message = outcome.message and pending.redact(outcome.message)
  if pending.call.on_event then
    emit(pending, {
      type = "response",
      status = outcome.status,
      kind = outcome.kind,
      message = outcome.message,
      timings = pending.exchange and pending.exchange:timings() or nil,
    })
  end
  return outcome
end

local function announce_retry(pending, delay, outcome)
  local info = {
    attempt = pending.attempts,
    max_retries = pending.call.max_retries,
    delay = delay,
    status = outcome.status,
    kind = outcome.kind,
    message = outcome.message,
    method = pending.request:method(),
    path = pending:path(),
    operation = pending.call.operation,
  }
  if pending.call.on_retry then
    callback(pending, pending.call.on_retry, info)
  end
  if pending.call.on_event then
    emit(pending, { type = "retry", delay = delay, status = outcome.status,
      kind = outcome.kind })
  end
end

-- Only GET, only within the origin, and with the same headers; anything else
-- is the caller's to know: a redirected write would lose its body, and the
-- key is not for other hosts.
local function redirected(pending, outcome)
  local status = outcome.status
  if not status or status < 301 or status > 308 or status == 304 then
    return false
  end
  local target = pending.exchange:redirect()
  if not target then
    return false
  end
  outcome.elsewhere = pending.call.settings.elsewhere
  -- Told to a person, so without what may be a secret of the target's.
  outcome.location = target:gsub("[?#].*$", "")
    :gsub("^(%a+://)[^/]*@", "%1")
  local follow = pending.call.follow
  if pending.request:method() ~= "GET" or not follow then
    return false
  end
  if pending.redirects >= LONGEST_REDIRECTS then
    outcome.problem = "more than " .. LONGEST_REDIRECTS .. " redirects"
    return false
  end
  local request, refused = follow(target, pending.request:url())
  if not request then
    outcome.refused = refused
    return false
  end
  pending.redirects = pending.redirects + 1
  pending.request = request
  return true
end

-- A sink may hold more now, and asks for the rest.
local function renew(pending)
  local sink = pending.call.sink
  if sink then
    pending.request = sink:request(pending.request:url())
  end
end

local function again(pending, outcome)
  if outcome.status and outcome.status < 400 then
    return false
  end
  local delay = retry.delay(pending.call, pending.request:method(),
    pending.attempts, outcome)
  if not delay or now() + delay >= pending.deadline then
    return false
  end
  leave(pending)
  pending.unclear = pending.unclear or retry.unclear(outcome)
  announce_retry(pending, delay, outcome)
  wait.sleep(pending.hub, delay)
  renew(pending)
  return true
end

-- What was kept of the answer turned out to be of no use.
local function anew(pending, outcome)
  local sink = pending.call.sink
  if not sink or not pending.exchange
    or not sink:judge(pending.exchange, outcome)
  then
    return false
  end
  leave(pending)
  renew(pending)
  return true
end

-- The live service answers 500 to deletes that worked.
local function already_deleted(pending, outcome)
  return outcome.status == 404 and pending.request:method() == "DELETE"
    and (pending.unclear or select(2, pending.exchange:sent()))
end

local function succeeded(pending, outcome)
  local status = outcome.status
  return status and status >= 200 and status < 300
    or already_deleted(pending, outcome)
end

local function failure_of(pending, outcome)
  return errors.new({
    kind = outcome.kind,
    message = outcome.message,
    method = pending.request:method(),
    path = pending:path(),
    attempts = pending.attempts,
    sent = outcome.sent or false,
  })
end

local function status_error(pending, outcome, answered)
  local text = pending.exchange:body()
  local answer = {
    status = outcome.status,
    text = text,
    content_type = pending.exchange:header("content-type"),
    value = core.decode(text),
  }
  if outcome.location then
    answer.message = response.not_followed(pending.request:method(), outcome)
  end
  return errors.from_status(answer, {
    method = pending.request:method(),
    path = pending:path(),
    attempts = pending.attempts,
    request_id = answered.request_id,
    retry_after = outcome.retry_after,
  }, pending.redact)
end

local function conclude(pending, outcome)
  if pending.call.sink and not succeeded(pending, outcome) then
    see_end(pending)
    pending.call.sink:failed()
  end
  if not outcome.status then
    return nil, failure_of(pending, outcome)
  end
  local answered =
    response.new(outcome.status, pending.attempts, pending.exchange)
  if succeeded(pending, outcome) then
    return pending.exchange, nil, answered
  end
  return nil, status_error(pending, outcome, answered), answered
end

local function finish(self)
  self.deadline = now() + self.call.timeout.total
  if not self.started then
    begin(self)
  end
  while true do
    local outcome = attempt(self)
    if anew(self, outcome) or redirected(self, outcome) then
      self.attempts = self.attempts - 1
    elseif not again(self, outcome) then
      return conclude(self, outcome)
    end
    begin(self)
  end
end

--- Waits for the call to be over, repeating it where that is right.
-- @treturn userdata|nil the finished exchange of a success
-- @treturn table|nil error
-- @treturn table|nil response (nil where no answer came)
-- Raises what a callback raised, after the call was given up.
function methods:finish()
  return settle(self, protect.call_here(finish, self))
end

--- Gives the call up; its connection is closed. May run twice.
function methods:close()
  leave(self)
  if self.call.sink then
    self.call.sink:failed()
  end
end

--- Puts it on the wire before anyone waits for it, where there is room: what is
-- asked for ahead neither queues nor takes the last slot, for it may be long
-- until somebody waits for it, and so sees that it hangs.
function methods:begin()
  if not self.hub.slots or slots.room(self.hub.slots) > 1 then
    begin(self)
  end
end

--- Makes a call of a prepared request. Nothing of it is on the wire before one
-- of its methods runs, lest it be lost there between two functions.
-- @tparam table hub of `wait`
-- @tparam userdata request
-- @tparam table call timeout (idle, total), what `retry.delay` wants, settings
--   (of the exchange), operation, follow (prepares a request for a redirect's
--   target and the URL before it, or gives nil and the reason), on_event,
--   on_retry, on_progress, progress ("sent" or "received"), feed (gives the
--   next bytes of a body, nil at its end, or nil and a message), sink (where a
--   file goes: see `fetch`), is_step (of a flow, which the last on_progress
--   may end, too)
-- @tparam function redact takes secrets out of a text
-- @treturn table pending: `:begin()`, `:finish()`, `:close()`
local function new(hub, request, call, redact)
  wait.waiter(hub)
  return setmetatable({
    hub = hub, call = call, request = request, first = request, attempts = 0,
    redirects = 0, deadline = 0, watched_since = 0, redact = redact,
    exchange = false, started = false, head_seen = false,
    before = false, -- of `wait.give_up`
  }, Pending)
end

return { new = new }
