-- Any bytes as a server's reply, over a socket: an answer or an error object,
-- within its time, and headers that are the same one by one and all together.

local maiagent = require("maiagent")
local errors = require("maiagent.errors")
local socket = require("socket")

local server = assert(socket.bind("127.0.0.1", 0))
server:settimeout(2)
local port = select(2, server:getsockname())

local client = maiagent.new({
  api_key = "test-key",
  base_url = "http://127.0.0.1:" .. port .. "/",
  max_retries = 0,
  timeout = 5,
  limits = { reply = 1e6 },
})

local function check_headers(response)
  for name, value in pairs(response and response.headers or {}) do
    assert(name == name:lower() and not name:find("[%z\r\n:]"), name)
    assert(not value:find("[%z\r\n]"), "two lines in one")
    assert(response.headers[name:upper()] == value, name)
  end
end

-- Answers a connection; the reply ends with it.
local function serve(reply)
  local peer = assert(server:accept())
  peer:setoption("linger", { on = false, timeout = 0 })
  peer:send(reply)
  peer:shutdown("send")
  return peer
end

return function(input)
  local done, value, err, response
  client:go(function()
    value, err, response = client:request("GET", "items/")
    done = true
  end)
  client:step()
  local peers = { serve(input) }
  local deadline = socket.gettime() + 10
  while not done do
    for _, ready in ipairs(socket.select({ client, server }, nil, 0.1)) do
      if ready == server then -- a redirection, followed
        peers[#peers + 1] = serve(input)
      end
    end
    client:step()
    assert(socket.gettime() < deadline, "no end in sight")
  end
  for _, peer in ipairs(peers) do
    peer:close()
  end
  assert(err == nil or errors.is(err))
  assert(value ~= nil or err ~= nil)
  check_headers(response)
end
