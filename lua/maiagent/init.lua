--- MaiAgent for Lua: assistants, knowledge bases, files and FAQs as if the
-- service were a Lua library. `require "maiagent"` does no I/O, and loads what
-- is used later only then: a third of a millisecond instead of five.

local core = require("maiagent.core")
local errors = require("maiagent.errors")

require("maiagent.environment") -- now: later it may be gone

local maiagent = {}

--- Makes a client. No request is sent yet.
-- @tparam table|nil given options:
--   api_key (string, or function returning it; MAIAGENT_API_KEY),
--   base_url ("https://api.maiagent.ai"; MAIAGENT_BASE_URL),
--   timeout ({ connect = 10, idle = 60, total = 300 } seconds; a number is
--   total), max_retries (2), headers (name → value, on every request),
--   null ("drop": null fields of objects are absent; "keep"),
--   wait (function(client, milliseconds) for a host's event loop),
--   on_retry(info), on_event(event), limits ({ reply, header: bytes;
--   nesting: levels }), ca_file, insecure, allow_http, user_agent,
--   proxy (a URL, for every host; "": none; not given: the environment's
--   http_proxy, https_proxy, all_proxy and no_proxy, never to this machine),
--   max_connections, max_in_flight (requests on the wire; others queue)
-- @treturn table client
-- Raises what is wrong with the options.
local function new(given, ...)
  if given == maiagent then
    errors.misuse("maiagent.new: called with a colon; write maiagent.new{ … }")
  end
  require("maiagent.arguments").check_count("maiagent.new", "options", given,
    ...)
  local settings = require("maiagent.options").client(given)
  return require("maiagent.client").new(settings)
end

--- Like Lua's own `assert`, for error objects: PUC Lua 5.1 and 5.2 refuse to
-- raise anything but a string there, and hide the reason.
-- @param value
-- @param err
-- @return all its arguments, if value is neither nil nor false
local function assert_value(value, err, ...)
  if not value then
    error(err == nil and "assertion failed!" or err, 0)
  end
  return value, err, ...
end

-- A mark that could not be made would be a field that is missing, or one of
-- another type.
local function marker(mark)
  return function(value)
    local marked, problem = mark(value)
    if marked == nil then
      errors.misuse("maiagent." .. problem .. (type(value) == "table"
        and ": pass a plain table with its items" or ""))
    end
    return marked
  end
end

--- Marks a table as a JSON array, so that even empty it is sent as [].
maiagent.array = marker(core.array)
maiagent.assert = assert_value
--- Whether a value is an error of this library.
maiagent.is_error = errors.is
maiagent.new = new
--- JSON's null: light userdata NULL, the same value as cjson.null, ngx.null.
maiagent.null = core.null
--- Marks a table as a JSON object, so that even empty it is sent as {}.
maiagent.object = marker(core.object)
maiagent.version = core.version

return maiagent
