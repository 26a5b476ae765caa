--- Object storage with presigned POST uploads, on an origin of its own.
-- Uploads are streamed: only what is small enough to be served again is kept.
local json = require "maiagent.testing.json"
local mime = require "mime"
local multipart = require "maiagent.testing.multipart"
local resources = require "maiagent.testing.resources"
local state = require "maiagent.testing.state"
local url = require "socket.url"

local KEPT = 2 ^ 20
local LIFETIME = 3600
local BUCKET = "/maiagent-media/"
local FOLDERS = { ["chatbot-file"] = "media/chatbots/chatbot-file/",
  attachment = "media/chat/attachment/", ["batch-qa"] = "media/batch-qa/" }

local uploads = resources.declare { path = "upload-presigned-url/", verbs = "",
  schema = [[ filename!:name fieldName!:name
    modelName!:chatbot-file|attachment|batch-qa fileSize!:natural ]] }

resources.route(uploads, "POST ", function(call)
  local asked = call:check(uploads.fields)
  local key = FOLDERS[asked.modelName] .. state.new_id(call.state)
    .. (asked.filename:match("%.%w+$") or "")
  local policy = json.encode({ conditions = { { key = key },
    { "content-length-range", asked.fileSize, asked.fileSize } },
    expiration = state.timestamp(state.now() + LIFETIME) })
  asked.fields = { key = key, policy = mime.b64(policy),
    ["x-amz-algorithm"] = "AWS4-HMAC-SHA256",
    ["x-amz-credential"] = os.date("!STANDIN/%Y%m%d/local/s3/aws4_request"),
    ["x-amz-date"] = os.date("!%Y%m%dT%H%M%SZ"),
    ["x-amz-signature"] = state.new_id(call.state) }
  asked.url = call.server.storage_url .. BUCKET
  call.state.grants[key] = asked
  return 200, asked
end)

local function refuse(status, code, message)
  return { status = status, headers = { ["Content-Type"] = "application/xml" },
    body = ("<Error><Code>%s</Code><Message>%s</Message></Error>"):format(code,
      message) }
end

-- A name of which the fields sent and those given out have different values.
local function difference(sent, granted)
  for name, value in pairs(granted) do
    if sent[name] ~= value then
      return name
    end
  end
  for name in pairs(sent) do
    if not granted[name] then
      return name
    end
  end
end

-- What is wrong with an upload: status, code, message.
local function problem_of(parts, file, sent, grant)
  local changed = grant and difference(sent, grant.fields)
  if not parts then
    return 400, "MalformedPOSTRequest",
      "The body of your POST request is not well-formed multipart/form-data."
  elseif not file or file.name ~= "file" or sent.file then
    return 400, "InvalidArgument",
      "POST requires exactly one file upload per request, as its last field."
  elseif not grant or changed then
    return 403, "AccessDenied", "Invalid according to Policy: Policy "
      .. "Condition failed: " .. (changed or "key")
  elseif file.size > grant.fileSize then
    return 400, "EntityTooLarge",
      "Your proposed upload exceeds the maximum allowed size"
  elseif file.size < grant.fileSize then
    return 400, "EntityTooSmall",
      "Your proposed upload is smaller than the minimum allowed size"
  end
end

local function upload(server, request, read)
  local parts = multipart.parse(read, request.headers["content-type"] or "",
    KEPT)
  while read() do end
  local file, sent = table.remove(parts or {}), {}
  for _, part in ipairs(parts or {}) do
    sent[part.name or ""] = part.content
  end
  local status, code, message = problem_of(parts, file, sent,
    server.state.grants[sent.key])
  if status then
    server:note(request, code .. ": " .. message)
    return refuse(status, code, message)
  end
  server.state.objects[sent.key] = file
  return { status = 204, headers = { ETag = '"' .. file.size .. '"' } }
end

local function download(server, request)
  local object = server.state.objects[url.unescape(request.path:sub(2))]
  if request.method ~= "GET" or not object then
    return refuse(404, "NoSuchKey", "The specified key does not exist.")
  elseif not object.content then
    return refuse(501, "NotImplemented", "Uploads above 1 MiB are not kept.")
  end
  return { status = 200, body = object.content, headers = {
    ["Content-Type"] = object.type or "application/octet-stream" } }
end

--- Answers one request to storage; the key of the API has no business here.
local function serve(server, request, read)
  if request.headers.authorization then
    while read() do end
    server:note(request, "Authorization sent to storage")
    return refuse(400, "InvalidArgument", "Unsupported Authorization Type")
  elseif request.method == "POST" and request.path == BUCKET then
    return upload(server, request, read)
  end
  return download(server, request)
end

return { serve = serve }
