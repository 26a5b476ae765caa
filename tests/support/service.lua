--- What the specs share: a stand-in in this process, clients of it, and the
-- check that a spec leaves nothing behind. With MAIAGENT_TEST_URL (and _KEY)
-- set, the operations specs use that service instead: a proxy that judges.

local core = require("maiagent.core")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local testing = require("maiagent.testing")

local EXTERNAL_URL = os.getenv("MAIAGENT_TEST_URL")

-- As a number of 20 would make them.
local TIMEOUT = { connect = pace.seconds(10), idle = pace.seconds(60),
  total = pace.seconds(20) }

local service = { external = EXTERNAL_URL ~= nil }

local open = {}

local function remember(thing, close)
  open[#open + 1] = { thing = thing, close = close }
  return thing
end

--- Starts a stand-in that ends with the spec.
-- @tparam table|nil options of testing.start
-- @treturn table server
function service.start(options)
  return remember(testing.start(options), "stop")
end

--- A client of a server, which steps it while it waits.
-- @tparam table server
-- @tparam table|nil options of maiagent.new, over the usual ones
-- @treturn table client
function service.client(server, options)
  local all = {
    api_key = server.api_key,
    base_url = server.base_url,
    wait = server.wait,
    timeout = TIMEOUT,
  }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return remember(maiagent.new(all), "close")
end

--- A client of the service under judgement: an external one where the
-- environment names it, else a new stand-in in this process.
-- @tparam table|nil options of testing.start
-- @treturn table client
-- @treturn table|nil server, where it is in this process
function service.judged(options)
  if not EXTERNAL_URL then
    local server = service.start(options)
    return service.client(server), server
  end
  return remember(maiagent.new({
    api_key = os.getenv("MAIAGENT_TEST_KEY"),
    base_url = EXTERNAL_URL,
    timeout = 60,
  }), "close")
end

--- Makes an empty knowledge base.
-- @tparam table client
-- @treturn string its id
-- @treturn table the object
function service.knowledge_base(client)
  local kb = assert(client.knowledge_bases:create({
    name = "Manuals",
    embeddingModel = assert(client.embedding_models:list())[1].id,
    rerankerModel = assert(client.reranker_models:list())[1].id,
  }))
  return kb.id, kb
end

--- Steps a client and its server until a condition holds; fails after a while.
-- @tparam table client
-- @tparam table server in this process
-- @tparam function enough gives whether it holds
function service.drive(client, server, enough)
  local deadline = core.now() + pace.seconds(10)
  while not enough() do
    assert(core.now() < deadline, "the tasks do not end")
    client:step()
    server:step(0.002, client)
  end
end

local function live()
  local http = package.loaded["maiagent.http"]
  if not http then
    return 0, 0
  end
  return http.live()
end

--- How many exchanges there are, of any client, collected or not.
-- @treturn integer
function service.under_way()
  return select(2, live())
end

local function drain(server)
  for _ = 1, 100 do
    if server:connections() == 0 then
      return
    end
    server:step(0.01)
  end
end

--- Closes what the spec opened and fails if anything of it is still there.
-- Meant for after_each.
function service.check()
  local servers, problems = {}, {}
  for i = #open, 1, -1 do
    local entry = open[i]
    if entry.close == "stop" then
      servers[#servers + 1] = entry.thing
    else
      entry.thing:close()
    end
    open[i] = nil
  end
  for _, server in ipairs(servers) do
    drain(server)
    if server:connections() > 0 then
      problems[#problems + 1] = server:connections() .. " connections open"
    end
    for _, violation in ipairs(server:violations()) do
      problems[#problems + 1] = violation
    end
    server:stop()
  end
  collectgarbage()
  collectgarbage()
  local clients, exchanges = live()
  if clients + exchanges > 0 then
    problems[#problems + 1] = clients .. " clients and " .. exchanges
      .. " exchanges alive"
  end
  if #problems > 0 then
    error("left behind: " .. table.concat(problems, "; "), 0)
  end
end

return service
