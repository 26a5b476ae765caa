--- The client object.

local arguments = require("maiagent.arguments")
local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local options_of = require("maiagent.options")
local resources = require("maiagent.resources")
local retry = require("maiagent.retry")
local wait = require("maiagent.wait")

-- The key of a client's state; a table of our own, so no field is in its way.
local STATE = {}

local METHODS =
  { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }

-- What `arguments` and `of_request` have to know of a request by its path.
local REQUEST = { operation = "client:request", name = "request" }
local BY_PATH = { operation = "request", reply = "any" }

local RESOURCES = resources.top_level()

local Client = { __name = "maiagent.client" }
local methods = {}

-- client.files is looked for where the API has it.
local function below(name)
  local place = resources.find(name)
  return place and " (did you mean client." .. place .. "?)"
end

function Client.__index(_, name)
  if methods[name] then
    return methods[name]
  end
  if type(name) ~= "string" then
    return nil
  end
  local known = {}
  for key in pairs(methods) do
    known[key] = true
  end
  for resource in pairs(RESOURCES) do
    known[resource] = true
  end
  errors.misuse("client has no '" .. name .. "'"
    .. (below(name) or errors.instead(name, known, "names")))
end

-- A number here would change nothing, or be in the way of a method.
function Client.__newindex(_, name)
  name = tostring(name)
  errors.misuse("client." .. name .. " cannot be set: a copy with other "
    .. "options is made by client:with{ " .. name .. " = … }")
end

function Client.__tostring(client)
  return "maiagent.client (" .. client[STATE].settings.base .. ")"
end

local function attach(state)
  state.descriptions = {}
  local client = { [STATE] = state }
  for resource in pairs(RESOURCES) do
    client[resource] = resources.proxy_of(state, resource)
  end
  return setmetatable(client, Client)
end

local function state_of(client, name)
  if getmetatable(client) ~= Client then
    errors.misuse("client." .. name .. ": called with a dot; write client:"
      .. name .. "(…)")
  end
  return client[STATE]
end

local function content_of(verb, params, options)
  if verb == "GET" or verb == "DELETE" then
    if params ~= nil and type(params) ~= "table" then
      errors.misuse("client:request: params must be a table, got "
        .. type(params))
    end
    local query = options.query
    return { query = params and options_of.merged(params, query) or query }
  end
  if params == nil then
    return { query = options.query }
  end
  local body, problem = core.encode(params)
  if not body then
    errors.misuse("client:request: " .. problem)
  end
  return { query = options.query, type = "application/json", body = body }
end

--- Calls any path of the service, for what has no binding.
-- @tparam string verb GET, POST, PUT, PATCH or DELETE
-- @tparam string path relative to base_url ("chatbots/"), or from the host's
--   root with a leading slash; a whole URL only of the same origin
-- @tparam table|nil params the JSON body, or the query of GET and DELETE
-- @tparam table|nil options as for every call
-- @return the decoded JSON, true for an empty answer, or the text of other
--   types
-- @treturn table|nil error
-- @treturn table|nil response
function methods:request(verb, path, params, options, ...)
  local state = state_of(self, "request")
  arguments.check_count("client:request", "method, path, params, options",
    verb, path, params, options, ...)
  verb = type(verb) == "string" and verb:upper() or verb
  if not METHODS[verb] then
    errors.misuse("client:request: method must be GET, POST, PUT, PATCH or "
      .. "DELETE, got " .. tostring(verb))
  end
  arguments.check_options(REQUEST, "client:request", options)
  options = options_of.checked("call", "client:request", options)
  local url, problem = core.join(state.settings.base, path)
  if not url then
    errors.misuse("client:request: " .. problem)
  end
  local content = content_of(verb, params, options)
  local request
  request, problem = core.request(verb, url, content)
  if not request then
    errors.misuse("client:request: " .. problem)
  end
  local pending = call.of_request(state, request, options, BY_PATH)
  return errors.outcome(call.collect(state, pending, "any"))
