--- One call, from the user's arguments to its value: the only place that
-- knows the order (arguments → request → wire → value).
--
-- A state is what a client's proxies share: hub (of `wait`), settings (of
-- `options`), random (a generator for jitter) and descriptions (how each kind
-- of call is sent).

local arguments = require("maiagent.arguments")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local options_of = require("maiagent.options")
local send = require("maiagent.send")

local BODY_LIMIT = 16 * 1024 -- bytes of an undecodable body kept in the error

--- What core.describe() tells of each operation, by its operationId.
local rows = {}
for _, row in ipairs(core.describe()) do
  rows[row.operation] = row
end

-- A part without a type counts as text/plain (RFC 7578, 4.4), which may be
-- re-encoded on its way.
local FILE_TYPE = "application/octet-stream"

local ACCEPT = {
  -- A view that renders only spreadsheets refuses one who accepts only JSON.
  file = "*/*",
  any = "application/json, */*;q=0.5",
}

local SHORT_SECRET = 8 -- bytes; a shorter one may be part of any word

-- A pattern of a secret's bytes; a short one stands as a word of its own.
local function pattern_of(secret)
  local plain = secret:gsub("%p", "%%%0")
  if #secret >= SHORT_SECRET then
    return plain
  end
  return (secret:find("^[%w_]") and "%f[%w_]" or "") .. plain
    .. (secret:find("[%w_]$") and "%f[^%w_]" or "")
end

--- A function that takes a secret out of a text.
-- @tparam string secret
-- @treturn function text → text
local function redactor(secret)
  return function(text)
    return (text:gsub(pattern_of(secret), "[redacted]"))
  end
end

--- Takes the key out of what the service wrote, for a message of ours.
-- @tparam table state
-- @tparam string text
-- @treturn string
local function redacted(state, text)
  return redactor(select(2, state.settings.authorization()))(text)
end

--- Sets a caller's headers; raises what is wrong with them.
-- @tparam userdata request
-- @tparam table headers name → value
local function set_headers(request, headers)
  for name, value in pairs(headers) do
    local ok, problem = request:set(name, value)
    if not ok then
      errors.misuse(("headers[%q]: %s"):format(name, problem))
    end
  end
end

--- Gives a request of this API its headers. The one place where it gets the
-- key: `authorize` refuses any URL that is not of the base's origin.
-- @tparam table state
-- @tparam userdata request
-- @tparam table options of the call, checked
-- @tparam string|nil reply as for `collect`
-- @treturn string the key, to be kept out of messages
local function dress(state, request, options, reply)
  local settings = state.settings
  local authorization, secret = settings.authorization()
  request:set("Accept", ACCEPT[reply] or "application/json")
  set_headers(request, settings.headers)
  if options.headers then
    set_headers(request, options.headers)
  end
  request:authorize(settings.base, authorization)
  return secret
end

-- Made once: most calls have nothing of their own.
local function common_settings(settings)
  local common = settings.exchange or {
    connect = settings.timeout.connect,
    reply_limit = settings.limits.reply,
    header_limit = settings.limits.header,
    ca_file = settings.ca_file,
    insecure = settings.insecure,
    proxy = settings.proxy,
    user_agent = settings.user_agent,
    compressed = true,
  }
  settings.exchange = common
  return common
end

local function exchange_settings(state, options, more)
  local common = common_settings(state.settings)
  if not (options.timeout or options.max_speed or more.repeatable
    or more.settings)
  then
    return common
  end
  local result = options_of.merged(common, more.settings)
  local timeout = options.timeout
  result.connect = type(timeout) == "table" and timeout.connect
    or common.connect
  result.max_speed = options.max_speed
  result.idempotent = more.repeatable
  return result
end

--- How a request is to be sent, as `send` takes it.
-- @tparam table state
-- @tparam table options of the call, checked
-- @tparam table more as for `of_request`; and repeatable, feed
-- @tparam function|nil follow as `send` takes it
-- @treturn table
local function transport(state, options, more, follow)
  local settings = state.settings
  -- What a reader gave is gone: it cannot be given again.
  local max_retries = more.feed and 0
    or options.max_retries or settings.max_retries
  local timeout = more.file and settings.file_timeout or settings.timeout
  return {
    operation = more.operation,
    timeout = options.timeout
      and options_of.merged(timeout, options.timeout) or timeout,
    max_retries = max_retries,
    random = state.random,
    repeatable = more.repeatable,
    settings = exchange_settings(state, options, more),
    follow = follow,
    on_event = settings.on_event,
    on_retry = settings.on_retry,
    on_progress = options.on_progress,
    progress = more.progress,
    is_step = more.is_step,
    feed = more.feed,
  }
end

-- Prepares a GET of a redirect's target, or nil where that is another origin.
local function follower(state, options, reply)
  return function(url)
    if not core.same_origin(url, state.settings.base) then
      return nil
    end
    local request = core.request("GET", url)
    if request then
      dress(state, request, options, reply)
    end
    return request
  end
end

