-- One call after the other, and many in flight, beside what else one would
-- use; every one but the limit decodes the JSON.

package.path = "tests/bench/?.lua;./?.lua;" .. package.path

local bench = require("bench")
local peers = require("peers")

local RECORDS = 22 -- 30 KB of JSON

local function compare(title, subjects, count, folder)
  bench.print(title, bench.compare(subjects, bench.rounds, folder), count,
    "call")
end

local function sequential(base, folder, limit)
  local count = bench.amount(2000)
  local url = ("%s/pages/%d/%d/0/"):format(base, RECORDS, RECORDS)
  local subjects = peers.all("get", url, count, 1)
  table.insert(subjects, 1, peers.limit(limit, url .. "chatbots/", count, 1))
  table.insert(subjects, 3, peers.luasocket("get", url, count))
  table.insert(subjects, 4, peers.lua_http("get", url, count))
  compare(("%d calls of 30 KB, one after the other"):format(count), subjects,
    count, folder)
end

-- The server answers 20 ms late.
local function in_flight(base, folder, limit)
  local count = bench.amount(2000)
  local few = math.max(1, math.floor(count / 40))
  local url = ("%s/pages/%d/%d/20/"):format(base, RECORDS, RECORDS)
  local together = peers.all("get", url, count, 32)
  table.insert(together, 1, peers.limit(limit, url .. "chatbots/", count, 32))
  compare(("%d calls, 20 ms late, 32 in flight"):format(count), together,
    count, folder)
  compare(("%d calls, 20 ms late, one after the other"):format(few),
    { peers.maiagent("get", url, few, 1) }, few, folder)
end

-- Bodies that nobody decodes, on one HTTP/2 connection.
local function streams(folder, limit)
  local count = bench.amount(4000)
  peers.with_nginx({ http2 = true, file = 30000 }, function(base, ca)
    compare(("%d bodies of 30 KB, 32 streams of HTTP/2"):format(count), {
      peers.limit(limit, base .. "/bytes/30000", count, 32, nil, ca),
      peers.maiagent("raw", base .. "/", count, 32, nil, ca),
    }, count, folder)
  end)
end

bench.with_server(function(base, folder)
  local limit = bench.compile("tests/bench/limit.c", folder, "-lcurl")
  sequential(base, folder, limit)
  in_flight(base, folder, limit)
  if bench.works("nginx -v") then
    streams(folder, limit)
  else
    print("  left out, not installed: nginx, and what is measured against it")
  end
end)
