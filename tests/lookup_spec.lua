local child = require("tests.support.child")
local core = require("maiagent.core")

local LOOKUP = 3 -- seconds
local AT_ONCE = LOOKUP / 3 -- seconds, for a machine that is busy with others


describe("during a name lookup", function()
  -- what ends the call, the kind of its error
  local rows = {
    { "cancel", "cancelled" },
    { "close", "cancelled" },
    { "collect", "nothing" },
    { "exit", "nothing" },
  }

  for _, row in ipairs(rows) do
    it(row[1] .. " waits for nobody", function()
      local started = core.now()
      local code, output = child.run(child.root, child.command({
        LD_PRELOAD = child.preload("slow_dns"),
        SLOW_DNS_MS = tostring(LOOKUP * 1000),
      }, "tests/support/slow_lookup.lua", { row[1] }))
      local took = core.now() - started
      assert.equal(0, code, output)
      local kind, ms = output:match("^(%a+) after (%d+) ms$")
      assert.equal(row[2], kind, output)
      assert.is_true(tonumber(ms) < AT_ONCE * 1000, output)
      assert.is_true(took < LOOKUP, "the process took " .. took .. " s")
    end)
  end
end)
