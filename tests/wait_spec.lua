local core = require("maiagent.core")
local pace = require("tests.support.pace")
local service = require("tests.support.service")

local now, seconds = core.now, pace.seconds

-- 5.1 cannot yield across pcall nor in a for-loop's iterator.
local YIELDS_EVERYWHERE = pcall(coroutine.wrap(function()
  assert(pcall(coroutine.yield))
end))

describe("client:go", function()
  after_each(service.check)

  it("runs tasks side by side, driven by step", function()
    local server = service.start()
    server:fault({ kind = "delay", seconds = seconds(0.2), times = 10 })
    local client = service.client(server)
    local finished, order = 0, {}
    local took = pace.measured(function()
      local started = now()
      for i = 1, 10 do
        client:go(function(number)
          assert(client.chatbots:list())
          finished = finished + 1
          order[#order + 1] = number
        end, i)
      end
      assert.equal(0, finished)
      service.drive(client, server, function()
        return finished == 10
      end)
      return now() - started
    end)
    assert.is_true(took < seconds(0.6), tostring(took))
    assert.is_false(client:step())
  end)

  it("makes several calls in a task, and retries in it", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "status", status = 503, json = {},
      headers = { ["Retry-After"] = "0.1" } })
    local steps = {}
    client:go(function()
      steps[1] = assert(client.embedding_models:list())[1].id
      steps[2] = assert(client.reranker_models:list())[1].id
    end)
    service.drive(client, server, function()
      return steps[2]
    end)
    assert.equal(3, #server:log())
  end)

  it("is busy while something is under way, then not", function()
    local server = service.start()
    local client = service.client(server)
    assert.is_false(client:step())
    local done = false
    client:go(function()
      client.chatbots:list()
      done = true
    end)
    assert.is_true(client:step())
    service.drive(client, server, function()
      return done
    end)
    assert.is_false(client:step())
  end)

  it("raises a task's error out of step, the others go on", function()
    local server = service.start()
    local client = service.client(server)
    local other = false
    client:go(function()
      assert(client.chatbots:list())
      error("task failed", 0)
    end)
    client:go(function()
      assert(client.chatbots:list())
      other = true
    end)
    local raised
    service.drive(client, server, function()
      local ok, message = pcall(client.step, client)
      raised = raised or (not ok and message)
      return raised and other
    end)
    assert.equal("task failed", raised)
    assert.is_false(client:step())
  end)

  it("raises at close what no step was there to raise", function()
    local server = service.start()
    local client = service.client(server)
    client:go(function()
      error("unseen", 0)
    end)
    local ok, message = pcall(client.close, client)
    assert.is_false(ok)
    assert.equal("unseen", message)
    client:close()
  end)

  it("raises even an error that is nil", function()
    local server = service.start()
    local client = service.client(server)
    client:go(function()
      error(nil)
    end)
    local ok, message = pcall(client.step, client)
    assert.is_false(ok)
    assert.is_nil(message)
  end)

  it("cancels the request under which a callback raised", function()
    local server = service.start()
    server:fault({ kind = "hang" })
    local client = service.client(server)
    client:go(function()
      client.chatbots:list(nil, { on_progress = function()
        error("stop", 0)
      end })
    end)
    local ok, message = pcall(client.step, client)
    assert.is_false(ok)
    assert.equal("stop", message)
    assert.is_false(client:step())
  end)

  -- What a call stands in, and whether it can wait there; where not, it fails
  -- and is over then.
  for _, row in ipairs({
    { "pcall", function(fn)
      return pcall(fn)
    end, YIELDS_EVERYWHERE },
    { "string.gsub", function(fn)
      return pcall(string.gsub, "x", "x", fn)
    end, false },
    { "table.sort", function(fn)
      return pcall(table.sort, { 1, 2 }, fn)
    end, false },
  }) do
    local name, enter, may_wait = row[1], row[2], row[3]
    it("gives the slot on of a call in " .. name, function()
      local server = service.start()
      if not may_wait then
        server:fault({ kind = "hang", path = "chatbots" })
      end
      local client = service.client(server, { max_in_flight = 1 })
      local ok, models
      collectgarbage("stop") -- it would come to the rescue, some time
      finally(function()
        collectgarbage("restart")
      end)
      local task = client:go(function()
        ok = enter(function()
          assert(client.chatbots:list())
        end)
        models = client.embedding_models:list()
      end)
      service.drive(client, server, function()
        return task:done()
      end)
      assert.equal(may_wait, ok)
      assert.equal(2, #models)
      assert.is_false(client:step())
    end)
  end

  it("does not spin while a task waits in its own coroutine", function()
    local server = service.start()
    server:fault({ kind = "delay", seconds = 0.1, path = "chatbots" })
    server:fault({ kind = "delay", seconds = 0.5, path = "embedding" })
    local waits = 0
    local client = service.client(server, { wait = function(client, ms)
      waits = waits + 1
      server:step(ms / 1000, client)
    end })
    local order = {}
    client:go(function()
      assert(client.chatbots:list())
      order[#order + 1] = "parked"
    end)
    client:go(function()
      coroutine.yield()
      coroutine.wrap(function()
        assert(client.embedding_models:list())
      end)()
      order[#order + 1] = "nested"
    end)
    client:step()
    assert.is_false(client:step())
    assert.same({ "nested", "parked" }, order)
    assert.is_true(waits < 100, waits .. " waits")
  end)

  it("may be moved on by a task of it", function()
    local server = service.start()
    local client = service.client(server)
    local count
    client:go(function()
      assert.is_true(client:step())
      count = assert(client.chatbots:list()).count
      assert.is_true(client:step())
    end)
    service.drive(client, server, function()
      return count
    end)
    assert.equal(0, count)
    assert.is_false(client:step())
  end)

  it("goes on while the items of a page are looked through", function()
    local server = service.start()
    local client = service.client(server)
    local items = {}
    for i = 1, 64 do
      items[i] = { id = tostring(i) }
    end
    server:fault({ kind = "status", status = 200,
      json = { count = 64, results = items } })
    local done, seen = false, 0
    for _ in client.chatbots:each(nil, { prefetch = 1 }) do
      seen = seen + 1
      if seen == 1 then
        client:go(function()
          done = client.embedding_models:list() ~= nil
        end)
      end
      server:step(0.002)
    end
    assert.equal(64, seen)
    assert.is_true(done)
  end)

  it("gives a task's own yield one step", function()
    local server = service.start()
    local client = service.client(server)
    local count = 0
    client:go(function()
      for _ = 1, 3 do
        count = count + 1
        coroutine.yield()
      end
    end)
    assert.equal(1, count)
    client:step()
    assert.equal(2, count)
    client:step()
    client:step()
    assert.equal(3, count)
    assert.is_false(client:step())
  end)

  it("goes on while another call waits", function()
    local server = service.start()
    local client = service.client(server)
    local finished = false
    client:go(function()
      assert(client.chatbots:list())
      finished = true
    end)
    server:fault({ kind = "delay", seconds = 0.1, path = "embedding" })
    assert(client.embedding_models:list())
    assert.is_true(finished)
  end)

  it("starts tasks from within tasks", function()
    local server = service.start()
    local client = service.client(server)
    local inner, outer = false, false
    client:go(function()
      client:go(function()
        assert(client.chatbots:list())
        inner = true
      end)
      assert(client.chatbots:list())
      outer = true
    end)
    service.drive(client, server, function()
      return inner and outer
    end)
  end)

  it("pages in a task where the VM can yield in an iterator", function()
    local server = service.start()
    local client = service.client(server)
    local ended = false
    client:go(function()
      local pager = client.embedding_models:each()
      while pager:next() do end
      if YIELDS_EVERYWHERE then
        for model in client.embedding_models:each() do
          assert(model.id)
        end
      end
      ended = true
    end)
    service.drive(client, server, function()
      return ended
    end)
  end)
end)

describe("client:gather", function()
  after_each(service.check)

  it("returns in order what came in any order", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "delay", seconds = 0.15, path = "embedding" })
    local started = now()
    local results, errors = client:gather({
      function()
        return client.embedding_models:list()
      end,
      function()
        return client.reranker_models:list()
      end,
      function()
        return "no request"
      end,
    })
    assert.truthy(results[1][1].id)
    assert.truthy(results[2][1].id)
    assert.equal("no request", results[3])
    assert.is_nil(errors)
    assert.is_true(now() - started < seconds(1))
  end)

  it("tells which failed", function()
    local server = service.start()
    local client = service.client(server)
    local function nowhere()
      return client.chatbots:get("nowhere")
    end
    local results, errors = client:gather({
      nowhere,
      function()
        return false
      end,
      nowhere,
    })
    assert.same({ [2] = false }, results)
    assert.equal("not_found", errors[1].kind)
    assert.is_nil(errors[2])
    assert.equal("not_found", errors[3].kind)
  end)

  it("raises what one raises and cancels the others", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "hang", path = "embedding" })
    local started = now()
    local ok, message = pcall(client.gather, client, {
      function()
        return client.embedding_models:list()
      end,
      function()
        assert(client.reranker_models:list())
        error("stop", 0)
      end,
    })
    assert.is_false(ok)
    assert.equal("stop", message)
    assert.is_true(now() - started < seconds(2))
  end)

  it("starts no function after one has raised", function()
    local server = service.start()
    local client = service.client(server)
    local ok = pcall(client.map, client, { 1, 2, 3 }, function(i)
      assert(i > 1)
      client.chatbots:list()
    end)
    assert.is_false(ok)
    server:step(0.01)
    assert.equal(0, #server:log())
  end)

  it("cancels what runs inside of the others", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "hang", path = "embedding" })
    local ok, message = pcall(client.gather, client, {
      function()
        return client:gather({
          function()
            return client.embedding_models:list()
          end,
        })
      end,
      function()
        assert(client.reranker_models:list())
        error("stop", 0)
      end,
    })
    assert.is_false(ok)
    assert.equal("stop", message)
    assert.is_false(client:step())
  end)

  it("leaves nothing on the wire when the wait itself raises", function()
    local server = service.start()
    server:fault({ kind = "hang" })
    local turns = 0
    local client = service.client(server, { wait = function(_, milliseconds)
      turns = turns + 1
      if turns == 5 then
        error("interrupted!", 0) -- as Ctrl-C does
      end
      server.wait(nil, milliseconds)
    end })
    local ok, message = pcall(client.gather, client, {
      function()
        return client.chatbots:list()
      end,
    })
    assert.is_false(ok)
    assert.equal("interrupted!", message)
    assert.is_false(client:step())
  end)

  it("works inside a task and inside itself", function()
    local server = service.start()
    local client = service.client(server)
    local results
    client:go(function()
      results = client:gather({
        function()
          return client:gather({
            function()
              return client.embedding_models:list()
            end,
          })[1]
        end,
        function()
          return client.reranker_models:list()
        end,
      })
    end)
    service.drive(client, server, function()
      return results
    end)
    assert.truthy(results[1][1].id)
    assert.truthy(results[2][1].id)
  end)

  it("of nothing gives nothing", function()
    local server = service.start()
    assert.same({}, (service.client(server):gather({})))
  end)
