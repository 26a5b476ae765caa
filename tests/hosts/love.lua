-- examples/love in a real LÖVE, without a window and in one of Xvfb. Not among
-- the specs that `make test` runs, since it needs both; .ci/run has it, with
-- LuaJIT, whose modules LÖVE loads.

local child = require("tests.support.child")
local core = require("maiagent.core")
local socket = require("socket")

local ATTEMPTS = 3 -- of which one has to be in time: others use this machine

local function environment(values)
  values.LOVE_EXAMPLE = child.root .. "/examples/love"
  values.LUA_PATH, values.LUA_CPATH = package.path, package.cpath
  local words = { "env -u MAIAGENT_API_KEY" }
  for name, value in pairs(values) do
    words[#words + 1] = name .. "=" .. child.quoted(value)
  end
  return table.concat(words, " ")
end

-- What the example says at the end of a scene.
local function play(values, before)
  local code, output = child.run(child.root, environment(values) .. " "
    .. (before or "") .. " timeout 30 love tests/support/love")
  assert.equal(0, code, output)
  return output
end

local function figures(output)
  local rate, late, longest = output:match("([%d.]+) per second, (%d+) late, "
    .. "longest step ([%d.]+) ms")
  return tonumber(rate), tonumber(late), tonumber(longest)
end

describe("LÖVE", function()
  it("shows an answer and keeps its frames meanwhile", function()
    local output, good
    for _ = 1, ATTEMPTS do
      output = play({ LOVE_SCENE = "answer" })
      assert.truthy(output:find("answered: Hold the small button", 1, true),
        output)
      local rate, late, longest = figures(output)
      good = rate > 55 and late <= 2 and longest < 8
      if good then
        break
      end
    end
    print((output:gsub("^.*\n", "")))
    assert.is_true(good, output)
  end)

  it("shows an error in the game", function()
    local output = play({ LOVE_SCENE = "failure" })
    assert.truthy(output:find("failed: permission: The plan is used up.", 1,
      true), output)
  end)

  it("quits at once during a request", function()
    local started = core.now()
    local output = play({ LOVE_SCENE = "quit" })
    assert.truthy(output:find("thinking: ", 1, true), output)
    local took = core.now() - started
    assert.is_true(took < 3, "took " .. took .. " s") -- 0.3 s of it playing
  end)

  it("begins, and quits, at once where no connection is made", function()
    local listener = assert(socket.tcp())
    assert(listener:bind("127.0.0.1", 0))
    assert(listener:listen(0))
    local _, port = listener:getsockname()
    local queue = {} -- is full with these: whoever comes next waits
    for i = 1, 4 do
      queue[i] = assert(socket.tcp())
      queue[i]:settimeout(0)
      queue[i]:connect("127.0.0.1", port)
    end
    local started = core.now()
    local output = play({ LOVE_SCENE = "quit", MAIAGENT_API_KEY = "any",
      MAIAGENT_BASE_URL = "http://127.0.0.1:" .. port })
    local took = core.now() - started
    for _, open in ipairs(queue) do
      open:close()
    end
    listener:close()
    assert.truthy(output:find("thinking: ", 1, true), output)
    assert.is_true(took < 3, "took " .. took .. " s") -- 0.3 s of it playing
  end)

  it("draws it all in a window", function()
    local folder = child.folder()
    local path = folder .. "/screenshot.png"
    local output = play({ LOVE_SCENE = "answer", LOVE_SCREENSHOT = path },
      "xvfb-run -a -s '-screen 0 1024x768x24'")
    local file = io.open(path, "rb")
    local bytes = file and file:read("*a") or ""
    if file then
      file:close()
    end
    child.remove(folder)
    assert.truthy(output:find("answered: ", 1, true), output)
    assert.equal("\137PNG\r\n\26\n", bytes:sub(1, 8))
    assert.equal("\0\0\3\192\0\0\2\28", bytes:sub(17, 24)) -- 960 by 540
    assert.is_true(#bytes > 10000, #bytes .. " bytes") -- empty: 2 KB
  end)
end)
