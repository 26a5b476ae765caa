-- The C table against the API's own description, in both directions: what is
-- expected here is computed from the document, nothing is typed in twice.

local core = require "maiagent.core"
local json = require "dkjson"
local read = require("tests.support.files").read

local function read_document()
  return assert(json.decode(read("tests/support/openapi.json")))
end

local document = read_document()

-- The schema itself, behind references and unions of one.
local function resolve(schema)
  while true do
    local name = (schema["$ref"] or ""):match("^#/components/schemas/(.*)$")
    if name then
      schema = assert(document.components.schemas[name], name)
    elseif schema.allOf and #schema.allOf == 1 then
      schema = schema.allOf[1]
    else
      return schema
    end
  end
end

-- Appends the place of every array in `schema` to `places`.
local function add_arrays(places, schema, place)
  schema = resolve(schema)
  if schema.type == "array" then
    places[#places + 1] = place == "" and "[]" or place
    add_arrays(places, schema.items, place .. "[]")
  end
  for name, property in pairs(schema.properties or {}) do
    add_arrays(places, property, place == "" and name or place .. "." .. name)
  end
end

local function is_page(schema)
  return schema.properties and schema.properties.results
         and schema.properties.count and true
end

local function binary_property(schema)
  for name, property in pairs(resolve(schema).properties) do
    if property.format == "binary" then
      return name
    end
  end
end

-- Where the document allows two replies, the first is the operation's kind.
local function reply_kind(operation)
  for status, response in pairs(operation.responses) do
    if status:sub(1, 1) == "2" then
      if not response.content then
        return "none"
      end
      local _, content = next(response.content)
      local schema = resolve(content.schema)
      schema = resolve(schema.anyOf and schema.anyOf[1] or schema)
      return schema.format == "binary" and "file"
             or schema.type == "array" and "list"
             or is_page(schema) and "page" or "object"
    end
  end
end

local function parameter_names(operation, place)
  local names = {}
  for _, parameter in ipairs(operation.parameters or {}) do
    if parameter["in"] == place then
      names[#names + 1] = parameter.name
    end
  end
  table.sort(names)
  return names
end

local function path_names(path)
  local names = {}
  for name in path:gmatch("{(.-)}") do
    names[#names + 1] = name
  end
  return names
end

local function add_body(row, operation)
  local content = operation.requestBody and operation.requestBody.content or {}
  local json_body = content["application/json"]
  local form = content["multipart/form-data"]
  local arrays = {}
  if json_body then
    add_arrays(arrays, json_body.schema, "")
  end
  table.sort(arrays)
  row.arrays = table.concat(arrays, " ")
  row.body = json_body and "json" or form and "form" or "none"
  row.part = form and binary_property(form.schema)
end

local function expected_row(path, method, operation)
  local row = {
    operation = operation.operationId,
    method = method:upper(),
    query = parameter_names(operation, "query"),
    reply = reply_kind(operation),
    pages = operation["x-paged"] or false,
  }
  row.resource, row.name = row.operation:match("^(.+)%.([^.]+)$")
  local versioned = path:match("^/api/v1/(.*)$")
  row.path = versioned or path:match("^/api/(.*)$")
  row.versioned = versioned and true or nil
  row.ids = path_names(path)
  add_body(row, operation)
  return row
end

local function expected_rows()
  local rows = {}
  for path, methods in pairs(document.paths) do
    for method, operation in pairs(methods) do
      assert(not rows[operation.operationId], operation.operationId)
      rows[operation.operationId] = expected_row(path, method, operation)
    end
  end
  return rows
end

local function sorted_words(text)
  local words = {}
  for word in text:gmatch("%S+") do
    words[#words + 1] = word
  end
  table.sort(words)
  return table.concat(words, " ")
end

local function described_rows()
  local rows = {}
  for _, row in ipairs(core.describe()) do
    assert(not rows[row.operation], row.operation .. " is there twice")
    row.arrays = sorted_words(row.arrays)
    table.sort(row.query)
    rows[row.operation] = row
  end
  return rows
end

local function count(rows)
  local n = 0
  for _ in pairs(rows) do
    n = n + 1
  end
  return n
end

describe("the table of operations", function()
  local expected, described = expected_rows(), described_rows()

  it("has every operation of the document, and no other", function()
    for name in pairs(expected) do
      assert(described[name], name .. " is missing")
    end
    for name in pairs(described) do
      assert(expected[name], name .. " is not in the document")
    end
    assert.equal(62, count(described))
  end)

  for name, row in pairs(expected) do
    it("says of " .. name .. " what the document says", function()
      assert.same(row, described[name])
    end)
  end

  it("names the ids of a path as the document's parameters", function()
    for path, methods in pairs(document.paths) do
      for _, operation in pairs(methods) do
        local ids = expected[operation.operationId].ids
        local copy = {}
        for i, id in ipairs(ids) do
          copy[i] = id
        end
        table.sort(copy)
        assert.same(parameter_names(operation, "path"), copy, path)
      end
    end
  end)

  it("is a fresh one each time", function()
    core.describe()[1].ids[1] = "changed"
    assert.are_not.equal("changed", core.describe()[1].ids[1])
    assert.are_not.equal(core.describe(), core.describe())
  end)
end)

describe("the bindings", function()
  local base = "https://host.example/api/"

  -- Ids that show where each went, and that have to be escaped.
  local function ids_of(row)
    local ids = {}
    for i, name in ipairs(row.ids) do
      ids[i] = name .. "/" .. i
    end
    return ids
  end

  local function call(row, ids, params)
    local arguments = { nil, nil, nil }
    for i, id in ipairs(ids) do
      arguments[i] = id
    end
    arguments[#ids + 1] = params
    return core.bindings[row.operation](base, nil, arguments[1], arguments[2],
                                        arguments[3], arguments[4])
  end

  local function expected_url(row, ids)
    local i = 0
    local path = row.path:gsub("{.-}", function()
      i = i + 1
      return (ids[i]:gsub("/", "%%2F"))
    end)
    return base .. (row.versioned and "v1/" or "") .. path
  end

  local function params_of(row)
    return row.body == "form"
           and { { name = row.part, path = "a.xlsx", filename = "a.xlsx" } }
           or nil
  end

  it("are one for each operation", function()
    assert.equal(#core.describe(), count(core.bindings))
  end)

  for _, row in ipairs(core.describe()) do
    it("prepare " .. row.operation, function()
      local ids = ids_of(row)
      local request = assert(call(row, ids, params_of(row)))
      assert.equal(row.method, request:method())
      assert.equal(expected_url(row, ids), request:url())
      local is_json = row.body == "json"
      local empty = row.arrays:sub(1, 2) == "[]" and "[]" or "{}"
      assert.equal(is_json and empty or nil, request:body())
      assert.equal(is_json and "application/json" or nil,
                   request:headers()["content-type"])
    end)

    it("refuse " .. row.operation .. " without one of its ids", function()
      local ids = ids_of(row)
      for i = #ids, 1, -1 do
        ids[i] = nil
        local request, message = call(row, ids)
        assert.is_nil(request)
        assert.equal(row.operation .. ": " .. row.ids[i]
                     .. " expected, got nil", message)
      end
    end)

    it("send an empty array as one in " .. row.operation, function()
      for place in row.arrays:gmatch("%S+") do
        local field = place:match("^[%w_]+$")
        if field then
          local request = assert(call(row, ids_of(row), { [field] = {} }))
          assert.equal('{"' .. field .. '":[]}', request:body())
        end
      end
    end)
  end
end)
