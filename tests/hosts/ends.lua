-- Programs that end in the middle of requests, under valgrind: nothing leaks,
-- nothing is used after its end, whichever finaliser runs first. Not among the
-- specs that `make test` runs, since it needs valgrind; .ci/run has it.

local child = require("tests.support.child")
local testing = require("maiagent.testing")

-- A locale that is found by LOCPATH is a leak of p11-kit, which libcurl loads.
local VALGRIND = "env -u LOCPATH valgrind --quiet --trace-children=yes "
  .. "--error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite "

local ENDINGS = { "falls off its end", "drops all",
  "cancels and drops requests", "closes", "exits" }

describe("a program with requests in flight that", function()
  local server
  local wait_for = {}

  -- Side by side: each is seconds of work for one processor.
  setup(function()
    server = testing.spawn()
    server:fault({ kind = "hang", path = "chatbots", times = math.huge })
    for _, ending in ipairs(ENDINGS) do
      wait_for[ending] = child.start(child.root, VALGRIND .. child.command({
        MAIAGENT_API_KEY = server.api_key,
        MAIAGENT_BASE_URL = server.base_url,
      }, "tests/support/ends.lua", { ending }))
    end
  end)

  teardown(function()
    server:stop()
  end)

  for _, ending in ipairs(ENDINGS) do
    it(ending .. " leaves nothing", function()
      local code, output = wait_for[ending]()
      assert.equal(0, code, output)
      assert.equal(ending, output)
    end)
  end
end)

-- What the state loaded must not be unloaded under libcurl's thread.
if rawget(_G, "jit") then
  describe("a Lua state closed in the middle of a name lookup", function()
    it("leaves the process alone", function()
      local code, output = child.run(child.root, child.command({
        LD_PRELOAD = child.preload("slow_dns"),
        SLOW_DNS_MS = "1000",
      }, "tests/support/closed_state.lua"))
      assert.equal(0, code, output)
      assert.equal("goes on", output)
    end)
  end)
end
