--- A server that answers with the very bytes a spec gives it. It lives in the
-- spec's own process and moves only when it is stepped.

local pace = require("tests.support.pace")
local socket = require("socket")

local HOST = "127.0.0.1"
local CHUNK = 65536

local raw_server = {}

local Connection = {}
Connection.__index = Connection

--- Sends bytes, as soon as the other side takes them.
function Connection:send(bytes)
  self.output = self.output .. bytes
end

--- Closes the connection once everything is sent; `reset` aborts it (RST).
function Connection:close(reset)
  if reset then
    self.socket:setoption("linger", { on = true, timeout = 0 })
    self.output = ""
  end
  self.closing = true
end

local function shut(connection)
  connection.socket:close()
  connection.closed = true
end

-- Joined when they are enough: large bodies come in hundreds of pieces.
local function receive(connection)
  local data, problem, rest = connection.socket:receive(CHUNK)
  local piece = data or rest or ""
  table.insert(connection.pieces, piece)
  connection.missing = connection.missing - #piece
  if connection.missing <= 0 then
    connection.input = connection.input .. table.concat(connection.pieces)
    connection.pieces = {}
  end
  if problem == "closed" then
    shut(connection)
  end
end

local function flush(connection)
  while #connection.output > 0 do
    local last, problem, partial =
      connection.socket:send(connection.output, 1, CHUNK)
    local count = last or partial or 0
    connection.output = connection.output:sub(count + 1)
    if problem == "closed" then
      return shut(connection)
    elseif not last then
      return
    end
  end
  if connection.closing then
    shut(connection)
  end
end

-- The next whole request of a connection, or nil.
local function next_request(connection)
  local head_end = connection.missing <= 0
    and select(2, connection.input:find("\r\n\r\n", 1, true))
  if not head_end then
    return nil
  end
  local head = connection.input:sub(1, head_end)
  local length = head:lower():match("\r\ncontent%-length: *(%d+)")
  length = tonumber(length or 0)
  connection.missing = head_end + length - #connection.input
  if connection.missing > 0 then
    return nil
  end
  local request = {
    head = head,
    method = head:match("^%S+"),
    path = head:match("^%S+ (%S+)"),
    body = connection.input:sub(head_end + 1, head_end + length),
  }
  connection.input = connection.input:sub(head_end + length + 1)
  return request
end

local function serve(server, connection)
  if not connection.secured then
    local ok, problem = connection.socket:dohandshake()
    connection.secured = ok
    if not ok and problem ~= "wantread" and problem ~= "wantwrite" then
      shut(connection)
    end
    return
  end
  receive(connection)
  local request = next_request(connection)
  while request and not connection.closing do
    table.insert(server.requests, request)
    request.number = #server.requests
    request.connection = connection.number
    server.answer(connection, request)
    request = next_request(connection)
  end
  if not connection.closed then
    flush(connection)
  end
end

local function accept(server)
  local accepted = server.socket:accept()
  while accepted do
    server.accepted = server.accepted + 1
    if server.tls then
      accepted = require("ssl").wrap(accepted, server.tls)
    else
      accepted:setoption("tcp-nodelay", true)
    end
    accepted:settimeout(0)
    table.insert(server.connections, setmetatable({
      socket = accepted,
      input = "",
      pieces = {},
      missing = 0, -- bytes of a request whose head is there
      output = "",
      number = server.accepted,
      secured = not server.tls,
    }, Connection))
    accepted = server.socket:accept()
  end
end

local Server = {}
Server.__index = Server

--- Moves everything on that can be moved without waiting.
function Server:step()
  if not self.refusing then
    accept(self)
  end
  for i = #self.connections, 1, -1 do
    local connection = self.connections[i]
    serve(self, connection)
    if connection.closed then
      table.remove(self.connections, i)
    end
  end
end

--- Closes everything; may run twice.
function Server:stop()
  for _, connection in ipairs(self.connections) do
    connection.socket:close()
  end
  self.connections = {}
  self.socket:close()
end

--- Starts a server on a free port of this machine.
-- @tparam string|function answer the bytes that answer each request (the
--   connection then stays open), or a function (connection, request)
-- @tparam table|nil tls parameters of LuaSec
-- @treturn table server: url, port, requests, connections, accepted
function raw_server.start(answer, tls)
  local bound = assert(socket.bind(HOST, 0))
  bound:settimeout(0)
  local _, port = bound:getsockname()
  local server = {
    socket = bound,
    port = port,
    host = HOST .. ":" .. port,
    url = (tls and "https://" or "http://") .. HOST .. ":" .. port,
    tls = tls,
    requests = {},
    connections = {},
    accepted = 0,
  }
  server.answer = answer
  if type(answer) == "string" then
    server.answer = function(connection)
      connection:send(answer)
    end
  end
  return setmetatable(server, Server)
end

--- A whole answer of HTTP.
-- @tparam string body
-- @tparam number|nil status 200 without it
-- @tparam string|nil headers lines, each ended by CR LF
-- @treturn string
function raw_server.reply(body, status, headers)
  return string.format("HTTP/1.1 %d Whatever\r\n%sContent-Length: %d\r\n\r\n",
    status or 200, headers or "", #body) .. body
end

--- Steps a client and servers until a condition holds; fails after a while.
-- @tparam userdata client
-- @tparam function|userdata condition a function, or an exchange to be done
-- @tparam table ... servers
function raw_server.run(client, condition, ...)
  local servers = { ... }
  local deadline = socket.gettime() + pace.seconds(10)
  local function met()
    if type(condition) == "function" then
      return condition()
    end
    return condition:done()
  end
  while not met() do
    assert(socket.gettime() < deadline, "nothing happened for long")
    for _, server in ipairs(servers) do
      server:step()
    end
    client:poll(1)
    client:step()
  end
end

return raw_server
