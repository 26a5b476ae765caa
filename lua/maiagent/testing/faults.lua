--- Faults on request: what goes wrong instead of, or around, the next answer.
-- They know nothing of resources: an exchange gives them the connection, the
-- request, `answer()` (the ordinary response) and `send(response)`. Any fault
-- with apply = true is one of operations that were carried out all the same.
local json = require "dkjson"
local http = require "maiagent.testing.http"
local has_zlib, zlib = pcall(require, "zlib")

local KINDS = {}
local BEFORE = {} -- kinds that answer nothing of the ordinary

--- {status=500, headers=, body= | json=}: that answer instead.
function BEFORE.status(fault, exchange)
  local headers = {}
  for name, value in pairs(fault.headers or {}) do
    headers[name] = value
  end
  if fault.json then
    headers["Content-Type"] = headers["Content-Type"] or "application/json"
  end
  exchange:send({ status = fault.status or 500, headers = headers,
    body = fault.json and json.encode(fault.json) or fault.body })
end

--- {status=200}: an answer without a body.
function BEFORE.empty(fault, exchange)
  exchange:send({ status = fault.status or 200 })
end

--- {location=, status=302}: a redirect.
function BEFORE.redirect(fault, exchange)
  exchange:send({ status = fault.status or 302,
    headers = { Location = fault.location } })
end

--- {bytes=}: these bytes, which need not be HTTP, and the end.
function BEFORE.raw(fault, exchange)
  exchange.connection:send(fault.bytes or "\0\255 not HTTP\r\n\r\n")
  exchange.connection.closed = true
end

--- {bytes=}: a JSON string of that size.
function BEFORE.large(fault, exchange)
  local left, piece = (fault.bytes or 2 ^ 20) - 2, ("x"):rep(65536)
  local open = exchange:send({ status = 200, length = left + 2, body = '"',
    headers = { ["Content-Type"] = "application/json" } })
  while open and left > 0 do
    open = exchange.connection:send(piece:sub(1, left))
    left = left - #piece
  end
  exchange.connection:send('"')
end

--- A TCP reset as soon as the head of the request is there.
function KINDS.reset(fault, exchange)
  if fault.apply then
    exchange:answer()
  end
  exchange.connection:abort()
end

--- No answer at all, until the client gives up.
function KINDS.hang(fault, exchange)
  if fault.apply then
    exchange:answer()
  end
  exchange.connection:sleep()
end

--- {seconds=1}: the ordinary answer, late.
function KINDS.delay(fault, exchange)
  local response = exchange:answer()
  exchange.connection:sleep(fault.seconds or 1)
  exchange:send(response)
end

--- {bytes=0, reset=}: the ordinary answer, but only so much of its body.
function KINDS.cut(fault, exchange)
  local head, body = exchange:serialise(exchange:answer())
  exchange.connection:send(head .. body:sub(1, fault.bytes or 0))
  exchange.connection.closed = true
  if fault.reset then
    exchange.connection:abort()
  end
end

--- {seconds=0.05, bytes=1}: the ordinary answer, so many bytes at a time.
function KINDS.drip(fault, exchange)
  local head, body = exchange:serialise(exchange:answer())
  local text, size, first = head .. body, fault.bytes or 1, 1
  while first <= #text
    and exchange.connection:send(text:sub(first, first + size - 1)) do
    first = first + size
    exchange.connection:sleep(fault.seconds or 0.05)
  end
end

--- {count=1, bytes=1024}: the ordinary answer with more headers, so long.
function KINDS.headers(fault, exchange)
  local response = exchange:answer()
  for number = 1, fault.count or 1 do
    response.headers["X-Filler-" .. number] = ("h"):rep(fault.bytes or 1024)
  end
  exchange:send(response)
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

for name, answer in pairs(BEFORE) do
  KINDS[name] = function(fault, exchange)
    if fault.apply then
      exchange:answer()
    end
    while exchange.request.read() do end
    answer(fault, exchange)
  end
end

local function problem_of(fault)
  if fault.kind == "gzip" and not has_zlib then
    return "the gzip fault needs lua-zlib"
  elseif not KINDS[fault.kind] then
    local names = {}
    for name in pairs(KINDS) do
      names[#names + 1] = name
    end
    table.sort(names)
    return ("unknown kind of fault %q; there are %s"):format(
      tostring(fault.kind), table.concat(names, " "))
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
    local meant = matches(fault, request)
    if meant and fault.after <= 0 then
      fault.times = fault.times - 1
      return fault.times > 0 and fault or table.remove(list, place)
    elseif meant then
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
  self.connection.closing = not self.request.keep_alive
  return http.serialise(response, self.request)
end

function exchange_index:send(response)
  local head, body = self:serialise(response)
  return self.connection:send(head .. body)
end

--- Answers one request, through a fault of `list` if one is meant for it.
-- serve(server, request) returns the ordinary response.
local function perform(list, server, serve, connection, request)
  local exchange = setmetatable({ server = server, serve = serve,
    connection = connection, request = request }, Exchange)
  local fault = take(list, request)
  if fault then
    KINDS[fault.kind](fault, exchange)
  else
    exchange:send(exchange:answer())
  end
  connection.closed = connection.closed or connection.closing
end

return { add = add, perform = perform }