end)

describe("client:map", function()
  after_each(service.check)

  it("applies to every item, so many at a time", function()
    local server = service.start()
    local client = service.client(server)
    local running, most = 0, 0
    local list = {}
    for i = 1, 20 do
      list[i] = i
    end
    local results, errors = client:map(list, function(item, index)
      running = running + 1
      most = math.max(most, running)
      assert(client.chatbots:list())
      running = running - 1
      return item * index
    end, { concurrency = 4 })
    assert.is_nil(errors)
    assert.equal(4, most)
    for i = 1, 20 do
      assert.equal(i * i, results[i])
    end
  end)

  it("tells which failed", function()
    local server = service.start()
    local client = service.client(server)
    local results, errors = client:map({ "a", "b" }, function(id)
      if id == "a" then
        return client.chatbots:get(id)
      end
      return id
    end)
    assert.equal("not_found", errors[1].kind)
    assert.equal("b", results[2])
  end)
end)

describe("closing", function()
  after_each(service.check)

  it("cancels what is under way", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "hang" })
    local err
    client:go(function()
      local _
      _, err = client.chatbots:list()
    end)
    client:step()
    client:close()
    assert.equal("cancelled", err.kind)
  end)

  it("in a task tells the others, whatever their order", function()
    local server = service.start()
    local client = service.client(server)
    server:fault({ kind = "hang", path = "embedding", times = 2 })
    local kinds = {}
    local function hang()
      local _, err = client.embedding_models:list()
      kinds[#kinds + 1] = err.kind
    end
    client:go(hang)
    client:go(function()
      assert(client.chatbots:list())
      client:close()
    end)
    client:go(hang)
    service.drive(client, server, function()
      return #kinds == 2
    end)
    assert.same({ "cancelled", "cancelled" }, kinds)
  end)

  -- name, what a function beside the one that closes waits for
  local others = {
    { "an answer", function(client)
      return client.embedding_models:list()
    end },
    { "a repetition", function(client)
      return client.reranker_models:list()
    end },
    { "something else", function()
      while true do
        coroutine.yield()
      end
    end },
  }

  for _, row in ipairs(others) do
    it("in a gather never looks complete: beside " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      server:fault({ kind = "hang", path = "embedding" })
      server:fault({ kind = "status", status = 503, path = "reranker",
        headers = { ["Retry-After"] = "10" } })
      local results, errors = client:gather({
        function()
          return row[2](client)
        end,
        function()
          assert(client.chatbots:list())
          assert(client.chatbots:list())
          client:close()
          return "closed"
        end,
      })
      assert.is_nil(results[1])
      assert.equal("closed", results[2])
      assert.equal("cancelled", errors[1].kind)
    end)
  end

  it("in a map tells every item that was not reached", function()
    local server = service.start()
    local client = service.client(server)
    local results, errors = client:map({ 1, 2, 3, 4 }, function(i)
      if i == 2 then
        assert(client.chatbots:list())
        client:close()
      end
      while i ~= 2 do
        coroutine.yield()
      end
      return i
    end, { concurrency = 2 })
    assert.same({ [2] = 2 }, results)
    for _, i in ipairs({ 1, 3, 4 }) do
      assert.equal("cancelled", errors[i].kind)
    end
  end)

  it("makes later calls fail as cancelled", function()
    local server = service.start()
    local client = service.client(server)
    local copy = client:with({ timeout = 5 })
    assert(client.chatbots:list())
    client:close()
    client:close()
    for _, closed in ipairs({ client, copy }) do
      local _, err = closed.chatbots:list()
      assert.equal("cancelled", err.kind)
      assert.truthy(err.message:find("closed", 1, true))
    end
  end)

  for _, row in ipairs({
    { "at the first request", "chatbots" },
    { "at a later one", "embedding_models" },
  }) do
    it("in on_event, " .. row[1] .. ", cancels that call", function()
      local server = service.start()
      local client
      client = service.client(server, { on_event = function(event)
        if event.path:find(row[2]:gsub("_", "-"), 1, true) then
          client:close()
        end
      end })
      local _, err = client.chatbots:list()
      if row[2] ~= "chatbots" then
        assert.is_nil(err)
        _, err = client[row[2]]:list()
      end
      assert.equal("cancelled", err.kind)
      assert.truthy(err.message:find("closed", 1, true))
    end)
  end

  for _, row in ipairs({
    { "that made no request", function() end },
    { "that is in a call", function(client)
      client.chatbots:list()
    end },
  }) do
    it("lets a task " .. row[1] .. " and yields by itself end", function()
      local server = service.start()
      local client = service.client(server)
      local task = client:go(function()
        row[2](client)
        for _ = 1, 3 do
          coroutine.yield()
        end
      end)
      client:close()
      for _ = 1, 5 do
        client:step()
      end
      assert.is_true(task:done())
      assert.is_false(client:step())
    end)
  end

  it("before any request needs no libcurl", function()
    local server = service.start()
    service.client(server):close()
  end)
end)

