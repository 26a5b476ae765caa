--- Object storage with presigned POST uploads, on an origin of its own.
-- Uploads are streamed: only what is small enough to be served again is kept.
local json = require "dkjson"
local mime = require "mime"
local api = require "maiagent.testing.api"
local multipart = require "maiagent.testing.multipart"
local state = require "maiagent.testing.state"
local validation = require "maiagent.testing.validation"

local KEPT = 2 ^ 20
local FIELD_LIMIT = 20480
local BUCKET = "/maiagent-media/"
local FOLDERS = { ["chatbot-file"] = "media/chatbots/chatbot-file/",
  attachment = "media/chat/attachment/", ["batch-qa"] = "media/batch-qa/" }
local REQUEST = validation.schema [[ filename!:name fieldName!:name
  modelName!:chatbot-file|attachment|batch-qa fileSize!:natural ]]

local function xml(status, code, message)
  return { status = status, headers = { ["Content-Type"] = "application/xml" },
    body = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>' .. code
      .. "</Code><Message>" .. message .. "</Message></Error>" }
end

local function signature(call)
  return (state.new_id(call.state) .. state.new_id(call.state)):gsub("-", "")
end

local function policy_of(fields, size, expires)
  local conditions = { { bucket = "maiagent-media" },
    { "content-length-range", size, size } }
  for name, value in pairs(fields) do
    conditions[#conditions + 1] = { [name] = value }
  end
  return (mime.b64(json.encode({ expiration = state.timestamp(expires),
    conditions = conditions })))
end

local function presign(call)
  local asked, now = call:check(REQUEST), state.now()
  local expires = now + call.state.options.presign_lifetime
  local extension = asked.filename:match("%.%w+$") or ""
  local fields = {
    key = FOLDERS[asked.modelName] .. state.new_id(call.state) .. extension,
    ["x-amz-algorithm"] = "AWS4-HMAC-SHA256",
    ["x-amz-credential"] = os.date("!STANDIN/%Y%m%d/local/s3/aws4_request"),
    ["x-amz-date"] = os.date("!%Y%m%dT%H%M%SZ"),
  }
  fields.policy = policy_of(fields, asked.fileSize, expires)
  fields["x-amz-signature"] = signature(call)
  call.state.grants[fields.key] = { fields = fields, expires = expires,
    size = asked.fileSize }
  asked.url, asked.fields = call.server.storage_url .. BUCKET, fields
  return 200, asked
end

api.route("POST upload-presigned-url/", "", presign)

-- A sink that counts a part's bytes and keeps the first of them.
local function keep(part, limit)
  part.size, part.pieces = 0, {}
  return function(data)
    local room = limit - part.size
    part.size = part.size + #data
    if room > 0 then
      part.pieces[#part.pieces + 1] = data:sub(1, room)
    end
  end
end

local function text_of(part)
  return table.concat(part.pieces)
end

local function receive(request)
  local form = { fields = {} }
  form.whole = multipart.parse(request.read,
    request.headers["content-type"] or "", function(part)
      form.after_file = form.after_file or form.file ~= nil
      if part.name == "file" then
        form.file = part
        return keep(part, KEPT)
      end
      form.fields[part.name or ""] = part
      return keep(part, FIELD_LIMIT)
    end)
  while request.read() do end
  return form
end

-- What differs between the fields sent and those given out.
local function changed_field(form, granted)
  for name, value in pairs(granted) do
    local sent = form.fields[name]
    if not sent then
      return "missing " .. name
    elseif text_of(sent) ~= value then
      return "changed " .. name
    end
  end
  for name in pairs(form.fields) do
    if not granted[name] then
      return "extra " .. name
    end
  end
end

local function form_problem(form)
  if not form.whole then
    return "MalformedPOSTRequest", "The body of your POST request is not "
      .. "well-formed multipart/form-data."
  elseif form.after_file then
    return "MalformedPOSTRequest", "The file must be the last field."
  elseif not form.file then
    return "InvalidArgument", "POST requires exactly one file upload per "
      .. "request."
  elseif not form.fields.key then
    return "InvalidArgument", "Bucket POST must contain a field named 'key'. "
      .. "If it is specified, please check the order of the fields."
  end
end

local function policy_problem(form, grant)
  local change = grant and changed_field(form, grant.fields)
  if not grant then
    return "Invalid according to Policy: Policy Condition failed: key"
  elseif change then
    return "Invalid according to Policy: " .. change
  elseif state.now() > grant.expires then
    return "Invalid according to Policy: Policy expired."
  end
end

local function size_problem(form, grant)
  if form.file.size > grant.size then
    return "EntityTooLarge", "Your proposed upload exceeds the maximum "
      .. "allowed size"
  elseif form.file.size < grant.size then
    return "EntityTooSmall", "Your proposed upload is smaller than the "
      .. "minimum allowed size"
  end
end

-- A client that gives up in the middle has broken no rule.
local function refuse(server, request, status, code, message)
  local announced = tonumber(request.headers["content-length"]) or 0
  if request.body_bytes >= announced then
    server:note(request, code .. ": " .. message)
  end
  return xml(status, code, message)
end

local function upload(server, request)
  local form = receive(request)
  local code, message = form_problem(form)
  if code then
    return refuse(server, request, 400, code, message)
  end
  local key = text_of(form.fields.key)
  local grant = server.state.grants[key]
  message = policy_problem(form, grant)
  if message then
    return refuse(server, request, 403, "AccessDenied", message)
  end
  code, message = size_problem(form, grant)
  if code then
    return refuse(server, request, 400, code, message)
  end
  local file = form.file
  server.state.objects[key] = { size = file.size, type = file.type,
    content = file.size <= KEPT and text_of(file) or nil }
  return { status = 204, headers = { ETag = '"' .. file.size .. '"' } }
end

local function download(server, request)
  local key = api.decode_percent(request.path:sub(2))
  local object = server.state.objects[key]
  if not object then
    return xml(404, "NoSuchKey", "The specified key does not exist.")
  elseif not object.content then
    return xml(501, "NotImplemented", "Uploads above 1 MiB are not kept.")
  end
  return { status = 200, body = object.content, headers = {
    ["Content-Type"] = object.type or "application/octet-stream" } }
end

--- Answers one request to storage; the key of the API has no business here.
local function serve(server, request)
  local headers, method = request.headers, request.method
  local is_upload = method == "POST" and request.path == BUCKET
  local problem
  if headers.authorization then
    problem = { 400, "InvalidArgument", "Unsupported Authorization Type" }
  elseif is_upload and not headers["content-length"] then
    problem = { 411, "MissingContentLength",
      "You must provide the Content-Length HTTP header." }
  end
  if not problem and is_upload then
    return upload(server, request)
  end
  while request.read() do end
  if problem then
    return refuse(server, request, problem[1], problem[2], problem[3])
  elseif method ~= "GET" and method ~= "HEAD" then
    return xml(405, "MethodNotAllowed",
      "The specified method is not allowed against this resource.")
  end
  return download(server, request)
end

return { serve = serve }
