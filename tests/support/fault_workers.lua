--- fault_workers.lua COUNT: runs the calls of faults_spec that block, in COUNT
-- children, each with a stand-in of its own. Prints lines of JSON: for each
-- case {case, problem}; for each child what it left; and then {worker, code}.

if os.getenv("COLLECTOR") then
  require("tests.support.collector")
end

local cases = require("tests.support.fault_cases")
local fork = require("fork")
local json = require("dkjson")
local testing = require("maiagent.testing")

local count = tonumber(arg[1])

-- About how long a case takes, in seconds.
local function cost(case)
  local row, time = case.row, 0.04
  if row.timeout then
    time = time + math.min(row.timeout.idle, row.timeout.total)
  end
  if case.kind == "register" or row.again and case.retries > 0 then
    time = time + 0.45
  end
  return time
end

-- The numbers of the cases, the dearest first.
local function by_cost(list)
  local numbers, costs = {}, {}
  for i, case in ipairs(list) do
    numbers[i], costs[i] = i, cost(case)
  end
  table.sort(numbers, function(one, other)
    if costs[one] == costs[other] then
      return one < other
    end
    return costs[one] > costs[other]
  end)
  return numbers
end

-- A worker's part of them; none has much more of the dear ones than another.
local function share(numbers, worker)
  local part = {}
  for i = worker, #numbers, count do
    part[#part + 1] = numbers[i]
  end
  return part
end

local function tell(values)
  io.write(json.encode(values), "\n")
  io.flush() -- in one piece, also in a pipe that all write to
end

-- What was sent once must not be sent again by libcurl, as over a connection
-- that was kept: a client for each case.
local function try(case, server, lane)
  local client = cases.new_client(server)
  local ok, problem = pcall(cases.run, case, client, lane)
  client:close()
  return not ok and "raised " .. tostring(problem) or problem
end

local function run_all(list, numbers, server)
  local client = cases.new_client(server)
  local lane = cases.new_lane(client, server)
  for _, number in ipairs(numbers) do
    tell({ case = number, problem = try(list[number], server, lane) })
  end
  client:close()
end

local function work(list, numbers)
  local server = testing.spawn({ page_size = 100 })
  local before, memory = cases.left_over()
  run_all(list, numbers, server)
  local after, memory_after = cases.left_over()
  tell({ before = before, after = after, grown = memory_after - memory,
    connections = cases.connections(server), violations = server:violations() })
  server:stop()
end

-- Everything is loaded by it before the children begin.
local function rehearse()
  local server = testing.spawn({ page_size = 100 })
  cases.rehearse(server)
  server:stop()
end

local function start(list, numbers)
  local child = fork.fork()
  if child == 0 then
    local ok, problem = pcall(work, list, numbers)
    io.stderr:write(ok and "" or tostring(problem) .. "\n")
    os.exit(ok and 0 or 1, true)
  end
  return child
end

rehearse()
local list, children = cases.blocking(), {}
local numbers = by_cost(list)
for worker = 1, count do
  children[worker] = start(list, share(numbers, worker))
end
for worker, child in ipairs(children) do
  tell({ worker = worker, code = fork.wait(child) })
end