describe("an iterator left early", function()
  after_each(service.check)

  local function with_many(server)
    local client = service.client(server)
    local _, kb = service.knowledge_base(client)
    for i = 1, 30 do
      assert(client.knowledge_bases.labels:create(kb.id, { name = "l" .. i }))
    end
    return client, kb.id
  end

  it("leaves no request running", function()
    local server = service.start()
    local client, id = with_many(server)
    server:fault({ kind = "hang", path = "labels", after = 1,
      times = math.huge })
    local taken = 0
    for label in client.knowledge_bases.labels:each(id, { pageSize = 5 },
      { prefetch = 3 })
    do
      assert.truthy(label.id)
      taken = taken + 1
      if taken == 2 then
        break
      end
    end
    collectgarbage()
    collectgarbage()
    for _ = 1, 20 do
      client:step()
      server:step(0.005)
    end
    assert.is_false(client:step())
  end)

  it("can be closed by hand", function()
    local server = service.start()
    local client, id = with_many(server)
    local pager = client.knowledge_bases.labels:each(id, { pageSize = 5 })
    assert.truthy(pager:next())
    pager:close()
    assert.is_nil(pager:next())
  end)

  it("has its pages in flight while the caller works", function()
    local server = service.start()
    local client, id = with_many(server)
    server:fault({ kind = "delay", seconds = seconds(0.1), path = "labels",
      after = 1, times = math.huge })
    local started, count = now(), 0
    for _ in client.knowledge_bases.labels:each(id, { pageSize = 5 },
      { prefetch = 5 })
    do
      count = count + 1
    end
    assert.equal(30, count)
    local took = now() - started
    assert.is_true(took < seconds(0.35), tostring(took)) -- one by one: 0.5 s
  end)
end)

