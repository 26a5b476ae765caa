-- What is packaged is what is in the tree, and the version is said once.

local read = require("tests.support.files").read

-- The files below `folder` whose names end in `ending`, sorted.
local function files(folder, ending)
  local found = {}
  local list = assert(io.popen("find " .. folder .. " -name '*" .. ending
                               .. "' | LC_ALL=C sort"))
  for path in list:lines() do
    found[#found + 1] = path
  end
  list:close()
  return found
end

-- A rockspec is Lua without a library: it only sets globals.
local function rockspec()
  local env = {}
  local text = read("rockspec/maiagent-scm-1.rockspec")
  if setfenv then
    setfenv(assert(loadstring(text)), env)()
  else
    assert(load(text, "=rockspec", "t", env))()
  end
  return env
end

local function sorted(list)
  table.sort(list)
  return list
end

-- "NAME := a b \<newline> c" of the Makefile as { "a", "b", "c" }.
local function makefile_list(name)
  local words = read("Makefile"):gsub("\\\n", " "):match(name .. " := ([^\n]*)")
  local list = {}
  for word in words:gmatch("%S+") do
    list[#list + 1] = word
  end
  return list
end

describe("the rockspec", function()
  local modules = rockspec().build.modules

  it("lists every Lua file under its module's name", function()
    local listed = {}
    for name, path in pairs(modules) do
      if type(path) == "string" then
        local expected = "lua/" .. name:gsub("%.", "/")
        assert.is_true(path == expected .. ".lua"
                       or path == expected .. "/init.lua",
                       name .. " is not " .. path)
        listed[#listed + 1] = path
      end
    end
    local tree = {}
    for _, path in ipairs(files("lua", ".lua")) do
      tree[#tree + 1] = path
    end
    assert.same(sorted(tree), sorted(listed))
  end)

  it("lists every C file", function()
    local seen, listed = {}, {}
    for _, module in pairs(modules) do
      for _, path in ipairs(type(module) == "table" and module.sources or {}) do
        if not seen[path] then
          seen[path] = true
          listed[#listed + 1] = path
        end
      end
    end
    assert.same(files("src", ".c"), sorted(listed))
  end)

  it("builds each C module from the files the Makefile builds it from",
     function()
    local lists = {
      core = "CORE_SOURCES",
      disk = "DISK_SOURCES",
      http = "HTTP_SOURCES",
    }
    for module, list in pairs(lists) do
      local expected = {}
      for _, name in ipairs(makefile_list(list)) do
        expected[#expected + 1] = "src/" .. name .. ".c"
      end
      assert.same(expected, modules["maiagent." .. module].sources)
    end
  end)

  it("needs no other rock", function()
    assert.same({ "lua >= 5.1" }, rockspec().dependencies)
  end)
end)

describe("the version", function()
  local header = read("src/compat.h"):match('MAIAGENT_VERSION "([^"]+)"')

  it("is the one that the library tells", function()
    assert.equal(header, require("maiagent.core").version)
    assert.equal(header, require("maiagent").version)
  end)

  it("is the newest in the changelog", function()
    assert.equal(header, read("CHANGELOG.md"):match("\n## (%d[%w.%-]*)"))
  end)

  it("is written nowhere else", function()
    local literal = '"' .. header .. '"'
    for _, folder in ipairs { "src", "lua", "rockspec" } do
      for _, ending in ipairs { ".c", ".h", ".lua", ".rockspec" } do
        for _, path in ipairs(files(folder, ending)) do
          if path ~= "src/compat.h" then
            assert.is_nil(read(path):find(literal, 1, true), path)
          end
        end
      end
    end
  end)
end)
