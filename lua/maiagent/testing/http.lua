--- HTTP/1.1 for the stand-in service: sockets, coroutines, messages.
-- One coroutine per connection; all waiting is done by `Loop:step`, on one
-- `select` (which is limited to descriptors below 1024 on most systems).
local socket = require "socket"

local CHUNK = 65536
local HEAD_LIMIT = 262144
local MAX_DESCRIPTOR = 1023
local WAITING = { wantread = "read", wantwrite = "write" } -- LuaSec's words

local Connection = { __name = "maiagent.testing.connection" }
local connection_index = {}
Connection.__index = connection_index

-- Parks the coroutine until the socket is ready for what it could not do for
-- this reason; false if it never will be.
local function wait_for(connection, reason, usual)
  connection.waits = WAITING[reason] or reason == "timeout" and usual
  if not connection.waits or connection.closed then
    return false
  end
  coroutine.yield()
  return not connection.closed
end

--- What has arrived, as soon as something has; nil once the peer is gone.
function connection_index:fill()
  repeat
    local data, reason, partial = self.socket:receive(CHUNK)
    data = data or partial
    if data and data ~= "" then
      return data
    end
  until not wait_for(self, reason, "read")
end

--- At most `limit` bytes, at least one; nil once the peer is gone.
function connection_index:take(limit)
  local data = self.buffer ~= "" and self.buffer or self:fill()
  self.buffer = data and data:sub(limit + 1) or ""
  return data and data:sub(1, limit)
end

--- One line without its end; nil once the peer is gone or it grows too long.
function connection_index:line(limit)
  local first, last = self.buffer:find("\r?\n")
  while not first do
    local data = #self.buffer < (limit or HEAD_LIMIT) and self:fill()
    if not data then
      return nil
    end
    self.buffer = self.buffer .. data
    first, last = self.buffer:find("\r?\n")
  end
  local line = self.buffer:sub(1, first - 1)
  self.buffer = self.buffer:sub(last + 1)
  return line
end

--- Sends all of `data`; false once the peer is gone.
function connection_index:send(data)
  local first = 1
  repeat
    local last, reason, partial = self.socket:send(data, first)
    if last then
      return true
    end
    first = (partial or first - 1) + 1
  until not wait_for(self, reason, "write")
  return false
end

--- Waits `seconds` (nil: for ever, unread data is lost then), but not longer
-- than the peer does.
function connection_index:sleep(seconds)
  local deadline = seconds and socket.gettime() + seconds
  while not self.closed and (not deadline or socket.gettime() < deadline) do
    self.deadline = deadline
    wait_for(self, "timeout", "read")
    local data, reason, partial = self.socket:receive(CHUNK)
    self.buffer = deadline and self.buffer .. (data or partial or "") or ""
    self.closed = self.closed or reason == "closed"
  end
end

--- Closes at once with a TCP reset: SO_LINGER on, time 0.
function connection_index:abort()
  local raw = self.socket
  if not raw.setoption then -- a TLS object: reach below it
    raw = socket.tcp()
    raw:setfd(self.socket:getfd())
  end
  raw:setoption("linger", { on = true, timeout = 0 })
  if raw ~= self.socket then
    raw:setfd(-1)
  end
  self.closed = true
end

local function read_headers(connection)
  local headers, size = {}, 0
  local line = connection:line()
  while line and line ~= "" do
    local name, value = line:match("^([^%s:]+):%s*(.-)%s*$")
    size = size + #line
    if not name or size > HEAD_LIMIT then
      return nil
    end
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
    line = connection:line()
  end
  return line and headers
end

local function next_chunk_size(connection)
  local size = tonumber((connection:line() or ""):match("^%x+") or "x", 16)
  if size == 0 then
    read_headers(connection) -- trailers
  end
  connection.closed = connection.closed or not size
  return size or 0
end

-- A function that returns the next piece of the body, then nil.
local function body_reader(connection, headers)
  local chunked = headers["transfer-encoding"] == "chunked"
  local left, ended = tonumber(headers["content-length"]) or 0, not chunked
  return function()
    if left == 0 and not ended then
      left = next_chunk_size(connection)
      ended = left == 0
    end
    if left == 0 then
      return nil
    end
    local data = connection:take(left)
    left = data and left - #data or 0
    if chunked and data and left == 0 then
      connection:line()
    end
    connection.closed = connection.closed or not data
    return data
  end
end

-- The reader of a request, counting, and answering `Expect: 100-continue` when
-- the body is asked for, as real servers do.
local function counted(connection, request)
  local read = body_reader(connection, request.headers)
  local expects = request.headers.expect
  return function()
    if expects then
      expects = nil
      connection:send("HTTP/1.1 100 Continue\r\n\r\n")
    end
    local data = read()
    request.body_bytes = request.body_bytes + #(data or "")
    return data
  end
end

--- The next request of a connection, its body still unread; nil at the end.
local function read_request(connection)
  local method, target, version =
    (connection:line() or ""):match("^(%u+) (%S+) HTTP/1%.(%d)$")
  local headers = method and read_headers(connection)
  if not headers then
    return nil
  end
  local path, query = target:match("^([^?]*)%??(.*)$")
  local request = { method = method, path = path, query = query,
    headers = headers, body_bytes = 0, connection = connection.number }
  request.keep_alive = version == "1"
    and not (headers.connection or ""):lower():find("close", 1, true)
  request.read = counted(connection, request)
  return request
