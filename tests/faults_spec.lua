-- The matrix: every fault of support/fault_rows × every kind of call × waiting
-- in C and in tasks. The stand-ins are processes of their own, so that a call
-- that blocks really does.

local core = require("maiagent.core")
local disk = require("maiagent.disk")
local maiagent = require("maiagent")
local rows = require("tests.support.fault_rows")
local socket = require("socket")
local testing = require("maiagent.testing")

local LANES = 40 -- stand-ins that tasks use side by side
local CONTENT = ("0123456789"):rep(30)
local MEMORY = 500 -- KiB of Lua's that may be more than before: loaded modules
local ENOUGH = 20 -- seconds that no call takes
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
-- `fault` says which of its requests is to fail; `count`, of what the server
-- must never have two.
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
  },
}

local function upload(fault)
  return {
    fault = fault,
    run = function(client, lane, name)
      return client.knowledge_bases.files:upload(lane.kb,
        { content = CONTENT, filename = name .. ".txt" })
    end,
    count = "files",
  }
end

CALLS.presign = upload({ method = "POST", path = "presigned%-url/$" })
CALLS.storage = upload({ method = "POST", path = "^/[^/]+/$" })
CALLS.register = upload({ method = "POST", path = "/files/$" })

local ORDER = { "get", "list", "iterate", "create", "delete", "presign",
  "storage", "register", "download" }

-- What is to come of a call: "ok" or the kind of its error.
local function expected(row, kind, retries)
  local only = row.only and row.only[kind]
  if only then
    return only
  elseif not row.kind then
    return "ok"
  elseif row.silent and (kind == "iterate" or (row.warm
    and RESENT[kind])) then
    return "ok"
  elseif retries and (row.safe or (row.again and REPEATABLE[kind])) then
    return "ok"
  elseif kind == "register" and UNCLEAR[row.kind] then
    return row.timeout and row.timeout.total < 1 and row.kind or "ok"
  end
  return row.kind
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


-- A knowledge base to write into, one to read, and a file.
local function new_lane(base, server)
  local client = base:with({ base_url = server.base_url })
  local function knowledge_base(name)
    return assert(client.knowledge_bases:create({ name = name,
      embeddingModel = client.embedding_models:list()[1].id,
      rerankerModel = client.reranker_models:list()[1].id })).id
  end
  local lane = { server = server, kb = knowledge_base("written"),
    fixed = knowledge_base("read") }
  for i = 1, 3 do
    lane.label = assert(client.knowledge_bases.labels:create(lane.fixed,
      { name = "label " .. i })).id
  end
  lane.url = assert(client.knowledge_bases.files:upload(lane.fixed,
    { content = CONTENT, filename = "a.txt" })).file
  return lane
end

local function queue(server, row, call)
  local fault = {}
  for _, fields in ipairs({ row.fault, call.fault }) do
    for name, value in pairs(fields) do
      fault[name] = value
    end
  end
  server:fault(fault)
end

-- Runs one case with the client, and tells what is wrong, if anything.
local function run(case, client, lane)
  local row, call, name = case.row, CALLS[case.kind], case.name
  local plain = client:with({ base_url = lane.server.base_url })
  local hasty = plain:with({ timeout = row.timeout, max_retries = case.retries,
    limits = { reply = 1000000 } })
  local made = call.prepare and call.prepare(case.helper or plain, lane, name)
  if row.warm or row.stale then
    if row.stale then
      lane.server:fault(row.fault)
    end
    assert(plain.embedding_models:list())
    lane.server:faults_clear() -- answered after the end of that connection
  end
  if not row.stale then
    queue(lane.server, row, call)
  end
  local began = core.now()
  local value, err = call.run(hasty, lane, name, made)
  local took = core.now() - began
  lane.server:faults_clear()
  local found = value and "ok" or type(err) == "table" and err.kind
    or "raised " .. tostring(err)
  local wanted = expected(row, case.kind, case.retries > 0)
  if found ~= wanted then
    return ("%s instead of %s (%s)"):format(found, wanted, tostring(err))
  elseif err and tostring(err):find(lane.server.api_key, 1, true) then
    return "the key is in " .. tostring(err)
  elseif took > ENOUGH or row.timeout and took > row.timeout.total + 2 then
    return ("took %.1f s"):format(took)
  end
  local problem = call.finish and call.finish(made, found)
  local count = call.count and count_named(plain, lane, call.count, name) or 1
  if count > 1 or (found == "ok" and count ~= 1) then
    problem = count .. " were made"
  end
  return problem or call.finish == nil
    and not call.run(plain, lane, name .. " again", made)
    and case.kind ~= "delete" and "the client no longer works" or nil
end

