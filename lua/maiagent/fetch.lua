--- Downloads: a GET whose answer becomes a file. It goes on where an earlier
-- one stopped, wherever the server can tell that the file is the same.

local arguments = require("maiagent.arguments")
local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local filename = require("maiagent.filename")
local options_of = require("maiagent.options")
local progress = require("maiagent.progress")
local send = require("maiagent.send")
local sink_of = require("maiagent.sink")
local storing = require("maiagent.storing")

local UNNAMED = "download"
local LONGEST_NAME = 200 -- bytes; the endings of ours come after it
local SHORTEST_SECRET = 16 -- bytes of a value in a query
local LONGEST_ANSWER = 1024 * 1024 -- bytes of JSON that names a URL

local function without_query(url)
  return (url:gsub("[?#].*$", ""))
end

local function is_secure(url)
  return url:find("^[hH][tT][tT][pP][sS]://") ~= nil
end

-- Why a GET may not go to a URL, if it may not.
local function refusal(state, url, from)
  local _, problem = core.origin(url)
  if problem then
    return problem
  elseif from and is_secure(from) and not is_secure(url) then
    return "it leads from https:// to plain http://"
  end
  local secrets = not core.same_origin(url, state.settings.base) and "the data"
  return options_of.refused_scheme(url, state.settings.allow_http,
    secrets or nil)
end

-- The key goes to the API's origin alone; a header of the caller's, which may
-- be as secret, to the origin that the caller named.
local function dress(state, request, options, named)
  local url = request:url()
  if core.same_origin(url, state.settings.base) then
    return call.dress(state, request, options, "file")
  end
  request:set("Accept", "*/*")
  if options.headers and core.same_origin(url, named) then
    call.set_headers(request, options.headers)
  end
  return select(2, state.settings.authorization()) -- to be hidden, too
end

