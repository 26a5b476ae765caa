--- The classes of lua/maiagent/types.lua: the objects of the API's description,
-- what its operations take, pages and iterators.

local core = require("maiagent.core")
local json = require("dkjson")
local read = require("tests.support.files").read

local DOCUMENT = "tests/support/openapi.json"

-- The description's schemas, where ours are called otherwise: its Update is
-- our `replace`, its Patch our `update`.
local NAMES = {
  AttachmentPatch = "AttachmentUpdate",
  ChatbotPatch = "ChatbotUpdate",
  DocumentPatch = "DocumentUpdate",
  DocumentUpdate = "DocumentReplace",
  ExcelImportResult = "ImportResult",
  FaqPatch = "FaqUpdate",
  FilePatch = "FileUpdate",
  FilePatchWithId = "FileReparse",
  FileUpdate = "FileReplace",
  Ids = "FaqIds",
  IdsRequired = "FileIds",
  KnowledgeBasePatch = "KnowledgeBaseUpdate",
  KnowledgeBaseUpdate = "KnowledgeBaseReplace",
  LabelPatch = "LabelUpdate",
  PresignRequest = "PresignParams",
  PresignResponse = "PresignedPost",
}

local FORMATS = { uuid = "UUID", ["date-time"] = "a time" }

local function read_document()
  return assert(json.decode(read(DOCUMENT)))
end

local document = read_document()
local schemas = document.components.schemas

local function sorted(set)
  local list = {}
  for name in pairs(set) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do
    set[name] = true
  end
  return set
end

local function schema_name(schema)
  return (schema["$ref"] or ""):match("([^/]*)$")
end

local function class_name(schema)
  local name = schema_name(schema)
  return "maiagent." .. (NAMES[name] or name)
end

--
-- Types
--

-- `sent` is of what a caller gives, where null is a value; in an answer a
-- field that is null is absent.
local type_of

local function union_of(list, sent)
  local types = {}
  for i, schema in ipairs(list) do
    types[i] = type_of(schema, sent)
  end
  return table.concat(types, "|")
end

local function literals(values)
  local texts = {}
  for i, value in ipairs(values) do
    texts[i] = '"' .. value .. '"'
  end
  return table.concat(texts, "|")
end

local function object_type(schema, sent)
  if not schema.properties then
    local more = schema.additionalProperties
    return "table<string, " .. (type(more) == "table" and type_of(more, sent)
      or "any") .. ">"
  end
  local fields, required = {}, set_of(schema.required)
  for i, name in ipairs(sorted(schema.properties)) do
    fields[i] = name .. (required[name] and "" or "?") .. ": "
      .. type_of(schema.properties[name], sent)
  end
  return "{ " .. table.concat(fields, ", ") .. " }"
end

local function bare_type(schema, sent)
  if schema["$ref"] then
    return class_name(schema)
  elseif schema.allOf then
    return type_of(schema.allOf[1], sent)
  elseif schema.anyOf then
    return union_of(schema.anyOf, sent)
  elseif schema.enum then
    return literals(schema.enum)
  elseif schema.type == "array" then
    return type_of(schema.items, sent) .. "[]"
  elseif schema.type == "object" then
    return object_type(schema, sent)
  end
  return schema.type or "any"
end

function type_of(schema, sent)
  local name = bare_type(schema, sent)
  local may_be_null = sent and schema.nullable and name ~= "any"
  return may_be_null and name .. "|maiagent.Null" or name
end

--
-- Classes
--

local function field(name, schema, required, sent)
  local present = required and (sent or not schema.nullable)
  local comment = schema.description or FORMATS[schema.format]
  return "---@field " .. name .. (present and "" or "?") .. " "
    .. type_of(schema, sent) .. (comment and " " .. comment or "") .. "\n"
end

local function fields_of(schema, sent)
  local fields, required = {}, set_of(schema.required)
  for name, property in pairs(schema.properties) do
    fields[name] = field(name, property, required[name], sent)
  end
  return fields
end

-- What must be there comes first, and ids before all.
local function in_order(fields)
  local names = sorted(fields)
  local function rank(name)
    return name == "id" and 1 or fields[name]:find("^---@field [%w_]+ ") and 2
      or 3
  end
  table.sort(names, function(a, b)
    local first, second = rank(a), rank(b)
    if first ~= second then
      return first < second
    end
    return a < b
  end)
  return names
end

-- The body of PATCH has the same fields, none of which must be there: the
-- schema's own are those that differ.
local function parent_of(name)
  local patch = schemas[name:gsub("%u%l*$", "") .. "Patch"]
    or schemas[name:gsub("PatchWithId$", "Patch")]
  if not patch or patch == schemas[name] then
    return nil
  end
  local own, base = fields_of(schemas[name], true), fields_of(patch, true)
  for property in pairs(base) do
    if not own[property] then
      return nil
    end
  end
  return patch, base
end

local function name_of(schema)
  for name, candidate in pairs(schemas) do
    if candidate == schema then
      return NAMES[name] or name
    end
  end
end

local function is_page(schema)
  return schema.properties and schema.properties.results and true
end

