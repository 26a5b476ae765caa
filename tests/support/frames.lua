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

local longest, busiest, total, late = 0, 0, 0, 0
local next_frame = now()
for _ = 1, FRAMES do
  local before, worked = now(), os.clock()
  client:step({ max_ms = 2 })
  local took = now() - before
  longest, total = math.max(longest, took), total + took
  busiest = math.max(busiest, os.clock() - worked)
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
  .. "steps: %.2f ms at most (%.2f ms of a processor), %.3f ms on average\n")
  :format(FRAMES, late, answers, hosts, warm_up * 1000, longest * 1000,
    busiest * 1000, total / FRAMES * 1000))
