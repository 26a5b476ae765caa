--- The cases of the matrix in faults_spec: every row of fault_rows × every kind
-- of call, and how one is run and judged.

local core = require("maiagent.core")
local disk = require("maiagent.disk")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local rows = require("tests.support.fault_rows")

local CYCLES = 10 -- LuaJIT halves a buffer of its own in each
local CONTENT = ("0123456789"):rep(30)
local ENOUGH = pace.seconds(20) -- that no call takes
local LATE = pace.seconds(2) -- that a call may end after its time
local LATE_ANEW = pace.seconds(8) -- and after a pause and a second attempt
local REPEATABLE = { presign = true, storage = true, get = true, list = true,
  iterate = true, delete = true, download = true }
-- Of those, what goes to the API.
local RESENT =
  { presign = true, get = true, list = true, iterate = true, delete = true }
local UNCLEAR =
  { server = true, connection = true, timeout = true, decode = true }

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- What a kind of call is, given the client, its lane and a name of its own.
-- `fault` says which of its requests is to fail; `requests`, all that it makes
-- if these are several; `count`, of what the server
-- must never have two; `afterwards`, which call is made then, if another.
local CALLS = {
  get = {
    fault = { method = "GET", path = "/labels/[^/]+/$" },
    run = function(client, lane)
      return client.knowledge_bases.labels:get(lane.fixed, lane.label)
    end,
  },
  list = {
    fault = { method = "GET", path = "/labels/$" },
    run = function(client, lane)
      return client.knowledge_bases.labels:list(lane.fixed)
    end,
  },
  iterate = {
    fault = { method = "GET", path = "/labels/$", after = 1 },
    run = function(client, lane)
      -- Lua 5.1 cannot yield where a `pcall` would catch what is raised.
      if lane.tasks then
        return client.knowledge_bases.labels:all(lane.fixed, { pageSize = 1 })
      end
      local ok, value = pcall(function()
        local each = client.knowledge_bases.labels:each(lane.fixed,
          { pageSize = 1 }, { prefetch = 0 })
        local n = 0
        while each() do
          n = n + 1
        end
        return n
      end)
      return ok and value or nil, value
    end,
  },
  create = {
    fault = { method = "POST", path = "/labels/$" },
    run = function(client, lane, name)
      return client.knowledge_bases.labels:create(lane.kb, { name = name })
    end,
    count = "labels",
  },
  delete = {
    fault = { method = "DELETE", path = "/labels/[^/]+/$" },
    prepare = function(client, lane, name)
      return client.knowledge_bases.labels:create(lane.kb, { name = name }).id
    end,
    run = function(client, lane, _, id)
      return client.knowledge_bases.labels:delete(lane.kb, id)
    end,
    afterwards = "get",
  },
  download = {
    fault = { method = "GET", path = "^/media/" },
    prepare = os.tmpname,
    run = function(client, lane, _, path)
      os.remove(path)
      return client:download(lane.url, path)
    end,
    finish = function(path, found)
      local problem = exists(path) ~= (found == "ok")
        and "the file is there although it failed, or is not" or nil
      for _, ending in ipairs({ "", ".part", ".part.etag" }) do
        os.remove(path .. ending)
      end
      return problem
    end,
    afterwards = "get",
  },
}

local PRESIGN = { method = "POST", path = "presigned%-url/$" }
local STORAGE = { method = "POST", path = "^/[^/]+/$" }
local REGISTER = { method = "POST", path = "/files/$" }

local function upload(fault)
  return {
    fault = fault,
    requests = { PRESIGN, STORAGE, REGISTER },
    run = function(client, lane, name)
      return client.knowledge_bases.files:upload(lane.kb,
        { content = CONTENT, filename = name .. ".txt" })
    end,
    count = "files",
  }
end

CALLS.presign, CALLS.storage = upload(PRESIGN), upload(STORAGE)
CALLS.register = upload(REGISTER)

local KINDS = { "get", "list", "iterate", "create", "delete", "presign",
  "storage", "register", "download" }

-- What is to come of a call: "ok", or the kind of its error and its message, as
-- `says` of a row.
local function expected(row, kind, retries)
  local only = row.only and row.only[kind]
  if only then
    return only[1] or only, only[2]
  elseif not row.kind then
    return "ok"
  elseif row.silent and (kind == "iterate" or (row.warm
    and RESENT[kind])) then
    return "ok"
  elseif retries > 0 and (row.safe or (row.again and REPEATABLE[kind])) then
    return "ok"
  elseif kind == "register" and UNCLEAR[row.kind] and not row.safe then
    return "ok"
  end
  return row.kind, row.says
