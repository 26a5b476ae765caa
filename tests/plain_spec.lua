-- A plain script: the stand-in in another process, calls that block in C.

local core = require("maiagent.core")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local testing = require("maiagent.testing")
local service = require("tests.support.service")

local now, seconds = core.now, pace.seconds

-- The interpreter that runs this, for scripts run beside it.
local function interpreter()
  local place = 0
  while arg[place - 1] do
    place = place - 1
  end
  return arg[place]
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

describe("a plain script", function()
  local server, client

  before_each(function()
    server = testing.spawn()
    client = maiagent.new({
      api_key = server.api_key, base_url = server.base_url,
      timeout = seconds(20),
    })
  end)

  after_each(function()
    client:close()
    server:stop()
    service.check()
  end)

  it("gets its answers", function()
    for _ = 1, 50 do
      assert.truthy(assert(client.embedding_models:list())[1].id)
    end
  end)

  it("waits for a late answer, and no longer", function()
    server:fault({ kind = "delay", seconds = seconds(0.3) })
    local started = now()
    assert(client.embedding_models:list())
    local took = now() - started
    assert.is_true(took >= seconds(0.29) and took < seconds(0.6),
      tostring(took))
  end)

  it("spends no processor time while it waits", function()
    server:fault({ kind = "delay", seconds = seconds(0.5) })
    local before = os.clock()
    assert(client.embedding_models:list())
    assert.is_true(os.clock() - before < seconds(0.1))
  end)

  it("runs ten calls in the time of one", function()
    server:fault({ kind = "delay", seconds = seconds(0.3), times = 10 })
    local list = {}
    for i = 1, 10 do
      list[i] = i
    end
    local started = now()
    local results, errors = client:map(list, function()
      return client.embedding_models:list()
    end, { concurrency = 10 })
    local took = now() - started
    assert.is_nil(errors)
    assert.equal(10, #results)
    assert.is_true(took < seconds(0.9), tostring(took))
  end)

  it("gives a time-out its time", function()
    server:fault({ kind = "hang" })
    local started = now()
    local _, err = client.embedding_models:list(nil,
      { timeout = seconds(0.3), max_retries = 0 })
    local took = now() - started
    assert.equal("timeout", err.kind)
    assert.is_true(took >= seconds(0.29) and took < seconds(0.7),
      tostring(took))
    assert(client.embedding_models:list())
  end)

  it("outlives a connection that the service closed in between", function()
    server:fault({ kind = "close", times = 3 })
    for _ = 1, 6 do
      assert(client.embedding_models:list())
    end
  end)

  it("dies at once of Ctrl-C, in the middle of a call", function()
    server:fault({ kind = "hang" })
    local script = ([[
      local maiagent = require "maiagent"
      local client = maiagent.new{ api_key = "test-key", base_url = %q }
      io.stdout:write("ready\n") io.stdout:flush()
      client.embedding_models:list()
    ]]):format(server.base_url)
    -- The shell runs the script in the background, interrupts it and says how
    -- long it took to end; a background job ignores SIGINT unless told not to.
    local command = ("bash -c %s 2>/dev/null"):format(quoted(
      "set -m; " .. quoted(interpreter()) .. " -e " .. quoted(script)
      .. " >/dev/null 2>&1 & child=$!; sleep 0.5; start=$(date +%s%N); "
      .. "kill -INT $child; wait $child; code=$?; "
      .. "echo $code $(( ($(date +%s%N) - start) / 1000000 ))"))
    local pipe = assert(io.popen(command))
    local output = pipe:read("*a")
    pipe:close()
    local code, milliseconds = output:match("(%d+) (%d+)")
    assert.truthy(code, output)
    assert.equal(1, #server:log()) -- it was in the middle of its call
    assert.are_not.equal("0", code)
    assert.is_true(tonumber(milliseconds) < 1000, output)
  end)
end)

describe("a program that", function()
  -- name, what it does before it loads the library
  local programs = {
    { "refuses unknown globals", [[setmetatable(_G, { __index = error })]] },
    { "has no debug library", [[debug = nil]] },
    { "has none and refuses unknown globals",
      [[debug = nil setmetatable(_G, { __index = error })]] },
    { "cannot read the environment", [[os.getenv = nil]] },
  }

  for _, row in ipairs(programs) do
    it(row[1] .. " can use the library", function()
      local script = row[2] .. [[
        local maiagent = require "maiagent"
        local client = maiagent.new{ api_key = "k", max_retries = 0,
          base_url = "http://127.0.0.1:1" }
        local _, err = client.chatbots:list()
        local ok = pcall(function() client.chatbots:get() end)
        io.stdout:write(err.kind, " ", tostring(ok))
        client:close()
      ]]
      local pipe = assert(io.popen(quoted(interpreter()) .. " -e "
        .. quoted(script) .. " 2>&1"))
      local output = pipe:read("*a")
      pipe:close()
      assert.equal("connection false", output)
    end)
  end
end)
