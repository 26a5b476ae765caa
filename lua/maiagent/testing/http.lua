--- HTTP/1.1 for the stand-in service: sockets, coroutines, messages.
-- One coroutine per connection; all waiting is done by `Loop:step`, on one
-- `select` (which is limited to descriptors below 1024 on most systems).
local socket = require "socket"

local CHUNK = 65536
local LINE_LIMIT = 65536
local HEADER_LIMIT = 262144
local MAX_DESCRIPTOR = 1023
local WAITING = { timeout = true, wantread = "read", wantwrite = "write" }

local REASONS = {
  [100] = "Continue", [200] = "OK", [201] = "Created", [204] = "No Content",
  [301] = "Moved Permanently", [302] = "Found", [304] = "Not Modified",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect",
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden",
  [404] = "Not Found", [405] = "Method Not Allowed",
  [408] = "Request Timeout", [409] = "Conflict", [411] = "Length Required",
  [413] = "Payload Too Large", [415] = "Unsupported Media Type",
  [429] = "Too Many Requests", [500] = "Internal Server Error",
  [502] = "Bad Gateway", [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

local Connection = { __name = "maiagent.testing.connection" }
local connection_index = {}
Connection.__index = connection_index

-- Parks the coroutine until the socket is ready ("read", "write"), the time
-- has come, or the loop closes the connection.
local function park(connection, direction, deadline)
  connection.waits, connection.deadline = direction, deadline
  coroutine.yield()
end

local function direction_of(reason, usual)
  local waits = WAITING[reason]
  return waits == true and usual or waits
end

--- What has arrived, as soon as something has; nil once the peer is gone.
function connection_index:fill()
  while not self.closed do
    local data, reason, partial = self.socket:receive(CHUNK)
    data = data or partial
    if data and #data > 0 then
      return data
    end
    local direction = direction_of(reason, "read")
    if not direction then
      return nil
    end
    park(self, direction)
  end
end

--- At most `limit` bytes, at least one; nil once the peer is gone.
function connection_index:take(limit)
  local data = self.buffer
  if data == "" then
    data = self:fill()
  end
  if not data or #data <= limit then
    self.buffer = ""
    return data
  end
  self.buffer = data:sub(limit + 1)
  return data:sub(1, limit)
end

--- One line without its end; nil once the peer is gone or it grows too long.
function connection_index:line()
  while true do
    local first, last = self.buffer:find("\r?\n")
    if first then
      local line = self.buffer:sub(1, first - 1)
      self.buffer = self.buffer:sub(last + 1)
      return line
    end
    local data = #self.buffer < LINE_LIMIT and self:fill()
    if not data then
      return nil
    end
    self.buffer = self.buffer .. data
  end
end

--- Sends all of `data`; false once the peer is gone.
function connection_index:send(data)
  local first = 1
  while first <= #data do
    if self.closed then
      return false
    end
    local last, reason, partial = self.socket:send(data, first)
    first = (last or partial or first - 1) + 1
    if not last then
      local direction = direction_of(reason, "write")
      if not direction then
        return false
      end
      park(self, direction)
    end
  end
  return true
end

--- Waits `seconds` (nil: for ever, unread data is lost then), but not longer
-- than the peer does.
function connection_index:sleep(seconds)
  local deadline = seconds and socket.gettime() + seconds
  while not self.closed and (not deadline or socket.gettime() < deadline) do
    park(self, "read", deadline)
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
  while true do
    local line = connection:line()
    size = size + #(line or "")
    if not line or size > HEADER_LIMIT then
      return nil
    end
    if line == "" then
      return headers
    end
    local name, value = line:match("^([^%s:]+):%s*(.-)%s*$")
    if not name then
      return nil
    end
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
end

-- Readers return the next piece of the body, then nil.
local function sized_body(connection, left)
  return function()
    if left == 0 then
      return nil
    end
    local data = connection:take(left)
    left = data and left - #data or 0
    connection.closed = connection.closed or not data
    return data
  end
end

local function next_chunk_size(connection)
  local line = connection:line()
  local size = tonumber((line or ""):match("^%x+") or "x", 16)
  if size == 0 then
    read_headers(connection) -- trailers
  end
  connection.closed = connection.closed or not size
  return size or 0
end

local function chunked_body(connection)
  local left, ended = 0, false
  return function()
    if left == 0 and not ended then
      left = next_chunk_size(connection)
      ended = left == 0
    end
    if ended then
      return nil
    end
    local data = connection:take(left)
    left = data and left - #data or 0
    if data and left == 0 then
      connection:line()
    end
    connection.closed = connection.closed or not data
    return data
  end
end

local function body_reader(connection, headers)
  if (headers["transfer-encoding"] or ""):lower():find("chunked", 1, true) then
    return chunked_body(connection)
  end
  return sized_body(connection, tonumber(headers["content-length"] or "0") or 0)
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
  local line = connection:line()
  if line == "" then
    line = connection:line()
  end
  local method, target, version =
    (line or ""):match("^(%u+) (%S+) HTTP/1%.(%d)$")
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
  local pieces, size = {}, 0
  local data = request.read()
  while data do
    size = size + #data
    if size <= limit then
      pieces[#pieces + 1] = data
    end
    data = request.read()
  end
  return size <= limit and table.concat(pieces) or nil
end

--- Head and body of a response {status, headers, body} as they are sent.
local function serialise(response, request, keep_alive)
  local body = response.body or ""
  local lines = { "HTTP/1.1 " .. response.status .. " "
    .. (REASONS[response.status] or "Status") }
  for name, value in pairs(response.headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if response.status ~= 204 and response.status ~= 304 then
    lines[#lines + 1] = "Content-Length: " .. (response.length or #body)
  end
  if not keep_alive then
    lines[#lines + 1] = "Connection: close"
  end
  if request.method == "HEAD" then
    body = ""
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n", body
end

local Loop = { __name = "maiagent.testing.loop" }
local loop_index = {}
Loop.__index = loop_index

-- LuaSec takes the descriptor over from the plain socket.
local function handshake(connection, tls)
  local secure = assert(require("ssl").wrap(connection.socket, tls))
  connection.loop.connections[connection.socket] = nil
  connection.socket = secure
  connection.loop.connections[secure] = connection
  secure:settimeout(0)
  while not connection.closed do
    local done, reason = secure:dohandshake()
    if done then
      return true
    end
    local direction = direction_of(reason, "read")
    if not direction then
      return false
    end
    park(connection, direction)
  end
end

local function converse(connection, serve)
  if connection.tls and not handshake(connection, connection.tls) then
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
  if not ok or coroutine.status(connection.thread) == "dead" then
    loop.connections[connection.socket] = nil
    connection.closed = true
    connection.socket:close()
  end
end

--- Serves `stream`, a connected socket, with `talk(connection)` in a coroutine.
-- number: the connection's, nil for one that is not a client's.
function loop_index:add(stream, number, talk, tls)
  if stream:getfd() > MAX_DESCRIPTOR then
    return stream:close()
  end
  stream:settimeout(0)
  stream:setoption("tcp-nodelay", true)
  local connection = setmetatable({ socket = stream, buffer = "", loop = self,
    number = number, tls = tls }, Connection)
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
      converse(connection, serve)
    end, tls)
  end
  return (select(2, listener:getsockname()))
end

local function accept_all(loop, listener)
  local stream = listener:accept()
  while stream do
    loop.listeners[listener](stream)
    stream = listener:accept()
  end
end

-- What select() must watch, and how long it may.
local function watched(loop, seconds, client)
  local readers, writers, now = {}, {}, socket.gettime()
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
  readers[#readers + 1] = client
  return readers, writers, seconds
end

local function due(loop)
  local list, now = {}, socket.gettime()
  for _, connection in pairs(loop.connections) do
    if connection.deadline and connection.deadline <= now then
      list[#list + 1] = connection
    end
  end
  return list
end

--- Serves what is ready, waiting at most `seconds` for it. `client` is anything
-- with getfd() whose readiness ends the wait too.
function loop_index:step(seconds, client)
  local readers, writers, wait = watched(self, seconds or 0, client)
  local readable, writable = socket.select(readers, writers, wait)
  for _, list in ipairs({ readable, writable }) do
    for _, stream in ipairs(list) do
      if self.listeners[stream] then
        accept_all(self, stream)
      elseif self.connections[stream] then
        resume(self, self.connections[stream])
      end
    end
  end
  for _, connection in ipairs(due(self)) do
    resume(self, connection)
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
  for listener in pairs(self.listeners) do
    listener:close()
  end
  for stream in pairs(self.connections) do
    stream:close()
  end
  self.listeners, self.connections = {}, {}
end

--- A loop; on_error(text) is told of an error in the stand-in itself.
local function new_loop(on_error)
  return setmetatable({ listeners = {}, connections = {}, accepted = 0,
    on_error = on_error }, Loop)
end

return {
  new_loop = new_loop,
  read_body = read_body,
  serialise = serialise,
}
