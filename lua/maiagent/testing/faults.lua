--- Faults on request: what goes wrong instead of, or around, the next answer.
-- Any fault with apply = true is one of an operation that was carried out.
local http = require "maiagent.testing.http"
local json = require "maiagent.testing.json"
local has_zlib, zlib = pcall(require, "zlib")

-- Both return the response to be sent, if one is: INSTEAD(fault, connection),
-- and AROUND(fault, connection, response, text) of the ordinary one; text is
-- that as it would be sent.
local INSTEAD, AROUND = {}, {}

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

--- {bytes=}: a JSON string of that size.
function INSTEAD.large(fault)
  return { status = 200, headers = { ["Content-Type"] = "application/json" },
    body = '"' .. ("x"):rep((fault.bytes or 2 ^ 20) - 2) .. '"' }
end

--- {bytes=}: these bytes, which need not be HTTP, and the end.
function INSTEAD.raw(fault, connection)
  connection:send(fault.bytes or "\0\255 not HTTP\r\n\r\n")
  connection:finish()
end

--- A TCP reset, before the body of the request is read.
function INSTEAD.reset(_, connection)
  connection:abort()
end

--- No answer at all, until the client gives up.
function INSTEAD.hang(_, connection)
  connection:sleep()
end

--- {seconds=1}: the ordinary answer, late.
function AROUND.delay(fault, connection, response)
  connection:sleep(fault.seconds or 1)
  return response
end

--- {bytes=0, reset=}: the ordinary answer, but only so much of its body.
function AROUND.cut(fault, connection, _, text)
  local _, head_size = text:find("\r\n\r\n", 1, true)
  connection:send(text:sub(1, head_size + (fault.bytes or 0)))
  if fault.reset then
    connection:abort()
  end
  connection:finish()
end

--- {seconds=0.05, bytes=1}: the ordinary answer, so many bytes at a time.
function AROUND.drip(fault, connection, _, text)
  local size = fault.bytes or 1
  for first = 1, #text, size do
    connection:send(text:sub(first, first + size - 1))
    connection:sleep(fault.seconds or 0.05)
  end
end

--- {count=1, bytes=1024}: the ordinary answer with more headers, so long.
function AROUND.headers(fault, _, response)
  for number = 1, fault.count or 1 do
    response.headers["X-Filler-" .. number] = ("h"):rep(fault.bytes or 1024)
  end
  return response
end

--- The ordinary answer, then the end of the connection, unannounced.
function AROUND.close(_, connection, _, text)
  connection:send(text)
  connection:finish()
end

--- The ordinary answer, compressed; needs lua-zlib.
function AROUND.gzip(_, _, response)
  response.body = zlib.deflate(6, 31)(response.body or "", "finish")
  response.headers["Content-Encoding"] = "gzip"
  return response
end

--- Queues a fault in `list`; raises for a kind that is unknown.
local function add(list, fault)
  local copy = { times = 1, after = 0 }
  for name, value in pairs(fault) do
    copy[name] = value
  end
  if not INSTEAD[copy.kind] and not AROUND[copy.kind] then
    error(("unknown kind of fault %q"):format(tostring(copy.kind)), 3)
  elseif copy.kind == "gzip" and not has_zlib then
    error("the gzip fault needs lua-zlib", 3)
  end
  list[#list + 1] = copy
end

-- The first fault for this request; it is used up once its times are over.
local function take(list, request)
  for place, fault in ipairs(list) do
    if (fault.method or request.method) == request.method
      and request.path:find(fault.path or "") then
      fault.after = fault.after - 1
      if fault.after < 0 then
        fault.times = fault.times - 1
        return fault.times > 0 and fault or table.remove(list, place)
      end
    end
  end
end

--- Answers one request, by way of a fault of `list` if one is meant for it;
-- serve() returns the ordinary response.
local function perform(list, serve, connection, request, read)
  local fault = take(list, request) or {}
  local instead, around = INSTEAD[fault.kind], AROUND[fault.kind]
  local response = (not instead or fault.apply) and serve()
  if instead then
    while fault.kind ~= "reset" and read() do end
    response = instead(fault, connection)
  end
  request.status = response.status
  if around then
    response = around(fault, connection, response,
      http.serialise(response, request))
  end
  if response then
    connection:send(http.serialise(response, request))
  end
end

return { add = add, perform = perform }
