--- The stand-in in a child process, steered over a connection of its own.
-- Lines of JSON: the parent sends the options, the child its addresses; then
-- {name, argument} and {value} or {error}. The child ends with the connection.
local json = require "maiagent.testing.json"
local socket = require "socket"

local TIMEOUT = 10
local FAREWELL = 2 -- seconds in which a child has to go

-- A session of its own, so that Ctrl-C in a terminal does not end the server
-- before the program that wants to clean up on it. The pid is told first.
local COMMAND = [[
for lua in %s; do
  command -v "$lua" >/dev/null && exec $(command -v setsid) \
    sh -c 'echo $$; exec "$0" -e "$1" </dev/null >/dev/null' "$lua" %s
done]]
local CODE = "package.path, package.cpath = %q, %q "
  .. "require('maiagent.testing.control').serve(%d)"

local Handle = { __name = "maiagent.testing.handle" }
local handle_index = {}
Handle.__index = handle_index

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The words of a shell that may be the interpreter this program runs in.
local function interpreters()
  local arguments, place = rawget(_G, "arg") or {}, 0
  while arguments[place - 1] do
    place = place - 1
  end
  local own = place < 0 and arguments[place]:find("lua[^/]*$")
    and quote(arguments[place]) or ""
  return own .. (rawget(_G, "jit") and " luajit"
    or " lua" .. _VERSION:match("%d%.%d")) .. " lua"
end

local function call(handle, name, argument)
  local control = handle.control
    or error("maiagent.testing: the server was stopped", 3)
  control:send(json.encode({ name = name, argument = argument }) .. "\n")
  local answer = json.read(control:receive() or "")
    or error("maiagent.testing: the server's process is gone", 3)
  return answer.error and error(answer.error, 3) or answer.value
end

for name in ("fault faults_clear log violations reset connections")
  :gmatch("%S+") do
  handle_index[name] = function(self, argument)
    return call(self, name, argument)
  end
end

--- The child serves by itself; this only waits, as the in-process step does.
function handle_index.step(_, seconds, client)
  socket.select({ client }, nil, seconds or 0)
end

--- Ends the child and waits until it has gone; killed if it does not go.
function handle_index:stop()
  local control = self.control
  if control then
    self.control = nil
    control:settimeout(FAREWELL)
    control:shutdown("send")
    if select(2, control:receive("*a")) == "timeout" then
      os.execute("kill -9 " .. self.pid)
    end
    control:close()
    self.process:close()
  end
end

--- Starts a child with these (complete) options; see maiagent.testing.spawn.
local function spawn(options, interpreter)
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(TIMEOUT)
  local code = CODE:format(package.path, package.cpath,
    select(2, listener:getsockname()))
  local process = assert(io.popen(COMMAND:format(interpreter
    and quote(interpreter) or interpreters(), quote(code))))
  local pid = tonumber(process:read() or "")
  local control = pid and listener:accept()
    or error("maiagent.testing: the server's process did not start; "
      .. "options.lua names its interpreter", 3)
  listener:close()
  control:settimeout(TIMEOUT)
  control:setoption("tcp-nodelay", true)
  control:send(json.encode(options) .. "\n")
  local handle = json.read(control:receive() or "")
  if not handle or handle.error then
    error(handle and handle.error or "maiagent.testing: the server failed", 3)
  end
  handle.control, handle.process, handle.pid = control, process, pid
  function handle.wait(client, milliseconds)
    handle:step(milliseconds / 1000, client)
  end
  return setmetatable(handle, Handle)
end

-- What came from the parent by inheritance is not the child's.
local function close_inherited()
  for descriptor = 3, 255 do
    local stream = socket.tcp()
    stream:setfd(descriptor)
    stream:close()
  end
end

local function obey(server, line)
  local order = json.read(line)
  local ok, value = pcall(server[order.name], server, order.argument)
  return json.encode(ok and { value = value } or { error = value }) .. "\n"
end

--- The child's life: serves until the parent's connection closes.
local function serve(port)
  close_inherited()
  local control = assert(socket.connect("127.0.0.1", port))
  local options = json.read(assert(control:receive()))
  local ok, server = pcall(require("maiagent.testing").start, options)
  if not ok then
    return control:send(json.encode({ error = server }) .. "\n")
  end
  local steering = server:add(control, function(connection)
    connection:send(json.encode({ port = server.port, api_key = server.api_key,
      base_url = server.base_url, storage_url = server.storage_url }) .. "\n")
    while true do
      local line = connection:receive("*l")
      connection:sleep(0.0001) -- what clients did before is served before
      connection:send(obey(server, line))
    end
  end)
  while coroutine.status(steering.thread) ~= "dead" do
    server:step(60)
  end
  server:stop()
end

return { serve = serve, spawn = spawn }
