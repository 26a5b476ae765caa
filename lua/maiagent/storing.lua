--- A source's bytes into object storage: presign → storage POST.

local arguments = require("maiagent.arguments")
local call = require("maiagent.call")
local core = require("maiagent.core")
local deadline = require("maiagent.deadline")
local errors = require("maiagent.errors")
local options_of = require("maiagent.options")
local upload = require("maiagent.upload")

local rows = call.rows

--- The clock of an upload: `timeout.total`, which covers all its requests.
-- @tparam table state
-- @tparam table options of the flow, checked
-- @treturn table of `deadline`
local function clock_of(state, options)
  local timeout =
    options_of.merged(state.settings.file_timeout, options.timeout)
  return deadline.start(core.now, timeout.total, options.timeout)
end

--- The options of a request beside the one that carries the bytes.
-- @tparam table clock
-- @tparam table options of the flow, checked
-- @treturn table|nil options
-- @treturn table|nil error of kind "timeout"
local function quiet(clock, options)
  return clock:options({
    timeout = options.timeout,
    max_retries = options.max_retries,
    headers = options.headers,
  })
end

-- An error says of which request it is, sent or not.
local function of_request(state, row, ids, err)
  local request = call.prepare(state, row, ids, nil, {})
  err.method, err.path = request:method(), request:path()
  return err
end

--- The error of an answer of success that a flow can do nothing with.
-- @tparam table state
-- @tparam table row of the operation
-- @tparam table ids in path order
-- @tparam string message
-- @tparam table response
-- @treturn table of kind "decode"
local function unexpected(state, row, ids, message, response)
  return of_request(state, row, ids, errors.new({
    kind = "decode",
    status = response.status,
    message = message,
    attempts = response.attempts,
  }))
end

--- One of a flow's requests, beside the one that carries the bytes.
-- @tparam table state
-- @tparam table clock
-- @tparam table options of the flow, checked
-- @tparam table row of the operation
-- @tparam table ids in path order
-- @tparam table params
-- @return as `call.run`
local function run(state, clock, options, row, ids, params)
  local given, late = quiet(clock, options)
  if not given then
    return nil, of_request(state, row, ids, late)
  end
  local answer, err, response = call.run(state, row, ids, params, given)
  return answer, clock:explained(err), response
end

local function presign(state, from, model_name, options, clock)
  local row = rows["uploads.presign"]
  local answer, err, response =
    run(state, clock, options, row, {}, {
      filename = from.filename,
      modelName = model_name,
      fieldName = "file",
      fileSize = from.size,
    })
  if answer == nil then
    return nil, err, response
  end
  local post, problem = upload.storage_post(answer, from)
  err = problem and unexpected(state, row, {}, problem, response)
  return post, err, response
end

local function store(state, from, post, options, clock)
  local given, late = clock:options(options_of.merged(options,
    { on_progress = upload.file_progress(options.on_progress, from) }))
  if not given then
    return nil, call.error_of_url(state, late, "POST", post.url)
  end
  local pending, err =
    call.store(state, given, post.url, post.parts, from.feed)
  if not pending then
    return nil, err
  end
  local stored, failure, response = call.collect(state, pending, "none")
  return stored, clock:explained(failure), response
end

local function attempt(state, from, model_name, options, clock)
  local post, err, response = presign(state, from, model_name, options, clock)
  if not post then
    return nil, err, response
  end
  local stored
  stored, err, response = store(state, from, post, options, clock)
  return stored and post.key, err, response
end

-- Names come from disks more often than from programs, so one that JSON
-- cannot hold is told like a file that cannot be read.
local function name_problem(from)
  local _, problem = core.encode({ filename = from.filename })
  return problem and errors.new({ kind = "file",
    message = ("%q: %s"):format(from.filename, problem) })
end

--- Stores a source's bytes. A presigned URL that has expired is asked for once
-- more, unless the source is a reader, which cannot be read twice.
-- @tparam table state
-- @tparam table from what `upload.source` gave
-- @tparam string model_name "chatbot-file", "attachment" or "batch-qa"
-- @tparam table|nil options checked: timeout (of both requests together),
--   max_retries, headers, max_speed, on_progress(sent, total), which starts
--   from 0 again where the bytes have to be sent again
-- @tparam table|nil clock of a flow that this is a part of
-- @treturn string|nil the storage key, to be registered unchanged
-- @treturn table|nil error
-- @treturn table|nil response of the last request
local function put(state, from, model_name, options, clock)
  options = options or {}
  local problem = name_problem(from)
  if problem then
    return nil, problem
  end
  clock = clock or clock_of(state, options)
  local key, err, response = attempt(state, from, model_name, options, clock)
  if not key and upload.expired(err) and not from.feed then
    key, err, response = attempt(state, from, model_name, options, clock)
  end
  return key or nil, err, response
end

--- Checks the params of an upload; raises what is wrong with them.
-- @tparam string operation for messages
-- @tparam table|nil params
-- @tparam table known a table whose keys are the names
local function check_params(operation, params, known)
  if params ~= nil and type(params) ~= "table" then
    errors.misuse(operation .. ": params must be a table, got "
      .. type(params))
  end
  for name in pairs(params or {}) do
    if not known[name] then
      errors.misuse(operation .. ": unknown params." .. tostring(name)
        .. (arguments.is_option(name) and ": it is an option, behind params"
          or errors.instead(name, known)))
    end
  end
end

--- Stores what a caller gave, as the first part of a flow.
-- @tparam table state
-- @tparam string|table given as `upload.source` takes it
-- @tparam string model_name as for `put`
-- @tparam table options checked, as for `put`
-- @tparam string operation for messages
-- @treturn table|nil { key, filename, clock (of the whole flow) }
-- @treturn table|nil error
-- @treturn table|nil response of the last request
local function put_given(state, given, model_name, options, operation)
  local from, err = upload.source(given, operation .. ": source")
  if not from then
    return nil, err
  end
  local clock = clock_of(state, options)
  local key, refused, response = put(state, from, model_name, options, clock)
  if not key then
    return nil, refused, response
  end
  return { key = key, filename = from.filename, clock = clock }, nil, response
end

--- Stores a file for whoever needs only the storage key (operation
-- uploads.presign and the storage POST). It is streamed.
-- @tparam table state
-- @tparam string|table given a path, or { path | content | reader, filename,
--   size }
-- @tparam string model_name "chatbot-file", "attachment" or "batch-qa"
-- @tparam table|nil options timeout (seconds, of all requests together),
--   max_retries, headers, max_speed (bytes/s), on_progress(sent, total) in
--   bytes of the file, about ten times a second and at the end: from 0 again
--   where they have to be repeated; returning false cancels, at the end too
-- @treturn string|nil the storage key
-- @treturn table|nil error
-- @treturn table|nil response of the last request
local function put_source(state, given, model_name, options)
  if type(model_name) ~= "string" or model_name == "" then
    errors.misuse("uploads.put: model_name must be 'chatbot-file', "
      .. "'attachment' or 'batch-qa', got " .. errors.shown(model_name))
  end
  options = options_of.checked("upload", "uploads.put", options)
  local stored, err, response =
    put_given(state, given, model_name, options, "uploads.put")
  return stored and stored.key, err, response
end

return {
  check_params = check_params,
  clock_of = clock_of,
  put = put,
  put_given = put_given,
  put_source = put_source,
  quiet = quiet,
  run = run,
  unexpected = unexpected,
}
