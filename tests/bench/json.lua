-- JSON both ways, beside lua-cjson and dkjson (which uses lpeg).
--
-- Every round runs each of them once on each document, as a process of its
-- own, for 0.1 s; the shown ratios are of CPU time, lua-cjson's being 1: bigger
-- is faster.

package.path = "tests/bench/?.lua;" .. package.path

local bench = require("bench")
local payload = require("payload")

local SECONDS = 0.1 * bench.setting("BENCH_SIZE", 1)

local DOCUMENTS = {
  { "page, 100 records", payload.page(100) },
  { "page, 22 records", payload.page(22) },
  { "10,000 records", payload.page(bench.amount(10000)) },
  { "texts of 100 KB", payload.long_texts() },
  { "doubles", payload.doubles() },
  { "400 levels", payload.deep(), flat = true }, -- too deep for lpeg
  { "one small object", payload.tiny() },
}

local function subject(codec, direction, path, needs)
  return {
    name = codec,
    needs = needs,
    tells = true,
    command = ("LUA_PATH=%s %s tests/bench/json_one.lua %s %s %s %g"):format(
      bench.quoted(package.path), bench.quoted(bench.interpreter()), codec,
      direction, path, SECONDS),
  }
end

local function row(document, direction, folder)
  local name, text = document[1], document[2]
  local path = bench.write(folder, "document", text)
  local lua = bench.quoted(bench.interpreter())
  local subjects = {
    subject("cjson", direction, path, lua .. ' -e \'require("cjson")\''),
    subject("maiagent", direction, path),
  }
  if not document.flat then
    subjects[3] = subject("dkjson", direction, path,
      lua .. ' -e \'require("dkjson")\'')
  end
  local results = bench.compare(subjects, bench.rounds, folder)
  local line = ("  %-20s %9d"):format(name, #text)
  for _, result in ipairs(results) do
    line = line .. ("  %8.3f ms %5.2fx %6.1f MiB"):format(result.cpu * 1000,
      1 / result.ratio.cpu, result.memory)
  end
  print(line)
end

local function both_ways(folder)
  for _, direction in ipairs({ "decode", "encode" }) do
    print(("%s (%d rounds): CPU, speed, peak of lua-cjson, maiagent, dkjson")
      :format(direction, bench.rounds))
    for _, document in ipairs(DOCUMENTS) do
      row(document, direction, folder)
    end
  end
end

-- Both have 16 digits and are exact doubles; but from 2^53 on, a double alone
-- does not tell which integer was written, and the digits are looked up again.
local SMALL, LARGE = "8007199254740992", "9107199254740992"

-- A number at one end of each record: what is before it in a record has to be
-- passed over to find its digits.
local PLACES = {
  { "first", function(record, number)
    return '{"number":' .. number .. "," .. record:sub(2)
  end },
  { "last", function(record, number)
    return record:sub(1, -2) .. ',"number":' .. number .. "}"
  end },
}

local function with_number(folder, number, put)
  local text = payload.page(100, function(record)
    return put(record, number)
  end)
  return subject("maiagent", "decode", bench.write(folder, number, text))
end

-- What it costs to be exact: the same page with numbers that need it.
local function exactness_cost(folder)
  for _, place in ipairs(PLACES) do
    local name, put = place[1], place[2]
    local results = bench.compare({ with_number(folder, SMALL, put),
      with_number(folder, LARGE, put) }, bench.rounds, folder)
    print(("100 records, an integer beyond 2^53 as %s field of each: %+.1f %% "
      .. "CPU"):format(name, (results[2].ratio.cpu - 1) * 100))
  end
end

-- JSON does not tell 1.0 from 1: both come back as an integer.
local function type_of(value)
  local whole = value % 1 == 0 and math.abs(value) < 2 ^ 53
  local negative_zero = 1 / value == -math.huge
  return whole and not negative_zero and "integer" or math.type(value)
end

-- What no timing shows: numbers that don't come back as they went.
local function exactness(count)
  local core = require("maiagent.core")
  local wrong, integers, doubles = 0, {}, {}
  math.randomseed(1)
  for i = 1, count do
    integers[i] = math.random(0)
    local bytes = string.pack("<i8", math.random(0))
    local double = string.unpack("<d", bytes)
    doubles[i] = double - double == 0 and double or i + 0.5
  end
  for _, list in ipairs({ integers, doubles }) do
    local back = core.decode(core.encode(list))
    for i, value in ipairs(list) do
      local same = value == back[i] and math.type(back[i]) == type_of(value)
      wrong = wrong + (same and 0 or 1)
    end
  end
  print(("%d random 64-bit integers and as many doubles, there and back: %d "
    .. "differ in value or type"):format(count, wrong))
end

bench.in_folder(both_ways)
bench.in_folder(exactness_cost)
if math.type then
  exactness(bench.amount(1000000))
end