end

--- Downloads a URL into a file: written to PATH.part and renamed when it is
-- whole; an existing file is replaced at once. A name that the server chose, in
-- a folder, replaces nothing: that is an error of kind "file", before the body
-- comes. A download that broke off leaves PATH.part and PATH.part.etag where
-- the server can give the rest, and the next call goes on from there. The key
-- goes along only to the API's origin.
-- @tparam string url absolute, or from the API's root with a leading slash
-- @tparam string path a file, or a folder (one that exists, or with a slash at
--   its end): then the server's name for the file is used, made harmless
-- @tparam table|nil options timeout, max_retries, headers (for the URL's
--   origin), max_speed (bytes per second), on_progress(received, total) in
--   bytes, total 0 while unknown, about ten times a second and at the end;
--   returning false cancels, at the end too
-- @treturn string|nil the path of the file
-- @treturn table|nil error
-- @treturn table|nil response
function methods:download(url, path, options, ...)
  local state = state_of(self, "download")
  arguments.check_count("client:download", "url, path, options",
    url, path, options, ...)
  return errors.outcome(
    require("maiagent.fetch").url(state, url, path, options))
end

--- A copy with other options, sharing connections and tasks.
-- @tparam table changed any option of maiagent.new but wait,
--   max_connections and max_in_flight
-- @treturn table client
function methods:with(changed, ...)
  local state = state_of(self, "with")
  arguments.check_count("client:with", "options", changed, ...)
  return attach({
    hub = state.hub,
    random = state.random,
    settings = options_of.copy(state.settings, changed),
  })
end

--- Cancels what is under way (kind "cancelled") and closes the connections,
-- those of its `with` copies too; at once, even during a name lookup. May run
-- twice. On Lua 5.4 `local client <close> = maiagent.new()` does it too.
function methods:close()
  wait.close(state_of(self, "close").hub)
end

function Client.__close(client)
  client:close()
end

--- Runs fn(...) as a task: it parks in each call of this client and is
-- resumed by `step`, or while another call of this client waits. A coroutine
-- that fn makes itself is not the task: a call in it waits as it would outside.
-- @tparam function fn
-- @treturn table task: `:cancel()`, `:done()`; on Lua 5.4 a `<close>` variable
--   of it cancels it
function methods:go(fn, ...)
  local state = state_of(self, "go")
  if type(fn) ~= "function" then
    errors.misuse("client:go: a function expected, got " .. type(fn))
  end
  return wait.go(state.hub, fn, ...)
end

--- Moves requests and tasks on without blocking. With max_ms no more of it is
-- begun once that time is over: the rest is for the next step, and who was
-- left out this time comes first then. It cannot interrupt what was begun: the
-- decoding of one large reply, one TLS handshake, what a task does between two
-- calls; nor, where there is no epoll, libcurl's look at all of its sockets.
-- @tparam table|nil options max_ms (milliseconds; no limit)
-- @treturn boolean whether anything is still under way
-- Raises the error of a task that raised one.
function methods:step(options, ...)
  local state = state_of(self, "step")
  arguments.check_count("client:step", "options", options, ...)
  options = options_of.checked("step", "client:step", options)
  return wait.step(state.hub, options.max_ms)
end

--- Does what the first call would spend some ten milliseconds of a frame on:
-- loads libcurl, reads the CA certificates, connects to the host of base_url.
-- For a game's loading screen; sends neither the key nor any of your headers.
-- @treturn boolean|nil true when the host answered, whatever it did
-- @treturn table|nil error
function methods:warm_up()
  return require("maiagent.warm_up").run(state_of(self, "warm_up"))
end

