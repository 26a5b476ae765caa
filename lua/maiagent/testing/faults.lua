--- Faults on request: what goes wrong instead of, or around, the next answer.
-- They know nothing of resources: an exchange gives them the connection, the
-- request, `answer()` (the ordinary response) and `send(response)`.
local json = require "dkjson"
local http = require "maiagent.testing.http"
local has_zlib, zlib = pcall(require, "zlib")

local KINDS = {}

-- The ordinary answer, thrown away: fault.apply says that the operation is
-- carried out although the client is told otherwise; else the body is skipped.
local function apply(fault, exchange)
  if fault.apply then
    return exchange:answer()
  end
  while exchange.request.read() do end
end

--- {status=, headers=, body= | json=}: that answer instead.
function KINDS.status(fault, exchange)
  apply(fault, exchange)
  local headers, body = {}, fault.body
  if fault.json then
    headers["Content-Type"], body = "application/json", json.encode(fault.json)
  end
  for name, value in pairs(fault.headers or {}) do
    headers[name] = value
  end
  exchange:send({ status = fault.status or 500, headers = headers,
    body = body })
end

--- {status=}: an answer without a body.
function KINDS.empty(fault, exchange)
  KINDS.status({ status = fault.status or 200, apply = fault.apply }, exchange)
end

--- {location=, status=}: a redirect.
function KINDS.redirect(fault, exchange)
  KINDS.status({ status = fault.status or 302, apply = fault.apply,
    headers = { Location = fault.location } }, exchange)
end

--- {seconds=}: the ordinary answer, late.
function KINDS.delay(fault, exchange)
  local response = exchange:answer()
  exchange.connection:sleep(fault.seconds or 1)
  exchange:send(response)
end

--- A TCP reset as soon as the head of the request is there.
function KINDS.reset(fault, exchange)
  if fault.apply then
    exchange:answer()
  end
  exchange.connection:abort()
end

--- {bytes=, reset=}: the ordinary answer, but only so much of its body.
function KINDS.cut(fault, exchange)
  local head, body = exchange:serialise(exchange:answer())
  exchange.connection:send(head .. body:sub(1, fault.bytes or 0))
  if fault.reset then
    return exchange.connection:abort()
  end
  exchange.connection.closed = true
end

--- No answer at all, until the client gives up.
function KINDS.hang(fault, exchange)
  if fault.apply then
    exchange:answer()
  end
  exchange.connection:sleep()
  exchange.connection.closed = true
end

--- {seconds=, bytes=}: the ordinary answer, so many bytes at a time.
function KINDS.drip(fault, exchange)
  local head, body = exchange:serialise(exchange:answer())
  local text, size, first = head .. body, fault.bytes or 1, 1
  while first <= #text do
    if not exchange.connection:send(text:sub(first, first + size - 1)) then
      return
    end
    first = first + size
    exchange.connection:sleep(fault.seconds or 0.05)
  end
end

--- {bytes=}: these bytes, which need not be HTTP, and the end.
function KINDS.raw(fault, exchange)
  apply(fault, exchange)
  exchange.connection:send(fault.bytes or "\0\255 not HTTP\r\n\r\n")
  exchange.connection.closed = true
end

--- {count=, bytes=}: the ordinary answer with so many more headers, so long.
function KINDS.headers(fault, exchange)
  local response = exchange:answer()
  for number = 1, fault.count or 1 do
    response.headers["X-Filler-" .. number] = ("h"):rep(fault.bytes or 1024)
  end
  exchange:send(response)
end

--- {bytes=}: a JSON string of that size.
function KINDS.large(fault, exchange)
  apply(fault, exchange)
  local left = (fault.bytes or 2 ^ 20) - 2
  local head = exchange:serialise({ status = 200, length = left + 2,
    headers = { ["Content-Type"] = "application/json" } })
  local piece = ("x"):rep(65536)
  local open = exchange.connection:send(head .. '"')
  while open and left > 0 do
    open = exchange.connection:send(piece:sub(1, left))
    left = left - #piece
  end
  exchange.connection:send('"')
end

--- The ordinary answer, then the end of the connection, unannounced.
function KINDS.close(_, exchange)
  exchange:send(exchange:answer())
  exchange.connection.closed = true
end

--- The ordinary answer, compressed; needs lua-zlib.
function KINDS.gzip(_, exchange)
  local response = exchange:answer()
  if response.body then
    response.body = zlib.deflate(6, 31)(response.body, "finish")
    response.headers["Content-Encoding"] = "gzip"
  end
  exchange:send(response)
end

local function problem_of(fault)
  if not KINDS[fault.kind] then
    local names = {}
    for name in pairs(KINDS) do
      names[#names + 1] = name
    end
    table.sort(names)
    return ("unknown kind of fault %q; there are %s"):format(
      tostring(fault.kind), table.concat(names, " "))
  elseif fault.kind == "gzip" and not has_zlib then
    return "the gzip fault needs lua-zlib"
  end
end

--- Queues a fault in `list`, or returns nil and what is wrong with it.
local function add(list, fault)
  local problem = problem_of(fault)
  if problem then
    return nil, problem
  end
  local copy = {}
  for name, value in pairs(fault) do
    copy[name] = value
  end
  copy.times, copy.after = fault.times or 1, fault.after or 0
  list[#list + 1] = copy
  return true
end

local function matches(fault, request)
  return (not fault.method or fault.method == request.method)
    and (not fault.path or request.path:find(fault.path) ~= nil)
end

-- The first fault for this request; it is used up once its times are over.
local function take(list, request)
  for place, fault in ipairs(list) do
    if matches(fault, request) then
      if fault.after <= 0 then
        fault.times = fault.times - 1
        return fault.times > 0 and fault or table.remove(list, place)
      end
      fault.after = fault.after - 1
    end
  end
end

local Exchange = { __name = "maiagent.testing.exchange" }
local exchange_index = {}
Exchange.__index = exchange_index

function exchange_index:answer()
  return self.serve(self.server, self.request)
end

function exchange_index:serialise(response)
  self.request.status = response.status
  return http.serialise(response, self.request, self.request.keep_alive)
end

function exchange_index:send(response)
  local head, body = self:serialise(response)
  self.connection:send(head .. body)
  if not self.request.keep_alive then
    self.connection.closed = true
  end
end

--- Answers one request, through a fault of `list` if one is meant for it.
-- serve(server, request) returns the ordinary response.
local function perform(list, server, serve, connection, request)
  local exchange = setmetatable({ server = server, serve = serve,
    connection = connection, request = request }, Exchange)
  local fault = take(list, request)
  if fault then
    return KINDS[fault.kind](fault, exchange)
  end
  exchange:send(exchange:answer())
end

return { add = add, perform = perform }
