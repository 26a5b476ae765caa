-- The matrix: every fault of support/fault_rows × every kind of call × waiting
-- in C and in tasks. The stand-ins are processes of their own, so that a call
-- that blocks really does; of these calls there are too many to run one after
-- the other, so that they are shared out among processes (fault_workers).

local cases = require("tests.support.fault_cases")
local child = require("tests.support.child")
local fork = require("fork")
local json = require("dkjson")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local rows = require("tests.support.fault_rows")
local socket = require("socket")
local testing = require("maiagent.testing")

-- Stand-ins that tasks use side by side, and processes whose calls block.
local LANES = pace.slowness > 1 and 12 or 40
local WORKERS = LANES
local MEMORY = 128 -- KiB of Lua's that may be more than before
local MODES = { cases.MODES.tasks, cases.MODES.blocking, cases.MODES.once }

-- What is wrong with each case, until it is answered that it was not:
-- mode → row → kind → text.
local function nothing_answered()
  local problems = {}
  for _, mode in ipairs(MODES) do
    problems[mode.name] = { answered = 0 }
    for _, row in ipairs(rows) do
      problems[mode.name][row.name] = {}
      for _, kind in ipairs(cases.KINDS) do
        problems[mode.name][row.name][kind] = "no answer"
      end
    end
  end
  return problems
end

local function answer(problems, case, problem)
  local of_mode = problems[case.mode]
  of_mode.answered = of_mode.answered + 1
  of_mode[case.row.name][case.kind] = problem
end

-- Starts the workers as this process was started; gives what waits for them.
local function start_workers()
  local valgrind = os.getenv("VALGRIND")
  local words = { valgrind and "valgrind " .. valgrind
    .. " --child-silent-after-fork=no" or "",
    child.quoted(child.interpreter()), _VERSION == "Lua 5.4" and "-W" or "",
    "tests/support/fault_workers.lua", WORKERS }
  return child.start(child.root, table.concat(words, " "))
end