local function class_of(name, sent)
  local schema = schemas[name]
  local title = "---@class maiagent." .. (NAMES[name] or name)
  if is_page(schema) then
    return title .. ": maiagent.Page\n---@field results "
      .. type_of(schema.properties.results) .. "\n"
  end
  local fields, base = fields_of(schema, sent), {}
  if sent then
    local parent, inherited = parent_of(name)
    base = inherited or {}
    title = title .. (parent and ": maiagent." .. name_of(parent) or "")
  end
  local lines = { title .. "\n" }
  for _, property in ipairs(in_order(fields)) do
    if fields[property] ~= base[property] then
      lines[#lines + 1] = fields[property]
    end
  end
  return table.concat(lines)
end

local function query_class(name, parameters)
  local lines = { "---@class " .. name .. "\n" }
  local paged
  for _, parameter in ipairs(parameters) do
    if parameter.name == "page" or parameter.name == "pageSize" then
      paged = true
    else
      local schema = {}
      for key, value in pairs(parameter.schema) do
        schema[key] = value
      end
      schema.description = parameter.description or schema.description
      lines[#lines + 1] = field(parameter.name, schema, parameter.required)
    end
  end
  lines[1] = paged and lines[1]:gsub("\n", ": maiagent.PageParams\n")
    or lines[1]
  return table.concat(lines), #lines > 1
end

local function iterator_class(name, item)
  return ("---@class %s: maiagent.Iterator\n"
    .. "---@field next fun(self: %s): %s?\n"
    .. "---@overload fun(): %s?\n"):format(name, name, item, item)
end

--
-- Operations
--

-- operationId → the description's own words of it
local described = {}
for _, methods in pairs(document.paths) do
  for _, operation in pairs(methods) do
    described[operation.operationId] = operation
  end
end

local function content_of(message)
  local _, content = next(message and message.content or {})
  return content and content.schema
end

-- The schema of a success.
local function answer_of(operation)
  for status, response in pairs(operation.responses) do
    if status:sub(1, 1) == "2" then
      return content_of(response)
    end
  end
end

local function query_of(operation)
  local list = {}
  for _, parameter in ipairs(operation.parameters or {}) do
    if parameter["in"] == "query" then
      list[#list + 1] = parameter
    end
  end
  table.sort(list, function(a, b)
    return a.name < b.name
  end)
  return list
end

--- What a list operation gives.
-- @tparam table row of core.describe()
-- @treturn table item and page, their types; stem, what the names of its other
--   classes begin with
local function list_of(row)
  local answer = answer_of(described[row.operation])
  answer = answer.anyOf and answer.anyOf[1] or answer
  local schema = schemas[schema_name(answer)] or answer
  local item = class_name(schema.items or schema.properties.results.items)
  local page = type_of(answer)
  local stem = page:gsub("%[%]$", ""):gsub("Page$", "")
  return { page = page, item = item, stem = stem }
end

-- Adds every schema that is referred to, to names: name → whether it is sent.
local function collect(schema, sent, names)
  local name = schema_name(schema)
  if name and name ~= "" then
    if names[name] == nil or (sent and not names[name]) then
      names[name] = sent
      collect(schemas[name], sent, names)
    end
    return
  end
  for _, list in ipairs({ schema.allOf or {}, schema.anyOf or {},
    schema.properties or {}, { schema.items } }) do
    for _, part in pairs(list) do
      collect(part, sent, names)
    end
  end
end

--- The type of a list operation's params.
-- @tparam table row of core.describe()
-- @treturn string
-- @treturn string|nil the text of its class, where that is its own
local function params_class(row)
  local query = query_of(described[row.operation])
  if #query == 0 then
    return "table a query"
  end
  local name = list_of(row).stem .. "ListParams"
  local text, has_own = query_class(name, query)
  return has_own and name or "maiagent.PageParams", has_own and text or nil
end

-- The classes of the description that some operation takes or gives.
local function add_schemas(classes)
  local names = {}
  for _, row in ipairs(core.describe()) do
    local answer = answer_of(described[row.operation])
    if answer then
      collect(answer, false, names)
    end
    if row.body == "json" then
      local body = content_of(described[row.operation].requestBody)
      collect(body, true, names)
    end
  end
  for name, sent in pairs(names) do
    classes[class_name({ ["$ref"] = name })] = class_of(name, sent)
  end
end

-- The classes of what lists take and give.
local function add_lists(classes)
  for _, row in ipairs(core.describe()) do
    if row.name == "list" then
      local list = list_of(row)
      local items, pages = list.stem .. "Iterator", list.stem .. "PageIterator"
      classes[items] = iterator_class(items, list.item)
      classes[pages] = iterator_class(pages, list.page)
      local name, text = params_class(row)
      classes[name] = text
    end
  end
end

--- The type of what an operation's body takes.
-- @tparam table row of core.describe(), with a JSON body
-- @treturn string
-- @treturn boolean whether it may be left out
local function body(row)
  local schema = content_of(described[row.operation].requestBody)
  local resolved = schemas[schema_name(schema)] or schema
  local optional = resolved.type == "object" and not resolved.required
  return type_of(schema, true), optional
end

--- The type of an operation's answer.
-- @tparam table row of core.describe()
-- @treturn string
-- @treturn string|nil the name of its class, if it is one
local function answer(row)
  local schema = answer_of(described[row.operation])
  return type_of(schema), schema["$ref"] and class_name(schema)
end

--- The description's words on an operation.
-- @tparam table row of core.describe()
-- @treturn string
local function summary(row)
  return described[row.operation].summary
end

--- The text of every class, in the order of their names.
-- @treturn table a list
local function all()
  local classes, texts = {}, {}
  add_schemas(classes)
  add_lists(classes)
  for i, name in ipairs(sorted(classes)) do
    texts[i] = classes[name]
  end
  return texts
end

return {
  all = all,
  answer = answer,
  body = body,
  list_of = list_of,
  query = params_class,
  sorted = sorted,
  summary = summary,
}
