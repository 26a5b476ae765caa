-- Every item of a long list, page after page, beside what else one would use;
-- how much memory that takes, and what pages asked for ahead are worth.

package.path = "tests/bench/?.lua;./?.lua;" .. package.path

local bench = require("bench")
local peers = require("peers")

local PER_PAGE = 100 -- 137 KB of JSON

-- The base URL of a list of so many items, each page of it so late.
local function list(base, items, milliseconds)
  return ("%s/pages/%d/%d/%d/"):format(base, items, PER_PAGE, milliseconds)
end

local function compare(title, subjects, items, folder)
  bench.print(("%s, %d items"):format(title, items),
    bench.compare(subjects, bench.rounds, folder), items, "item")
end

local function named(name, subject)
  subject.name = name
  return subject
end

local function at_once(base, folder)
  local items = bench.amount(1000) * PER_PAGE
  local url = list(base, items, 0)
  local subjects = peers.all("each", url, items, 1, 0)
  table.insert(subjects, 2, peers.luasocket("each", url, items))
  table.insert(subjects, 3, peers.lua_http("each", url, items))
  for place, prefetch in ipairs({ 1, 4 }) do
    table.insert(subjects, place + 1, named("maiagent, prefetch " .. prefetch,
      peers.maiagent("each", url, items, prefetch)))
  end
  compare("no latency", subjects, items, folder)
end

-- The peak of a long list is that of a short one.
local function memory(base, folder)
  local subjects = {}
  for place, items in ipairs({ 5000, bench.amount(1000) * PER_PAGE }) do
    subjects[place] = named(("maiagent, %d items"):format(items),
      peers.maiagent("each", list(base, items, 0), items, 0))
  end
  local results = bench.compare(subjects, bench.rounds, folder)
  local short, long = results[1], results[2]
  print(("peak memory after %s: %.2f MiB; after %s: %.2f MiB"):format(
    short.name, short.memory, long.name, long.memory))
end

-- The first page comes alone: of 240, 8 at a time can give 7.7 times the speed.
local function late(base, folder, title, pause, pages, prefetches)
  local items = bench.amount(pages) * PER_PAGE
  local url, subjects = list(base, items, 20), {}
  for place, prefetch in ipairs(prefetches) do
    subjects[place] = named("maiagent, prefetch " .. prefetch,
      peers.maiagent("each", url, items, prefetch, pause))
  end
  compare(title, subjects, items, folder)
end

bench.with_server(function(base, folder)
  at_once(base, folder)
  memory(base, folder)
  late(base, folder, "pages 20 ms late", 0, 240, { 0, 1, 4, 8 })
  late(base, folder, "pages 20 ms late, 10 ms of work for each", 10, 120,
    { 0, 1, 4 })
end)
