local core = require("maiagent.core")
local errors = require("maiagent.errors")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local service = require("tests.support.service")

local now = core.now

local has_close = _VERSION == "Lua 5.4"

local function asked(client, server, count)
  service.drive(client, server, function()
    return #server:log() == count
  end)
end

-- Drops what the program dropped, then looks what is still on its way.
local function exchanges_alive()
  collectgarbage()
  collectgarbage()
  return service.under_way()
end

describe("a function that is C's", function()
  after_each(service.check)

  it("may be a task, and side by side with others", function()
    local client = service.client(service.start())
    assert.is_true(client:go(math.abs, -1):done())
    assert.same({ 1, 2 }, (client:map({ -1, -2 }, math.abs)))
    assert.is_number((client:gather({ os.time }))[1])
    client:go(error, "mine")
    assert.has_error(function() client:step() end, "mine")
  end)
end)

describe("task:cancel", function()
  after_each(service.check)

  -- where a task can be when it is cancelled, and what it does there
  local places = {
    { "in a call", function(client)
      return client.embedding_models:list()
    end },
    { "in a repetition", function(client)
      return client.reranker_models:list()
    end },
    { "beside a page asked for ahead", function(client)
      local pager = client.chatbots:pages({ pageSize = 1 }, { prefetch = 2 })
      assert(pager:take())
      client.embedding_models:list()
      local page, err = pager:take()
      pager:close()
      return page, err
    end },
    { "in a gather", function(client)
      local _, failed = client:gather({ function()
        return client.embedding_models:list()
      end })
      return nil, failed[1]
    end },
    { "in a gather within a gather", function(client)
      local results = client:gather({ function()
        return select(2, client:gather({ function()
          return client.embedding_models:list()
        end }))
      end })
      return nil, results[1][1]
    end },
    { "in a map, not reached", function(client)
      local _, failed = client:map({ 1, 2, 3 }, function()
        return client.embedding_models:list()
      end, { concurrency = 1 })
      return nil, failed[3]
    end },
    { "beside what never ends", function(client)
      local _, failed = client:gather({ function()
        while true do
          coroutine.yield()
        end
      end })
      return nil, failed[1]
    end },
  }

  for _, place in ipairs(places) do
    it("ends the call " .. place[1], function()
      local server = service.start()
      server:fault({ kind = "hang", path = "embedding", times = math.huge })
      server:fault({ kind = "hang", path = "chatbots", after = 1,
        times = math.huge }) -- either page may be asked for first
      server:fault({ kind = "status", status = 503, path = "reranker",
        headers = { ["Retry-After"] = "10" }, times = math.huge })
      server:fault({ kind = "status", status = 200, path = "chatbots",
        json = { count = 9, next = server.base_url .. "/?page=2",
          results = { { id = "a" } } } })
      local client = service.client(server)
      local value, err
      local task = client:go(function()
        value, err = place[2](client)
      end)
      for _ = 1, 10 do
        client:step()
        server:step(0.005, client)
      end
      assert.is_false(task:done())
      local started = now()
      task:cancel()
      assert.is_true(task:done())
      assert.is_true(now() - started < pace.seconds(1))
      assert.is_nil(value)
      assert.equal("cancelled", err.kind)
      assert.truthy(err.message:find("the task was cancelled", 1, true))
      client:step()
      assert.is_false(client:step())
      assert.equal(0, exchanges_alive())
    end)
  end

  it("leaves the other tasks and the client alone", function()
    local server = service.start()
    server:fault({ kind = "hang", path = "embedding" })
    local client = service.client(server)
    local other
    local task = client:go(function()
      client.embedding_models:list()
    end)
    client:go(function()
      other = client.reranker_models:list()
    end)
    asked(client, server, 2)
    task:cancel()
    service.drive(client, server, function()
      return other
    end)
    assert(client.embedding_models:list())
  end)

  it("ends every call that follows", function()
    local server = service.start()
    server:fault({ kind = "hang" })
    local client = service.client(server)
    local kinds = {}
    local task = client:go(function()
      for i = 1, 3 do
        kinds[i] = select(2, client.chatbots:list()).kind
      end
      local results, failed = client:gather({ function()
        return client.chatbots:list()
      end })
      kinds[4] = results[1] or failed[1].kind
    end)
    asked(client, server, 1)
    task:cancel()
    assert.same({ "cancelled", "cancelled", "cancelled", "cancelled" }, kinds)
    server:step(0.01)
    assert.equal(1, #server:log())
  end)

  -- A loop that asks and asks has no other end than the cancellation.
  for _, row in ipairs({
    { "task:cancel", function(_, task)
      task:cancel()
    end },
    { "client:close", function(client)
      client:close()
    end },
  }) do
    for _, within in ipairs({ "itself", "a gather" }) do
      it("(" .. row[1] .. ") ends a task that looks at no error, in " .. within,
        function()
          local server = service.start()
          server:fault({ kind = "hang", times = math.huge })
          local client = service.client(server)
          local calls = 0
          local function ask_and_ask()
            while true do
              calls = calls + 1
              assert(calls < 5000, "it never ends")
              client.chatbots:list()
            end
          end
          local task = client:go(function()
            if within == "itself" then
              ask_and_ask()
            end
            client:gather({ ask_and_ask })
          end)
          client:step()
          row[2](client, task)
          assert.is_true(task:done())
          assert.is_false(client:step())
        end)
    end
  end

  it("from inside the task works at its next call", function()
    local server = service.start()
    local client = service.client(server)
    local task, err
    task = client:go(function()
      assert(client.chatbots:list())
      task:cancel()
      assert.is_false(task:done())
      err = select(2, client.chatbots:list())
    end)
    service.drive(client, server, function()
      return task:done()
    end)
    assert.equal("cancelled", err.kind)
    assert.equal(1, #server:log())
  end)

  it("may be called by another task", function()
    local server = service.start()
    server:fault({ kind = "hang", path = "embedding" })
    local client = service.client(server)
    local err
    local task = client:go(function()
      err = select(2, client.embedding_models:list())
    end)
    client:go(function()
      assert(client.reranker_models:list())
      task:cancel()
    end)
    service.drive(client, server, function()
      return task:done()
    end)
    assert.equal("cancelled", err.kind)
    client:step()
    assert.is_false(client:step())
  end)

  it("does nothing to a task that has ended, nor twice", function()
    local server = service.start()
    local client = service.client(server)
    local ends = 0
    local task = client:go(function()
      ends = ends + (client.chatbots:list() and 1 or 10)
    end)
    service.drive(client, server, function()
      return task:done()
    end)
    task:cancel()
    task:cancel()
    assert.is_true(task:done())
    assert.equal(1, ends)
  end)

  it("is no error of the task that asserts its answers", function()
    local server = service.start()
    server:fault({ kind = "hang", times = math.huge })
    local client = service.client(server)
    local function ask()
      maiagent.assert(client.chatbots:list())
    end
    local task = client:go(ask)
    client:go(ask)
    task:cancel()
    assert.is_true(client:step())
    client:close() -- the second one is expected as well
  end)

  it("raises other errors of the task out of step", function()
    local server = service.start()
    local client = service.client(server)
    local task = client:go(function()
      client.chatbots:list()
      error("mine", 0)
    end)
    task:cancel()
    local ok, message = pcall(client.step, client)
    assert.is_false(ok)
    assert.equal("mine", message)
  end)

  it("lets a task that yields by itself go on to its end", function()
    local server = service.start()
    local client = service.client(server)
    local turns = 0
    local task = client:go(function()
      for _ = 1, 3 do
        coroutine.yield()
        turns = turns + 1
      end
    end)
    task:cancel()
    assert.equal(1, turns)
    client:step()
    assert.is_false(task:done())
    client:step()
    assert.is_true(task:done())
  end)

  it("is told to who watches the descriptor", function()
    local socket = require("socket")
    local server = service.start()
    server:fault({ kind = "hang" })
    local client = service.client(server)
    if not client:fd() then
      return -- no such descriptor on this platform
    end
    local task = client:go(function()
      client.chatbots:list()
    end)
    asked(client, server, 1)
    assert.is_nil(socket.select({ client }, nil, 0)[client])
    task:cancel()
    assert.truthy(socket.select({ client }, nil, 5)[client])
    assert.is_false(client:step())
    assert.is_nil(socket.select({ client }, nil, 0.01)[client])
  end)

  it("says how to call it, and what the task is", function()
    local server = service.start()
    server:fault({ kind = "hang" })
    local client = service.client(server)
    local inside, task
    task = client:go(function()
      client.chatbots:list()
      inside = tostring(task)
      coroutine.yield()
    end)
    assert.equal("maiagent.task (waiting)", tostring(task))
    task:cancel()
    assert.equal("maiagent.task (cancelled)", inside)
    client:step()
    assert.equal("maiagent.task (done)", tostring(task))
    for _, name in ipairs({ "cancel", "done" }) do
      local ok, message = pcall(task[name])
      assert.is_false(ok)
      assert.truthy(message:find("write task:" .. name .. "()", 1, true))
    end
  end)

  if has_close then
    it("happens where a <close> variable ends", function()
      local server = service.start()
      server:fault({ kind = "hang", times = 2 })
      local make = load([[
        local client, errors = ...
        do
          local task <close> = client:go(function()
            errors[1] = select(2, client.chatbots:list())
          end)
        end
        do
          local client <close> = client
          client:go(function()
            errors[2] = select(2, client.chatbots:list())
          end)
        end
      ]])
      local found = {}
      make(service.client(server), found)
      assert.equal("cancelled", found[1].kind)
      assert.equal("cancelled", found[2].kind)
      assert.truthy(found[2].message:find("the client was closed", 1, true))
    end)
  end
end)

describe("a coroutine dropped in the middle of a call", function()
  after_each(service.check)

  it("leaves no transfer behind", function()
    local server = service.start()
    server:fault({ kind = "hang", times = math.huge })
    local client = service.client(server, { wait = function()
      coroutine.yield()
    end })
    local main = coroutine.wrap(function()
      client.chatbots:list()
    end)
    main()
    for _ = 1, 20 do
      client:step()
      server:step(0.005)
    end
    assert.equal(1, server:connections())
    assert.equal(1, exchanges_alive())
    main = nil -- luacheck: ignore 311
    assert.equal(0, exchanges_alive())
    assert.is_false(client:step())
  end)

  it("leaves none with its whole client either", function()
    local server = service.start()
    server:fault({ kind = "hang", times = math.huge })
    local client = maiagent.new({ api_key = "test-key",
      base_url = server.base_url })
    client:go(function()
      client.chatbots:list()
    end)
    assert.equal(1, exchanges_alive())
    client = nil -- luacheck: ignore 311
    assert.equal(0, exchanges_alive())
    assert.equal(0, (require("maiagent.http").live()))
  end)
end)

describe("client:step with a budget", function()
  after_each(service.check)

  local function spin(seconds)
    local deadline = now() + seconds
    repeat until now() >= deadline
  end

  it("leaves the rest for the next steps, fairly", function()
    local server = service.start()
    local client = service.client(server)
    local turns = {}
    for i = 1, 10 do
      turns[i] = -1 -- the first turn is go's own
      client:go(function()
        while turns[i] < 4 do
          turns[i] = turns[i] + 1
          spin(turns[i] > 0 and 0.002 or 0)
          coroutine.yield()
        end
      end)
    end
    local steps = 0
    while client:step({ max_ms = 5 }) do
      steps = steps + 1
      local least, most = math.huge, 0
      for _, count in ipairs(turns) do
        least, most = math.min(least, count), math.max(most, count)
      end
      assert.is_true(most - least <= 1, "unfair")
    end
    assert.is_true(steps >= 14, steps .. " steps") -- 40 turns, 3 to a step
  end)

  it("serves at least one task, however small it is", function()
    local server = service.start()
    local client = service.client(server)
    local turns = 0
    for _ = 1, 3 do
      client:go(function()
        for _ = 1, 2 do
          coroutine.yield()
          turns = turns + 1
        end
      end)
    end
    for i = 1, 6 do
      assert.equal(i < 6, client:step({ max_ms = 0 }))
      assert.equal(i, turns)
    end
  end)

  it("counts the functions of a map like tasks", function()
    local server = service.start()
    local client = service.client(server)
    local list, done, most = {}, 0, 0
    for i = 1, 20 do
      list[i] = i
    end
    client:go(function()
      client:map(list, function()
        coroutine.yield()
        spin(0.002)
        done = done + 1
      end, { concurrency = 20 })
    end)
    while client:step({ max_ms = 3 }) do
      most = math.max(most, done)
      done = 0
    end
    assert.is_true(most > 0 and most <= 3, most .. " at a time")
  end)

  it("moves requests on as well as an ordinary one", function()
    local server = service.start()
    local client = service.client(server)
    local answers = 0
    for _ = 1, 20 do
      client:go(function()
        assert(client.chatbots:list())
        answers = answers + 1
      end)
    end
    local deadline = now() + pace.seconds(10)
    while answers < 20 and now() < deadline do
      client:step({ max_ms = 0 })
      server:step(0.001, client)
    end
    assert.equal(20, answers)
  end)

  it("refuses what is no budget", function()
    local client = service.client(service.start())
    for _, options in ipairs({ { max_ms = -1 }, { max_s = 1 }, 2 }) do
      local ok, message = pcall(client.step, client, options)
      assert.is_false(ok)
      assert.truthy(tostring(message):find("client:step", 1, true))
      assert.is_false(errors.is(message))
    end
  end)
end)
