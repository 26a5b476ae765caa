--- HTTP/1.1 for the stand-in: each connection a coroutine, all of them waiting
-- in one `select`, which knows about a thousand descriptors.
local socket = require "socket"
local url = require "socket.url"

local CHUNK = 65536
local LUASEC_WAITS = { wantread = "read", wantwrite = "write" }

-- The error that ends a connection, and by that its coroutine: no fault.
local GONE = {}

local Connection = { __name = "maiagent.testing.connection" }
local connection_index = {}
Connection.__index = connection_index

--- Ends the connection, from within its coroutine.
function connection_index.finish()
  error(GONE, 0)
end

-- Waits until the socket is ready for what it could not do for this reason.
local function wait_for(connection, reason, usual)
  connection.waits = reason == "timeout" and usual or LUASEC_WAITS[reason]
    or connection:finish()
  coroutine.yield()
end

--- A line without its end or, of so many bytes, those that have arrived, as
-- soon as some have.
function connection_index:receive(wanted)
  local data, reason, partial = self.socket:receive(wanted)
  while not data and (wanted == "*l" or partial == "") do
    wait_for(self, reason, "read")
    data, reason, partial = self.socket:receive(wanted, partial)
  end
  return data or partial
end

--- Sends all of `data`.
function connection_index:send(data)
  local last, reason, sent = self.socket:send(data)
  while not last do
    wait_for(self, reason, "write")
    last, reason, sent = self.socket:send(data, sent + 1)
  end
end

--- Waits for `seconds`, by default for ever, but not longer than the client: to
-- receive no bytes tells whether it is there, and takes nothing it has sent. Of
-- one that has sent more already, such as a next request, it cannot tell.
function connection_index:sleep(seconds)
  self.deadline = socket.gettime() + (seconds or math.huge)
  while socket.gettime() < self.deadline do
    local data, reason = self.socket:receive(0)
    wait_for(self, reason or "timeout", data and "time" or "read")
  end
  self.deadline = math.huge
end

--- Ends the connection with a TCP reset: SO_LINGER on, time 0. It is set by
-- another socket object, since LuaSec's have no options.
function connection_index:abort()
  local raw = socket.tcp()
  raw:setfd(self.socket:getfd())
  raw:setoption("linger", { on = true, timeout = 0 })
  raw:setfd(-1)
  self:finish()
end

local function read_headers(connection)
  local headers = {}
  local line = connection:receive("*l")
  while line ~= "" do
    local name, value = line:match("^([^%s:]+):%s*(.-)%s*$")
    name = (name or connection:finish()):lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
    line = connection:receive("*l")
  end
  return headers
end

-- The next request, and a function for the next piece of its body, then nil.
local function read_request(connection)
  local method, path, query, version =
    connection:receive("*l"):match("^(%u+) ([^%s?]+)%??(%S*) HTTP/1%.(%d)$")
  local headers = method and read_headers(connection) or connection:finish()
  if headers["transfer-encoding"] then
    connection:send("HTTP/1.1 411 Error\r\nContent-Length: 0\r\n\r\n")
    connection:finish()
  end
  local request = { method = method, path = path, query = query,
    headers = headers, body_bytes = 0, connection = connection.number,
    keep_alive = version == "1" and headers.connection ~= "close" }
  local size = tonumber(headers["content-length"]) or 0
  return request, function()
    local wanted = math.min(size - request.body_bytes, CHUNK)
    if wanted > 0 then
      if request.body_bytes == 0 and headers.expect then
        connection:send("HTTP/1.1 100 Continue\r\n\r\n")
      end
      local data = connection:receive(wanted)
      request.body_bytes = request.body_bytes + #data
      return data
    end
  end
end

--- The header of an answer that is to be saved under this name.
local function attachment(name)
  return "attachment; filename*=utf-8''" .. url.escape(name)
end

