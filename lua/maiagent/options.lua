--- The options of a client and of a call: defaults, environment, checks.

local checks = require("maiagent.checks")
local core = require("maiagent.core")
local environment = require("maiagent.environment")
local errors = require("maiagent.errors")

local has_type, number_from = checks.has_type, checks.number_from
local one_of, positive = checks.one_of, checks.positive

local DEFAULT_BASE_URL = "https://api.maiagent.ai"
local DEFAULT_PATH = "/api/"

local MISSING_KEY = "maiagent.new: api_key is missing: pass api_key, or set "
  .. "the environment variable MAIAGENT_API_KEY before require 'maiagent' "
  .. "(nginx empties its workers' environment: write 'env MAIAGENT_API_KEY;' "
  .. "at the top of nginx.conf)"

-- Reports never repeat the key.
local function check_key(key)
  if type(key) == "function" then
    return nil
  end
  if type(key) ~= "string" then
    return "must be a string or a function, got " .. type(key)
  end
  if key:find("^[Aa][Pp][Ii]%-[Kk][Ee][Yy]%s") then
    return "must be the key alone, without 'Api-Key' before it"
  end
  if key:find("[\r\n]") then
    return "contains a line break (was it read from a file with its newline?)"
  end
  if key:find("[^\33-\126]") then
    return "contains a space or a byte that no key has"
  end
end

-- `total` of a call whose body or answer is a file: the line's speed decides
-- how long that takes, and `idle` tells a line that is dead. A `total` that is
-- given counts for files as well.
local FILE_TOTAL = math.huge

local TIMEOUT = { connect = 10, idle = 60, total = 300 }
local LIMITS = {
  reply = 64 * 1024 * 1024, -- bytes of one decoded reply
  header = 256 * 1024, -- bytes of all its headers
  nesting = 512, -- levels of JSON
}

local function merged(defaults, over)
  local result = {}
  for name, value in pairs(defaults) do
    result[name] = value
  end
  if type(over) == "number" then
    over = { total = over }
  end
  for name, value in pairs(over or {}) do
    result[name] = value
  end
  return result
end

-- What an option's value must be: a function that gives what is wrong with it.

local function shard(value)
  if type(value) ~= "string" or not require("maiagent.plan").shard(value) then
    return "must be 'INDEX/COUNT', such as '2/8' for the second of eight, got "
      .. errors.shown(value)
  end
end

-- What a request will not take is told where it was written, rather than by
-- the call, or the page, that needs it.
local function header_problem(value)
  local wrong = checks.headers(value)
  if wrong then
    return wrong
  end
  local request = core.request("GET", DEFAULT_BASE_URL)
  for name, text in pairs(value) do
    local ok, problem = request:set(name, text)
    if not ok then
      return ("[%q]: %s"):format(name, problem)
    end
  end
end

-- Of a client and of all that sends requests.
local SHARED = {
  timeout = checks.seconds(TIMEOUT),
  max_retries = number_from(0, true),
  headers = header_problem,
}

local TRANSFER = merged(SHARED, {
  on_progress = has_type("function"),
  max_speed = number_from(1),
})

local MAP = { concurrency = number_from(1, true) }

local CLIENT = merged(SHARED, {
  api_key = check_key,
  base_url = has_type("string"),
  limits = checks.parts(LIMITS, number_from(1, true)),
  null = one_of("drop", "keep"),
  wait = has_type("function"),
  on_retry = checks.or_false(has_type("function")),
  on_event = checks.or_false(has_type("function")),
  ca_file = checks.path,
  insecure = has_type("boolean"),
  allow_http = has_type("boolean"),
  proxy = checks.or_false(checks.line),
  user_agent = checks.line,
  max_connections = number_from(1, true),
  max_in_flight = number_from(1, true),
})

