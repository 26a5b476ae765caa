-- The definitions for an editor's language server against the library and the
-- README, in both directions.

local annotations = require "tests.support.annotations"
local core = require "maiagent.core"
local maiagent = require "maiagent"
local options = require "maiagent.options"
local service = require "tests.support.service"
local types = require "tests.support.types"
local read = require("tests.support.files").read
local sorted = require("tests.support.type_classes").sorted

local PATH = "lua/maiagent/types.lua"

local TEXT = read(PATH)

local function upvalue(fn, wanted)
  for i = 1, math.huge do
    local name, value = debug.getupvalue(fn, i)
    if not name or name == wanted then
      return assert(value, wanted .. " is no upvalue")
    end
  end
end

describe("types.lua", function()
  local defined = annotations.read(TEXT)

  -- The methods of a local, and the fields of its class.
  local function members(owner, class)
    local set = {}
    for name in pairs(defined.methods) do
      local of, method = name:match("^([%w_]+)[.:]([%w_]+)$")
      if of == owner then
        set[method] = true
      end
    end
    for name in pairs(defined.types[class].fields) do
      set[name] = true
    end
    return sorted(set)
  end

  -- The fields of a class and of those above it.
  local function fields(...)
    local set = {}
    for _, class in ipairs({ ... }) do
      while class do
        for name in pairs(defined.types[class].fields) do
          set[name] = true
        end
        class = defined.types[class].parent
      end
    end
    return sorted(set)
  end

  after_each(service.check)

  it("is what its generator makes", function()
    assert.is_true(types.render() == TEXT, "run `make types`")
  end)

  it("can be loaded and does nothing", function()
    local before = sorted(_G)
    local module = assert(loadfile(PATH))()
    assert.same(before, sorted(_G))
    assert.is_nil(module.new())
  end)

  it("is not loaded by the library", function()
    local client = service.client(service.start())
    assert(client.chatbots:list())
    assert.is_nil(package.loaded["maiagent.types"])
  end)

  it("defines every class that it refers to", function()
    for name, line in pairs(defined.used) do
      assert(defined.types[name], ("line %d: %s"):format(line, name))
    end
  end)

  it("has every operation, with its request", function()
    for _, row in ipairs(core.describe()) do
      local name = row.resource:match("[^.]*$") .. ":" .. row.name
      local method = assert(defined.methods[name], row.operation)
      local request = ("`%s %s`"):format(row.method, row.path)
      assert(method.doc:find(request, 1, true), row.operation)
    end
  end)

  it("has the methods of every resource, and no other", function()
    local client = service.client(service.start())
    local count = 0
    local function look(proxy, resource)
      local name = resource:match("[^.]*$")
      local class = getmetatable(proxy)
      local has = {}
      for method in pairs(class.methods) do
        has[method] = true
      end
      for child in pairs(class.children) do
        has[child] = true
        look(proxy[child], resource .. "." .. child)
      end
      local of = assert(defined.methods[name .. ":" .. next(class.methods)])
      assert.same(sorted(has), members(name, of.class), resource)
      count = count + 1
    end
    for name in pairs(require("maiagent.resources").top_level()) do
      look(client[name], name)
    end
    assert.equal(12, count)
  end)

  it("has the methods of a client, and no other", function()
    local client = service.client(service.start())
    local has = {}
    local methods = upvalue(getmetatable(client).__index, "methods")
    for name in pairs(methods) do
      has[name] = true
    end
    for name in pairs(require("maiagent.resources").top_level()) do
      has[name] = true
    end
    assert.same(sorted(has), members("client", "maiagent.Client"))
  end)

  it("has the methods of a task", function()
    local client = service.client(service.start())
    local task = client:go(function() end)
    assert.same(sorted(getmetatable(task).__index),
      members("task", "maiagent.Task"))
  end)

  it("has what the module exports, and no other", function()
    assert.same(sorted(maiagent), members("maiagent", "maiagent"))
  end)

  describe("has the options", function()
    local kinds = upvalue(options.checked, "KINDS")
    local rows = {
      { "of maiagent.new", upvalue(options.client, "CLIENT"),
        "maiagent.ClientOptions" },
      { "call", kinds.call, "maiagent.ListOptions",
        "maiagent.BatchDeleteOptions" },
      { "upload", kinds.upload, "maiagent.TransferOptions" },
      { "download", kinds.download, "maiagent.TranslationOptions" },
      { "upload_all", kinds.upload_all, "maiagent.UploadAllOptions" },
      { "sync", kinds.sync, "maiagent.SyncOptions" },
      { "wait", kinds.wait, "maiagent.WaitOptions" },
      { "map", kinds.map, "maiagent.MapOptions" },
      { "step", kinds.step, "maiagent.StepOptions" },
    }
    for _, row in ipairs(rows) do
      it(row[1], function()
        assert.same(sorted(row[2]), fields(row[3], row[4]))
      end)
    end

    it("of every kind", function()
      local looked = {}
      for _, row in ipairs(rows) do
        looked[row[2]] = true
      end
      for name, kind in pairs(kinds) do
        assert(looked[kind], name)
      end
    end)
  end)

  describe("has of errors what the README has", function()
    local errors = read("README.md"):match("\n## Errors\n(.-)\n## ")

    -- The names in the first column of the table with this heading.
    local function column(heading)
      local set = {}
      local rows = errors:match("\n| " .. heading .. " |[^\n]*\n(.-)\n\n")
      for cell in rows:gmatch("| (`[^|]*) |[^\n]*") do
        for name in cell:gmatch("`([%l_]+)`") do
          set[name] = true
        end
      end
      return sorted(set)
    end

    it("kinds", function()
      local kinds = defined.types["maiagent.ErrorKind"].literals
      assert.same(column("kind"), sorted(kinds))
    end)

    it("fields", function()
      assert.same(column("field"), fields("maiagent.Error"))
    end)
  end)
end)

describe("the reader of annotations", function()
  local wrong = {
    { "a type that is none", "---@field x ?" },
    { "a bracket that stays open", "---@field x (string" },
    { "a parameter without a name", "---@param" },
    { "a function's list without its end", "---@field x fun(a: string" },
    { "an unknown tag", "---@retrun string" },
    { "other parameters than the function's",
      "---@param a string\nfunction t:f(b) end" },
    { "a method of nothing", "function u:f() end" },
  }
  for _, row in ipairs(wrong) do
    it("refuses " .. row[1], function()
      local text = "---@class c\nlocal t = {}\n---@class d\n" .. row[2] .. "\n"
      local ok, problem = pcall(annotations.read, text)
      assert.is_false(ok)
      assert.matches("^line %d: ", problem)
    end)
  end
end)
