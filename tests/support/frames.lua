-- Ten seconds of a game at 60 frames a second, with ten requests over TLS in
-- flight all the time and new hosts to look up; tells how long the longest
-- step took. Run with slow_dns.so preloaded (see hosts/frames.lua).

local maiagent = require("maiagent")
local socket = require("socket")

local FRAMES, FRAME = 600, 1 / 60
local SIDE_BY_SIDE = 10
local CALLS_TO_A_HOST = 4

local port = os.getenv("FRAMES_PORT")
local now = socket.gettime

local client = maiagent.new({ base_url = "https://loading.slow.test:" .. port })
local hosts, answers, playing = 0, 0, true

local function ask_and_ask()
  while playing do
    hosts = hosts + 1
    local host = client:with({
      base_url = ("https://host%d.slow.test:%s"):format(hosts, port),
    })
    for _ = 1, CALLS_TO_A_HOST do
      if playing then
        maiagent.assert(host.embedding_models:list())
        answers = answers + 1
      end
    end
  end
end

local began = now()
maiagent.assert(client:warm_up())
local warm_up = now() - began

for _ = 1, SIDE_BY_SIDE do
  client:go(ask_and_ask)
end

-- How often this thread waited for something, and how often the system gave
-- its processor to someone else.
local function switches()
  local file = assert(io.open("/proc/thread-self/status"))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match("\nvoluntary_ctxt_switches:%s*(%d+)")),
    tonumber(text:match("\nnonvoluntary_ctxt_switches:%s*(%d+)"))
end

-- A step that waited for nothing, and from which the processor was taken away,
-- counts with what it had of a processor: the rest is another program's. One
-- that waited counts with all of its time: it must never wait.
local function measured(fn)
  local waited, taken = switches()
  local before, worked = now(), os.clock()
  fn()
  local took, busy = now() - before, os.clock() - worked
  local waited_now, taken_now = switches()
  local disturbed = taken_now > taken and waited_now == waited
  return disturbed and busy or took, took, disturbed
end

local function step()
  client:step({ max_ms = 2 })
end

local longest, longest_clock, total, late, disturbances = 0, 0, 0, 0, 0
local next_frame = now()
for _ = 1, FRAMES do
  local time, took, disturbed = measured(step)
  longest, total = math.max(longest, time), total + time
  longest_clock = math.max(longest_clock, took)
  disturbances = disturbances + (disturbed and 1 or 0)
  next_frame = next_frame + FRAME
  if now() > next_frame then
    late = late + 1
  else
    socket.sleep(next_frame - now())
  end
end

playing = false
client:close()
io.write(("%d frames, %d late; %d answers of %d hosts; warm-up %.0f ms, "
  .. "steps: %.2f ms at most, %.3f ms on average (%.2f ms by the clock, "
  .. "%d disturbed)\n"):format(FRAMES, late, answers, hosts,
    warm_up * 1000, longest * 1000, total / FRAMES * 1000,
    longest_clock * 1000, disturbances))