-- By what a method does.
local KINDS = {
  call = merged(TRANSFER, {
    query = has_type("table"),
    prefetch = number_from(0, true),
    all = has_type("boolean"),
  }),
  -- Of what stores a file, or downloads one that is no translation; its timeout
  -- covers all requests.
  upload = TRANSFER,
  -- Of translations, which alone have a variant.
  download = merged(TRANSFER, {
    variant = one_of("translated", "bilingual"),
  }),
  -- Of flows over many files; the time-out is that of each file.
  upload_all = merged(TRANSFER, {
    concurrency = MAP.concurrency,
    on_file = has_type("function"),
  }),
  sync = merged(TRANSFER, {
    concurrency = MAP.concurrency,
    parser = has_type("string"),
    labels = has_type("table"),
    rawUserDefineMetadata = has_type("table"),
    delete = one_of(true, false, "all"),
    dry_run = has_type("boolean"),
    retry_failed = has_type("boolean"),
    hidden = has_type("boolean"),
    shard = shard,
    cache = checks.path,
    processing_timeout = number_from(0),
  }),
  -- Of the flows called wait; their timeout covers many calls.
  wait = merged(SHARED, {
    timeout = number_from(0),
    interval = positive,
    on_status = has_type("function"),
  }),
  map = MAP,
  step = { max_ms = number_from(0) },
}

local function check(name, given, known)
  if type(given) ~= "table" then
    errors.misuse(name .. ": options must be a table, got " .. type(given))
  end
  for option in pairs(given) do
    if not known[option] then
      errors.misuse(name .. ": unknown option '" .. tostring(option) .. "'"
        .. errors.instead(option, known, "options"))
    end
  end
  -- Read as they will be: a table may have defaults behind a metatable.
  for option, problem in pairs(known) do
    local value = given[option]
    local wrong = value ~= nil and problem(value)
    if wrong then
      local joint = wrong:find("^[.%[]") and "" or " "
      errors.misuse(name .. ": " .. option .. joint .. wrong)
    end
  end
end

-- As src/proxy.c, which keeps the environment's proxies away from it.
local function is_loopback(host)
  return host == "localhost" or host == "[::1]"
    or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

--- Why a URL may not be used, if it may not: plain http:// shows the key and
-- the files to everyone on the way.
-- @tparam string url absolute
-- @tparam boolean|nil allow_http the option
-- @tparam string|nil secrets what would be shown ("the key and the data")
-- @tparam string|nil from the URL whose answer named this one: that is no
--   reason to trust what listens on this machine
-- @treturn string|nil the reason
local function refused_scheme(url, allow_http, secrets, from)
  local host = url:match("^[hH][tT][tT][pP]://([^/?#]*)")
  if not host or allow_http then
    return nil
  end
  if is_loopback(host:lower():gsub(":%d*$", ""))
    and not (from and from:find("^[hH][tT][tT][pP][sS]:"))
  then
    return nil
  end
  return "plain http:// to " .. host .. " would show "
    .. (secrets or "the key and the data") .. " to everyone on the way: use "
    .. "https://, or write allow_http = true"
end

-- `name` is what a message calls it.
local function normal_base(url, allow_http, name)
  local origin, problem = core.origin(url)
  if not origin then
    errors.misuse(name .. ": " .. problem)
  end
  if url:find("[?#]") then
    errors.misuse(name .. " must not have a query or a fragment")
  end
  problem = refused_scheme(url, allow_http)
  if problem then
    errors.misuse(name .. ": " .. problem)
  end
  local start, path = url:match("^(%a+://[^/]*)(.*)$")
  path = path:gsub("/+$", "")
  return start .. (path == "" and DEFAULT_PATH or path .. "/")
end

-- A header has one name in whatever case: the later spelling stands.
local function merged_headers(before, over)
  local result, spelling = {}, {}
  for _, headers in ipairs({ before or {}, over or {} }) do
    for name, value in pairs(headers) do
      local folded = tostring(name):lower()
      if spelling[folded] ~= nil then
        result[spelling[folded]] = nil
      end
      spelling[folded], result[name] = name, value
    end
  end
  return result
end

local function returned(current, reason, problem)
  if current == nil and reason ~= nil then
    return "returned nil: " .. tostring(reason)
  elseif type(current) ~= "string" or current == "" then
    return "returned " .. (current == "" and "''" or type(current))
  end
  return problem
end

