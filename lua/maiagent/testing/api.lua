--- From a request to what answers it: routes, the key, query and body, pages,
-- and the service's error bodies.
local http = require "maiagent.testing.http"
local json = require "maiagent.testing.json"
local state = require "maiagent.testing.state"
local url = require "socket.url"
local validation = require "maiagent.testing.validation"

-- path with {id} -> method -> {kind, handler, names of queries}; and the parts
-- of these paths that are not {id}
local routes, literal = {}, {}

local LOGGED_BODY = 65536

local Call = { __name = "maiagent.testing.call" }
local call_index = {}
Call.__index = call_index

--- Ends the call with a status and a body ({detail = text} for a text).
local function fail(status, body)
  body = type(body) == "string" and { detail = body } or body
  error({ status = status, body = body }, 0)
end

--- Declares one more route of a kind of resource, relative to its path:
-- "METHOD {id}/x/". handler(call, kind) returns status, value (a string is sent
-- as it is) and headers; `query` are the names that its query may have.
local function route(kind, target, handler, query)
  local method, rest = target:match("^(%u+) (.*)$")
  local path, names = "/api/" .. kind.path .. rest, {}
  for segment in path:gmatch("[^/]+") do
    literal[segment] = segment ~= "{id}"
  end
  for name in (query or ""):gmatch("%S+") do
    names[name], names[validation.snake(name)] = name, name
  end
  routes[path] = routes[path] or {}
  routes[path][method] = { kind = kind, handler = handler, names = names }
end

-- The methods of a path, and the ids in it: what no route has as a literal.
local function find_route(path)
  local ids = {}
  path = path:gsub("^/api/v1/", "/api/"):gsub("[^/]+", function(segment)
    if not literal[segment] then
      table.insert(ids, segment)
      return "{id}"
    end
  end)
  return routes[path], ids
end

--- Adds a line to the server's list of violations.
function call_index:violation(text)
  self.server:note(self.request, text)
end

--- The record of that kind with that id, in the knowledge base or outside.
function call_index:referred(kind, id)
  local base = self.records[1]
  return base and base.children and base.children[kind]
    and base.children[kind].by_id[id]
    or state.children(self.state, kind).by_id[id]
end

local function authenticate(call)
  local value = call.request.headers.authorization
  local expected = "Api-Key " .. call.server.api_key
  call.request.authorization_ok = value == expected
  local problem = not value and "Authentication credentials were not provided."
    or not value:find("^Api%-Key ") and "Invalid API key format."
    or value ~= expected and "Incorrect authentication credentials."
  if problem and call.state.options.strict then
    call:violation("Authorization: " .. problem)
  end
  return problem and fail(401, problem)
end

local function read_query(call, names)
  for name, value in call.request.query:gmatch("([^&=]+)=?([^&]*)") do
    local known = names[url.unescape(name)]
    if not known then
      call:violation("unknown query name " .. url.unescape(name))
    end
    call.query[known or name] = url.unescape((value:gsub("+", " ")))
  end
end

--- The body's value; a body that is absent counts as {}, as in the service.
function call_index:body()
  local kind = self.request.headers["content-type"]
  if self.text == "" then
    return json.object()
  elseif not (kind or ""):lower():find("^application/json") then
    fail(415, ('Unsupported media type "%s" in request.'):format(kind or ""))
  end
  local value, problem = json.decode(self.text)
  if value == nil then
    fail(400, "JSON parse error - " .. problem)
  end
  return value
end

--- The checked body, or the end of the call with 400 and the field errors.
function call_index:check(fields)
  local clean, errors = validation.check(fields, self:body(), self,
    self.request.method == "PATCH")
  return clean or fail(400, errors)
end

-- Finds what a path names: call.records, one for each id, call.list, that of
-- the kind, and call.record, the one of them that is meant, if one is.
local function locate(call, ids)
  local owner = call.state
  for name in call.kind.path:gmatch("([%l-]+)/") do
    call.list, call.record = state.children(owner, name), nil
    local id = ids[#call.records + 1]
    if id then
      owner = call.list.by_id[id:lower()] or fail(404, "Not found.")
      call.record, call.records[#call.records + 1] = owner, owner
    end
  end
end

local function run(call, methods, ids)
  authenticate(call)
  local method = call.request.method
  local found = methods[method == "HEAD" and "GET" or method]
    or fail(405, ('Method "%s" not allowed.'):format(method))
  read_query(call, found.names)
  call.kind = found.kind
  locate(call, ids)
  if call.kind.prepare then
    call.kind.prepare(call)
  end
  return found.handler(call, call.kind)
end

-- A path without its last slash is redirected to, as Django does.
local function no_route(request)
  local headers = { ["Content-Type"] = "text/html" }
  if find_route(request.path .. "/") then
    headers.Location = request.path .. "/?" .. request.query
    return { status = 301, headers = headers }
  end
  return { status = 404, headers = headers, body = "<h1>Not Found</h1>" }
end

--- Answers a request: what the loop calls, by way of the faults.
local function serve(server, request, read)
  local text = http.read_all(read)
  request.body = text:sub(1, LOGGED_BODY)
  local methods, ids = find_route(request.path)
  if not methods then
    return no_route(request)
  end
  local call = setmetatable({ server = server, state = server.state,
    request = request, text = text, query = {}, records = {} }, Call)
  local ok, status, value, headers = pcall(run, call, methods, ids)
  if not ok and type(status) == "table" then -- from fail()
    status, value = status.status, status.body
  elseif not ok then
    call:violation("error in the stand-in: " .. tostring(status))
    status, value = 500, { detail = "Server error." }
  end
  headers = headers or { ["Content-Type"] = value and "application/json" }
  headers["X-Request-Id"] = state.new_id(server.state)
  return { status = status, headers = headers,
    body = type(value) == "table" and json.encode(value) or value }
end

return { fail = fail, route = route, serve = serve }
