--- One call on the wire: start → wait → done, under one deadline, repeated as
-- `retry` allows. The request is prepared before and stays as it is.

local core = require("maiagent.core")
local errors = require("maiagent.errors")
local retry = require("maiagent.retry")
local wait = require("maiagent.wait")

local now = core.now

local LONGEST_REDIRECTS = 5
local PROGRESS_INTERVAL = 0.1 -- seconds between two looks at the counters

local IDEMPOTENT = { GET = true, HEAD = true, PUT = true, DELETE = true }

-- A response reads its headers and timings from the exchange only when it is
-- asked for them: most calls never ask.
local Response = { __name = "maiagent.response" }

local Headers = { __name = "maiagent.headers" }

function Headers.__index(headers, name)
  if type(name) == "string" then
    return rawget(headers, name:lower())
  end
end

local LAZY = {
  headers = function(exchange)
    return setmetatable(exchange:headers(), Headers)
  end,
  timings = function(exchange)
    return exchange:timings()
  end,
  request_id = function(exchange)
    return exchange:header("x-request-id")
      or exchange:header("x-amzn-requestid")
      or exchange:header("x-amz-request-id")
      or exchange:header("cf-ray")
  end,
}

function Response.__index(response, name)
  local read = LAZY[name]
  if not read then
    return nil
  end
  local value = read(response.exchange)
  rawset(response, name, value)
  return value
end

function Response.__tostring(response)
  return "maiagent.response: " .. response.status
end

local Pending = { __name = "maiagent.pending" }
local methods = {}
Pending.__index = methods

local function emit(pending, event)
  local on_event = pending.call.on_event
  if not on_event then
    return
  end
  event.operation = pending.call.operation
  event.method = pending.request:method()
  event.path = pending.call.path
  event.attempt = pending.attempts
  on_event(event)
end

local function begin(pending)
  pending.attempts = pending.attempts + 1
  local native = wait.handle(pending.hub)
  if not native then
    pending.exchange = nil
    return { kind = "cancelled", message = "the client is closed" }
  end
  if pending.call.on_event then
    local headers = pending.request:headers()
    emit(pending, { type = "request", headers = headers })
  end
  local exchange, kind, message =
    native:start(pending.request, pending.call.settings)
  pending.exchange = exchange
  if not exchange then
    return { kind = kind, message = message }
  end
end

local function timed_out(message)
  return { kind = "timeout", message = message }
end

-- Seconds without a byte while somebody looked: a page that was asked for
-- ahead may have come long ago and waits in the kernel.
local function idle_time(pending)
  return math.min(pending.exchange:idle(), now() - pending.watched_since)
end

-- The subject that `wait` asks: done when the exchange is, or when the call's
-- idle limit is over.
function methods:done()
  if self.exchange:done() then
    return true
  end
  local left = self.call.timeout.idle - idle_time(self)
  if left <= 0 then
    return true
  end
  return false, now() + left
end

local function report_progress(pending)
  local sent, send_total, received, total = pending.exchange:progress()
  local on_progress = pending.call.on_progress
  local goes_on
  if pending.call.progress == "received" then
    goes_on = on_progress(received, total)
  else
    goes_on = on_progress(sent, send_total)
  end
  if goes_on == false then
    return { kind = "cancelled", message = "on_progress returned false" }
  end
end

local function overdue(pending)
  local timeout = pending.call.timeout
  if now() >= pending.deadline then
    return timed_out(string.format(
      "no whole answer within %g s (timeout.total)", timeout.total))
  end
  if idle_time(pending) >= timeout.idle then
    return timed_out(string.format(
      "not a byte moved for %g s (timeout.idle)", timeout.idle))
  end
end

local function await(pending)
  local exchange, on_progress = pending.exchange, pending.call.on_progress
  wait.watch(pending.hub, exchange)
  pending.watched_since = now()
  local problem
  while not exchange:done() and not problem do
    local until_when = pending.deadline
    if on_progress then
      until_when = math.min(until_when, now() + PROGRESS_INTERVAL)
      problem = report_progress(pending)
    end
    if not problem then
      wait.pause(pending.hub, pending, until_when)
      problem = not exchange:done() and overdue(pending) or nil
    end
  end
  wait.watch(pending.hub, nil)
  if problem then
    problem.sent = exchange:sent()
    exchange:close()
  elseif on_progress then
    report_progress(pending)
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
  local outcome = pending.failed_start or await(pending)
  pending.failed_start = nil
  outcome = outcome or outcome_of(pending)
  if pending.call.on_event then
    local exchange = pending.exchange
    emit(pending, {
      type = "response",
      status = outcome.status,
      kind = outcome.kind,
      message = outcome.message,
      timings = exchange and exchange:timings(),
    })
  end
  return outcome
