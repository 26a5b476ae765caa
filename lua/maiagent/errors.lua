--- What can go wrong, as one class of value (and misuse, raised).
-- The world's failures are returned as `nil, err`; a caller's mistake is
-- raised at the caller's own line by `misuse`. A leaf: knows no client.

local MESSAGE_LIMIT = 2000 -- bytes of a service's text kept in a message
local BODY_LIMIT = 16 * 1024 -- bytes of a raw body kept in err.body

local KIND_OF_STATUS = {
  [400] = "invalid",
  [401] = "authentication",
  [403] = "permission",
  [404] = "not_found",
  [408] = "timeout",
  [409] = "conflict",
  [422] = "invalid",
  [429] = "rate_limit",
}

local RETRYABLE = {
  connection = true,
  timeout = true,
  rate_limit = true,
  server = true,
}

-- What a person can do about it, where the service's own text doesn't say.
local REMEDY = {
  [401] = "check api_key (MAIAGENT_API_KEY)",
  [405] = "check the method and base_url",
}

local Error = { __name = "maiagent.error" }

local function where(err)
  if not err.method then
    return ""
  end
  return " (" .. err.method .. " " .. (err.path or "?") .. ")"
end

local function attempts(err)
  if not err.attempts or err.attempts < 2 then
    return ""
  end
  return ", after " .. err.attempts .. " attempts"
end

-- A line break in a file's name or a service's text would begin another line of
-- a log, and other control characters are commands to a terminal.
local function escaped(text)
  return (text:gsub("[%z\1-\31\127]", function(byte)
    return byte == "\n" and "\\n" or ("\\x%02X"):format(byte:byte())
  end):gsub("\194[\128-\159]", function(character)
    return ("\\u{%X}"):format(character:byte(2))
  end))
end

-- One line, whatever stands in the message.
function Error.__tostring(err)
  local text = "maiagent: " .. err.kind
  if err.status then
    text = text .. " " .. err.status
  end
  text = text .. ": " .. err.message .. where(err) .. attempts(err)
  if err.request_id then
    text = text .. ", request id " .. err.request_id
  end
  return escaped(text)
end

function Error.__concat(left, right)
  return tostring(left) .. tostring(right)
end

--- Makes an error object of a table of fields; the table becomes the object.
-- @tparam table fields kind and message at least; maybe status, code (object
--   storage's own word, such as "AccessDenied"), fields (dotted path → list of
--   messages), body, method, path, request_id, attempts, retry_after (seconds),
--   id (of the file or translation that the service could not make), sent (of
--   a failure without an answer: whether a connection was made)
-- @treturn table the error
local function new(fields)
  fields.retryable = RETRYABLE[fields.kind] or false
  return setmetatable(fields, Error)
end

--- Whether a value is one of this library's error objects.
-- @param value anything
-- @treturn boolean
local function is(value)
  return getmetatable(value) == Error
end

local function clipped(text, limit)
  if #text <= limit then
    return text
  end
  return text:sub(1, limit) .. " …"
end

local function is_list(value)
  return type(value) == "table" and value[1] ~= nil
end

