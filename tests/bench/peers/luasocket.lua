-- luasocket.lua get|each URL COUNT: as ours.lua, by LuaSocket (a connection
-- for each request: it keeps none) and lua-cjson.

local cjson = require("cjson")
local http = require("socket.http")
local own = require("own")
local hand_written = require("hand_written")

own.measure(hand_written(arg[1], arg[2], tonumber(arg[3]), function(url)
  local text, status = http.request(url)
  assert(status == 200, status)
  return cjson.decode(text)
end))
