-- The library in the event loops of others: each example of one makes twenty
-- requests side by side while a clock of that loop ticks. Not among the specs
-- that `make test` runs, since it needs those loops; .ci/run has it on every
-- Lua.

local child = require("tests.support.child")
local read = require("tests.support.files").read
local socket = require("socket")
local testing = require("maiagent.testing")

local REQUESTS = 20 -- that each example makes
local DELAY = 0.2 -- seconds until the service answers
local ATTEMPTS = 3 -- of which one has to be in time: others use this machine

-- Debian has copas for 5.1 and 5.2 alone.
local OLD = _VERSION == "Lua 5.1" or _VERSION == "Lua 5.2"

local LOOPS = { "luv", "cqueues", "select", "luaevent" }
if OLD then
  LOOPS[#LOOPS + 1] = "copas"
end

-- A job of a shell ignores SIGINT unless there is job control. Says its process
-- id, and in the end its exit code: 137 where it had to be killed.
local INTERRUPTED = "set -m; %s >/dev/null 2>&1 & p=$!; echo $p; "
  .. "{ sleep 10; kill -KILL $p; } & k=$!; wait $p; echo $?; kill -- -$k"

-- How often a process went to sleep.
local function sleeps(pid)
  return read("/proc/" .. pid .. "/status")
    :match("\nvoluntary_ctxt_switches:%s*(%d+)")
end

-- Whatever wakes a loop, as a timer of libcurl, may let Ctrl-C through.
local function await_silence(pid)
  local deadline = socket.gettime() + 10
  local before
  repeat
    before = sleeps(pid)
    socket.sleep(0.4)
  until before == sleeps(pid) or socket.gettime() > deadline
end

local NEOVIM = "env MAIAGENT_API_KEY=%s MAIAGENT_BASE_URL=%s LUA_PATH=%s "
  .. "LUA_CPATH=%s nvim --headless -u NONE -i NONE "
  .. "-c 'luafile examples/loop_neovim.lua' -c MaiagentModels "
  .. "-c 'let g:ticks = 0' "
  .. "-c 'call timer_start(10, {-> execute(\"let g:ticks += 1\")}, "
  .. "{\"repeat\": -1})' -c 'sleep 1' "
  .. "-c 'echo \"ticks:\" g:ticks' -c qa"

describe("in the loop of", function()
  local server, environment

  setup(function()
    server = testing.spawn()
    server:fault({ kind = "delay", seconds = DELAY, times = math.huge })
    environment = {
      MAIAGENT_API_KEY = server.api_key,
      MAIAGENT_BASE_URL = server.base_url,
    }
  end)

  teardown(function()
    server:stop()
  end)

  -- What an example said of each request, seconds until the end, ticks
  -- meanwhile.
  local function run(name, variables)
    local code, output = child.run(child.root, child.command(variables,
      "tests/support/loop_clock.lua", { name, tostring(REQUESTS) }))
    assert.equal(0, code, output)
    local results, count = {}, 0
    for number, said in output:gmatch("(%d+)\t([^\n]*)\n") do
      results[tonumber(number)], count = said, count + 1
    end
    assert.equal(REQUESTS, count, output)
    local seconds, ticks = output:match("([%d.]+) s, (%d+) ticks$")
    return results, tonumber(seconds), tonumber(ticks)
  end

  for _, name in ipairs(LOOPS) do
    it(name .. ", requests run side by side and hold nobody up", function()
      local results, seconds, ticks, in_time
      for _ = 1, ATTEMPTS do
        results, seconds, ticks = run(name, environment)
        for number = 1, REQUESTS do
          assert.equal("2 embedding models", results[number])
        end
        in_time = seconds < 2 * DELAY and ticks > 0.7 * seconds / 0.01
        if in_time then
          break
        end
      end
      print(("%s, %s: %d requests of %g s in %.2f s, %d ticks of 10 ms")
        :format(rawget(_G, "jit") and "LuaJIT" or _VERSION, name, REQUESTS,
          DELAY, seconds, ticks))
      assert.is_true(in_time)
    end)
  end

  for _, name in ipairs(LOOPS) do
    it(name .. ", what is wrong is said", function()
      local results = run(name, {
        MAIAGENT_API_KEY = "wrong",
        MAIAGENT_BASE_URL = server.base_url,
      })
      for number = 1, REQUESTS do
        assert.truthy(results[number]:find("maiagent: authentication 401", 1,
          true), results[number])
      end
    end)
  end

  for _, name in ipairs(LOOPS) do
    it(name .. ", Ctrl-C ends what waits", function()
      local silent = testing.spawn()
      silent:fault({ kind = "hang", times = math.huge })
      local pipe = io.popen("bash -c " .. child.quoted(INTERRUPTED:format(
        child.command({
          MAIAGENT_API_KEY = silent.api_key,
          MAIAGENT_BASE_URL = silent.base_url,
        }, "examples/loop_" .. name .. ".lua"))) .. " 2>/dev/null")
      local pid, deadline = pipe:read("*l"), socket.gettime() + 10
      repeat
        socket.sleep(0.02)
      until #silent:log() == REQUESTS or socket.gettime() > deadline
      await_silence(pid)
      os.execute("kill -INT " .. pid)
      local interrupted = socket.gettime()
      local code = pipe:read("*l")
      local took = socket.gettime() - interrupted
      pipe:close()
      silent:stop()
      assert.are_not.equal("137", code)
      assert.is_true(took < 3, "took " .. took .. " s")
    end)
  end

  if rawget(_G, "jit") then -- which Neovim has
    it("Neovim, a command waits for nobody", function()
      local code, output = child.run(child.root, NEOVIM:format(server.api_key,
        server.base_url, child.quoted(package.path),
        child.quoted(package.cpath)))
      assert.equal(0, code, output)
      assert.truthy(output:find("text-embedding-3-large", 1, true), output)
      local ticks = tonumber(output:match("ticks: (%d+)"))
      assert.is_true(ticks > 50, output)
    end)
  end
end)
