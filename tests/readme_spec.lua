-- README.md is run: all its Lua, as one program in a process of its own, in
-- the environment that it tells its reader to have.

local child = require("tests.support.child")
local operations_table = require("tests.support.operations_table")
local testing = require("maiagent.testing")
local read = require("tests.support.files").read

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local README = read("README.md")

-- Every line that is not Lua becomes an empty one, so that errors name the
-- README's own lines; the end of a block tells that it was reached.
local function program(text)
  local lines, blocks, inside = {}, 0, false
  for line in text:gmatch("([^\n]*)\n") do
    local kept = inside and line or ""
    if inside and line == "```" then
      inside = false
      kept = "print 'end of a block'"
    elseif line == "```lua" then
      inside, blocks = true, blocks + 1
    end
    lines[#lines + 1] = kept
  end
  return table.concat(lines, "\n"), blocks
end

local function run_readme(server)
  local code, blocks = program(README)
  local folder = child.folder()
  write(folder .. "/README.lua", code)
  write(folder .. "/router.pdf", read("examples/data/quick-start-card.pdf"))
  local status, output = child.run(folder, child.command({
    MAIAGENT_API_KEY = server.api_key,
    MAIAGENT_BASE_URL = server.base_url,
  }, "README.lua"))
  return { status = status, output = output, blocks = blocks,
    left = child.remove(folder) }
end

-- The names that a table of lua/maiagent/options.lua declares.
local function option_names(name)
  local source = read("lua/maiagent/options.lua")
  local body = source:match("\nlocal " .. name .. " = [^\n{]*(%b{})")
  local names = {}
  for option in body:gmatch("\n +([%w_]+) = ") do
    names[#names + 1] = option
  end
  return names
end

describe("README.md", function()
  it("runs, every block of it", function()
    local server = testing.spawn()
    local result = run_readme(server)
    local violations = server:violations()
    server:stop()
    local _, reached = result.output:gsub("end of a block", "")
    assert.equal(0, result.status, result.output)
    assert.is_true(result.blocks > 10)
    assert.equal(result.blocks, reached)
    assert.equal("README.lua\nagain.pdf\ncopy.pdf\nlabels.xlsx\nmanuals\n"
      .. "router.pdf",
      result.left)
    assert.same({}, violations)
  end)

  it("has the table of operations that the C table makes", function()
    assert.is_true(operations_table.insert(README) == README,
      "run `lua tests/support/operations_table.lua`")
  end)

  for _, name in ipairs({ "SHARED", "TRANSFER", "CLIENT", "KINDS", "LIMITS",
    "TIMEOUT" })
  do
    it("names every option in " .. name, function()
      local names = option_names(name)
      assert.is_true(name == "TIMEOUT" or #names > 0)
      for _, option in ipairs(names) do
        assert.is_truthy(README:find("%f[%w_]" .. option .. "%f[^%w_]"),
          "README.md lacks " .. option)
      end
    end)
  end

  it("names every kind of error", function()
    local source = read("lua/maiagent/errors.lua")
    for kind in source:match("KIND_OF_STATUS = (%b{})"):gmatch('"([%a_]+)"') do
      assert.is_truthy(README:find("| `" .. kind .. "` |", 1, true), kind)
    end
  end)

  it("links to files that exist", function()
    for path in README:gmatch("%]%(([%w_./-]+)%)") do
      local file = io.open(path, "rb")
      assert.is_truthy(file, path)
      file:close()
    end
  end)

  it("has no Lua that is not run", function()
    local known = { lua = true, sh = true, yaml = true }
    for language in README:gmatch("\n```(%w+)") do
      assert.is_true(known[language], language)
    end
  end)
end)