end

local function count_named(client, lane, what, name)
  local count = 0
  local wanted = what == "files" and name .. ".txt" or name
  for _, item in ipairs(assert(
    client.knowledge_bases[what]:all(lane.kb, { pageSize = 1000 }))) do
    count = count + ((item.name or item.filename) == wanted and 1 or 0)
  end
  return count
end

--- A client of a stand-in.
-- @tparam table server
-- @treturn table
local function new_client(server)
  return maiagent.new({ api_key = server.api_key, base_url = server.base_url,
    timeout = pace.seconds(20) })
end

--- What cases that run one after the other use: a stand-in and in it a
-- knowledge base to write into, one to read, and a file.
-- @tparam table base client
-- @tparam table server
-- @treturn table
local function new_lane(base, server)
  local client = base:with({ base_url = server.base_url })
  local function knowledge_base(name)
    return assert(client.knowledge_bases:create({ name = name,
      embeddingModel = client.embedding_models:list()[1].id,
      rerankerModel = client.reranker_models:list()[1].id })).id
  end
  local lane = { server = server, client = client,
    kb = knowledge_base("written"), fixed = knowledge_base("read") }
  for i = 1, 3 do
    lane.label = assert(client.knowledge_bases.labels:create(lane.fixed,
      { name = "label " .. i })).id
  end
  lane.url = assert(client.knowledge_bases.files:upload(lane.fixed,
    { content = CONTENT, filename = "a.txt" })).file
  return lane
end

-- Seconds in which this process waited for the process of a stand-in, and no
-- task of it went on.
local steered = 0

local function steer(server, name, argument)
  local began = core.now()
  server[name](server, argument)
  steered = steered + core.now() - began
end

-- Makes a connection of the client's where the row wants one, and queues the
-- fault.
local function set_up(case, client, server)
  local row, fault = case.row, {}
  if row.warm or row.stale then
    if row.stale then
      steer(server, "fault", row.fault)
    end
    assert(client.embedding_models:list())
    steer(server, "faults_clear") -- answered after that connection's end
  end
  for _, fields in ipairs({ row.fault, CALLS[case.kind].fault }) do
    for name, value in pairs(fields) do
      fault[name] = value
    end
  end
  if not row.stale then
    steer(server, "fault", fault)
  end
end

-- Seconds that a call may take: none but those of `idle` wait longer than the
-- whole time, and these may begin anew.
local function longest(row)
  local timeout = row.timeout
  if not timeout then
    return ENOUGH
  elseif timeout.idle < timeout.total then
    return timeout.idle + LATE_ANEW
  end
  return timeout.total + LATE
end

local function matches_one(text, patterns)
  for _, pattern in ipairs(type(patterns) == "table" and patterns
    or { patterns }) do
    if text:find(pattern) then
      return true
    end
  end
  return false
end

local function holds(value, text)
  if type(value) ~= "table" then
    return tostring(value):find(text, 1, true) ~= nil
  end
  for name, part in pairs(value) do
    if holds(name, text) or holds(part, text) then
      return true
    end
  end
  return false
end

--- Whether an error tells of a request.
-- @tparam table err
-- @tparam table request method, path (a pattern)
-- @treturn boolean
local function is_of(err, request)
  return err.method == request.method
    and tostring(err.path):find(request.path) ~= nil
    and tostring(err):find((" (%s %s)"):format(err.method, err.path), 1, true)
      ~= nil
end

-- Whether an error tells of the request that failed. On a busy machine the time
-- may be over before that one's turn came.
local function is_placed(err, call, row)
  local requests = { call.fault }
  if row.timeout and row.timeout.total < row.timeout.idle then
    requests = call.requests or requests
  end
  for _, request in ipairs(requests) do
    if is_of(err, request) then
      return true
    end
  end
  return false
end

-- What is wrong with an error: it tells what happened, and to which request.
local function unclear(err, says, case, key)
  if not matches_one(err.message, says) then
    return "says: " .. err.message
  elseif not is_placed(err, CALLS[case.kind], case.row) then
    return "does not say of which request it is: " .. tostring(err)
  elseif holds(err, key) or tostring(err):find(key, 1, true) then
    return "holds the key: " .. tostring(err)
  end
end

