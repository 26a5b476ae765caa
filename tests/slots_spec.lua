local core = require("maiagent.core")
local pace = require("tests.support.pace")
local service = require("tests.support.service")
local slots = require("maiagent.slots")
local socket = require("socket")

local now, seconds = core.now, pace.seconds

local LANGUAGE_MODEL = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

-- How many connections the requests came by: with so many requests on the wire
-- at a time, libcurl never needs more.
local function connections(server)
  local seen, count = {}, 0
  for _, request in ipairs(server:log()) do
    if not seen[request.connection] then
      seen[request.connection] = true
      count = count + 1
    end
  end
  return count
end

local function numbers(server)
  local list = {}
  for i, request in ipairs(server:log()) do
    list[i] = tonumber(request.query:match("%d+"))
  end
  return list
end

local function upto(count)
  local list = {}
  for i = 1, count do
    list[i] = i
  end
  return list
end

local function limited(limit, options)
  local server = service.start()
  local all = { max_in_flight = limit }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return service.client(server, all), server
end

-- Each asks for pages of i items of a list, `count` times in all.
local WAYS = {
  { "gather", function(client, _, count, ask)
    local list = {}
    for i = 1, count do
      list[i] = function()
        return ask(i)
      end
    end
    local results, errors = client:gather(list)
    assert.is_nil(errors)
    assert.equal(count, #results)
  end },
  { "map", function(client, _, count, ask)
    local results, errors =
      client:map(upto(count), ask, { concurrency = count })
    assert.is_nil(errors)
    assert.equal(count, #results)
  end },
  { "tasks that are stepped", function(client, server, count, ask)
    local ended = 0
    for i = 1, count do
      client:go(function()
        assert(ask(i))
        ended = ended + 1
      end)
    end
    service.drive(client, server, function()
      return ended == count
    end)
  end },
  { "a script, one after the other", function(_, _, count, ask)
    for i = 1, count do
      assert(ask(i))
    end
  end },
}

describe("max_in_flight", function()
  after_each(service.check)

  for _, way in ipairs(WAYS) do
    for _, limit in ipairs({ 1, 3, 50 }) do
      it("bounds and orders " .. way[1] .. ", " .. limit .. " at a time",
        function()
          local client, server = limited(limit)
          server:fault({ kind = "delay", seconds = 0.02, times = math.huge })
          way[2](client, server, 12, function(i)
            return client:request("GET", "embedding-models/", { pageSize = i })
          end)
          assert.is_true(connections(server) <= limit)
          assert.equal(12, #server:log())
          if limit == 1 then
            assert.same(upto(12), numbers(server))
          end
        end)
    end
  end

  it("uses what it allows", function()
    local client, server = limited(4)
    server:fault({ kind = "delay", seconds = seconds(0.1), times = math.huge })
    local started = now()
    client:map(upto(12), function()
      return client.chatbots:list()
    end, { concurrency = 12 })
    local took = now() - started
    assert.equal(4, connections(server))
    assert.is_true(took >= seconds(0.3) and took < seconds(0.9),
      tostring(took))
  end)

  it("is shared by copies, and belongs to maiagent.new", function()
    local client, server = limited(1)
    local copy = client:with({ timeout = 10 })
    client:gather({
      function()
        return client.chatbots:list()
      end,
      function()
        return copy.chatbots:list()
      end,
    })
    assert.equal(1, connections(server))
    assert.error_matches(function()
      client:with({ max_in_flight = 2 })
    end, "max_in_flight belongs to the connections")
    assert.error_matches(function()
      limited(0)
    end, "max_in_flight must be a whole number of 1 or more")
  end)

  it("keeps the deadline of who waits, and says so", function()
    local client, server = limited(1)
    server:fault({ kind = "hang" })
    local events = {}
    local observed = client:with({ on_event = function(event)
      events[#events + 1] = event.type
    end })
    local hanging = client:go(function()
      client.chatbots:list()
    end)
    local started = now()
    local value, err = observed.chatbots:list(nil, { timeout = seconds(0.2) })
    local took = now() - started
    assert.is_nil(value)
    assert.equal("timeout", err.kind)
    assert.truthy(err.message:find("timeout.total", 1, true), err.message)
    assert.truthy(err.message:find("max_in_flight = 1", 1, true), err.message)
    assert.equal(0, err.attempts)
    assert.is_false(err.sent)
    assert.same({ "response" }, events)
    assert.is_true(took >= seconds(0.2) and took < seconds(1), tostring(took))
    hanging:cancel()
    assert(observed.chatbots:list())
    assert.same({ "response", "request", "response" }, events)
    assert.equal(2, #server:log())
  end)

  it("leaves no slot to a retry's delay", function()
    local client, server = limited(1)
    server:fault({ kind = "status", status = 503, json = {},
      headers = { ["Retry-After"] = "0.2" } })
    local order = {}
    client:gather({
      function()
        assert.equal(2, select(3, client.embedding_models:list()).attempts)
        order[#order + 1] = "repeated"
      end,
      function()
        assert(client.chatbots:list())
        order[#order + 1] = "other"
      end,
    })
    assert.same({ "other", "repeated" }, order)
    assert.equal(3, #server:log())
  end)

  it("forgets a task that was cancelled while it queued", function()
    local client, server = limited(1)
    server:fault({ kind = "delay", seconds = 0.05, times = math.huge })
    local ended, cancelled = 0, nil
    local function ask(i)
      assert(client:request("GET", "embedding-models/", { pageSize = i }))
      ended = ended + 1
    end
    client:go(ask, 1)
    local task = client:go(function()
      cancelled = select(2, client:request("GET", "embedding-models/",
        { pageSize = 2 }))
    end)
    client:go(ask, 3)
    client:step()
    task:cancel()
    assert.equal("cancelled", cancelled.kind)
    service.drive(client, server, function()
      return ended == 2
    end)
    assert.same({ 1, 3 }, numbers(server))
  end)

  it("forgets what queued beside a function that raised", function()
    local client, server = limited(1)
    assert.error_matches(function()
      client:gather({
        function()
          assert(client.chatbots:list())
          error("enough", 0)
        end,
        function()
          assert(client.chatbots:list())
          assert(client.chatbots:list())
        end,
        function()
          return client.chatbots:list()
        end,
      })
    end, "enough")
    assert(client.embedding_models:list())
    -- The second may have been begun by the step that ended the first.
    for _ = 1, 20 do
      server:step(0.005)
    end
    local asked = #server:log()
    assert.is_true(asked == 2 or asked == 3, tostring(asked))
  end)

  it("forgets a coroutine that was dropped while it queued", function()
    local client, server
    client, server = limited(1, { wait = function(_, ms)
      server:step(ms / 1000, client)
      if coroutine.running() and not client:step() then
        return
      elseif coroutine.isyieldable == nil or coroutine.isyieldable() then
        coroutine.yield()
      end
    end })
    server:fault({ kind = "delay", seconds = seconds(0.5), times = math.huge })
    local function begin(i)
      local thread = coroutine.create(function()
        assert(client:request("GET", "embedding-models/", { pageSize = i }))
        return "ended"
      end)
      assert(coroutine.resume(thread))
      return thread
    end
    local first = begin(1)
    begin(2)
    local third = begin(3)
    if jit then
      jit.flush() -- what was compiled holds what it saw
    end
    collectgarbage()
    collectgarbage()
    local deadline = now() + seconds(10)
    while coroutine.status(third) ~= "dead" and now() < deadline do
      if coroutine.status(first) ~= "dead" then
        assert(coroutine.resume(first))
      end
      assert(coroutine.resume(third))
    end
    assert.same({ 1, 3 }, numbers(server))
  end)

  it("cancels those who queue when the client is closed", function()
    local client, server = limited(1)
    server:fault({ kind = "hang", times = math.huge })
    local kinds = {}
    for i = 1, 3 do
      client:go(function()
        kinds[i] = select(2, client.chatbots:list()).kind
      end)
    end
    client:step()
    client:close()
    assert.same({ "cancelled", "cancelled", "cancelled" }, kinds)
  end)

  -- What ends a request by itself; the next one is `go`ne between.
  local function unless_told(raise, go)
    return function()
      go()
      if raise then
        error("enough", 0)
      end
      return false
    end
  end
  local ENDINGS = {
    { "a callback of the script's call", function(client, go)
      local _, err = client.chatbots:list(nil,
        { on_progress = unless_told(false, go) })
      assert.equal("cancelled", err.kind)
    end },
    { "a callback of a task's call", function(client, go)
      client:go(function()
        local _, err = client.chatbots:list(nil,
          { on_progress = unless_told(false, go) })
        assert.equal("cancelled", err.kind)
      end)
    end },
    { "an error of a callback", function(client, go)
      assert.error_matches(function()
        client.chatbots:list(nil, { on_progress = unless_told(true, go) })
      end, "enough")
    end },
    { "an error of a task's callback", function(client, go)
      client:go(function()
        client.chatbots:list(nil, { on_progress = unless_told(true, go) })
      end)
    end },
    { "a cancelled task", function(client, go)
      local task = client:go(function()
        client.chatbots:list()
      end)
      go()
      task:cancel()
    end },
    { "functions given up by gather", function(client, go)
      assert.error_matches(function()
        client:gather({
          function()
            client.chatbots:list()
          end,
          function()
            go()
            error("enough", 0)
          end,
        })
      end, "enough")
    end },
  }

  for _, row in ipairs(ENDINGS) do
    it("begins the next at once after " .. row[1], function()
      local client, server = limited(1)
      server:fault({ kind = "hang", path = "chatbots", times = math.huge })
      local ended
      row[2](client, function()
        client:go(function()
          assert(client.embedding_models:list())
          ended = true
        end)
      end)
      -- Before any step: an event loop makes one where the descriptor asks.
      collectgarbage()
      collectgarbage()
      assert.equal(1, service.under_way())
      service.drive({ step = function()
        pcall(client.step, client)
      end }, server, function()
        return ended
      end)
    end)
  end

  it("wakes the host for one that fails as it is begun", function()
    local client, server = limited(1, { max_retries = 0 })
    if not client:fd() then
      return -- no descriptor that could wake it on this platform
    end
    server:fault({ kind = "hang" })
    local failing = client:with({ proxy = "socks9://127.0.0.1:1" })
    local ended, longest = {}, 0
    client:go(function()
      coroutine.yield() -- the other gets the slot, and its turns after this one
      ended[2] = select(2, failing.chatbots:list()).kind
    end)
    client:go(function()
      ended[1] = select(2, client.chatbots:get("b", nil,
        { timeout = { idle = 1 } })).kind
    end)
    while client:step() do
      server:step()
      local asleep = now()
      socket.select({ client }, nil, 3)
      longest = math.max(longest, now() - asleep)
    end
    assert.same({ "timeout", "connection" }, ended)
    assert.is_true(longest < 2.5, "slept for " .. longest .. " s")
  end)

  it("is freed by a reply that nobody has asked for yet", function()
    local client, server = limited(2)
    for i = 1, 12 do
      assert(client.chatbots:create({ name = "chatbot " .. i,
        largeLanguageModel = LANGUAGE_MODEL }))
    end
    for _, limit in ipairs({ 1, 2, 3 }) do
      local own = service.client(server, { max_in_flight = limit })
      local items = own.chatbots:each({ pageSize = 2 }, { prefetch = 4 })
      local count = 0
      local item = items:next()
      while item do
        count = count + 1
        assert(own.chatbots:get(item.id))
        item = items:next()
      end
      assert.equal(12, count)
    end
  end)

  it("is never all taken by what was asked for ahead", function()
    local client, server = limited(2)
    for i = 1, 4 do
      assert(client.chatbots:create({ name = "chatbot " .. i,
        largeLanguageModel = LANGUAGE_MODEL }))
    end
    server:fault({ kind = "hang", path = "^/api/chatbots/$", after = 1,
      times = math.huge })
    local pages = client.chatbots:pages({ pageSize = 1 }, { prefetch = 3 })
    assert(pages:next())
    for _ = 1, 3 do
      assert(client.embedding_models:list(nil, { timeout = seconds(5) }))
    end
    pages:close()
  end)

  it("lets what is gathered gather", function()
    local client, server = limited(1)
    local results, errors = client:map({ 1, 2, 3 }, function()
      local models = client:gather({
        function()
          return client.embedding_models:list()
        end,
        function()
          return client.reranker_models:list()
        end,
      })
      return #models
    end)
    assert.is_nil(errors)
    assert.same({ 2, 2, 2 }, results)
    assert.equal(1, connections(server))
  end)

  it("raises what on_event raises, and gives the slot on", function()
    local client, server = limited(1)
    server:fault({ kind = "delay", seconds = 0.02, times = math.huge })
    local ended
    local loud = client:with({ on_event = function()
      error("stop", 0)
    end })
    client:go(function()
      assert(client.chatbots:list())
    end)
    client:go(function()
      loud.chatbots:list()
    end)
    client:go(function()
      assert(client.chatbots:list())
      ended = true
    end)
    local raised
    service.drive(client, server, function()
      local ok, message = pcall(client.step, client)
      raised = raised or (not ok and message)
      return ended
    end)
    assert.equal("stop", raised)
  end)
end)

describe("slots", function()
  it("raise what beginning a request raised, to who asked for it", function()
    local under_way = 1
    local queue = slots.new(1, function()
      return under_way
    end)
    local first = slots.enter(queue, error, "no memory")
    local second = slots.enter(queue, function() end)
    assert.is_false(first:done())
    under_way = 0
    assert.is_true(slots.serve(queue))
    assert.is_true(first:done())
    assert.is_true(second:begun())
    local ok, problem = pcall(first.begun, first)
    assert.is_false(ok)
    assert.equal("no memory", problem)
  end)
end)

describe("max_connections", function()
  after_each(service.check)

  for _, count in ipairs({ 1, 3 }) do
    it("lets a flood queue for " .. count .. ", however long", function()
      local server = service.start()
      server:fault({ kind = "delay", seconds = seconds(0.1),
        times = math.huge })
      local client = service.client(server, {
        max_connections = count,
        max_retries = 0,
        timeout = { connect = seconds(0.3), idle = seconds(0.3) },
      })
      local results, errors = client:map(upto(9), function()
        return client.embedding_models:list()
      end, { concurrency = 9 })
      assert.is_nil(errors)
      assert.equal(9, #results)
      assert.equal(count, connections(server))
    end)
  end
end)

-- Two visitors of nginx who went away in the middle of a slow call kept two of
-- two places, and everyone after them waited for a time-out.
describe("a call whose caller was dropped", function()
  after_each(function()
    collectgarbage("restart")
    service.check()
  end)

  for _, limit in ipairs({ "max_in_flight", "max_connections" }) do
    it("keeps no place of " .. limit .. " from those who wait", function()
      local server = service.start()
      server:fault({ kind = "hang", times = 2, path = "chatbots" })
      local function wait(_, ms)
        local thread, is_main = coroutine.running()
        if thread and not is_main then
          coroutine.yield()
        else
          server:step(math.min(ms, 5) / 1000)
        end
      end
      local client = service.client(server, { [limit] = 2, wait = wait })
      for i = 1, 2 do
        coroutine.wrap(function()
          client.chatbots:list()
        end)()
        while #server:log() < i do
          client:step()
          server:step(0.002)
        end
      end
      if jit then
        jit.flush() -- what was compiled holds what it saw
      end
      collectgarbage("stop") -- as if nothing else gave it anything to do
      assert(client.embedding_models:list(nil, { max_retries = 0 }))
      assert.equal(3, #server:log())
    end)
  end
end)