-- Made once where a call has nothing of its own, as most have not: that saves
-- 11,000 of the 96,000 instructions that Lua took for a call.
local function description_of(state, options, more)
  local plain = options == options_of.NONE and not more.feed
  local known = plain and state.descriptions[more]
  if known then
    return known
  end
  local made =
    transport(state, options, more, follower(state, options, more.reply))
  if plain then
    state.descriptions[more] = made
  end
  return made
end

--- A call of a request of this API.
-- @tparam table state
-- @tparam userdata request prepared; gets its headers and the key here
-- @tparam table options of the call, checked
-- @tparam table more operation, reply, settings, progress, file (whether the
--   body or the answer is one); the same table for the same kind of call
-- @treturn table pending, of `send`
local function of_request(state, request, options, more)
  local secret = dress(state, request, options, more.reply)
  local description = description_of(state, options, more)
  return send.new(state.hub, request, description, redactor(secret))
end

local function decode_error(response, text, problem, pending)
  local redact, id = pending.redact, response.request_id
  return errors.new({
    kind = "decode",
    status = response.status,
    message = "the answer is not what the API promises: " .. redact(problem),
    body = redact(text):sub(1, BODY_LIMIT),
    method = pending.request:method(),
    path = pending:path(),
    request_id = id and redact(id),
    attempts = response.attempts,
  })
end

local function decoded(state, pending, exchange, response)
  local settings = state.settings
  local value, problem =
    core.decode(exchange, settings.keep_null, settings.limits.nesting)
  if value ~= nil then
    exchange:drop() -- the response keeps the exchange
    return value, nil, response
  end
  local text = exchange:body()
  if text == "" and (response.status == 204 or response.status == 205) then
    return true, nil, response
  end
  local kind = exchange:header("content-type") or "no content type"
  problem = problem .. " (" .. kind .. ", " .. #text .. " bytes)"
  return nil, decode_error(response, text, problem, pending), response
end

--- The error of a success without the file that was asked for: 202 says that it
-- is not there yet, 204 that there is none.
local function nothing_came(pending, exchange, response)
  return errors.from_status({
    status = response.status,
    text = exchange:body(),
    message = "answered " .. response.status .. ", with which no file comes",
  }, {
    method = "GET",
    path = pending:path(),
    request_id = response.request_id,
    attempts = response.attempts,
  }, pending.redact)
end

-- How each kind of reply becomes a value.
local READ = {
  object = decoded,
  page = decoded,
  list = decoded,
  none = function(_, _, _, response)
    return true, nil, response
  end,
  file = function(_, pending, exchange, response)
    if response.status ~= 200 then
      return nil, nothing_came(pending, exchange, response), response
    end
    return exchange:body(), nil, response
  end,
  any = function(state, pending, exchange, response)
    if response.status == 404 then
      return true, nil, response -- of a DELETE that was done before
    end
    local kind = exchange:header("content-type") or ""
    if kind:lower():find("json", 1, true) then
      return decoded(state, pending, exchange, response)
    end
    local text = exchange:body()
    return text == "" or text, nil, response
  end,
}

--- Waits for a call, and makes its answer a value.
-- @tparam table state
-- @tparam table pending what `of_row` or `of_request` gave
-- @tparam string reply "object", "page", "list", "none", "file" or "any"
-- @tparam function|nil arrived called when an answer is there, before the work
--   of making it a value
-- @return value, nil, response; or nil, err, response
local function collect(state, pending, reply, arrived)
  local exchange, err, response = pending:finish()
  if not exchange then
    return nil, err, response
  end
  if arrived then
    arrived()
  end
  return READ[reply](state, pending, exchange, response)
end

-- A POST that leaves nothing behind: a second presigned URL harms nobody.
local REPEATABLE = { ["uploads.presign"] = true }

-- What a batch_delete without ids is said to be. The live service deletes every
-- FAQ then; what it does with files is not known.
local WITHOUT_IDS = {
  ["knowledge_bases.faqs.batch_delete"] = ", which deletes every FAQ of the "
    .. "knowledge base; if that is meant, say { all = true } in options",
  ["knowledge_bases.files.batch_delete"] = "",
}

local function check_ids(row, params, options)
  local said = WITHOUT_IDS[row.operation]
  if not said or options.all then
    return
  end
  local ids = type(params) == "table" and params.ids or nil
  if ids ~= nil and type(ids) ~= "table" then
    errors.misuse(row.operation .. ": params.ids must be a list of ids, got "
      .. errors.shown(ids))
  elseif ids == nil or next(ids) == nil then
    errors.misuse(row.operation .. ": params.ids is missing or empty" .. said)
  end
end

-- Rows have three ids at most; `unpack` has no name common to all VMs.
local function with_params(ids, n, params)
  if n == 0 then
    return params
  elseif n == 1 then
    return ids[1], params
  elseif n == 2 then
    return ids[1], ids[2], params
  end
  return ids[1], ids[2], ids[3], params
end

