--- What the service says of its own work on a file or a translation.
-- A leaf: reads decoded objects. Whatever is not known counts as still working.

local function text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

-- One page of the vendor's documentation shows an object in place of the text.
local function status_of(object)
  local status = type(object) == "table" and object.status
  if type(status) == "table" then
    return status.code
  end
  return status or nil
end

local FILE_VERDICTS = {
  done = "done",
  failed = "failed",
  deleted = "failed",
  delete_failed = "failed",
}

--- Of a file.
-- @param file decoded
-- @treturn string|nil "done", "failed" or nil: still at work
local function of_file(file)
  return FILE_VERDICTS[status_of(file)]
end

local TRANSLATION_VERDICTS = {
  completed = "done",
  done = "done",
  finished = "done",
  failed = "failed",
  error = "failed",
}

--- Of a translation, whose statuses are not documented: what it has got by
-- now tells as well.
-- @param translation decoded
-- @treturn string|nil "done", "failed" or nil: still at work
local function of_translation(translation)
  if type(translation) ~= "table" then
    return nil
  end
  local status = text(status_of(translation))
  local verdict = status and TRANSLATION_VERDICTS[status:lower()]
  if verdict == "failed" or text(translation.errorMessage) then
    return "failed"
  end
  local completed = translation.completedAt
  local is_number = type(completed) == "number"
  if verdict or is_number or text(completed)
    or text(translation.translatedFileUrl)
  then
    return "done"
  end
  return nil
end

return {
  of_file = of_file,
  of_translation = of_translation,
  status_of = status_of,
  text = text,
}
