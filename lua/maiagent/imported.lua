--- What an Excel import says of its rows: it answers 200 for failures too.
-- A leaf: takes the decoded answer.

local errors = require("maiagent.errors")

local SHOWN = 3 -- rows told in the message

local function text(value)
  local kind = type(value)
  return (kind == "string" or kind == "number") and value ~= ""
    and tostring(value) or nil
end

local function whole(value)
  local number = tonumber(text(value))
  return number and ("%.0f"):format(number)
end

local function message_of(item)
  if type(item) ~= "table" then
    return text(item) or "no reason given"
  end
  local message = text(item.error) or "no reason given"
  local id = text(item.file_id)
  return id and (message .. " (file " .. id .. ")") or message
end

local function add(fields, path, message)
  fields[path] = fields[path] or {}
  table.insert(fields[path], message)
end

-- Adds a row's message to fields and gives it as it is told to a person.
local function add_row(fields, item, redact)
  local row = type(item) == "table" and whole(item.row)
  local reason = type(item) == "table" and text(item.error)
  local message = message_of(item)
  add(fields, row and ("rows." .. row) or "nonFieldErrors",
    redact(reason or message))
  return (row and ("row " .. row .. ": ") or "") .. message
end

local function summary(result, list, shown)
  if #list == 0 then
    return "the import failed; the service gives no reason"
  end
  local total = whole(result.total_rows)
  local message = #list .. (#list == 1 and " error" or " errors")
    .. (total and " in " .. total .. " rows: " or ": ")
    .. table.concat(shown, "; ")
  return #list > #shown and (message .. "; …") or message
end

--- The error in an import's answer, if there is one.
-- @param result decoded: success, updated_count, total_rows, errors (a list of
--   row, file_id, error)
-- @tparam table call method, path, status, request_id, attempts
-- @tparam function redact takes the user's secret out of a text
-- @treturn table|nil error of kind "invalid": fields has "rows.N" → list of
--   messages, N as the service counts (the heading is row 1)
local function failure(result, call, redact)
  if type(result) ~= "table" then
    return nil
  end
  local list = type(result.errors) == "table" and result.errors or {}
  if result.success ~= false and #list == 0 then
    return nil
  end
  local fields, shown = {}, {}
  for i, item in ipairs(list) do
    local told = add_row(fields, item, redact)
    shown[#shown + 1] = i <= SHOWN and told or nil
  end
  local fault =
    { kind = "invalid", fields = next(fields) and fields or nil }
  for name, value in pairs(call) do
    fault[name] = value
  end
  fault.message = redact(summary(result, list, shown))
  return errors.new(fault)
end

return { failure = failure }