local function add(fields, path, message)
  local list = fields[path]
  if not list then
    list = {}
    fields[path] = list
  end
  list[#list + 1] = tostring(message)
end

-- Lists of texts are messages; lists and objects of anything else are nested
-- serializers, whose place in the caller's table is counted from 1 as there.
-- A null (userdata) says nothing.
local function flatten(fields, path, value)
  if type(value) == "userdata" then
    return
  end
  if type(value) ~= "table" then
    return add(fields, path, value)
  end
  if is_list(value) then
    for i, item in ipairs(value) do
      local nested = type(item) == "table"
      flatten(fields, nested and (path .. "." .. i) or path, item)
    end
    return
  end
  for key, item in pairs(value) do
    flatten(fields, path == "" and key or (path .. "." .. key), item)
  end
end

-- The messages of a 400 body, by the dotted path of their field.
-- @param body the decoded body
-- @treturn table|nil path → list of messages (`files.2.filename` is
--   params.files[2].filename; "nonFieldErrors" where no field is named)
local function fields_of(body)
  if type(body) ~= "table" then
    return nil
  end
  local fields = {}
  if is_list(body) then
    flatten(fields, "nonFieldErrors", body)
  else
    for key, value in pairs(body) do
      if key ~= "detail" then
        flatten(fields, tostring(key), value)
      end
    end
  end
  return next(fields) and fields or nil
end

local function sorted_paths(fields)
  local paths = {}
  for path in pairs(fields) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  return paths
end

local function describe_fields(fields)
  local lines = {}
  for _, path in ipairs(sorted_paths(fields)) do
    lines[#lines + 1] = path .. ": " .. table.concat(fields[path], " ")
  end
  return table.concat(lines, "; ")
end

local ENTITIES =
  { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" }

-- A code point in UTF-8; Lua 5.1 has nothing for it.
local function utf8_of(code)
  if code < 0x80 then
    return string.char(code)
  end
  local tail, limit = "", 0x40
  while code >= limit do
    tail = string.char(0x80 + code % 0x40) .. tail
    code = math.floor(code / 0x40)
    limit = limit == 0x40 and 0x20 or limit / 2
  end
  return string.char(0x100 - 2 * limit + code) .. tail
end

-- The character that "65" or "x41" stands for; nil where it is none. Longer
-- numbers would wrap round.
local function character(reference)
  local digits, base = reference:match("^[xX]0*(%x+)$"), 16
  if not digits then
    digits, base = reference:match("^0*(%d+)$"), 10
  end
  local code = digits and #digits < 8 and tonumber(digits, base) or 0
  local surrogate = code >= 0xD800 and code < 0xE000
  if code == 0 or code >= 0x110000 or surrogate then
    return nil
  end
  return utf8_of(code)
end

local function unescaped(text)
  return (text:gsub("&(#?)(%w+);", function(number, name)
    if number == "" then
      return ENTITIES[name]
    end
    return character(name)
  end))
end

local function element(xml, name)
  local text = xml:match("<" .. name .. ">(.-)</" .. name .. "%s*>")
    or xml:match("<" .. name .. "%s[^>]*>(.-)</" .. name .. "%s*>")
  text = text and text:gsub("<!%[CDATA%[(.-)%]%]>", "%1"):match("^%s*(.-)%s*$")
  return text and text ~= "" and unescaped(text) or nil
end

-- What object storage says: <Error><Code>…</Code><Message>…</Message></Error>.
-- @treturn string|nil code; nil where the text is something else
-- @treturn string|nil message
local function storage_error(text)
  local xml = text:gsub("<(/?)[%w_.-]+:", "<%1") -- without namespaces
  local inside = element(xml, "Error") and xml:match("<Error.*$")
  local code = inside and element(inside, "Code")
  if not code then
    return nil
  end
  local message = element(inside, "Message")
  return code, message and (code .. ": " .. message) or code
end

local function describe_text(text, content_type)
  local title = text:match("<[tT][iI][tT][lL][eE][^>]*>%s*(.-)%s*</")
  if title and title ~= "" then
    return "HTML instead of JSON: " .. title
  end
  if text == "" then
    return "an empty answer"
  end
  if text:find("<html", 1, true) or text:find("<HTML", 1, true) then
    return "HTML instead of JSON"
  end
  return (content_type or "text") .. ": " .. text:gsub("%s+", " ")
end

-- Frameworks differ: `detail` is a text, a list of texts, or of objects.
local function detail_of(body)
  local detail = type(body) == "table" and body.detail
  if not is_list(detail) then
    return detail
  end
  local texts = {}
  for _, text in ipairs(detail) do
    if type(text) == "string" then
      texts[#texts + 1] = text
    end
  end
  return table.concat(texts, " ")
end

local function service_message(answer, fields)
  local detail = detail_of(answer.value)
  if type(detail) == "string" and detail ~= "" then
    return fields and (detail .. " " .. describe_fields(fields)) or detail
  end
  if fields then
    return describe_fields(fields)
  end
  return describe_text(answer.text, answer.content_type)
end

-- A field's name, too, is the service's text.
local function redacted(fields, redact)
  local clean = {}
  for path, messages in pairs(fields) do
    for _, message in ipairs(messages) do
      add(clean, redact(path), redact(message))
    end
  end
  return clean
end

local function kind_of(status)
  return KIND_OF_STATUS[status] or (status >= 500 and "server") or "http"
end

--- An answer whose status is not a success, as an error. One of object storage
-- has its code as `code`, and "Code: Message" as its message.
-- @tparam table answer status, text (raw body), value (decoded body or nil),
--   content_type, and optionally message
-- @tparam table call method, path, request_id, attempts, retry_after
-- @tparam function redact takes the user's secret out of a text
-- @treturn table the error
local function from_status(answer, call, redact)
  local status = answer.status
  local kind = kind_of(status)
  local fields = kind == "invalid" and fields_of(answer.value) or nil
  local code, told = storage_error(answer.text:sub(1, BODY_LIMIT))
  local message = answer.message or told or service_message(answer, fields)
  if REMEDY[status] and not code then
    message = message .. " (" .. REMEDY[status] .. ")"
  end
  -- Clipped last: a secret cut in two would not be found.
  return new({
    kind = kind,
    status = status,
    code = code and clipped(redact(code), MESSAGE_LIMIT),
    message = clipped(redact(message), MESSAGE_LIMIT),
    fields = fields and redacted(fields, redact),
    body = clipped(redact(answer.text), BODY_LIMIT),
    method = call.method,
    path = call.path,
    request_id = call.request_id and redact(call.request_id),
    attempts = call.attempts,
    retry_after = call.retry_after,
  })
end

-- Loaded with the first client, or the first mistake.
local function of_misuse(name)
  return function(...)
    return require("maiagent.misuse")[name](...)
  end
end

-- LuaJIT's assert raises its last argument where the message is no string: of
-- `assert(client.chatbots:get(id))` the response, which hides the error.
local RAISES_LAST = select(2, pcall(assert, nil, {}, "last")) == "last"

local function with_error_again(...)
  local value, err, response = ...
  if value == nil and err ~= nil and response ~= nil then
    return nil, err, response, err
  end
  return ...
end

local function as_it_is(...)
  return ...
end

--- What a method gives its caller: where the VM's assert needs it, the error
-- of a failed call again, as a fourth value. Called with the method's results,
-- it also keeps the method's frame, which `misuse` looks for.
local outcome = RAISES_LAST and with_error_again or as_it_is

return {
  did_you_mean = of_misuse("did_you_mean"),
  from_status = from_status,
  instead = of_misuse("instead"),
  is = is,
  misspelt = of_misuse("misspelt"),
  misuse = of_misuse("misuse"),
  named = of_misuse("named"),
  new = new,
  outcome = outcome,
  placed = of_misuse("placed"),
  shown = of_misuse("shown"),
}