-- What stands outside the list would never run.
local function check_functions(functions)
  local count = 0
  for i, fn in ipairs(functions) do
    if type(fn) ~= "function" then
      errors.misuse("client:gather: functions[" .. i .. "] is a " .. type(fn))
    end
    count = i
  end
  for key in pairs(functions) do
    if type(key) ~= "number" or key > count then
      errors.misuse("client:gather: functions[" .. tostring(key)
        .. "] is not part of the list")
    end
  end
end

--- Runs functions side by side and waits for all.
-- @tparam table functions a list
-- @treturn table the first value of each, in order (nil where it failed)
-- @treturn table|nil index → error of those that failed; nil if none did
function methods:gather(functions, ...)
  local state = state_of(self, "gather")
  arguments.check_count("client:gather", "functions", functions, ...)
  if type(functions) ~= "table" then
    errors.misuse("client:gather: a list of functions expected, got "
      .. type(functions))
  end
  check_functions(functions)
  return require("maiagent.gather").gather(state.hub, functions)
end

-- What stands outside the list would be left out, and nobody told.
local function check_list(list)
  local kind = (getmetatable(list) or {}).__name
  if kind == "maiagent.items" or kind == "maiagent.pages" then
    errors.misuse("client:map: list expected, got an iterator: pass what all() "
      .. "gives")
  end
  local length, count = #list, 0
  for key in next, list do
    if type(key) ~= "number" or key < 1 or key > length or key % 1 ~= 0 then
      errors.misuse("client:map: list expected, but '" .. tostring(key)
        .. "' is not part of one"
        .. (rawget(list, "results") and " (pass page.results)" or ""))
    end
    count = count + 1
  end
  if count < length then
    errors.misuse(("client:map: list expected, but %d of its %d items are nil")
      :format(length - count, length))
  end
end

--- Applies fn(item, index) to every item of a list, some at a time.
-- @tparam table list
-- @tparam function fn
-- @tparam table|nil options concurrency (8)
-- @treturn table results, as `gather`
-- @treturn table|nil errors, as `gather`
function methods:map(list, fn, options, ...)
  local state = state_of(self, "map")
  arguments.check_count("client:map", "list, fn, options",
    list, fn, options, ...)
  if type(list) ~= "table" or type(fn) ~= "function" then
    errors.misuse("client:map: a list and a function expected, got "
      .. type(list) .. " and " .. type(fn))
  end
  check_list(list)
  options = options_of.checked("map", "client:map", options)
  return require("maiagent.gather").map(state.hub, list, fn,
    options.concurrency or 8)
end

--- The descriptor that is readable when `step` has something to do.
-- @treturn integer|nil nil where the platform has none
function methods:fd()
  return wait.descriptor(state_of(self, "fd").hub)
end

--- For cqueues: poll(client) waits for this descriptor …
function methods:pollfd()
  return wait.descriptor(state_of(self, "pollfd").hub)
end

--- … to be readable …
function methods.events()
  return "r"
end

--- … for so many seconds at most (nil: no limit of ours).
function methods:timeout()
  return wait.next_look(state_of(self, "timeout").hub)
end

--- For LuaSocket and copas: select({client}, …) waits for this descriptor …
function methods:getfd()
  return wait.descriptor(state_of(self, "getfd").hub) or -1
end

--- … and has nothing buffered beside it.
function methods.dirty()
  return false
end

local function open_hub(settings)
  local given = settings.given
  local max_connections = given.max_connections
  return wait.hub(given.wait, function()
    -- Loaded with the first request: libcurl costs 7 ms and 8 MB.
    return require("maiagent.http").client({
      max_connections = max_connections,
    })
  end, given.max_in_flight, max_connections)
end

--- Makes a client of checked settings.
-- @tparam table settings of `options`
-- @treturn table client
local function new(settings)
  local hub = open_hub(settings)
  local client = attach({
    hub = hub,
    random = retry.generator(core.now()),
    settings = settings,
  })
  hub.client = client
  return client
end

for name, method in pairs(methods) do
  methods[name] = errors.named(name, method)
end

return { new = new }