-- Waits for the workers and writes their answers down. Gives what each left
-- (a list), the exit code of each, and what they printed beside that.
local function finish_workers(wait, problems)
  local list = cases.blocking()
  local left, codes, noise = {}, {}, {}
  local code, output = wait()
  assert(output, "the process that started the workers ended before them")
  for line in output:gmatch("[^\n]+") do
    local value = json.decode(line)
    if type(value) ~= "table" then
      noise[#noise + 1] = line
    elseif value.case then
      answer(problems, list[value.case], value.problem)
    elseif value.worker then
      codes[value.worker] = value.code
    else
      left[#left + 1] = value
    end
  end
  codes[#codes + 1] = code
  return left, codes, noise
end

local function start_servers()
  local servers = {}
  for i = 1, LANES do
    servers[i] = testing.spawn({ page_size = 100 })
  end
  return servers
end

-- Runs the cases with one client, each lane with a server of its own.
local function side_by_side(servers, list, problems)
  local client = cases.new_client(servers[1])
  local _, errors = client:map(servers, function(server, first)
    local lane = cases.new_lane(client, server)
    lane.tasks = true
    for i = first, #list, #servers do
      answer(problems, list[i], cases.run(list[i], client, lane))
    end
  end, { concurrency = #servers })
  client:close()
  assert.is_nil(errors and select(2, next(errors)))
end

-- What there is of it before and after all cases in tasks.
local function run_in_tasks(problems)
  local servers = start_servers()
  cases.rehearse(servers[1])
  local before, memory = cases.left_over()
  side_by_side(servers, cases.in_tasks(), problems)
  local after, memory_after = cases.left_over()
  local left = { before = before, after = after,
    grown = memory_after - memory, connections = 0, violations = {} }
  for _, server in ipairs(servers) do
    left.connections = left.connections + cases.connections(server)
    for _, violation in ipairs(server:violations()) do
      table.insert(left.violations, violation)
    end
    server:stop()
  end
  return left
end

local function assert_nothing_left(left)
  assert.same(left.before, left.after)
  assert.equal(0, left.connections)
  assert.same({}, left.violations)
  assert.is_true(left.grown < MEMORY, left.grown .. " KiB")
end

describe("every fault, every call", function()
  local problems = nothing_answered()
  local wait

  -- A spec for each row.
  local function judge(mode)
    local of_mode = problems[mode.name]
    it("all are answered", function()
      assert.equal(#rows * #cases.KINDS, of_mode.answered)
    end)
    for _, row in ipairs(rows) do
      it(row.name, function()
        assert.same({}, of_mode[row.name])
      end)
    end
  end

  -- They work while this process has its tasks.
  setup(function()
    wait = start_workers()
  end)

  describe("in tasks:", function()
    local left

    setup(function()
      left = run_in_tasks(problems)
    end)

    judge(cases.MODES.tasks)

    it("leaves nothing behind", function()
      assert_nothing_left(left)
    end)
  end)

  describe("in processes:", function()
    local left, codes, noise

    setup(function()
      left, codes, noise = finish_workers(wait, problems)
    end)

    for _, mode in ipairs({ cases.MODES.blocking, cases.MODES.once }) do
      describe(mode.name .. ":", function()
        judge(mode)
      end)
    end

    it("each ends well and says nothing else", function()
      assert.same({}, noise)
      assert.equal((" 0"):rep(WORKERS + 1), " " .. table.concat(codes, " "))
    end)

    it("leaves nothing behind", function()
      assert.equal(WORKERS, #left)
      for _, worker in ipairs(left) do
        assert_nothing_left(worker)
      end
    end)
  end)
end)

-- Takes the first bytes of a handshake and resets.
local function reset(connection)
  connection:receive(1)
  connection:setoption("linger", { on = true, timeout = 0 })
  connection:close()
end

local function listener()
  local bound = assert(socket.bind("127.0.0.1", 0))
  local _, port = bound:getsockname()
  return bound, "https://127.0.0.1:" .. port
end

-- One in this process, moved on by the wait hook.
local function resetting()
  local bound, url = listener()
  bound:settimeout(0)
  local server = { base_url = url, api_key = "key", handshakes = 0,
    bound = bound }
  local open = { bound }
  function server.wait(client, milliseconds)
    open[#open + 1] = client
    local ready = socket.select(open, nil, milliseconds / 1000)
    table.remove(open)
    for place = #open, 2, -1 do
      if ready[open[place]] then
        reset(table.remove(open, place))
        server.handshakes = server.handshakes + 1
      end
    end
    open[#open + 1] = ready[bound] and bound:accept() or nil
  end
  return server
end

-- A process that resets so many handshakes; gives its URL and what waits for
-- its exit code: 0 where they came.
local function resetting_process(count)
  local bound, url = listener()
  local process = fork.fork()
  if process == 0 then
    bound:settimeout(pace.seconds(10))
    local connection = true
    for _ = 1, count do
      connection = connection and bound:accept()
      if connection then
        reset(connection)
      end
    end
    fork.exit(connection and 0 or 1)
  end
  bound:close()
  return url, function()
    return fork.wait(process)
  end
end

describe("a handshake of TLS that is reset", function()
  local open

  before_each(function()
    open = {}
  end)

  after_each(function()
    for _, client in ipairs(open) do
      client:close()
    end
  end)

  local function client_of(base_url, options)
    local all = { api_key = "key", base_url = base_url,
      timeout = { connect = pace.seconds(10), total = pace.seconds(20) } }
    for name, value in pairs(options) do
      all[name] = value
    end
    open[#open + 1] = maiagent.new(all)
    return open[#open]
  end

  -- What is wrong with the error of a call.
  local function misjudged(client, kind, url, tasks, attempts)
    local call = cases.CALLS[kind]
    local made = kind == "download" and os.tmpname() or "id"
    local value, err = call.run(client, { kb = "kb", fixed = "kb",
      label = "label", url = url .. "/file", tasks = tasks }, "name", made)
    local problem = call.finish and call.finish(made, "connection")
    local request = call.requests and call.requests[1] or call.fault
    if kind == "download" then
      request = { method = "GET", path = "^/file$" }
    end
    local fine = value == nil and err.kind == "connection" and not err.sent
      and err.attempts == attempts and cases.is_of(err, request)
      and err.message:find("^no TLS connection to 127%.0%.0%.1:%d+: .*reset")
    return not fine and kind .. ": " .. tostring(err) or problem
  end

  -- Nothing of the request was sent, so that even a create may be repeated.
  it("fails every kind of call after three attempts", function()
    local server = resetting()
    local client = client_of(server.base_url, { wait = server.wait })
    local problems = client:map(cases.KINDS, function(kind)
      return misjudged(client, kind, server.base_url, true, 3) or "fine"
    end, { concurrency = #cases.KINDS })
    server.bound:close()
    assert.equal(("fine "):rep(#cases.KINDS),
      table.concat(problems, " ") .. " ")
    assert.equal(3 * #cases.KINDS, server.handshakes)
  end)

  it("fails every kind of call that blocks", function()
    local url, finished = resetting_process(#cases.KINDS)
    local client = client_of(url, { max_retries = 0 })
    for _, kind in ipairs(cases.KINDS) do
      assert.is_nil(misjudged(client, kind, url, false, 1))
    end
    assert.equal(0, finished())
  end)

  it("fails an upload whose storage it is", function()
    local server = testing.spawn()
    local url, finished = resetting_process(3)
    server:fault({ kind = "status", status = 200, path = "presigned",
      json = { url = url .. "/store", fields = { key = "k" } } })
    local client = client_of(server.base_url, {})
    local key, err = client.uploads:put({ content = "x", filename = "x.txt" },
      "attachment")
    server:stop()
    assert.is_nil(key)
    assert.matches("^maiagent: connection: no TLS connection to "
      .. "127%.0%.0%.1:%d+: .*reset.* %(POST /store%), after 3 attempts$",
      tostring(err))
    assert.equal(0, finished())
  end)
end)
