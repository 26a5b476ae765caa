-- The suite with the collector at its most aggressive (make collect): while a C
-- function of ours runs, each of its allocations that Lua counts is a whole
-- cycle of the collector, finalizers included, and one came right before the
-- call. Elsewhere a new cycle begins when a tenth was added since the last one.
--
-- Whole cycles take milliseconds, so a function gets them in its first calls,
-- and then now and then; and not where a long text makes for many values (a
-- long reply: after the first calls), or where a spec measures the call.

local pace = require("tests.support.pace")

local FIRST, THEN = 25, 100 -- calls with it, then one of so many
local LONG = 4000 -- bytes
local MODE = os.getenv("COLLECTOR")

-- name → { while our C runs, otherwise }
local MODES = {}

function MODES.incremental()
  local steps = _VERSION == "Lua 5.1" and 0 or 1e6 -- 0 is "no limit" there
  return function()
    collectgarbage("setpause", 0)
    collectgarbage("setstepmul", steps)
  end, function()
    collectgarbage("setpause", 110)
    collectgarbage("setstepmul", 200)
  end
end

-- 5.4 limits the multiplier; a step of 2^63 bytes has no limit.
if _VERSION == "Lua 5.4" then
  function MODES.incremental()
    return function()
      collectgarbage("incremental", 100, 100, 63)
      collectgarbage("setpause", 0)
    end, function()
      collectgarbage("incremental", 110, 100, 13)
    end
  end

  function MODES.generational()
    local hard = MODES.incremental()
    return hard, function()
      collectgarbage("generational", 1, 1)
    end
  end
end

local hard, soft = assert(MODES[MODE], "COLLECTOR=" .. MODE)()

local function ended(ok, ...)
  soft()
  if not ok then
    error((...), 0)
  end
  return ...
end

local function has_long_text(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "string" and #value > LONG then
      return true
    end
  end
  return false
end

require("maiagent.core")
require("maiagent.http")
local exchange = debug.getregistry()["maiagent.exchange"]
local progress = exchange.__index.progress -- before it is wrapped

local function is_long_reply(value)
  return type(value) == "userdata" and debug.getmetatable(value) == exchange
    and select(3, progress(value)) > LONG
end

local function wrapped(fn)
  local calls = 0
  return function(...)
    if pace.is_measured or has_long_text(...) then
      return fn(...)
    end
    calls = calls + 1
    if calls > FIRST and (calls % THEN > 0 or is_long_reply((...))) then
      return fn(...)
    end
    hard()
    collectgarbage()
    return ended(pcall(fn, ...))
  end
end

-- Not `now`, which allocates nothing and is asked all the time, nor finalizers,
-- in which the collector rests anyway.
local function wrap_all(functions)
  for name, value in pairs(functions) do
    if type(value) == "function" and name ~= "__gc" and name ~= "now" then
      functions[name] = wrapped(value)
    elseif type(value) == "table"
      and (name == "bindings" or name == "__index")
    then
      wrap_all(value)
    end
  end
end

for _, name in ipairs({ "core", "http", "disk" }) do
  wrap_all(require("maiagent." .. name))
end
for name, class in pairs(debug.getregistry()) do
  if type(name) == "string" and name:find("^maiagent%.")
    and type(class) == "table"
  then
    wrap_all(class)
  end
end
soft()
