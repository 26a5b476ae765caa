-- What is interrupted while it is being closed, as by a second Ctrl-C or where
-- memory ran out, is closed by the next step: nobody else has it any more, and
-- with a server that stays silent it would be under way for ever.

local core = require("maiagent.core")
local pace = require("tests.support.pace")
local service = require("tests.support.service")

local MOST_CLOSED = 6 -- tries at closing that are interrupted, in a row

local under_way = service.under_way

-- Some calls of a method of exchanges raise, from one on.
local function interrupt(name, first, times)
  local exchange = debug.getregistry()["maiagent.exchange"].__index
  local method, count = exchange[name], 0
  exchange[name] = function(self)
    count = count + 1
    if count < first or count >= first + times then
      return method(self)
    end
    error("interrupted")
  end
  return function()
    exchange[name] = method
    return count
  end
end

local function list(client)
  return function()
    return client.chatbots:list()
  end
end

local function with_labels(client)
  local kb = service.knowledge_base(client)
  for i = 1, 5 do
    assert(client.knowledge_bases.labels:create(kb, { name = "l" .. i }))
  end
  return kb
end

-- All but the first page of a list stay silent.
local function hang(server)
  for path, after in pairs({ ["/chatbots/"] = 0, ["/maiagent%-media/"] = 0,
    ["/labels/"] = 1 })
  do
    server:fault({ kind = "hang", path = path, after = after,
      times = math.huge })
  end
end

-- Whether anything is still under way after as many steps as can be needed.
local function steps_on(client)
  local still, count = true, 0
  while still and count <= MOST_CLOSED do
    local went, more = pcall(client.step, client)
    still, count = not went or more, count + 1
  end
  return still
end

-- One of which comes bit by bit: it waits for the program, not for the server.
local function sources()
  return { { content = "a", filename = "a.txt" },
    { filename = "b.txt", size = 2, reader = function() return "" end } }
end

describe("what is interrupted as it is closed", function()
  before_each(function()
    collectgarbage()
    collectgarbage("stop") -- it closes, too, but in its own time
  end)

  after_each(function()
    collectgarbage("restart")
    service.check()
  end)

  -- name, exchanges that are under way when the wait is interrupted, the call
  local rows = {
    { "a call", 1, function(client)
      client.chatbots:list()
    end },
    { "calls of a gather", 3, function(client)
      client:gather({ list(client), list(client), list(client) })
    end },
    { "calls of a gather within a gather", 3, function(client)
      client:gather({ list(client), function()
        return client:gather({ list(client), list(client) })
      end })
    end },
    { "calls of a map", 2, function(client)
      client:map({ 1, 2, 3 }, list(client), { concurrency = 2 })
    end },
    { "files of upload_all", 2, function(client, kb)
      client.knowledge_bases.files:upload_all(kb, sources())
    end },
    { "files of upload_all in a gather", 3, function(client, kb)
      client:gather({ list(client), function()
        return client.knowledge_bases.files:upload_all(kb, sources())
      end })
    end },
    { "pages asked for ahead", 3, function(client, kb)
      client.knowledge_bases.labels:all(kb, { pageSize = 1 }, { prefetch = 3 })
    end },
  }
  for _, row in ipairs(rows) do
    for times = 1, MOST_CLOSED do
      it("ends by the next step: " .. row[1] .. ", " .. times, function()
        local server = service.start()
        local waits = false
        local client = service.client(server, { wait = function(...)
          if waits and under_way() == row[2] then
            error("enough")
          end
          server.wait(...)
        end })
        local kb = with_labels(client)
        hang(server)
        waits = true
        local restore = interrupt("close", 1, times)
        local ok = pcall(row[3], client, kb)
        local still = steps_on(client)
        local tried = restore()
        assert.is_false(ok)
        assert.is_false(still)
        assert.is_true(tried >= row[2])
        assert.equal(0, under_way())
      end)
    end
  end
end)

describe("pages asked for ahead", function()
  after_each(service.check)

  it("are closed where a callback raises", function()
    local server = service.start()
    local asked = -math.huge
    local client = service.client(server, { on_event = function(event)
      if event.type == "request" and event.method == "GET" then
        asked = asked + 1
        if asked == 3 then
          error("enough", 0)
        end
      end
    end })
    local kb = with_labels(client)
    asked = 0
    server:fault({ kind = "hang", after = 1, times = math.huge })
    local labels = client.knowledge_bases.labels
    local ok, err = pcall(labels.all, labels, kb, { pageSize = 1 },
      { prefetch = 3 })
    assert.is_false(ok)
    assert.equal("enough", err)
    assert.equal(0, under_way())
  end)
end)

describe("a task", function()
  after_each(service.check)

  -- Which look at its answer is interrupted, from its first.
  for look = 1, 3 do
    it("is looked at again where look " .. look .. " was interrupted",
      function()
        local server = service.start()
        local client = service.client(server, { timeout = { idle = 60 } })
        local task = client:go(list(client))
        local restore = interrupt("done", look, 1)
        local deadline = core.now() + pace.seconds(10)
        while not task:done() and core.now() < deadline do
          pcall(client.step, client)
          server:step(0.002, client)
        end
        assert.is_true(restore() >= look)
        assert.is_true(task:done())
      end)
  end
end)