describe("the descriptor", function()
  after_each(service.check)

  it("is readable when step has something to do, and only then", function()
    local socket = require("socket")
    local server = service.start()
    local client = service.client(server)
    if not client:fd() then
      return -- no such descriptor on this platform
    end
    assert.equal(client:fd(), client:pollfd())
    assert.equal(client:fd(), client:getfd())
    assert.equal("r", client:events())
    assert.is_false(client:dirty())
    local done = false
    client:go(function()
      assert(client.chatbots:list())
      done = true
    end)
    local wakes = 0
    while not done do
      local ready = socket.select({ client }, nil, 0)
      if ready[client] then
        wakes = wakes + 1
        client:step()
      end
      server:step(0.001)
    end
    assert.is_true(wakes > 0 and wakes < 30, tostring(wakes))
    local idle = socket.select({ client }, nil, 0)
    assert.is_nil(idle[client])
  end)

  it("need not be looked at before the time that is told", function()
    local server = service.start()
    local client = service.client(server)
    assert.is_nil(client:timeout())
    server:fault({ kind = "status", status = 503,
      headers = { ["Retry-After"] = ("%.0f"):format(seconds(5)) } })
    local task = client:go(function()
      client.chatbots:list()
    end)
    service.drive(client, server, function()
      local left = client:timeout()
      return #server:log() == 1 and left and left > seconds(4)
        and left <= seconds(5)
    end)
    task:cancel()
    client:step()
    assert.is_nil(client:timeout())
  end)

  -- what only time makes ready: its name, the answer before it
  local delays = {
    { "a repetition", { kind = "status", status = 503,
      headers = { ["Retry-After"] = "0.1" } } },
    { "a time-out", { kind = "hang" } },
    { "a task that yields by itself" },
  }

  for _, row in ipairs(delays) do
    it("tells of " .. row[1], function()
      local socket = require("socket")
      local server = service.start()
      local client = service.client(server,
        { timeout = { idle = 0.2 }, max_retries = 1 })
      if row[2] then
        server:fault(row[2])
      end
      local ended = false
      client:go(function()
        coroutine.yield()
        client.chatbots:list()
        ended = true
      end)
      local deadline = now() + seconds(5)
      while not ended do
        assert.is_true(now() < deadline, "nobody told")
        if not client:fd() or socket.select({ client }, nil, 0)[client] then
          client:step()
        end
        server:step(0.001)
      end
    end)
  end
end)

describe("a page asked for ahead", function()
  after_each(service.check)

  it("does not time out while the caller is busy with others", function()
    local socket = require("socket")
    local server = service.start()
    local client = service.client(server,
      { timeout = { idle = seconds(0.2), total = seconds(0.4) },
        max_retries = 0 })
    local _, kb = service.knowledge_base(client)
    for i = 1, 3 do
      assert(client.knowledge_bases.labels:create(kb.id, { name = "l" .. i }))
    end
    local count = 0
    for _ in client.knowledge_bases.labels:each(kb.id, { pageSize = 1 },
      { prefetch = 1 })
    do
      count = count + 1
      server:step(0.01)
      socket.sleep(seconds(0.5))
    end
    assert.equal(3, count)
  end)
end)