end

local function announce_retry(pending, delay, outcome)
  local info = {
    attempt = pending.attempts,
    max_retries = pending.call.policy.max_retries,
    delay = delay,
    status = outcome.status,
    kind = outcome.kind,
    message = outcome.message,
    method = pending.request:method(),
    path = pending.call.path,
    operation = pending.call.operation,
  }
  if pending.call.on_retry then
    pending.call.on_retry(info)
  end
  if pending.call.on_event then
    emit(pending, {
      type = "retry",
      delay = delay,
      status = outcome.status,
      kind = outcome.kind,
    })
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
  local request = follow(target)
  if not request then
    return false
  end
  pending.redirects = pending.redirects + 1
  pending.request = request
  return true
end

local function again(pending, outcome)
  local method = pending.request:method()
  local delay =
    retry.delay(pending.call.policy, method, pending.attempts, outcome)
  if not delay or now() + delay >= pending.deadline then
    return false
  end
  if pending.exchange then
    pending.exchange:close()
  end
  pending.unclear = pending.unclear or retry.unclear(outcome)
  announce_retry(pending, delay, outcome)
  wait.sleep(pending.hub, delay)
  return true
end

-- The live service answers 500 to deletes that worked.
local function already_deleted(pending, outcome)
  return pending.unclear and outcome.status == 404
    and pending.request:method() == "DELETE"
end

local function response_of(pending, outcome)
  if not outcome.status then
    return nil
  end
  return setmetatable({
    status = outcome.status,
    attempts = pending.attempts,
    exchange = pending.exchange,
  }, Response)
end

local function failure_of(pending, outcome)
  return errors.new({
    kind = outcome.kind,
    message = pending.call.redact(outcome.message),
    method = pending.request:method(),
    path = pending.call.path,
    attempts = pending.attempts,
    sent = outcome.sent or false,
  })
end

local function redirect_message(pending, outcome)
  if outcome.problem then
    return outcome.problem .. " (the last to " .. outcome.location .. ")"
  end
  local why = "another origin never gets the key"
  if pending.request:method() ~= "GET" then
    why = "a write is never redirected"
  end
  return "redirected to " .. outcome.location .. ", which was not followed ("
    .. why .. "): check base_url"
end

local function status_error(pending, outcome, response)
  local text = pending.exchange:body()
  local content_type = pending.exchange:header("content-type")
  local answer = {
    status = outcome.status,
    text = text,
    content_type = content_type,
    value = core.decode(text),
  }
  if outcome.location then
    answer.message = redirect_message(pending, outcome)
  end
  return errors.from_status(answer, {
    method = pending.request:method(),
    path = pending.call.path,
    attempts = pending.attempts,
    request_id = response.request_id,
    retry_after = outcome.retry_after,
  }, pending.call.redact)
end

local function conclude(pending, outcome)
  local response = response_of(pending, outcome)
  if not response then
    return nil, failure_of(pending, outcome)
  end
  local status = outcome.status
  if (status >= 200 and status < 300) or already_deleted(pending, outcome) then
    return pending.exchange, nil, response
  end
  return nil, status_error(pending, outcome, response), response
end

--- Waits for the call to be over, repeating it where that is right.
-- @treturn userdata|nil the finished exchange of a success
-- @treturn table|nil error
-- @treturn table|nil response (nil where no answer came)
function methods:finish()
  self.deadline = now() + self.call.timeout.total
  while true do
    local outcome = attempt(self)
    if redirected(self, outcome) then
      self.attempts = self.attempts - 1
    elseif not again(self, outcome) then
      return conclude(self, outcome)
    end
    self.failed_start = begin(self)
  end
end

--- Gives the call up; its connection is closed.
function methods:cancel()
  if self.exchange then
    self.exchange:close()
  end
end

--- Puts a prepared request on the wire.
-- @tparam table hub of `wait`
-- @tparam userdata request
-- @tparam table call timeout (connect, idle, total), policy (max_retries,
--   random, repeatable), settings (of the exchange), path, operation, redact, follow (a
--   function that prepares a request for a redirect's target, or nil),
--   on_event, on_retry, on_progress, progress ("sent" or "received")
-- @treturn table pending: `:finish()`, `:cancel()`
local function start(hub, request, call)
  wait.waiter(hub)
  call.settings.connect = call.timeout.connect
  call.settings.idempotent = call.policy.repeatable
    or IDEMPOTENT[request:method()] or false
  local pending = setmetatable({
    hub = hub,
    request = request,
    call = call,
    attempts = 0,
    redirects = 0,
  }, Pending)
  pending.failed_start = begin(pending)
  return pending
end

return { start = start }
