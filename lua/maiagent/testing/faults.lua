--- Faults on request: what goes wrong instead of, or around, the next answer.
-- Any fault with apply = true is one of an operation that was carried out.
local json = require "maiagent.testing.json"
local has_zlib, zlib = pcall(require, "zlib")

-- Both return the response to be sent, if one is: INSTEAD(fault, connection,
-- request, read), and AROUND(fault, connection, request, response) of the
-- ordinary one. BEFORE(fault, connection, read) returns another read().
local INSTEAD, AROUND, BEFORE = {}, {}, {}

-- What a fault may say, of any kind: any other name is misspelt.
local FIELDS = {}
for name in ([[kind method path times after chance seed apply status headers
  body json location bytes step seconds reset hang count]]):gmatch("%S+") do
  FIELDS[name] = true
end

-- What comes after the bytes of a fault: nothing more, a TCP reset or the end.
local function leave(fault, connection)
  if fault.hang then
    connection:sleep()
  elseif fault.reset then
    connection:abort()
  end
  connection:finish()
end

--- {status=500, headers=, body= | json=}: that answer instead.
function INSTEAD.status(fault)
  local headers = { ["Content-Type"] = fault.json and "application/json" }
  for name, value in pairs(fault.headers or {}) do
    headers[name] = value
  end
  return { status = fault.status or 500, headers = headers,
    body = fault.json and json.encode(fault.json) or fault.body }
end

--- {status=200}: an answer without a body.
function INSTEAD.empty(fault)
  return { status = fault.status or 200 }
end

--- {location=, status=302}: a redirect.
function INSTEAD.redirect(fault)
  return { status = fault.status or 302,
    headers = { Location = fault.location } }
end

--- {bytes=2^20}: a JSON string of that size.
function INSTEAD.large(fault)
  return INSTEAD.status({ status = 200,
    json = ("x"):rep((fault.bytes or 2 ^ 20) - 2) })
end

--- {bytes=, step=, seconds=0.01, reset=, hang=}: these bytes, which need not be
-- HTTP, all at once or `step` at a time with pauses; then the end, a TCP reset
-- or nothing more.
function INSTEAD.raw(fault, connection, request)
  local bytes = fault.bytes or "\0\255 not HTTP\r\n\r\n"
  connection:answer(request, { body = bytes }, nil, fault.step,
    fault.step and (fault.seconds or 0.01))
  leave(fault, connection)
end

--- {bytes=0}: a TCP reset, once so much of the request's body was read.
function INSTEAD.reset(fault, connection, request, read)
  while request.body_bytes < (fault.bytes or 0) and read() do end
  connection:abort()
end

--- No answer at all, until the client gives up.
function INSTEAD.hang(_, connection)
  connection:sleep()
end

--- {seconds=1}: the ordinary answer, late.
function AROUND.delay(fault, connection, _, response)
  connection:sleep(fault.seconds or 1)
  return response
end

--- {bytes=0, reset=, hang=}: the ordinary answer, but only so much of its body.
function AROUND.cut(fault, connection, request, response)
  connection:answer(request, response, fault.bytes or 0)
  leave(fault, connection)
end

--- {bytes=}: these bytes, such as answers of 1xx, then the ordinary answer.
function AROUND.interim(fault, connection, _, response)
  connection:send(fault.bytes or "HTTP/1.1 103 Early Hints\r\n\r\n")
  return response
end

--- {seconds=0.05, bytes=1}: the ordinary answer, so many bytes at a time.
function AROUND.drip(fault, connection, request, response)
  connection:answer(request, response, nil, fault.bytes or 1,
    fault.seconds or 0.05)
end

--- {count=1, bytes=1024}: the ordinary answer with more headers, so long.
function AROUND.headers(fault, _, _, response)
  for number = 1, fault.count or 1 do
    response.headers["X-Filler-" .. number] = ("h"):rep(fault.bytes or 1024)
  end
  return response
end

--- The ordinary answer, then the end of the connection, unannounced.
function AROUND.close(_, connection, request, response)
  connection:answer(request, response)
  connection:finish()
end

--- The ordinary answer, compressed; needs lua-zlib.
function AROUND.gzip(_, _, _, response)
  local body = response.body and response.body:sub(1) or ""
  response.body = zlib.deflate(6, 31)(body, "finish")
  response.size, response.skipped = nil, nil
  response.headers["Content-Encoding"] = "gzip"
  return response
end

--- {seconds=0.05}: such a pause before each piece of the request's body is
-- read, 64 KiB or a little more.
function BEFORE.slow(fault, connection, read)
  return function()
    connection:sleep(fault.seconds or 0.05)
    return read()
  end
end

--- Queues a fault in `list`; raises for a kind or a field that is unknown.
local function add(list, fault)
  local copy = { times = fault.chance and math.huge or 1, after = 0, seed = 1 }
  for name, value in pairs(fault) do
    if not FIELDS[name] then
      error(("unknown field of a fault %q"):format(tostring(name)), 3)
    end
    copy[name] = value
  end
  if not INSTEAD[copy.kind] and not AROUND[copy.kind]
    and not BEFORE[copy.kind] then
    error(("unknown kind of fault %q"):format(tostring(copy.kind)), 3)
  elseif copy.kind == "gzip" and not has_zlib then
    error("the gzip fault needs lua-zlib", 3)
  end
  list[#list + 1] = copy
end

-- Whether chance wants it: a generator of each fault's own, begun with its
-- seed, so that runs repeat (Park and Miller).
local function is_drawn(fault)
  if fault.chance then
    fault.drawn = (fault.drawn or fault.seed * 48271) * 16807 % 2147483647
  end
  return not fault.chance or fault.drawn / 2147483647 < fault.chance
end

-- The first fault for this request; it is used up once its times are over.
local function take(list, request)
  for place, fault in ipairs(list) do
    if (fault.method or request.method) == request.method
      and request.path:find(fault.path or "") and is_drawn(fault) then
      fault.after = fault.after - 1
      if fault.after < 0 then
        fault.times = fault.times - 1
        return fault.times > 0 and fault or table.remove(list, place)
      end
    end
  end
end

--- Answers one request, whose body is read to its end, by way of a fault of
-- `list` if one is meant for it. serve(read) returns the ordinary response.
local function perform(list, serve, connection, request, read)
  local fault = take(list, request) or {}
  local instead, around = INSTEAD[fault.kind], AROUND[fault.kind]
  if BEFORE[fault.kind] then
    read = BEFORE[fault.kind](fault, connection, read)
  end
  local response = (not instead or fault.apply) and serve(read)
  while fault.kind ~= "reset" and read() do end
  if instead then
    response = instead(fault, connection, request, read)
  elseif around then
    response = around(fault, connection, request, response)
  end
  if response then
    connection:answer(request, response)
  end
end

return { add = add, perform = perform }
