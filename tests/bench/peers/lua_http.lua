-- lua_http.lua get|each URL COUNT: as ours.lua, by lua-http on one kept
-- connection and lua-cjson.

-- Debian has lua-http for 5.1 and 5.2; it runs on 5.4 from their folders.
package.path = package.path .. ";/usr/share/lua/5.3/?.lua;"
  .. "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"

local cjson = require("cjson")
local client = require("http.client")
local headers = require("http.headers")
local own = require("own")
local hand_written = require("hand_written")

local host, port = arg[2]:match("^http://([^:/]+):(%d+)")
if not host then
  return -- asked whether it can be loaded
end
local connection = assert(client.connect({ host = host, port = tonumber(port),
  tls = false, version = 1.1 }))

own.measure(hand_written(arg[1], arg[2], tonumber(arg[3]), function(url)
  local asked = headers.new()
  asked:append(":method", "GET")
  asked:append(":scheme", "http")
  asked:append(":authority", host .. ":" .. port)
  asked:append(":path", url:match("^%a+://[^/]+(.*)$"))
  local stream = connection:new_stream()
  assert(stream:write_headers(asked, true))
  local answer = assert(stream:get_headers())
  assert(answer:get(":status") == "200")
  return cjson.decode((assert(stream:get_body_as_string())))
end))