-- What hides the secrets that it is told of, in messages.
local function hider()
  local hidden, redactors = {}, {}
  local function hide(secret)
    if secret and not hidden[secret] then
      hidden[secret] = true
      redactors[#redactors + 1] = call.redactor(secret)
    end
  end
  local function redact(text)
    for _, one in ipairs(redactors) do
      text = one(text)
    end
    return text
  end
  return hide, redact
end

-- The signature of a presigned URL is as good as a key.
local function hide_query(hide, url)
  for value in (url:match("%?([^#]*)") or ""):gmatch("=([^&]+)") do
    if #value >= SHORTEST_SECRET then
      hide(value)
      hide(filename.percent_decoded(value))
    end
  end
end

-- What prepares a GET of any URL, before what is held of it is asked for.
local function preparer(state, options, named, hide)
  return function(url, settings)
    local request, problem = core.request("GET", url)
    if not request then
      return nil, problem
    end
    settings.elsewhere = not core.same_origin(url, state.settings.base)
    hide_query(hide, url)
    hide(dress(state, request, options, named))
    return request
  end
end

--
-- Where it goes
--

local function is_folder(path)
  if path:sub(-1) == "/" then
    return true
  end
  local opened = io.open(path .. "/.", "rb")
  if opened then
    opened:close()
  end
  return opened ~= nil
end

-- Tells the parts of two URLs with one last segment from each other.
local function checksum(text)
  local sum = 5381
  for i = 1, #text do
    sum = (sum * 33 + text:byte(i)) % 4294967296
  end
  return string.format("%08x", sum)
end

-- The name in a folder is known only with the answer, and the part has to be
-- found again by the next call.
local function part_in(folder, url)
  local source = without_query(url)
  local name = filename.harmless(filename.of_url(source), LONGEST_NAME)
  return folder .. (name or UNNAMED) .. "-" .. checksum(source)
end

local function target_of(path, url)
  if not is_folder(path) then
    return { path = path, part = path }
  end
  local folder = path:gsub("/+$", "") .. "/"
  return { folder = folder, part = part_in(folder, url) }
end

-- What tells the final path, given the exchange. A name in a folder is another
-- side's choice, which must not replace a file.
local function namer(target, url, fallback)
  return function(exchange)
    if target.path then
      return target.path, false
    end
    local header = exchange:header("content-disposition")
    local name = filename.harmless(filename.of_disposition(header))
      or filename.harmless(fallback)
      or filename.harmless(filename.of_url(url))
    return target.folder .. (name or UNNAMED), true
  end
end

local NO_ENTRY = 2 -- the error number of every system that has them

-- Asked before anything is sent: later only PATH.part would be named.
local function missing_folder(part)
  local folder = part:match("^(.*[^/])/+[^/]*$")
  local opened, _, code = io.open((folder or "") .. "/.", "rb")
  if opened then
    opened:close()
  elseif folder and code == NO_ENTRY then
    return errors.new({
      kind = "file",
      message = "the folder " .. folder .. " does not exist",
    })
  end
end

local function check_path(operation, path)
  if type(path) ~= "string" or path == "" or path:find("%z") then
    errors.misuse(operation .. ": path must be that of a file or a folder, got "
      .. (type(path) == "string" and "an empty or impossible one"
        or type(path)))
  end
end

local function check_headers(operation, options)
  for name in pairs(options.headers or {}) do
    local folded = tostring(name):lower()
    if folded == "range" or folded == "if-range" then
      errors.misuse(operation .. ": headers." .. name .. ": a download asks "
        .. "itself for the range that is missing")
    end
  end
end

--
-- The way there
--

local function description_of(state, sink, options, more)
  local result = call.transport(state, options, {
    operation = more.operation,
    file = true,
    progress = "received",
    is_step = true,
    settings = sink.settings,
  })
  sink.settings = result.settings
  result.sink = sink
  result.follow = function(target, from)
    local refused = refusal(state, target, from)
    if refused then
      return nil, refused
    end
    return sink:request(target)
  end
  return result
end

local function impossible(state, url, problem)
  return nil, call.error_of_url(state, errors.new({ kind = "http",
    message = call.redacted(state, "download: " .. problem) }), "GET", url)
end

-- Gets a URL into a part that is not yet kept: exchange, sink, response; or
-- nil, err, response. `more`: operation; named, the URL whose origin gets the
-- caller's headers; name, as `sink` takes it; is_quiet, of an exchange whose
-- progress is not to be told.
local function get(state, url, part, options, more)
  local problem = refusal(state, url) or options_of.refused_scheme(url,
    state.settings.allow_http, "the data", more.named)
  local missing = missing_folder(part)
  if problem then
    return impossible(state, url, problem)
  elseif missing then
    return nil, missing
  end
  local hide, redact = hider()
  local prepare = preparer(state, options, more.named, hide)
  local from_url = sink_of.new(part, without_query(url), prepare,
    more.name)
  from_url.is_quiet = more.is_quiet
  local request, wrong = from_url:request(url)
  if not request then
    return impossible(state, url, wrong)
  end
  local pending = send.new(state.hub, request,
    description_of(state, from_url, options, more), redact)
  local exchange, err, response = pending:finish()
  if not exchange then
    return nil, err, response
  elseif response.status ~= 200 and response.status ~= 206 then
    from_url:failed()
    return nil, call.nothing_came(pending, exchange, response), response
  end
  return exchange, from_url, response
end

local function fetch(state, url, path, options, more)
  local target = target_of(path, url)
  more.name = namer(target, url, more.filename)
  local exchange, sink, response =
    get(state, url, target.part, options, more)
  if not exchange then
    return nil, sink, response
  end
  local saved, err = sink:keep(exchange)
  return saved, err, response
end

local function checked(operation, path, given, kind)
  check_path(operation, path)
  local options = options_of.checked(kind or "upload", operation, given)
  check_headers(operation, options)
  return options
end

-- What the caller wrote as a URL, made absolute.
local function checked_url(state, url)
  if type(url) ~= "string" or url == "" then
    errors.misuse("client:download: url must be a string, got "
      .. (url == "" and "an empty one" or type(url)))
  end
  local absolute, problem = url, nil
  if url:find("^/") then
    absolute, problem = core.join(state.settings.base, url)
  elseif not url:find("://", 1, true) then
    problem = "it is neither absolute nor does it begin with a slash, as a "
      .. "path on base_url's host does"
  end
  problem = problem or refusal(state, absolute)
    or select(2, core.request("GET", absolute))
  if problem then
    errors.misuse("client:download: url: " .. problem)
  end
  return absolute
end

--- Downloads a URL into a file: written to PATH.part and renamed when it is
-- whole; an existing file is replaced at once. A name that the server chose, in
-- a folder, replaces nothing: that is an error of kind "file", before the body
-- comes. A download that broke off leaves PATH.part and PATH.part.etag where
-- the server can give the rest; the next call goes on from there. The key goes
-- along only to the API's origin.
-- @tparam table state
-- @tparam string url absolute, or from the root of base_url's host with a
--   leading slash; plain http:// to this machine alone, unless allow_http
-- @tparam string path a file, or a folder (one that exists, or with a slash at
--   its end): then the server's name for the file is used, made harmless
-- @tparam table|nil given timeout, max_retries, headers (for the URL's origin),
--   max_speed (bytes per second), on_progress(received, total) in bytes, total
--   0 while unknown, as on_progress of an upload
-- @treturn string|nil the path of the file
-- @treturn table|nil error
-- @treturn table|nil response
local function url_to_file(state, url, path, given)
  url = checked_url(state, url)
  local options = checked("client:download", path, given)
  return fetch(state, url, path, options,
    { operation = "download", named = url })
end

-- `find`, given the clock, gives url, name; or nil, err, response.
local function find_and_fetch(state, find, path, options, operation, clock)
  local url, name, response = find(clock)
  if not url then
    return nil, name, response
  end
  if url:find("^/") then
    url = core.join(state.settings.base, url) or url
  end
  local left, late = clock:options(options)
  if not left then
    return nil, call.error_of_url(state, late, "GET", url)
  end
  local saved, err, answered = fetch(state, url, path, left,
    { operation = operation, named = state.settings.base, filename = name })
  return saved, clock:explained(err), answered
end

-- A presigned URL may be over before its turn comes: asked for once more.
local function fetch_found(state, find, path, options, operation)
  local clock = storing.clock_of(state, options)
  local saved, err, response =
    find_and_fetch(state, find, path, options, operation, clock)
  if saved or not err or err.status ~= 403 then
    return saved, err, response
  end
  return find_and_fetch(state, find, path, options, operation, clock)
end

local GONE = { deleting = "conflict", deleted = "not_found" }

local function unusable(operation, file)
  file = type(file) == "table" and file or {}
  local status = progress.status_of(file)
  if GONE[status] then
    return errors.new({
      kind = GONE[status],
      message = operation .. ": the file is " .. status,
    })
  elseif type(file.file) ~= "string" or file.file == "" then
    return errors.new({
      kind = "not_found",
      message = operation .. ": the service gives no URL for the file",
    })
  end
end

--- Downloads a file of a knowledge base (operation knowledge_bases.files.get,
-- then the URL in its answer), as client:download does.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string file_id
-- @tparam string path
-- @tparam table|nil given as for client:download
-- @treturn string|nil the path of the file
-- @treturn table|nil error
-- @treturn table|nil response
local function file(state, kb_id, file_id, path, given)
  local operation = "knowledge_bases.files.download"
  local row, ids = call.rows["knowledge_bases.files.get"], { kb_id, file_id }
  local own = call.prepare(state, row, ids, nil, {}, operation):url()
  local options = checked(operation, path, given)
  return fetch_found(state, function(clock)
    local found, err, response = storing.run(state, clock, options, row, ids)
    if found == nil then
      return nil, err, response
    end
    local wrong = unusable(operation, found)
    if wrong then
      return nil, call.error_of_url(state, wrong, "GET", own), response
    end
    return found.file, found.filename
  end, path, options, operation)
end

local VARIANTS =
  { translated = "translatedFileUrl", bilingual = "bilingualFileUrl" }

local function is_json(exchange)
  local kind = (exchange:header("content-type") or ""):lower()
  return kind:find("json", 1, true) ~= nil
    and not filename.of_disposition(exchange:header("content-disposition"))
end

-- The documented answer is JSON with URLs; a translated file may be JSON too.
local function urls_in(exchange, sink)
  if not is_json(exchange) then
    return nil
  end
  local value = core.decode(sink:text(LONGEST_ANSWER) or "", true)
  local answers = type(value) == "table"
    and (value.translatedFileUrl or value.bilingualFileUrl) ~= nil
  return answers and value or nil
end

local function incomplete(state, operation, answer, url)
  local status = type(answer.status) == "string"
    and " (status: " .. call.redacted(state, answer.status) .. ")" or ""
  return call.error_of_url(state, errors.new({
    kind = "not_found",
    message = operation .. ": the translation is not completed" .. status,
  }), "GET", url)
end

--- Downloads a translation (operation
-- knowledge_bases.files.translations.download), whether the service answers
-- with JSON that names its URL, with a redirect or with the bytes.
-- @tparam table state
-- @tparam string kb_id
-- @tparam string file_id
-- @tparam string id
-- @tparam string|nil path without one the JSON is the value, as for every
--   operation
-- @tparam table|nil given as for client:download, and variant: "translated"
--   (the default) or "bilingual"
-- @treturn string|nil the path of the file
-- @treturn table|nil error: kind "not_found" while it is not completed
-- @treturn table|nil response
local function translation(state, kb_id, file_id, id, path, given)
  local operation = "knowledge_bases.files.translations.download"
  local row, ids = call.rows[operation], { kb_id, file_id, id }
  if type(path) ~= "string" then
    arguments.check_params(row, operation, path)
    arguments.check_options(row, operation, given)
    return call.run(state, row, ids, path, given)
  end
  local options = checked(operation, path, given, "download")
  local own = call.prepare(state, row, ids, nil, {}):url()
  local target, direct = target_of(path, own), nil
  local function find(clock)
    local left, late = clock:options(options)
    if not left then
      return nil, call.error_of_url(state, late, "GET", own)
    end
    local exchange, sink, response = get(state, own,
      target.part .. ".answer", left,
      { operation = operation, named = own, is_quiet = is_json,
        name = namer(target, own, id) })
    if not exchange then
      return nil, sink, response
    end
    local answer = urls_in(exchange, sink)
    if not answer then
      direct = true
      return nil, { sink:keep(exchange) }, response
    end
    exchange:close()
    sink:discard()
    local url = answer[VARIANTS[options.variant or "translated"]]
    if type(url) ~= "string" or url == "" then
      return nil, incomplete(state, operation, answer, own), response
    end
    return url
  end
  local saved, err, response =
    fetch_found(state, find, path, options, operation)
  if direct then
    return err[1], err[2], response
  end
  return saved, err, response
end

--- An operation that answers with a file: as a string without a path, else
-- into that file as client:download does.
-- @tparam string operation
-- @treturn function (state, id, path, options)
local function export(operation)
  local row = call.rows[operation]
  return function(state, id, path, given)
    arguments.check_options(row, operation, given)
    if path == nil then
      return call.run(state, row, { id }, nil, given)
    end
    check_path(operation, path)
    local options = options_of.checked("call", operation, given)
    check_headers(operation, options)
    local request = call.prepare(state, row, { id }, nil, options)
    return fetch(state, request:url(), path, options,
      { operation = operation, named = request:url() })
  end
end

return {
  export = export,
  file = file,
  translation = translation,
  url = url_to_file,
}
