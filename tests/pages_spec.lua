local core = require("maiagent.core")
local pages = require("maiagent.pages")

-- A service of scripted answers: query → page or error; `started` records
-- the queries in order, `cancelled` counts what was given up.
local function service(answer)
  local log = { started = {}, cancelled = 0, finished = 0 }
  local function start(query)
    log.started[#log.started + 1] = query
    local is_ahead = false
    return {
      begin = function()
        is_ahead = true
      end,
      result = function(arrived)
        log.finished = log.finished + 1
        if arrived then
          arrived()
        end
        return answer(query)
      end,
      close = function()
        assert.is_true(is_ahead)
        log.cancelled = log.cancelled + 1
      end,
    }
  end
  return start, log
end

local function pager_of(start, params, prefetch)
  return pages.pages(start, params, {
    prefetch = prefetch,
    give_up = function(ahead)
      ahead:close()
    end,
  })
end

local BASE = "https://api.example/api/things/"

-- `total` items in pages of `size`, as the service numbers them.
local function numbered(total, size, without_count)
  return function(query)
    local page = tonumber(query.page) or 1
    local results = {}
    for i = (page - 1) * size + 1, math.min(page * size, total) do
      results[#results + 1] = i
    end
    local more = page * size < total
    local query_text = "?page=" .. string.format("%d", page + 1)
    return {
      count = not without_count and total or nil,
      next = more and BASE .. query_text or nil,
      results = results,
    }
  end
end

local function drain(iterator)
  local list = {}
  for item in iterator do
    list[#list + 1] = item
  end
  return list
end

local function each(answer, params, options)
  local start, log = service(answer)
  local pager = pager_of(start, params, options and options.prefetch)
  return drain(pages.items(pager)), log
end

local function counted(n)
  local list = {}
  for i = 1, n do
    list[i] = i
  end
  return list
end

local function raised(answer, params)
  local ok, err = pcall(each, answer, params)
  assert.is_false(ok)
  return err
end

describe("pages", function()
  local totals = { 0, 1, 9, 10, 11, 95, 100 }
  for _, total in ipairs(totals) do
    it("gives each of " .. total .. " items once, in order", function()
      assert.same(counted(total), (each(numbered(total, 10))))
    end)
    it("… of " .. total .. " without a count", function()
      assert.same(counted(total), (each(numbered(total, 10, true))))
    end)
    for _, prefetch in ipairs({ 1, 3, 20 }) do
      it("… of " .. total .. ", prefetch " .. prefetch, function()
        local list, log =
          each(numbered(total, 10), nil, { prefetch = prefetch })
        assert.same(counted(total), list)
        assert.equal(#log.started, log.finished + log.cancelled)
      end)
    end
  end

  it("asks for no page that isn't there", function()
    local _, log = each(numbered(100, 10), nil, { prefetch = 20 })
    assert.equal(10, #log.started)
    assert.equal(0, log.cancelled)
  end)

  it("carries params to every page, and keeps the service's own", function()
    local _, log = each(numbered(25, 10), { pageSize = 10, query = "a b" })
    for i, query in ipairs(log.started) do
      assert.equal(10, query.pageSize)
      assert.equal("a b", query.query)
      assert.equal(i > 1 and tostring(i) or nil, query.page)
    end
  end)

  it("does not write into the caller's params", function()
    local params = { pageSize = 10 }
    each(numbered(25, 10), params)
    assert.same({ pageSize = 10 }, params)
  end)

  it("takes a repeated name of any type", function()
    for _, list in ipairs({ { true, false }, { 1, 2.5 }, { "a", true } }) do
      local _, log = each(numbered(15, 10), { x = list })
      assert.same(list, log.started[2].x)
    end
  end)

  it("keeps params as they were given, whatever the caller does", function()
    local params = { status = { "done" }, pageSize = 10 }
    local start, log = service(numbered(25, 10))
    local pager = pages.pages(start, params)
    assert(pager:next())
    params.pageSize, params.page, params.status[1] = 1, 9, "failed"
    drain(pager)
    assert.equal(3, #log.started)
    assert.equal(10, log.started[3].pageSize)
    assert.same({ "done" }, log.started[3].status)
  end)

  it("begins where params say", function()
    local list = each(numbered(30, 10), { page = 3 })
    assert.same({ 21, 22, 23, 24, 25, 26, 27, 28, 29, 30 }, list)
  end)

  it("takes a bare array for the only page", function()
    assert.same({ 1, 2, 3 }, (each(function()
      return { 1, 2, 3 }
    end)))
    assert.same({}, (each(function()
      return core.array({})
    end)))
  end)

  it("follows cursors", function()
    local answers = {
      [""] = { next = BASE .. "?cursor=b%2B%3D", results = { 1 } },
      ["b+="] = { next = BASE .. "?cursor=c", results = { 2 } },
      ["c"] = { next = "", results = { 3 } },
    }
    assert.same({ 1, 2, 3 }, (each(function(query)
      return answers[query.cursor or ""]
    end)))
  end)

  it("goes on past an empty page with a next", function()
    local answers = {
      { next = BASE .. "?page=2", results = { 1 } },
      { next = BASE .. "?page=3", results = {} },
      { results = { 2 } },
    }
    assert.same({ 1, 2 }, (each(function(query)
      return answers[tonumber(query.page or 1)]
    end)))
  end)

  it("uses only the query of a next on another host", function()
    local _, log = each(function(query)
      local last = query.page == "2"
      return {
        next = not last and "http://evil.example/steal/?page=2" or nil,
        results = { 1 },
      }
    end)
    assert.same({ { }, { page = "2" } }, log.started)
  end)

  local loops = {
    { "a next that names its own page", function()
      return { next = BASE .. "?cursor=a", results = { 1 } }
    end },
    { "a next that goes back to the start", function()
      return { next = BASE, results = { 1 } }
    end },
    { "a circle of three", function(query)
      local after = { a = "b", b = "c", c = "a" }
      local cursor = after[query.cursor or "c"]
      return { next = BASE .. "?cursor=" .. cursor, results = { 1 } }
    end },
    { "page numbers that go back", function(query)
      local page = query.page == "2" and "1" or "2"
      return { next = BASE .. "?page=" .. page, results = { 1 } }
    end },
  }

  for _, row in ipairs(loops) do
    it("calls a loop a loop: " .. row[1], function()
      local err = raised(row[2])
      assert.equal("decode", err.kind)
      assert.truthy(err.message:find("loop", 1, true))
    end)
  end

  it("tells of which list, and repeats no URL of the service's", function()
    local start = service(function()
      return { next = BASE .. "?page=secret", results = { 1 } }
    end)
    local pager = pages.pages(start, nil, { path = "/api/items/" })
    local _, err = pcall(drain, pager)
    assert.equal("maiagent: decode: the service's pages loop: `next` came back "
      .. "to a page already read (GET /api/items/)", tostring(err))
  end)

  it("gives up on empty pages without end", function()
    local err = raised(function(query)
      local page = (tonumber(query.page) or 1) + 1
      return { next = BASE .. "?page=" .. page, results = {} }
    end)
    assert.equal("decode", err.kind)
  end)

  local wrong = {
    { "an object without results", { detail = "x" } },
    { "an empty object", {} },
    { "results that are no list", { results = "x" } },
    { "results that are an object", { results = { a = 1 } } },
    { "results that are null", { results = core.null } },
    { "null", core.null },
    { "a number", 5 },
    { "a text", "x" },
    { "a next that is a number", { results = {}, next = 5 } },
  }

  for _, row in ipairs(wrong) do
    it("refuses " .. row[1], function()
      assert.equal("decode", raised(function()
        return row[2]
      end).kind)
    end)
  end

  it("raises the service's error, never ends early in silence", function()
    local failure = { kind = "server" }
    local got = {}
    local start = service(function(query)
      if query.page then
        return nil, failure
      end
      return { next = BASE .. "?page=2", results = { 1, 2 } }
    end)
    local items = pages.items(pages.pages(start))
    local ok, err = pcall(function()
      for item in items do
        got[#got + 1] = item
      end
    end)
    assert.is_false(ok)
    assert.equal(failure, err)
    assert.same({ 1, 2 }, got)
    assert.is_nil(items:next())
  end)

  it("raises the service's error out of a loop over pages, too", function()
    local failure = { kind = "server" }
    local count = 0
    local ok, err = pcall(function()
      for _ in pages.pages(service(function(query)
        if query.page then
          return nil, failure
        end
        return { next = BASE .. "?page=2", results = { 1, 2 } }
      end)) do
        count = count + 1
      end
    end)
    assert.is_false(ok)
    assert.equal(failure, err)
    assert.equal(1, count)
  end)

  it("drops wrong guesses where next skips a page", function()
    local skipping = {
      [1] = { count = 30, next = BASE .. "?page=2", results = counted(10) },
      [2] = { count = 30, next = BASE .. "?page=5", results = { 11 } },
      [3] = { results = { "wrong" } },
      [5] = { results = { 12 } },
    }
    local list, log = each(function(query)
      return skipping[tonumber(query.page or 1)]
    end, nil, { prefetch = 2 })
    assert.same(counted(12), list)
    assert.equal(3, log.cancelled) -- page 3; at the end 6 and 7
  end)

  it("leaves nothing in flight after the last page", function()
    local _, log = each(function(query)
      local page = tonumber(query.page or 1)
      return { count = 60, results = counted(10),
        next = page < 3 and BASE .. "?page=" .. page + 1 or nil }
    end, nil, { prefetch = 3 })
    assert.equal(#log.started, log.finished + log.cancelled)
  end)

  for _, number in ipairs({ "1.5", "-1e300", "1e300", "-1e999", "1e999",
    "0x1p-1", "9007199254740992" })
  do
    it("does not count on from a page " .. number, function()
      local list, log = each(function(query)
        if query.page then
          return { count = 9, results = { 3 } }
        end
        return { count = 9, results = { 1, 2 }, next = "?page=" .. number }
      end, nil, { prefetch = 4 })
      assert.same({ 1, 2, 3 }, list)
      assert.equal(2, #log.started)
    end)
  end

  it("takes the place of a page that arrived before it is decoded", function()
    local numbers, last_asked, asked = numbered(60, 10), {}, nil
    local start, log = service(function(query)
      last_asked[#last_asked + 1] = asked[#asked].page or "1"
      return numbers(query)
    end)
    asked = log.started
    local pager = pager_of(start, nil, 2)
    assert.equal(6, #drain(pager))
    assert.same({ "1", "4", "5", "6", "6", "6" }, last_asked)
  end)

  -- One less than the least integer, for page 1, is the largest.
  local LEAST = math.mininteger or -2 ^ 53
  for _, count in ipairs({ LEAST, 1e300, -3, 0.5 }) do
    it("asks for no more than prefetch where count is " .. count, function()
      local answer = numbered(3, 1)
      local list, log = each(function(query)
        local page = answer(query)
        page.count = count
        return page
      end, { page = 0 }, { prefetch = 2 })
      assert.same({ 0, 1, 2, 3 }, list)
      assert.is_true(#log.started <= 4 + 2)
    end)
  end

  it("keeps prefetch further pages in flight, no more", function()
    local start, log = service(numbered(100, 10))
    local pager = pager_of(start, nil, 3)
    pager:next()
    assert.equal(4, #log.started)
    pager:next()
    assert.equal(5, #log.started)
    pager:close()
    assert.equal(3, log.cancelled)
    assert.is_nil(pager:next())
  end)

  it("remembers nothing of pages that are numbered upwards", function()
    local start = service(numbered(5000, 10))
    local pager = pages.pages(start)
    for _ = 1, 500 do
      pager:next()
    end
    local remembered = 0
    for _ in pairs(pager.seen) do
      remembered = remembered + 1
    end
    assert.equal(1, remembered)
  end)
end)

describe("pages.query_of", function()
  local rows = {
    { "https://a/b?x=1&y=2", { x = "1", y = "2" } },
    { "https://a/b", {} },
    { "https://a/b?", {} },
    { "https://a/b?x", { x = "" } },
    { "https://a/b?x=a+b%20c", { x = "a b c" } },
    { "https://a/b?x=%E4%B8%AD", { x = "中" } },
    { "https://a/b?x=1&x=2&x=3", { x = { "1", "2", "3" } } },
    { "https://a/b?x=a=b", { x = "a=b" } },
    { "https://a/b?x=1#y=2", { x = "1" } },
    { "https://a/b#c?x=1", {} },
    { "?page=2", { page = "2" } },
  }

  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.same(row[2], pages.query_of(row[1]))
    end)
  end
end)