end

--- The whole body of a request, or nil once it is longer than `limit`.
local function read_body(request, limit)
  local pieces = {}
  local data = request.read()
  while data do
    pieces[#pieces + 1] = request.body_bytes <= limit and data or nil
    data = request.read()
  end
  return request.body_bytes <= limit and table.concat(pieces) or nil
end

--- Head and body of a response {status, headers, body} as they are sent.
local function serialise(response, request)
  local status, body = response.status, response.body or ""
  local lines = { "HTTP/1.1 " .. status
    .. (status < 400 and " OK" or " Error") }
  for name, value in pairs(response.headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if status ~= 204 and status ~= 304 then
    lines[#lines + 1] = "Content-Length: " .. (response.length or #body)
  end
  if not request.keep_alive then
    lines[#lines + 1] = "Connection: close"
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n",
    request.method == "HEAD" and "" or body
end

local Loop = { __name = "maiagent.testing.loop" }
local loop_index = {}
Loop.__index = loop_index

-- LuaSec takes the descriptor over from the plain socket.
local function handshake(connection, tls)
  local known = connection.loop.connections
  known[connection.socket] = nil
  connection.socket = assert(require("ssl").wrap(connection.socket, tls))
  known[connection.socket] = connection
  connection.socket:settimeout(0)
  repeat
    local done, reason = connection.socket:dohandshake()
    if done then
      return true
    end
  until not wait_for(connection, reason, "read")
  return false
end

local function converse(connection, serve, tls)
  if tls and not handshake(connection, tls) then
    return
  end
  repeat
    local request = read_request(connection)
    if request then
      serve(connection, request)
    end
  until not request or connection.closed
end

local function resume(loop, connection)
  connection.waits, connection.deadline = nil, nil
  local ok, problem = coroutine.resume(connection.thread)
  if not ok then
    loop.on_error(debug.traceback(connection.thread, tostring(problem)))
  end
  if coroutine.status(connection.thread) == "dead" then
    loop.connections[connection.socket] = nil
    connection.closed = true
    connection.socket:close()
  end
end

--- Serves `stream`, a connected socket, with `talk(connection)` in a coroutine.
-- number: the connection's, nil for one that is not a client's.
function loop_index:add(stream, number, talk)
  if stream:getfd() > MAX_DESCRIPTOR then
    return stream:close()
  end
  stream:settimeout(0)
  stream:setoption("tcp-nodelay", true)
  local connection = setmetatable({ socket = stream, buffer = "", loop = self,
    number = number }, Connection)
  connection.thread = coroutine.create(function() talk(connection) end)
  self.connections[stream] = connection
  resume(self, connection)
  return connection
end

--- Listens on host and port (0: a free one) and returns the port.
-- serve(connection, request) must read the body and answer.
function loop_index:listen(host, port, serve, tls)
  local listener = assert(socket.bind(host, port, 128))
  listener:settimeout(0)
  self.listeners[listener] = function(stream)
    self.accepted = self.accepted + 1
    self:add(stream, self.accepted, function(connection)
      converse(connection, serve, tls)
    end)
  end
  return tonumber((select(2, listener:getsockname())))
end

-- What select() must watch, and how long it may.
local function watched(loop, seconds, client)
  local readers, writers, now = { client }, {}, socket.gettime()
  for listener in pairs(loop.listeners) do
    readers[#readers + 1] = listener
  end
  for stream, connection in pairs(loop.connections) do
    local list = connection.waits == "write" and writers or readers
    list[#list + 1] = stream
    if connection.deadline then
      seconds = math.min(seconds, math.max(connection.deadline - now, 0))
    end
  end
  return readers, writers, seconds
end

-- The streams whose time has come, and those that are ready.
local function ready(loop, seconds, client)
  local streams, writable = socket.select(watched(loop, seconds, client))
  for _, stream in ipairs(writable) do
    streams[#streams + 1] = stream
  end
  local now = socket.gettime()
  for stream, connection in pairs(loop.connections) do
    if connection.deadline and connection.deadline <= now then
      streams[#streams + 1] = stream
    end
  end
  return streams
end

--- Serves what is ready, waiting at most `seconds` for it. `client` is anything
-- with getfd() whose readiness ends the wait too.
function loop_index:step(seconds, client)
  for _, stream in ipairs(ready(self, seconds or 0, client)) do
    local connection, accept = self.connections[stream], self.listeners[stream]
    if connection then
      resume(self, connection)
    elseif accept then
      local accepted = stream:accept()
      while accepted do
        accept(accepted)
        accepted = stream:accept()
      end
    end
  end
end

--- Number of clients' open connections.
function loop_index:count()
  local count = 0
  for _, connection in pairs(self.connections) do
    count = count + (connection.number and 1 or 0)
  end
  return count
end

--- Closes everything.
function loop_index:close()
  for _, set in ipairs({ self.listeners, self.connections }) do
    for stream in pairs(set) do
      stream:close()
    end
  end
  self.listeners, self.connections = {}, {}
end

--- A loop; on_error(text) is told of an error in the stand-in itself.
local function new_loop(on_error)
  return setmetatable({ listeners = {}, connections = {}, accepted = 0,
    on_error = on_error }, Loop)
end

return { new_loop = new_loop, read_body = read_body, serialise = serialise }
