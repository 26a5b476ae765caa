-- The stand-in in a process of its own: standin.lua [faults]
-- Prints its base URL in the first line and serves until it is killed. With
-- "faults" some paths never work, for those who want an error each time.

local testing = require "maiagent.testing"

-- ids that a chatbot's path may name, and what is then wrong
local FAULTS = {
  busy = {
    kind = "status",
    status = 503,
    headers = { ["Retry-After"] = "0" },
    json = { detail = "busy" },
  },
  invalid = {
    kind = "status",
    status = 400,
    json = { name = { "This field is required." }, tags = { { "bad" } } },
  },
  cut = { kind = "cut", bytes = 10 },
  silent = { kind = "hang" },
  garbage = { kind = "status", status = 200, body = "{\"a\": [1, 2" },
}

-- STANDIN_TLS is a folder with certificate.pem and key.pem.
local folder = os.getenv "STANDIN_TLS"
local server = testing.start {
  api_key = arg[2] or "test-key",
  tls = folder and {
    certificate = folder .. "/certificate.pem",
    key = folder .. "/key.pem",
  },
}

if arg[1] == "faults" then
  for id, fault in pairs(FAULTS) do
    fault.path, fault.times = "/chatbots/" .. id .. "/", math.huge
    server:fault(fault)
  end
  server:fault {
    kind = "cut",
    bytes = 400,
    method = "GET",
    path = "%.cut$",
    times = math.huge,
  }
end

io.stdout:write(server.base_url, "\n")
io.stdout:flush()
while true do
  server:step(1)
end