-- What is wrong with what came of the call.
local function misjudged(case, found, err, took, key)
  local wanted, says = expected(case.row, case.kind, case.retries)
  if found ~= wanted then
    return ("%s instead of %s (%s)"):format(found, wanted, tostring(err))
  elseif took > longest(case.row) then
    return ("took %.1f s"):format(took)
  end
  return wanted ~= "ok" and unclear(err, says, case, key) or nil
end

-- What is wrong with what the call left behind.
local function aftermath(case, found, client, lane, made)
  local call = CALLS[case.kind]
  local problem = call.finish and call.finish(made, found)
  local count = call.count and count_named(client, lane, call.count, case.name)
  if problem then
    return problem
  elseif count and (count > 1 or found == "ok" and count ~= 1) then
    return count .. " were made"
  end
  local ok, err = CALLS[call.afterwards or case.kind].run(client, lane,
    case.name .. " again", made)
  return not ok and "the client no longer works: " .. tostring(err) or nil
end

--- Runs one case.
-- @tparam table case
-- @tparam table client
-- @tparam table lane
-- @treturn string|nil what is wrong
local function run(case, client, lane)
  local row, call = case.row, CALLS[case.kind]
  local plain = client:with({ base_url = lane.server.base_url })
  local hasty = plain:with({ timeout = row.timeout, max_retries = case.retries,
    limits = { reply = 1000000 } })
  local made = call.prepare and call.prepare(lane.client, lane, case.name)
  set_up(case, plain, lane.server)
  local began, before = core.now(), steered
  local value, err = call.run(hasty, lane, case.name, made)
  local took = core.now() - began - (steered - before)
  steer(lane.server, "faults_clear")
  local found = value and "ok" or type(err) == "table" and err.kind
    or "raised " .. tostring(err)
  local problem = aftermath(case, found, plain, lane, made)
  return misjudged(case, found, err, took, lane.server.api_key) or problem
end

--- Runs each kind of call without a fault, so that what is loaded or kept for
-- good is there.
-- @tparam table server
local function rehearse(server)
  local client = new_client(server)
  local lane = new_lane(client, server)
  local row = { name = "rehearsal", fault = { kind = "delay", seconds = 0 } }
  for _, kind in ipairs(KINDS) do
    local problem = run({ row = row, kind = kind, retries = 0,
      name = "rehearsal of " .. kind }, client, lane)
    assert(not problem, problem)
  end
  client:close()
end

--- What is there of requests and clients, descriptors and memory.
-- @treturn table names → numbers
-- @treturn number KiB that Lua uses
local function left_over()
  if rawget(_G, "jit") then -- compiled code is memory of Lua's too
    require("jit").flush()
  end
  for _ = 1, CYCLES do
    collectgarbage()
  end
  local clients, exchanges = require("maiagent.http").live()
  return { clients = clients, exchanges = exchanges,
    descriptors = #disk.list("/proc/self/fd") }, collectgarbage("count")
end

--- How many connections to a stand-in are open, once it had the time to see
-- which of them were closed.
-- @tparam table server
-- @treturn number
local function connections(server)
  local deadline, count = core.now() + LATE, server:connections()
  while count > 0 and core.now() < deadline do
    server:step(0.01)
    count = server:connections()
  end
  return count
end

--- Every row × every kind of call.
-- @tparam table ... modes: {name, retries}
-- @treturn table a list of cases: {row, kind, mode, retries, name}
local function every(...)
  local list = {}
  for _, mode in ipairs({ ... }) do
    for _, row in ipairs(rows) do
      for _, kind in ipairs(KINDS) do
        list[#list + 1] = { row = row, kind = kind, mode = mode.name,
          retries = mode.retries, name = ("%s %d"):format(kind, #list + 1) }
      end
    end
  end
  return list
end

--- How calls are made: in tasks, or so that they block the process; `retries`
-- at most. What is sent once needs a connection that nobody had before.
local MODES = {
  tasks = { name = "in tasks", retries = 2 },
  blocking = { name = "blocking", retries = 2 },
  once = { name = "blocking, sent once", retries = 0 },
}

--- The cases that block, in the same order in every process.
-- @treturn table as `every`
local function blocking()
  return every(MODES.blocking, MODES.once)
end

--- The cases in tasks.
-- @treturn table as `every`
local function in_tasks()
  return every(MODES.tasks)
end

return {
  CALLS = CALLS,
  KINDS = KINDS,
  MODES = MODES,
  blocking = blocking,
  connections = connections,
  in_tasks = in_tasks,
  is_of = is_of,
  left_over = left_over,
  new_client = new_client,
  new_lane = new_lane,
  rehearse = rehearse,
  run = run,
}
