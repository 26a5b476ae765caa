--- Files as attachments of messages: stored, then registered.

local call = require("maiagent.call")
local options_of = require("maiagent.options")
local storing = require("maiagent.storing")

local TYPES = {
  image = "avif bmp gif heic heif jfif jpeg jpg png svg tif tiff webp",
  video = "3gp avi flv m4v mkv mov mp4 mpeg mpg ogv webm wmv",
  audio = "aac aif aiff amr flac m4a mid midi mp3 oga ogg opus wav wma",
}

local TYPE_OF = {}
for kind, extensions in pairs(TYPES) do
  for extension in extensions:gmatch("%S+") do
    TYPE_OF[extension] = kind
  end
end

local FIELDS = { type = true }

local row = call.rows["attachments.create"]

-- PDFs and all that is unknown are "other", as the service wants them.
local function type_of(filename)
  local extension = filename:match("%.([^.]+)$")
  return extension and TYPE_OF[extension:lower()] or "other"
end

local function attachment_of(key, filename, params)
  local kind = params and params.type
  if kind == nil then
    kind = type_of(filename)
  end
  return { file = key, filename = filename, type = kind }
end

--- Uploads an attachment: presign, storage POST, register (operations
-- uploads.presign and attachments.create). The file is streamed.
-- @tparam table state
-- @tparam string|table given a path, or { path | content | reader, filename,
--   size }
-- @tparam table|nil params type: "image", "video", "audio" or "other"; by the
--   name's extension where it is not given
-- @tparam table|nil options timeout (seconds, of all requests together),
--   max_retries, headers, max_speed (bytes/s), on_progress(sent, total) in
--   bytes of the file, about ten times a second and at the end: from 0 again
--   where they have to be repeated; returning false cancels, at the end too
-- @treturn table|nil the attachment
-- @treturn table|nil error (kind "file" where the file cannot be read)
-- @treturn table|nil response of the registration, or of what failed
local function upload_attachment(state, given, params, options)
  local operation = "attachments.upload"
  options = options_of.checked("upload", operation, options)
  storing.check_params(operation, params, FIELDS)
  call.prepare(state, row, {}, attachment_of("key", "name", params), {},
    operation)
  local stored, err, response =
    storing.put_given(state, given, "attachment", options, operation)
  if not stored then
    return nil, err, response
  end
  return storing.run(state, stored.clock, options, row, {},
    attachment_of(stored.key, stored.filename, params))
end

return { upload = upload_attachment }
