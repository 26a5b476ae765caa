-- The body of an answer that says no, of the service (JSON) or of object
-- storage (XML): an error object that prints, and holds no secret.

local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local support = require("support")

local SECRET = "k-secret-1234567890"
local redact = call.redactor(SECRET)
local STATUSES = { 400, 401, 403, 404, 405, 409, 422, 429, 500, 503 }

local function check_text(text)
  assert(text == nil or type(text) == "string")
  assert(not text or not text:find(SECRET, 1, true), "the secret")
end

local function check_fields(fields)
  for path, messages in pairs(fields or {}) do
    check_text(path)
    for _, message in ipairs(messages) do
      check_text(message)
    end
  end
end

local function check(status, text)
  local err = errors.from_status({
    status = status,
    text = text,
    value = (core.decode(text)),
    content_type = "text/plain",
  }, { method = "POST", path = "/x", request_id = text }, redact)
  assert(errors.is(err))
  assert(type(err.kind) == "string" and type(err.message) == "string")
  for _, field in ipairs({ "message", "code", "body", "request_id" }) do
    check_text(err[field])
  end
  check_text(tostring(err))
  check_fields(err.fields)
  if support.is_utf8(text) then
    assert(support.is_utf8(err.code or ""), "the code is not UTF-8")
  end
end

return function(input)
  local status = STATUSES[(input:byte() or 0) % #STATUSES + 1]
  local text = input:sub(2):gsub("KEY", SECRET)
  check(status, text)
end