--- Prepares an operation's request; raises what is wrong with its arguments.
-- @tparam table state
-- @tparam table row of core.describe()
-- @tparam table ids in path order
-- @param params
-- @tparam table options of the call, checked
-- @tparam string|nil name of the method, for messages (the operation's)
-- @treturn userdata request
local function prepare(state, row, ids, params, options, name)
  local request, problem = core.bindings[row.operation](state.settings.base,
    options.query, with_params(ids, #row.ids, params))
  if not request then
    errors.misuse(arguments.explained(row, name or row.operation, problem))
  end
  return request
end

local function new_kind(row, feed)
  return {
    operation = row.operation,
    reply = row.reply,
    file = row.body == "form" or row.reply == "file",
    repeatable = REPEATABLE[row.operation],
    feed = feed,
    progress = row.reply == "file" and "received" or "sent",
  }
end

local kinds = {} -- row → what `of_request` is to know of it

local function kind_of(row, feed)
  if feed then
    return new_kind(row, feed)
  end
  kinds[row] = kinds[row] or new_kind(row)
  return kinds[row]
end

local ANY_FORM = { { name = "file", value = "" } }

-- As `of_row`, with a source in the place of params.
local function of_form(state, row, ids, given, options)
  local upload = require("maiagent.upload")
  prepare(state, row, ids, ANY_FORM, options) -- wrong ids are told first
  local from, err = upload.source(given, row.operation .. ": source")
  if not from then
    return nil, err
  end
  local form = { upload.file_part(row.part, from, FILE_TYPE) }
  local request = prepare(state, row, ids, form, options)
  local counting = options_of.merged(options,
    { on_progress = upload.file_progress(options.on_progress, from) })
  return of_request(state, request, counting, kind_of(row, from.feed))
end

--- A call of an operation: all of its arguments are checked here.
-- @tparam table state
-- @tparam table row of core.describe()
-- @tparam table ids in path order
-- @param params as the user gave them
-- @param given the call's options as the user gave them
-- @treturn table|nil pending, of `send`
-- @treturn table|nil error
local function of_row(state, row, ids, params, given)
  local options = options_of.checked("call", row.operation, given)
  check_ids(row, params, options)
  if row.body == "form" then
    return of_form(state, row, ids, params, options)
  end
  local request = prepare(state, row, ids, params, options)
  return of_request(state, request, options, kind_of(row))
end

-- The forms of this API are imports: their answers tell failures with 200.
local function import_failure(pending, result, response)
  local id = response.request_id
  return require("maiagent.imported").failure(result, {
    status = response.status,
    method = pending.request:method(),
    path = pending:path(),
    request_id = id and pending.redact(id),
    attempts = response.attempts,
  }, pending.redact)
end

--- One call of an operation.
-- @return value, nil, response; or nil, err, response. An import of which rows
--   failed gives both: result, err, response.
local function run(state, row, ids, params, given)
  local pending, err = of_row(state, row, ids, params, given)
  if not pending then
    return nil, err
  end
  local value, failure, response = collect(state, pending, row.reply)
  if row.body == "form" and value ~= nil then
    failure = import_failure(pending, value, response)
  end
  return value, failure, response
end

--- An error of a request that was not made says which it would have been.
-- @tparam table state
-- @tparam table err
-- @tparam string method
-- @tparam string url maybe none
-- @treturn table err
local function error_of_url(state, err, method, url)
  local path = url:match("^%a+://[^/?#]*([^?#]*)")
  err.method, err.path = method, path and redacted(state, path)
  return err
end

local function not_stored(state, url, kind, problem)
  return nil, error_of_url(state, errors.new({ kind = kind,
    message = redacted(state, "storage: " .. problem) }), "POST", url)
end

--- A call of a presigned POST: another host's, so without the key.
-- @tparam table state
-- @tparam table options of the call, checked
-- @tparam string url and
-- @tparam table parts as core.request takes them
-- @tparam function|nil feed gives the bytes of the part that has feed = true,
--   as `send` takes it
-- @treturn table|nil pending, of `send`
-- @treturn table|nil error
local function store(state, options, url, parts, feed)
  local refused = options_of.refused_scheme(url, state.settings.allow_http,
    "the data", state.settings.base)
  if refused then
    return not_stored(state, url, "http", refused)
  end
  local request, problem = core.request("POST", url, { parts = parts })
  if not request then
    return not_stored(state, url, "decode", problem)
  end
  return send.new(state.hub, request, transport(state, options, {
    operation = "storage",
    settings = { elsewhere = not core.same_origin(url, state.settings.base) },
    file = true,
    repeatable = not feed, -- the same bytes under the same key
    feed = feed,
    progress = "sent",
    is_step = true,
  }), redactor(select(2, state.settings.authorization())))
end

return {
  collect = collect,
  dress = dress,
  error_of_url = error_of_url,
  nothing_came = nothing_came,
  of_request = of_request,
  of_row = of_row,
  prepare = prepare,
  redacted = redacted,
  redactor = redactor,
  rows = rows,
  run = run,
  set_headers = set_headers,
  store = store,
  transport = transport,
}
