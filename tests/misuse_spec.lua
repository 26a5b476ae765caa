local misuse = require("maiagent.misuse")
local service = require("tests.support.service")

local IS_LUAJIT = rawget(_G, "jit") ~= nil
-- What LuaJIT can tell is less: that the name it was called by is another.
local NEAR = IS_LUAJIT and "near " or "in a tail call near "

local function line()
  return debug.getinfo(2, "l").currentline
end

describe("the line of a mistake", function()
  local client, bots, where

  setup(function()
    client = service.client(service.start())
    bots = client.chatbots
  end)

  teardown(service.check)

  local function place(prefix)
    return prefix .. debug.getinfo(1, "S").short_src .. ":" .. where .. ": "
  end

  -- Functions of the program, seen from the lines that call them.
  local function by_tail_call()
    return bots:get(nil)
  end

  local function by_two_tail_calls()
    return by_tail_call()
  end

  local function by_call()
    where = line() + 1
    local bot = bots:get(nil)
    return bot
  end

  local function here()
    where = line() + 1
    local bot = by_call()
    return bot
  end

  -- what is done, what stands before "chatbots.get: id expected"
  local rows = {
    { "a call", by_call, "" },
    { "a call below another", here, "" },
    { "a tail call", function()
      where = line() + 1
      local bot = by_tail_call()
      return bot
    end, NEAR },
    { "two tail calls", function()
      where = line() + 1
      local bot = by_two_tail_calls()
      return bot
    end, NEAR },
    { "a call in a coroutine", function()
      local _, message = coroutine.resume(coroutine.create(function()
        where = line() + 1
        local bot = bots:get(nil)
        return bot
      end))
      error(message, 0)
    end, "" },
    { "a call in gather", function()
      client:gather({ function()
        where = line() + 1
        local bot = bots:get(nil)
        return bot
      end })
    end, "" },
    { "a tail call in gather", function()
      where = line() + 1
      client:gather({ function() return bots:get(nil) end })
    end, "in the function of " },
    { "a tail call in map", function()
      where = line() + 1
      client:map({ 1, 2 }, function() return bots:get(nil) end)
    end, "in the function of " },
    { "a tail call in a task", function()
      where = line() + 1
      client:go(function() return bots:get(nil) end)
      while client:step() do end
    end, "in the function of " },
    { "a function called by pcall", function()
      where = line() + 1
      local _, message = pcall(bots.get, bots)
      error(message, 0)
    end, "" },
  }

  for _, row in ipairs(rows) do
    it("is told of " .. row[1], function()
      local ok, message = pcall(function()
        local result = row[2]()
        return result
      end)
      assert.is_false(ok)
      assert.equal(place(row[3]) .. "chatbots.get: id expected, got nil",
        message)
    end)
  end

  it("is left out where there is none", function()
    local thread = coroutine.wrap(function() return bots:get(nil) end)
    local _, message = pcall(thread)
    assert.equal("chatbots.get: id expected, got nil", message)
  end)

  it("is told of a client's own methods", function()
    local function wrong()
      return client:request("FETCH", "chatbots/")
    end
    local _, message = pcall(function()
      where = line() + 1
      local bots_found = wrong()
      return bots_found
    end)
    assert.equal(place(NEAR) .. "client:request: method must be GET, POST, "
      .. "PUT, PATCH or DELETE, got FETCH", message)
  end)
end)

describe("misuse.misspelt", function()
  local known = { page = 1, pageSize = 1, status = 1, query = 1, fileType = 1 }
  local rows = {
    { "Status", "status" }, { "STATUS", "status" }, { "stauts", "status" },
    { "statuses", "status" }, { "page_size", "pageSize" },
    { "page-size", "pageSize" }, { "pagesize", "pageSize" },
    { "PageSize", "pageSize" }, { "pag", "page" }, { "pages", "page" },
    { "qery", "query" }, { "file_type", "fileType" },
    { "name", nil }, { "type", nil }, { "size", nil }, { "ordering", nil },
    { "search", nil }, { "limit", nil }, { "q", nil }, { "", nil },
    { "kind", nil }, { "createdAt", nil },
  }

  for _, row in ipairs(rows) do
    it("'" .. row[1] .. "' is " .. tostring(row[2]), function()
      assert.equal(row[2], misuse.misspelt(row[1], known))
    end)
  end
end)

describe("misuse.shown", function()
  local rows = {
    { "5", '"5" (a string)' }, { "a\nb", '"a\\nb" (a string)' },
    { 5, "5" }, { true, "true" }, { nil, "nil" }, { print, "function" },
    { {}, "table" }, { 0 / 0, "NaN" }, { -(0 / 0), "NaN" },
    { ("x"):rep(81), '"' .. ("x"):rep(80) .. '"… (a string)' },
  }

  for i = 1, 10 do
    it(tostring(rows[i][2]), function()
      assert.equal(rows[i][2], misuse.shown(rows[i][1]))
    end)
  end
end)