-- Kept in a closure, so that printing the client's tables cannot show it.
local function authorization_of(key)
  if type(key) == "string" then
    local value = "Api-Key " .. key
    return function()
      return value, key
    end
  end
  return function()
    local current, reason = key()
    local problem = check_key(current)
    if type(current) ~= "string" or problem or current == "" then
      errors.misuse("maiagent: api_key() must return the key: it "
        .. returned(current, reason, problem))
    end
    return "Api-Key " .. current, current
  end
end

local function user_agent(given)
  local jit = rawget(_G, "jit")
  local vm = jit and jit.version or _VERSION
  local own = "maiagent-lua/" .. core.version .. " (" .. vm .. ")"
  return given and (given .. " " .. own) or own
end

local function from_environment(given)
  local result = {}
  for name, value in pairs(environment) do
    result[name] = value ~= "" and value or nil
  end
  for name, value in pairs(given) do
    result[name] = value
  end
  return result
end

-- `base_name` is what a message calls base_url.
local function settings_of(all, base_name, before)
  before = before or {}
  return {
    base = normal_base(all.base_url or DEFAULT_BASE_URL, all.allow_http,
      base_name),
    authorization = all.api_key and authorization_of(all.api_key)
      or before.authorization,
    timeout = merged(before.timeout or TIMEOUT, all.timeout),
    file_timeout = merged(before.file_timeout
      or merged(TIMEOUT, FILE_TOTAL), all.timeout),
    max_retries = all.max_retries or before.max_retries or 2,
    headers = merged_headers(before.headers, all.headers),
    limits = merged(before.limits or LIMITS, all.limits),
    keep_null = all.null == "keep",
    on_retry = all.on_retry,
    on_event = all.on_event,
    ca_file = all.ca_file,
    insecure = all.insecure,
    allow_http = all.allow_http,
    proxy = all.proxy == false and "" or all.proxy, -- libcurl's "none"
    user_agent = user_agent(all.user_agent),
    given = all,
  }
end

--- The settings of a new client.
-- @tparam table|nil given what the user passed to maiagent.new
-- @treturn table settings; raises what is wrong with them
local function client(given)
  given = given or {}
  check("maiagent.new", given, CLIENT)
  local all = from_environment(given)
  if all.api_key == nil or all.api_key == "" then
    errors.misuse(MISSING_KEY)
  end
  local problem = check_key(all.api_key)
  if problem then
    errors.misuse("maiagent.new: api_key"
      .. (given.api_key and " " or " (MAIAGENT_API_KEY) ") .. problem)
  end
  local settings = settings_of(all, "maiagent.new: base_url"
    .. (given.base_url and "" or " (MAIAGENT_BASE_URL)"))
  all.api_key = nil
  return settings
end

--- The settings of a copy of a client with some options changed.
-- @tparam table settings of the client
-- @tparam table given the changed options
-- @treturn table settings; raises what is wrong with them
local function copy(settings, given)
  check("client:with", given, CLIENT)
  for _, fixed in ipairs({ "wait", "max_connections", "max_in_flight" }) do
    if given[fixed] ~= nil then
      errors.misuse("client:with: " .. fixed .. " belongs to the connections "
        .. "that copies share; pass it to maiagent.new")
    end
  end
  if given.api_key == "" then
    errors.misuse("client:with: api_key is empty")
  end
  local all = merged(settings.given, given)
  local result = settings_of(all, "client:with: base_url", settings)
  all.api_key = nil
  return result
end

-- What nobody gave; nothing is ever written into options.
local NONE = {}

--- Checks what a caller gave for options; raises what is wrong with them.
-- @tparam string kind "call", "upload", "download", "upload_all",
--   "sync", "wait", "map" or "step"
-- @tparam string name of the method, for messages
-- @tparam table|nil given
-- @treturn table the options (NONE for nil)
local function checked(kind, name, given)
  if given == nil then
    return NONE
  end
  check(name, given, KINDS[kind])
  return given
end

return {
  NONE = NONE,
  checked = checked,
  client = client,
  copy = copy,
  merged = merged,
  refused_scheme = refused_scheme,
}
