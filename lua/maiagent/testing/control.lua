--- The stand-in in a child process, steered over a connection of its own.
-- Lines of JSON: the parent sends the options, the child its addresses; then
-- {name, argument} and {value} or {error}. The child ends with the connection.
local json = require "dkjson"
local socket = require "socket"

local HUGE = 1e300 -- JSON has no infinity
local TIMEOUT = 10
local FIRST_DESCRIPTOR, LAST_DESCRIPTOR = 3, 63

-- $1 the port to call, $2 the code to run, $3 the interpreter, if it is known;
-- the pid is told first. The program this one runs in need not be a Lua.
local SCRIPT = [[
set -- %s %s %s
if [ -z "$3" ]; then
  self=$(readlink "/proc/$PPID/exe" 2>/dev/null)
  case ${self##*/} in lua*) ;; *) self= ;; esac
  for name in "$self" %s lua; do
    [ -n "$name" ] && command -v "$name" >/dev/null && break
  done
  set -- "$1" "$2" "$name"
fi
command -v "$3" >/dev/null || exit
echo $$
exec env -u LD_PRELOAD MAIAGENT_TESTING_PORT="$1" "$3" -e "$2" \
  </dev/null >/dev/null]]

local Handle = { __name = "maiagent.testing.handle" }
local handle_index = {}
Handle.__index = handle_index

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function kill(pid)
  if pid then
    os.execute(("kill -9 %d"):format(pid))
  end
end

local function finite(value)
  if type(value) ~= "table" then
    return value == math.huge and HUGE or value
  end
  local copy = {}
  for name, item in pairs(value) do
    copy[name] = finite(item)
  end
  return copy
end

-- The interpreter this program runs in, if it says so.
local function own_interpreter()
  local arguments, place = rawget(_G, "arg"), 0
  while type(arguments) == "table" and arguments[place - 1] do
    place = place - 1
  end
  local name = place < 0 and arguments[place]
  return name and name:match("[^/]*$"):find("^lua") and name or ""
end

local function command(port, interpreter)
  local code = ("package.path, package.cpath = %q, %q "
    .. "require('maiagent.testing.control').serve()"):format(package.path,
    package.cpath)
  local version = _VERSION:match("%d%.%d")
  return SCRIPT:format(port, quote(code), quote(interpreter),
    rawget(_G, "jit") and "luajit" or "lua" .. version)
end

local function call(handle, name, argument)
  if not handle.control then
    error("maiagent.testing: the server was stopped", 3)
  end
  handle.control:send(json.encode({ name = name, argument = finite(argument) })
    .. "\n")
  local answer = json.decode(handle.control:receive() or "")
  if not answer then
    error("maiagent.testing: the server's process is gone", 3)
  elseif answer.error then
    error(answer.error, 3)
  end
  return answer.value
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
  if not control then
    return
  end
  self.control = nil
  control:shutdown("send")
  local _, reason = control:receive("*a")
  if reason == "timeout" then
    kill(self.pid)
  end
  control:close()
  self.process:close()
end

local function connect(handle, listener, options)
  listener:settimeout(TIMEOUT)
  local control = handle.pid and listener:accept()
  listener:close()
  if not control then
    kill(handle.pid)
    error("maiagent.testing: the server's process did not start; options.lua "
      .. "names its interpreter", 3)
  end
  control:settimeout(TIMEOUT)
  control:setoption("tcp-nodelay", true)
  control:send(json.encode(finite(options)) .. "\n")
  handle.control = control
  local told = json.decode(control:receive() or "")
  if not told or told.error then
    error(told and told.error or "maiagent.testing: the server failed", 3)
  end
  for name, value in pairs(told) do
    handle[name] = value
  end
end

--- Starts a child with these (complete) options; see maiagent.testing.spawn.
local function spawn(options, interpreter)
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  local process = assert(io.popen(command(port, interpreter
    or own_interpreter())))
  local handle = setmetatable({ process = process,
    pid = tonumber(process:read()) }, Handle)
  connect(handle, listener, options)
  handle.wait = function(client, milliseconds)
    handle:step(milliseconds / 1000, client)
  end
  return handle
end

-- What came from the parent by inheritance is not the child's.
local function close_inherited()
  for descriptor = FIRST_DESCRIPTOR, LAST_DESCRIPTOR do
    local stream = socket.tcp()
    stream:setfd(descriptor)
    stream:close()
  end
end

local function obey(server, line)
  local order = json.decode(line)
  local ok, value = pcall(server[order.name], server, order.argument)
  return json.encode(ok and { value = value } or { error = tostring(value) })
end

--- The child's life: serves until the parent's connection closes.
local function serve()
  close_inherited()
  local control = assert(socket.connect("127.0.0.1",
    tonumber(os.getenv("MAIAGENT_TESTING_PORT"))))
  local options = json.decode(assert(control:receive()))
  local ok, server = pcall(require("maiagent.testing").open, options)
  if not ok then
    return control:send(json.encode({ error = tostring(server) }) .. "\n")
  end
  local steering = server.loop:add(control, nil, function(connection)
    connection:send(json.encode({ port = server.port, api_key = server.api_key,
      base_url = server.base_url, storage_url = server.storage_url }) .. "\n")
    local line = connection:line(HUGE)
    while line do
      connection:send(obey(server, line) .. "\n")
      line = connection:line(HUGE)
    end
  end)
  while not steering.closed do
    server:step(60)
  end
  server:stop()
end

return { serve = serve, spawn = spawn }
