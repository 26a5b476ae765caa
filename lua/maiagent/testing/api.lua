--- From a request to a resource's handler: routes, the key, query and body,
-- pages, and the service's error bodies.
local json = require "dkjson"
local http = require "maiagent.testing.http"
local state = require "maiagent.testing.state"
local validation = require "maiagent.testing.validation"

local NOT_FOUND = "Not found."
local JSON_TYPE = "application/json"
local KEY_TEXTS = {
  missing = "Authentication credentials were not provided.",
  format = "Invalid API key format.",
  wrong = "Incorrect authentication credentials.",
}

local routes = { children = {}, methods = {} }

local Call = { __name = "maiagent.testing.call" }
local call_index = {}
Call.__index = call_index

--- Ends the call with a status and a body ({detail = text} for a text).
local function fail(status, body, headers)
  if type(body) == "string" then
    body = { detail = body }
  end
  error({ status = status, body = body, headers = headers }, 0)
end

local function decode_percent(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function encode_percent(text)
  return (text:gsub("[^%w%-._~]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end))
end

--- Declares "METHOD path/{id}/" with the query names it knows.
local function route(target, query, handler)
  local method, path = target:match("^(%u+) (.+)$")
  local node = routes
  for segment in path:gmatch("[^/]+") do
    segment = segment:find("{", 1, true) and "*" or segment
    node.children[segment] = node.children[segment]
      or { children = {}, methods = {} }
    node = node.children[segment]
  end
  local names = {}
  for name in query:gmatch("%S+") do
    names[name], names[validation.snake(name)] = name, name
  end
  node.methods[method] = { handler = handler, names = names }
end

local function find_route(path)
  local rest = path:match("^/api/v1/(.*)$") or path:match("^/api/(.*)$")
  rest = not path:find("//", 1, true) and rest or nil
  local node, ids = rest and routes, {}
  for segment in (rest or ""):gmatch("[^/]+") do
    local child = node and node.children[segment]
    if node and not child then
      child, ids[#ids + 1] = node.children["*"], decode_percent(segment)
    end
    node = child
  end
  return node and next(node.methods) and node, ids
end

--- Adds a line to the server's list of violations.
function call_index:violation(text)
  self.server:note(self.request, text)
end

local function key_problem(server, value)
  if not value then
    return KEY_TEXTS.missing
  elseif not value:find("^Api%-Key ") then
    return KEY_TEXTS.format
  elseif value ~= "Api-Key " .. server.api_key then
    return KEY_TEXTS.wrong
  end
end

local function authenticate(call)
  local problem = key_problem(call.server, call.request.headers.authorization)
  call.request.authorization_ok = not problem
  if problem and call.state.options.strict then
    call:violation("Authorization: " .. problem)
  end
  if problem then
    fail(401, problem, { ["WWW-Authenticate"] = "Api-Key" })
  end
end

local function read_query(call, names)
  call.pairs, call.query = {}, {}
  for item in call.request.query:gmatch("[^&]+") do
    local name, value = item:match("^([^=]*)=?(.*)$")
    name, value = decode_percent(name), decode_percent(value)
    if not names[name] then
      call:violation("unknown query name " .. name)
    end
    name = names[name] or name
    call.query[name] = value
    call.pairs[#call.pairs + 1] = { name, value }
  end
end

local function is_utf8(text)
  local rest = text:gsub("[\194-\223][\128-\191]", "")
    :gsub("[\224-\239][\128-\191][\128-\191]", "")
    :gsub("[\240-\244][\128-\191][\128-\191][\128-\191]", "")
  return not rest:find("[\128-\255]")
end

-- What dkjson lets pass: commas too many or too few, comments.
local function is_loose(text)
  local bare = text:gsub("\\.", ""):gsub('"[^"]*"', "0")
  return bare:find(",%s*[%]}]") or bare:find("/", 1, true)
    or bare:find("[%w%]}]%s*[%[{]") or bare:find("[%w%]}]%s+%w")
end

local function read_json(text)
  if not is_utf8(text) then
    fail(400, "JSON parse error - the text is not UTF-8")
  elseif is_loose(text) then
    fail(400, "JSON parse error - Expecting ',' delimiter or value")
  end
  local value, last, problem = json.decode(text, 1, json.null)
  if value ~= nil and not text:find("^%s*$", last) then
    value, problem = nil, "Extra data at character " .. last
  end
  if value == nil then
    fail(400, "JSON parse error - " .. tostring(problem))
  end
  return value
end

--- The body's value; a body that is absent counts as {}, as in the service.
function call_index:body()
  local kind = self.request.headers["content-type"] or ""
  if self.request.body == "" then
    return state.object()
  elseif not kind:lower():find("^application/json") then
    fail(415, ('Unsupported media type "%s" in request.'):format(kind))
  end
  return read_json(self.request.body)
end

--- What validation.check needs to know of this call.
function call_index:context()
  return {
    partial = self.request.method == "PATCH",
    violation = function(text) self:violation(text) end,
    find = function(name, id)
      local own = self.knowledge_base and self.knowledge_base.sub[name]
      return (own or self.state[name]):get(id)
    end,
  }
end

--- The checked body, or the end of the call with 400 and the field errors.
function call_index:check(fields, body)
  local clean, errors = validation.check(fields, body or self:body(),
    self:context())
  return clean or fail(400, errors)
end

--- The record of `collection` with that id, or the end of the call with 404.
function call_index:find(collection, id)
  return collection:get(id) or fail(404, NOT_FOUND)
end

function call_index:url(page)
  local pieces = { page and "page=" .. page }
  for _, pair in ipairs(self.pairs) do
    if pair[1] ~= "page" then
      pieces[#pieces + 1] = pair[1] .. "=" .. encode_percent(pair[2])
    end
  end
  local query = table.concat(pieces, "&")
  local scheme = self.state.options.tls and "https://" or "http://"
  return scheme .. (self.request.headers.host or self.server.authority)
    .. self.request.path .. (query ~= "" and "?" or "") .. query
end

local function whole_number(text)
  local number = tostring(text):match("^%d+$") and tonumber(text)
  return number and number > 0 and number or nil
end

--- One page of `records`, each rendered by render(record), as it is answered.
function call_index:page(records, render)
  local size = whole_number(self.query.pageSize) or self.state.options.page_size
  local last = math.max(math.ceil(#records / size), 1)
  local page = self.query.page == "last" and last
    or whole_number(self.query.page or 1)
  if not page or page > last then
    fail(404, "Invalid page.")
  end
  local results = state.array()
  for place = (page - 1) * size + 1, math.min(page * size, #records) do
    results[#results + 1] = render(records[place])
  end
  return { count = #records, results = results,
    next = page < last and self:url(page + 1) or json.null,
    previous = page > 1 and self:url(page > 2 and page - 1 or nil)
      or json.null }
end

local function run(call, methods)
  authenticate(call)
  local method = call.request.method
  local found = methods[method == "HEAD" and "GET" or method]
  if not found then
    fail(405, ('Method "%s" not allowed.'):format(method))
  end
  if not call.request.body then
    fail(413, "Request body is too large.")
  end
  read_query(call, found.names)
  return { found.handler(call) }
end

local function allowed(methods)
  local list = {}
  for method in pairs(methods) do
    list[#list + 1] = method
    if method == "GET" then
      list[#list + 1] = "HEAD"
    end
  end
  table.sort(list)
  return table.concat(list, ", ")
end

-- Handlers return status, value[, headers]; a string is sent as it is.
local function respond(status, value, headers)
  local response = { status = status, headers = headers or {}, body = value }
  if type(value) == "table" then
    response.body = json.encode(value)
  end
  if value then
    response.headers["Content-Type"] = response.headers["Content-Type"]
      or JSON_TYPE
  end
  return response
end

local function no_route(request)
  if find_route(request.path .. "/") and request.path:sub(-1) ~= "/" then
    local query = request.query ~= "" and "?" .. request.query or ""
    return respond(301, nil, { Location = request.path .. "/" .. query })
  end
  return respond(404, "<h1>Not Found</h1>", { ["Content-Type"] = "text/html" })
end

local function on_error(problem)
  return type(problem) == "table" and problem
    or { status = 500, text = debug.traceback(tostring(problem), 2) }
end

--- The response of the API to a request whose body has been read.
local function answer(server, request)
  local node, ids = find_route(request.path)
  if not node or request.path:sub(-1) ~= "/" then
    return no_route(request)
  end
  local call = setmetatable({ server = server, state = server.state, ids = ids,
    request = request }, Call)
  local ok, result = xpcall(function() return run(call, node.methods) end,
    on_error)
  local response = ok and respond(result[1], result[2], result[3])
    or respond(result.status, result.body or { detail = "Server error." },
      result.headers)
  if result.text then
    call:violation("error in the stand-in: " .. result.text)
  end
  response.headers.Allow = allowed(node.methods)
  response.headers["X-Request-Id"] = state.new_id(server.state)
  return response
end

--- Reads the body and answers: what the loop calls for each request.
local function serve(server, request)
  request.body = http.read_body(request, server.state.options.body_limit)
  return answer(server, request)
end

return {
  decode_percent = decode_percent,
  encode_percent = encode_percent,
  fail = fail,
  route = route,
  serve = serve,
}