local function cases_of(retries, is_wanted)
  local cases = {}
  for _, row in ipairs(rows) do
    for _, kind in ipairs(ORDER) do
      if is_wanted(row, kind) then
        cases[#cases + 1] = { row = row, kind = kind, retries = retries,
          name = ("%s %d"):format(kind, #cases) }
      end
    end
  end
  return cases
end

-- What is still there of requests and clients, and how many descriptors.
local function left_over()
  collectgarbage()
  collectgarbage()
  local clients, exchanges = require("maiagent.http").live()
  return { clients = clients, exchanges = exchanges,
    descriptors = #disk.list("/proc/self/fd") }
end

local function new_client(server)
  return maiagent.new({ api_key = server.api_key, base_url = server.base_url,
    timeout = 20 })
end

-- Runs cases and gives problems[name of the row], a list of texts.
local function problems_of(cases, perform)
  local problems = {}
  for _, row in ipairs(rows) do
    problems[row.name] = {}
  end
  perform(cases, function(case, ...)
    local problem = run(case, ...)
    if problem then
      table.insert(problems[case.row.name], case.kind .. ": " .. problem)
    end
  end)
  return problems
end

-- One client and connection for each case.
local function one_by_one(server)
  return function(cases, try)
    local client = new_client(server)
    local lane = new_lane(client, server)
    for _, case in ipairs(cases) do
      local own = new_client(server)
      case.helper = client
      try(case, own, lane)
      own:close()
    end
    client:close()
  end
end

-- All cases with one client, each lane with a server of its own.
local function side_by_side(servers)
  return function(cases, try)
    local client = new_client(servers[1])
    local _, errors = client:map(servers, function(server, first)
      local lane = new_lane(client, server)
      lane.tasks = true
      for i = first, #cases, #servers do
        try(cases[i], client, lane)
      end
    end, { concurrency = #servers })
    client:close()
    assert.is_nil(errors and select(2, next(errors)))
  end
end

local function start(count)
  local servers = {}
  for i = 1, count do
    servers[i] = testing.spawn({ page_size = 100 })
  end
  return servers
end

local function everything()
  return true
end

-- Blocking calls come one after the other, so of those that take their time
-- there are only some: a registration looks for half a second whether it was
-- done, a retry comes after as long.
local FEW = { get = true, storage = true }
local SOME = { create = true, delete = true, register = true }

local function quick(row, kind)
  return kind ~= "register" and (not row.timeout or FEW[kind]) or false
end

local function sampled(row, kind)
  return row.sample and (FEW[kind] or SOME[kind]) or false
end

-- name, retries, servers, how, which cases
local MODES = {
  { "in tasks", 2, LANES, side_by_side, everything },
  { "blocking, sent once", 0, 1, function(servers)
    return one_by_one(servers[1])
  end, quick },
  { "blocking", 2, 1, function(servers)
    return one_by_one(servers[1])
  end, sampled },
}

for _, mode in ipairs(MODES) do
  describe("every fault, every call, " .. mode[1] .. ":", function()
    local problems, before, after, grown, connections

    setup(function()
      local servers = start(mode[3])
      local client = new_client(servers[1])
      client:warm_up()
      client:close()
      before, grown = left_over(), -collectgarbage("count")
      local ok
      ok, problems =
        pcall(problems_of, cases_of(mode[2], mode[5]), mode[4](servers))
      after, grown = left_over(), grown + collectgarbage("count")
      connections = 0
      for _, server in ipairs(servers) do
        connections = connections + server:connections()
        server:stop()
      end
      assert(ok, problems)
    end)

    for _, row in ipairs(rows) do
      if mode[5](row, "get") then
        it(row.name, function()
          assert.same({}, problems[row.name])
        end)
      end
    end

    it("leaves nothing behind", function()
      assert.same(before, after)
      assert.equal(0, connections)
      assert.is_true(grown < MEMORY, grown .. " KiB")
    end)
  end)
end

-- A listener that takes the first bytes of a handshake and resets.
local function resetting()
  local bound = assert(socket.bind("127.0.0.1", 0))
  bound:settimeout(0)
  local _, port = bound:getsockname()
  local server = { base_url = "https://127.0.0.1:" .. port, api_key = "key",
    handshakes = 0, bound = bound }
  local open = { bound }
  function server.wait(client, milliseconds)
    open[#open + 1] = client
    local ready = socket.select(open, nil, milliseconds / 1000)
    table.remove(open)
    for place = #open, 2, -1 do
      if ready[open[place]] then
        open[place]:setoption("linger", { on = true, timeout = 0 })
        table.remove(open, place):close()
        server.handshakes = server.handshakes + 1
      end
    end
    open[#open + 1] = ready[bound] and bound:accept() or nil
  end
  return server
end

describe("a handshake of TLS that is reset", function()
  local server, client

  before_each(function()
    server = resetting()
    client = maiagent.new({ api_key = server.api_key, wait = server.wait,
      base_url = server.base_url, timeout = 20 })
  end)

  after_each(function()
    client:close()
    server.bound:close()
  end)

  local lane = { kb = "kb", fixed = "kb", label = "label", tasks = true }

  -- Nothing of the request was sent, so that even a create may be repeated.
  it("fails every kind of call after three attempts", function()
    lane.url = server.base_url .. "/file"
    local _, errors = client:map(ORDER, function(kind)
      local made = kind == "download" and os.tmpname() or "id"
      local value, err = CALLS[kind].run(client, lane, "name", made)
      assert(value == nil and err.kind == "connection" and err.attempts == 3
        and not err.sent, kind .. ": " .. tostring(err))
    end, { concurrency = #ORDER })
    assert.is_nil(errors and select(2, next(errors)))
    assert.equal(3 * #ORDER, server.handshakes)
  end)

  for _, kind in ipairs({ "get", "create" }) do
    it("fails a " .. kind .. " that blocks", function()
      local once = client:with({ max_retries = 0 })
      local _, err = CALLS[kind].run(once, lane, "name")
      assert.equal("connection", err.kind)
      assert.equal(1, server.handshakes)
    end)
  end
end)
