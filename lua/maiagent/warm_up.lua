--- The first connection before the first call, for a loading screen.
--
-- It is a HEAD of the host's root. libcurl can connect and send nothing
-- (CURLOPT_CONNECT_ONLY), but keeps no such connection for the next request;
-- only a real one leaves what a first call pays for: libcurl loaded, the name
-- looked up, the CA certificates read, a TLS session and an open connection.
-- The root is nobody's operation, so whatever it answers is an answer.

local call = require("maiagent.call")
local core = require("maiagent.core")
local send = require("maiagent.send")

--- Connects to the host of base_url, without the key and its events.
-- @tparam table state
-- @treturn boolean|nil true when the host answered, whatever it did
-- @treturn table|nil error
local function run(state)
  local request = core.request("HEAD", core.join(state.settings.base, "/"))
  local secret = select(2, state.settings.authorization())
  local how = call.transport(state, { max_retries = 0 },
    { operation = "warm_up" })
  how.on_event, how.on_retry = nil, nil
  local pending = send.new(state.hub, request, how,
    call.redactor(secret))
  local _, err, response = pending:finish()
  if not response then
    return nil, err
  end
  return true
end

return { run = run }
