-- One codec on one document: json_one.lua CODEC encode|decode FILE SECONDS
-- repeats it for so long and prints the seconds of one time, wall and CPU, and
-- VmHWM. The collector runs as it does by default, and is paid at the end. A
-- fifth argument, COUNT, is how often it is at least.

local own = require("own")

local codec, direction, path, seconds = arg[1], arg[2], arg[3], tonumber(arg[4])
local LEAST = tonumber(arg[5] or 1)

local CODECS = {
  maiagent = function()
    local core = require("maiagent.core")
    return core.decode, core.encode
  end,
  cjson = function()
    local cjson = require("cjson").new()
    cjson.encode_max_depth(1000)
    return cjson.decode, cjson.encode
  end,
  dkjson = function()
    local dkjson = require("dkjson").use_lpeg()
    return dkjson.decode, dkjson.encode
  end,
}

local file = assert(io.open(path))
local text = file:read("*a")
file:close()
local decode, encode = CODECS[codec]()
local fn, value = decode, text
if direction == "encode" then
  fn, value = encode, decode(text)
end
own.measure(function()
  local count, started = 0, os.clock()
  repeat
    assert(fn(value))
    count = count + 1
  until count >= LEAST and os.clock() - started >= seconds
  collectgarbage()
  return count
end)
