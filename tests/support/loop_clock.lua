-- Runs an example of an event loop while a clock of that very loop ticks, until
-- the example has printed so many results; tells how often it ticked meanwhile.
--
--   lua loop_clock.lua NAME RESULTS

local socket = require("socket")

local TICK = 0.01 -- seconds
local name, awaited = arg[1], tonumber(arg[2])
local ticks = 0

local function tick()
  ticks = ticks + 1
end

local clocks = {}

function clocks.luv()
  local clock = require("luv").new_timer()
  clock:start(TICK * 1000, TICK * 1000, tick)
  clock:unref() -- it keeps no loop from ending
end

function clocks.cqueues()
  local cqueues = require("cqueues")
  local new = cqueues.new
  function cqueues.new()
    local loop = new()
    loop:wrap(function()
      while awaited > 0 do
        cqueues.sleep(TICK)
        tick()
      end
    end)
    return loop
  end
end

function clocks.luaevent()
  local event = require("luaevent.core")
  local new = event.new
  function event.new()
    local base = new()
    clocks.kept = base:addevent(nil, event.EV_TIMEOUT, function()
      tick()
      return awaited > 0 and event.EV_TIMEOUT or event.LEAVE, TICK
    end, TICK)
    return base
  end
end

-- Whoever has no timers waits no longer than until the next tick.
local function ticking(wait)
  local due = socket.gettime() + TICK
  return function(...)
    wait(math.max(0, due - socket.gettime()), ...)
    if socket.gettime() >= due then
      tick()
      due = due + TICK
    end
  end
end

function clocks.select()
  local select = socket.select
  socket.select = ticking(function(rest, reading, writing, seconds)
    select(reading, writing, math.min(rest, seconds))
  end)
end

function clocks.copas()
  local copas = require("copas")
  function copas.loop() -- its own has no end
    local step = ticking(copas.step)
    while awaited > 0 do
      step()
    end
  end
end

local print_it = print
function _G.print(...)
  awaited = awaited - 1
  print_it(...)
end

clocks[name]()
local started = socket.gettime()
dofile("examples/loop_" .. name .. ".lua")
print_it(("%.2f s, %d ticks"):format(socket.gettime() - started, ticks))