--- What is left of a request's body.
local function read_all(read)
  local pieces, data = {}, read() -- no `for`: Lua 5.1 cannot yield from it
  while data do
    pieces[#pieces + 1], data = data, read()
  end
  return table.concat(pieces)
end

-- The status line and the headers of a response with so many bytes of body.
local function head_of(response, request, size)
  local lines = { "HTTP/1.1 " .. response.status
    .. (response.status < 400 and " OK" or " Error") }
  for name, value in pairs(response.headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if response.status ~= 204 and response.status ~= 304 then
    lines[#lines + 1] = "Content-Length: " .. size
  end
  if not request.keep_alive then
    lines[#lines + 1] = "Connection: close"
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- Sends a response {status, headers, body, size, skipped}: `size` bytes of the
-- body, after those `skipped`; by default all. A body is anything with sub().
-- At most `limit` bytes of it are sent, `step` at a time, then a pause (s).
-- Without a status it is the body alone.
function connection_index:answer(request, response, limit, step, pause)
  local body, skipped = response.body or "", response.skipped or 0
  local size = response.size or #body
  local head = response.status and head_of(response, request, size) or ""
  request.status, step = response.status, step or CHUNK
  size = request.method == "HEAD" and head ~= "" and 0
    or math.min(size, limit or size)
  for first = 1, #head + size, step do
    local last = math.min(first + step - 1, #head + size)
    self:send(head:sub(first, last) .. (last <= #head and ""
      or body:sub(skipped + math.max(first - #head, 1),
        skipped + last - #head)))
    if pause then
      self:sleep(pause)
    end
  end
end

local loop_index = {}

local function resume(loop, connection)
  local ok, problem = coroutine.resume(connection.thread, connection)
  if not ok and problem ~= GONE then
    table.insert(loop.recorded, "error in the stand-in: " .. tostring(problem))
  end
  if coroutine.status(connection.thread) == "dead" then
    loop.open[connection.socket] = nil
    connection.socket:close()
  end
end

--- Serves a socket by talk(connection) in a coroutine; `number` is given to
-- clients' connections only. Returns the connection.
function loop_index:add(stream, talk, number)
  stream:settimeout(0)
  local connection = setmetatable({ socket = stream, number = number,
    thread = coroutine.create(talk), deadline = math.huge }, Connection)
  self.open[stream] = connection
  resume(self, connection)
  return connection
end

-- What a client's connection does: serve(connection, request, read), always.
local function conversation(serve, tls)
  return function(connection)
    local done, reason = not tls, "timeout"
    while not done do
      wait_for(connection, reason, "read")
      done, reason = connection.socket:dohandshake()
    end
    repeat
      local request, read = read_request(connection)
      serve(connection, request, read)
    until not request.keep_alive
  end
end

--- Listens on host and port (0: a free one) and returns the port.
-- serve(connection, request, read) has to read the request's body to its end,
-- piece by piece with read(), and to answer. tls: LuaSec's parameters or nil.
function loop_index:listen(host, port, serve, tls)
  local talk = conversation(serve, tls)
  local listener = assert(socket.bind(host, port, 128))
  self:add(listener, function(connection)
    while true do
      local stream = listener:accept()
      if stream then
        stream:setoption("tcp-nodelay", true)
        self.accepted = self.accepted + 1
        stream = tls and assert(require("ssl").wrap(stream, tls)) or stream
        self:add(stream, talk, self.accepted)
      else
        wait_for(connection, "timeout", "read")
      end
    end
  end)
  return (select(2, listener:getsockname()))
end

--- Serves what is ready, waiting at most `seconds` for it. `client` is anything
-- with getfd() whose readiness ends the wait too.
function loop_index:step(seconds, client)
  local lists, ready = { read = { client }, write = {}, time = {} }, {}
  local now, left = socket.gettime(), seconds or 0
  for stream, connection in pairs(self.open) do
    table.insert(lists[connection.waits], stream)
    left = math.min(left, connection.deadline - now)
  end
  local readable, writable = socket.select(lists.read, lists.write,
    math.max(left, 0))
  now = socket.gettime()
  for stream, connection in pairs(self.open) do
    if readable[stream] or writable[stream] or connection.deadline <= now then
      ready[#ready + 1] = connection
    end
  end
  for _, connection in ipairs(ready) do
    resume(self, connection)
  end
end

--- Number of open connections of clients.
function loop_index:connections()
  local count = 0
  for _, connection in pairs(self.open) do
    count = count + (connection.number and 1 or 0)
  end
  return count
end

--- Closes every socket, for good.
function loop_index:stop()
  for stream in pairs(self.open) do
    stream:close()
  end
  self.open = {}
end

--- What a loop needs to begin with; its list `recorded` is told of errors.
local function new_loop()
  return { open = {}, accepted = 0 }
end

return { attachment = attachment, loop_index = loop_index, new_loop = new_loop,
  read_all = read_all }
