--- A real nginx of a spec's own: on a free port, in a folder of its own, ended
-- by its own process id. NGINX_BINARY names another than the system's, such as
-- OpenResty's.

local child = require("tests.support.child")
local socket = require("socket")

local nginx = {}

local COMMAND = child.quoted(os.getenv("NGINX_BINARY") or "nginx")

-- Debian builds the Lua module apart from nginx.
local DEBIAN_LUA = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;]]

-- What every configuration begins with; the spec adds a server.
local CONFIGURATION = [[
${modules}
worker_processes ${workers};
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log info;
${main}
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  ${http}
}
]]

--- Lua for a configuration: call(phase) makes a call of `client` and puts what
-- that gave into the shared dictionary `seen`.
nginx.CALL = [[
    function call(phase)
      assert(phase == ngx.get_phase(), ngx.get_phase())
      local ok, models, err = pcall(function()
        return client.embedding_models:list()
      end)
      ngx.shared.seen:set(phase,
        ok and (models and #models or tostring(err)) or tostring(models))
    end
]]

-- For 127.0.0.1 alone, and its own authority.
local CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt "
  .. "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=maiagent-test "
  .. "-addext subjectAltName=IP:127.0.0.1 -keyout %s/key.pem "
  .. "-out %s/certificate.pem 2>/dev/null"

local function run(command, ...)
  local result = os.execute(command:format(...))
  assert(result == true or result == 0, command)
end

local function free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return tonumber(port)
end

-- What a condition gives, once that is true.
local function await(condition)
  local deadline = socket.gettime() + 10
  local value = condition()
  while not value and socket.gettime() < deadline do
    socket.sleep(0.05)
    value = condition()
  end
  return value
end

local function filled(text, values)
  return (text:gsub("%${([%w_]+)}", values))
end

--- A folder and a port for an nginx that is not started yet.
-- @tparam string|nil parent where the folder is made
-- @treturn table folder, port
function nginx.new(parent)
  local place = { folder = os.tmpname(), port = free_port() }
  os.remove(place.folder)
  if parent then
    place.folder = parent .. place.folder:match("/[^/]+$")
  end
  run("mkdir %s", place.folder)
  return place
end

--- A port that is free now, for a second server.
nginx.free_port = free_port

--- Puts certificate.pem and key.pem into the folder.
function nginx.certify(place)
  run(CERTIFICATE, place.folder, place.folder)
end

--- Whether this nginx is OpenResty's build, with its patches and Lua inside.
function nginx.is_openresty()
  local version = child.output_of(COMMAND .. " -v 2>&1")
  return version:find("openresty/", 1, true) ~= nil
end

--- Whether there is such a text in the program, as a directive's name.
function nginx.has(text)
  return child.output_of(("grep -a -o -- %s \"$(command -v %s)\"")
    :format(child.quoted(text), COMMAND)) ~= ""
end

--- Whether a session's lookup may yield in it: where OpenSSL was not patched
-- for that, the Lua module inside has a sentence to say so.
function nginx.has_pending_sessions()
  return nginx.is_openresty() and not nginx.has("missing async sess get cb")
end

--- The text of a file in the folder, "" where there is none.
function nginx.read(place, name)
  local file = io.open(place.folder .. "/" .. name, "r")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

--- Starts nginx and waits until it listens.
-- @tparam table place of `new`
-- @tparam table parts workers (1); lua, whether there is Lua in it; main, http:
--   pieces of the configuration, in which ${folder}, ${port} and other names of
--   `place` stand for themselves
-- @tparam string|nil environment assignments before the command
function nginx.start(place, parts, environment)
  local text = filled(CONFIGURATION, {
    modules = parts.lua and not nginx.is_openresty() and DEBIAN_LUA or "",
    main = parts.main or "",
    workers = parts.workers or 1,
    http = parts.http,
  })
  nginx.write(place, "nginx.conf", (filled(text, place)))
  nginx.launch(place, "nginx.conf", environment)
end

--- Writes a file into the folder.
function nginx.write(place, name, text)
  local file = assert(io.open(place.folder .. "/" .. name, "w"))
  file:write(text)
  file:close()
end

--- Starts nginx with a configuration that is in the folder, and waits until it
-- listens. Its standard error goes to start.log.
-- @tparam table place of `new`
-- @tparam string name of the configuration
-- @tparam string|nil environment assignments before the command
function nginx.launch(place, name, environment)
  run("%s %s -p %s -c %s >%s/start.log 2>&1 &", environment or "", COMMAND,
    place.folder, name, place.folder)
  -- The file comes a little after the port.
  place.pid = await(function()
    return nginx.read(place, "nginx.pid"):match("%d+")
  end)
  local connection = place.pid and await(function()
    return (socket.connect("127.0.0.1", place.port))
  end)
  assert(connection,
    nginx.read(place, "start.log") .. nginx.read(place, "error.log"))
  connection:close()
end

--- Ends nginx, waits for its end and removes the folder.
function nginx.stop(place)
  if place.pid then
    run("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.05; done",
      place.pid, place.pid)
  end
  run("rm -r %s", place.folder)
end

--- Sends a request to a server on this machine; `answer` waits for what comes.
-- @tparam number port
-- @tparam string path
-- @treturn userdata connection
function nginx.open(port, path)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:settimeout(20)
  assert(connection:send("GET " .. path
    .. " HTTP/1.0\r\nHost: localhost\r\n\r\n"))
  return connection
end

--- Waits for the answer on a connection of `open`, and closes it.
-- @tparam userdata connection
-- @treturn string|nil status
-- @treturn string|nil body, without the white space at its end
function nginx.answer(connection)
  local text = assert(connection:receive("*a"))
  connection:close()
  return text:match("^HTTP/1%.%d (%d+)"), text:match("\r\n\r\n(.-)%s*$")
end

--- Asks and waits for the answer, as `answer` gives it.
-- @tparam number port
-- @tparam string path
function nginx.get(port, path)
  return nginx.answer(nginx.open(port, path))
end

return nginx
