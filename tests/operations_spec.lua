-- Every operation of openapi.json, called as a user calls it: against a
-- stand-in in this process or, with MAIAGENT_TEST_URL set, through Prism before
-- one that runs elsewhere. So every request here is one that the document
-- allows, no name is used twice, and nothing relies on an empty service.

local json = require "dkjson"
local calls = require "tests.support.calls"
local read = require("tests.support.files").read

-- Lists of { name, function }. A variable that holds a resource has the last
-- word of its name (labels, files, …): coverage_spec finds the calls by that.
local PARTS = { "knowledge_bases", "files", "chatbots" }

local function read_document()
  return assert(json.decode(read("tests/support/openapi.json")))
end

-- operationId → { method, pattern of its paths, responses by status }.
local function documented()
  local operations = {}
  for path, methods in pairs(read_document().paths) do
    local pattern = path:gsub("%-", "%%-"):gsub("{%w+}", "[^/]+")
    for method, operation in pairs(methods) do
      if operation.operationId then
        operations[operation.operationId] = {
          method = method:upper(),
          pattern = "^" .. pattern .. "$",
          responses = operation.responses,
        }
      end
    end
  end
  return operations
end

local function matches(operation, event)
  return operation and operation.method == event.method
    and event.path:find(operation.pattern) ~= nil
    and operation.responses[tostring(event.status)] ~= nil
end

describe("operations", function()
  after_each(calls.clean)

  for _, part in ipairs(PARTS) do
    for _, row in ipairs(require("tests.operations." .. part)) do
      it(row[1], row[2])
    end
  end

  -- Stands last, since it looks back at what the others called.
  it("are those of the document, all of them and no others", function()
    local operations, missing, unknown = documented(), {}, {}
    for name in pairs(operations) do
      missing[name] = true
    end
    for _, event in ipairs(calls.responses) do
      if matches(operations[event.operation], event) then
        missing[event.operation] = nil
      elseif event.operation ~= "storage" then -- not one of this API's
        unknown[#unknown + 1] = table.concat({ event.operation, event.method,
          event.path, tostring(event.status) }, " ")
      end
    end
    assert.same({}, unknown)
    assert.same({}, missing)
  end)
end)
