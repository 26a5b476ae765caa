-- Every operation of the API's document is bound, has a method, is called by
-- the operations specs and stands in README.md; and none of these four knows
-- an operation that the document doesn't.

local core = require "maiagent.core"
local json = require "dkjson"
local maiagent = require "maiagent"
local read = require("tests.support.files").read

local SPECS = {
  "tests/operations/chatbots.lua",
  "tests/operations/files.lua",
  "tests/operations/knowledge_bases.lua",
  "tests/support/calls.lua",
}

-- Methods that are no operations, by the resource that alone has them.
local FLOWS = {
  knowledge_bases = { sync = true },
  ["knowledge_bases.files"] = { download = true, upload = true,
    upload_all = true, wait = true },
  attachments = { upload = true },
  uploads = { put = true },
  ["knowledge_bases.files.translations"] = { wait = true },
}
local OF_LISTS = { each = true, pages = true, all = true }

-- operationId → "METHOD path", the path below the base path.
local function documented()
  local operations = {}
  local document = assert(json.decode(read("tests/support/openapi.json")))
  for path, methods in pairs(document.paths) do
    for method, operation in pairs(methods) do
      if operation.operationId then
        operations[operation.operationId] = method:upper() .. " "
          .. path:gsub("^/api/", ""):gsub("^v1/", "")
      end
    end
  end
  return operations
end

local OPERATIONS = documented()

local function split(operation)
  return operation:match("^(.*)%.([^.]*)$")
end

local function is_flow(resource, name)
  local own = FLOWS[resource]
  return own and own[name]
    or OF_LISTS[name] and OPERATIONS[resource .. ".list"] ~= nil
end

-- What each side lacks, so that a failure names the operations.
local function differences(found)
  local missing, unknown = {}, {}
  for operation in pairs(OPERATIONS) do
    if not found[operation] then
      missing[#missing + 1] = operation
    end
  end
  for operation in pairs(found) do
    if not OPERATIONS[operation] then
      unknown[#unknown + 1] = operation
    end
  end
  table.sort(missing)
  table.sort(unknown)
  return { missing = missing, unknown = unknown }
end

local function assert_complete(found)
  assert.same({ missing = {}, unknown = {} }, differences(found))
end

-- Adds what a resource's object can do to `found`, and its children's.
local function add_methods(found, resource, object)
  for name, method in pairs(getmetatable(object).__index) do
    assert.is_function(method)
    if not is_flow(resource, name) then
      found[resource .. "." .. name] = true
    end
  end
  for name, child in pairs(object) do
    if type(name) == "string" then
      add_methods(found, resource .. "." .. name, child)
    end
  end
end

-- client.a.b:c as a user reaches it.
local function method_of(client, operation)
  local resource, name = split(operation)
  local object = client
  for step in resource:gmatch("[^.]+") do
    object = object[step]
  end
  return object[name]
end

-- The last word of a resource's name → the resource; each is used once.
local function resources_by_last_word()
  local resources = {}
  for operation in pairs(OPERATIONS) do
    local resource = split(operation)
    local word = resource:match("[^.]*$")
    assert.is_true(resources[word] == nil or resources[word] == resource)
    resources[word] = resource
  end
  return resources
end

local function calls_in(text)
  local resources, found = resources_by_last_word(), {}
  for word, name in text:gsub("%-%-[^\n]*", ""):gmatch("([%w_]+):([%w_]+)") do
    local resource = resources[word]
    if resource and not is_flow(resource, name) then
      found[resource .. "." .. name] = true
    end
  end
  return found
end

-- The rows between the two marks: | `operation` | … |
local function rows_of_readme()
  local text = read("README.md")
  local table_text = text:match(
    "\n<!%-%- operations %-%->\n(.-)\n<!%-%- /operations %-%->")
  assert.is_string(table_text, "README.md lacks the lines "
    .. "'<!-- operations -->' and '<!-- /operations -->' around its table")
  local rows = {}
  for line in table_text:gmatch("[^\n]+") do
    local operation, rest = line:match("^| *`([%w_.]+)` *|(.*)$")
    if operation then
      assert.is_nil(rows[operation], operation .. " has two rows")
      rows[operation] = rest
    end
  end
  return rows
end

describe("coverage: openapi.json and", function()
  it("core.describe() name the same operations", function()
    local rows = {}
    for _, row in ipairs(core.describe()) do
      assert.is_nil(rows[row.operation], row.operation)
      assert.equal(row.operation, row.resource .. "." .. row.name)
      assert.is_function(core.bindings[row.operation], row.operation)
      rows[row.operation] = row.method .. " " .. row.path
    end
    assert_complete(rows)
    assert.same(OPERATIONS, rows)
  end)

  it("the bindings are of the same operations", function()
    assert_complete(core.bindings)
  end)

  it("the methods of a client are the same operations", function()
    local client = maiagent.new { api_key = "k" }
    local found = {}
    for name, object in pairs(client) do
      if type(name) == "string" then
        add_methods(found, name, object)
      end
    end
    assert_complete(found)
    for operation in pairs(OPERATIONS) do
      assert.is_function(method_of(client, operation), operation)
    end
    client:close()
  end)

  it("the operations specs call the same operations", function()
    local texts = {}
    for i, path in ipairs(SPECS) do
      texts[i] = read(path)
    end
    assert_complete(calls_in(table.concat(texts, "\n")))
  end)

  it("README.md's table lists the same operations", function()
    assert_complete(rows_of_readme())
  end)
end)
