--- Object storage with presigned POST uploads, on an origin of its own.
local api = require "maiagent.testing.api"
local http = require "maiagent.testing.http"
local multipart = require "maiagent.testing.multipart"
local policy = require "maiagent.testing.policy"
local resources = require "maiagent.testing.resources"
local state = require "maiagent.testing.state"
local url = require "socket.url"

local BUCKET = "/" .. policy.BUCKET .. "/"
local FOLDERS = { ["chatbot-file"] = "media/chatbots/chatbot-file/",
  attachment = "media/chat/attachment/", ["batch-qa"] = "media/batch-qa/" }

local uploads = resources.declare { path = "upload-presigned-url/", verbs = "",
  schema = [[ filename!:name fieldName!:name
    modelName!:chatbot-file|attachment|batch-qa fileSize!:natural ]] }

api.route(uploads, "POST ", function(call)
  local asked = call:check(uploads.fields)
  local key = FOLDERS[asked.modelName] .. state.new_id(call.state)
    .. (asked.filename:match("%.%w+$") or "")
  asked.fields = policy.grant(key, asked.fileSize,
    state.now() + call.state.options.presign_lifetime)
  asked.url = call.server.storage_url .. BUCKET
  return 200, asked
end)

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;" }

-- The answer to {status, code, message, further elements or nil}.
local function refuse(problem)
  local body = ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code>'
    .. "<Message>%s</Message>"):format(problem[2],
      (problem[3]:gsub('[&<>"]', ENTITIES)))
  for name, value in pairs(problem[4] or {}) do
    body = ("%s<%s>%s</%s>"):format(body, name, value, name)
  end
  return { status = problem[1], body = body .. "</Error>",
    headers = { ["Content-Type"] = "application/xml" } }
end

-- The fields and the file of a form that began to come at `began`, and what is
-- wrong with them.
local function examine(parts, began)
  if not parts then
    return nil, nil, { 400, "MalformedPOSTRequest",
      "The body of your POST request is not well-formed multipart/form-data." }
  end
  local file, form = table.remove(parts), {}
  for _, part in ipairs(parts) do
    local name, value = (part.name or ""):lower(), part.content:sub(1, 20480)
    form[name] = form[name] and form[name] .. "," .. value or value
  end
  if not file or file.name ~= "file" or form.file then
    return form, file, { 400, "InvalidArgument",
      "POST requires exactly one file upload per request, as its last field." }
  end
  return form, file, policy.check(form, file.size, began)
end

-- That a policy has expired is nothing that a client has done wrong.
local function upload(server, request, read)
  local began = state.now()
  local form, file, problem = examine(multipart.parse(read,
    request.headers["content-type"] or ""), began)
  if problem then
    if not problem[3]:find("Policy expired", 1, true) then
      server:note(request, problem[2] .. ": " .. problem[3])
    end
    return refuse(problem)
  end
  local object = state.store(server.state, form.key, file.content,
    form["content-type"] or file.type)
  return { status = 204, headers = { ETag = object.etag } }
end

-- The places of the first and the last byte that are asked for, from 0 on; nil
-- if all are.
local function range_of(headers, object)
  local first, last = (headers.range or ""):match("^bytes=(%d*)%-(%d*)$")
  local expected = headers["if-range"] or object.etag
  first, last = tonumber(first), tonumber(last)
  if not (first or last) or first and last and first > last
    or expected ~= object.etag and expected ~= object.modified then
    return nil
  elseif not first then
    return math.max(object.size - last, 0), object.size - 1
  end
  return first, math.min(last or object.size, object.size - 1)
end

local function download(object, headers)
  local first, last = range_of(headers, object)
  local range = "bytes */" .. object.size
  if first and first > last then
    local response = refuse({ 416, "InvalidRange",
      "The requested range is not satisfiable" })
    response.headers["Content-Range"] = range
    return response
  end
  range = first and range:gsub("*", first .. "-" .. last, 1) or nil
  return { status = first and 206 or 200, body = object.content,
    skipped = first, size = first and last - first + 1 or object.size,
    headers = { ["Accept-Ranges"] = "bytes", ["Content-Range"] = range,
      ["Content-Disposition"] = object.name and http.attachment(object.name),
      ["Content-Type"] = object.type, ["ETag"] = object.etag,
      ["Last-Modified"] = object.modified } }
end

--- Answers one request to storage; the key of the API has no business here.
local function serve(server, request, read)
  local object = server.state.objects[url.unescape(request.path:sub(2))]
  if request.headers.authorization then
    server:note(request, "Authorization sent to storage")
    return refuse({ 400, "InvalidArgument", "Unsupported Authorization Type" })
  elseif request.method == "POST" and request.path == BUCKET then
    return upload(server, request, read)
  elseif object and (request.method == "GET" or request.method == "HEAD") then
    return download(object, request.headers)
  end
  return refuse({ 404, "NoSuchKey", "The specified key does not exist." })
end

return { serve = serve }
