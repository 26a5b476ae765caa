local unpack = table.unpack or unpack -- luacheck: ignore
local protect = require("maiagent.protect")

-- name, function, arguments, what `call` gives
local OBJECT = {}
local ROWS = {
  { "values", function(...) return ... end, { 1, nil, 3 },
    { true, 1, nil, 3 } },
  { "no values", function() end, {}, { true } },
  { "an error's text", function() error("stop", 0) end, {}, { false, "stop" } },
  { "an error's object", function() error(OBJECT) end, {}, { false, OBJECT } },
  { "an error that is nil", function() error(nil) end, {}, { false, nil } },
  { "a function of C", string.rep, { "x", 3 }, { true, "xxx" } },
}

local function in_coroutine(fn, ...)
  return coroutine.wrap(fn)(...)
end

for _, name in ipairs({ "call", "call_here" }) do
  describe("protect." .. name, function()
    for _, row in ipairs(ROWS) do
      it("gives " .. row[1], function()
        local given = { protect[name](row[2], unpack(row[3], 1, 3)) }
        for i = 1, 4 do
          assert.equal(row[4][i], given[i])
        end
      end)
    end

    it("lets the function yield, and takes what it is resumed with",
      function()
        local thread = coroutine.create(function(...)
          return protect[name](function(a)
            local b = coroutine.yield(a + 1)
            local c, d = coroutine.yield(b + 1)
            return c, d
          end, ...)
        end)
        assert.same({ true, 2 }, { coroutine.resume(thread, 1) })
        assert.same({ true, 11 }, { coroutine.resume(thread, 10) })
        assert.same({ true, true, 5, 6 }, { coroutine.resume(thread, 5, 6) })
        assert.equal("dead", coroutine.status(thread))
      end)
  end)
end

describe("protect.call in a coroutine", function()
  for _, row in ipairs(ROWS) do
    it("gives " .. row[1], function()
      local given = { in_coroutine(protect.call, row[2],
        unpack(row[3], 1, 3)) }
      for i = 1, 4 do
        assert.equal(row[4][i], given[i])
      end
    end)
  end

  it("catches what is raised after a yield", function()
    local thread = coroutine.wrap(function()
      return protect.call(function()
        coroutine.yield("waits")
        error(OBJECT)
      end)
    end)
    assert.equal("waits", thread())
    local ok, err = thread()
    assert.is_false(ok)
    assert.equal(OBJECT, err)
  end)
end)

describe("protect.call_here", function()
  it("runs the function in the coroutine that calls it", function()
    coroutine.wrap(function()
      local here = coroutine.running()
      local ok, there = protect.call_here(coroutine.running)
      assert.is_true(ok)
      assert.equal(here, there)
    end)()
  end)
end)
