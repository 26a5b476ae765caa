--- lua/maiagent/types.lua, the definitions for an editor's language server:
-- made of the API's description, core.describe() and what stands beside this
-- file in types/, which is written by hand.
--
--   make types      writes it
--
-- As a module it gives { render = function() → the text }.

local core = require("maiagent.core")
local classes = require("tests.support.type_classes")
local operations_table = require("tests.support.operations_table")
local read = require("tests.support.files").read

local TARGET = "lua/maiagent/types.lua"
local FOLDER = "tests/support/types/"

-- What the description's summary leaves out.
local NOTES = {
  ["chatbots.list"] = "a plain array comes then",
  ["knowledge_bases.faqs.batch_delete"] = "without ids, which deletes every "
    .. "one, it raises unless options say { all = true }",
  ["knowledge_bases.files.translations.create"] = "the answer is what was sent",
  ["knowledge_bases.import_labels_excel"] = "rows that the service did not "
    .. "take give the result and an error",
  ["knowledge_bases.import_metadata_excel"] = "rows that the service did not "
    .. "take give the result and an error",
}

local OPTIONS =
  { ["knowledge_bases.faqs.batch_delete"] = "maiagent.BatchDeleteOptions" }

--
-- Methods
--

local function add_ids(names, row)
  for _, id in ipairs(row.ids) do
    names[#names + 1] = { operations_table.ids[id] or id, "string" }
  end
end

local function body_param(row)
  if row.body == "form" then
    return { "source", "maiagent.Source" }
  elseif row.body == "json" then
    local body, may_be_left_out = classes.body(row)
    return { may_be_left_out and "params?" or "params", body }
  end
  return { "params?", row.name == "list" and classes.query(row)
    or "table a query" }
end

local function params_of(row, options)
  local names = {}
  add_ids(names, row)
  names[#names + 1] = body_param(row)
  names[#names + 1] = { "options?", options }
  return names
end

local function snake(class)
  local name = class:match("[^.]*$"):gsub("(%l)(%u)", "%1_%2"):lower()
  return name
end

-- The type and the name of the first value.
local function value_of(row)
  if row.reply == "none" then
    return "true", "done"
  end
  local answer, class = classes.answer(row)
  local name = row.reply == "object" and class and snake(class) or row.reply
  return answer, name
end

local function sentence(text)
  return text:sub(1, 1):upper() .. text:sub(2) .. "."
end

-- method: name, does, params (a list of { name, type }), returns (a list of
-- texts).
local function method_text(resource, method)
  local lines, names = { "---" .. method.does }, {}
  for i, param in ipairs(method.params) do
    lines[#lines + 1] = "---@param " .. param[1] .. " " .. param[2]
    names[i] = param[1]:gsub("%?", "")
  end
  for _, value in ipairs(method.returns) do
    lines[#lines + 1] = "---@return " .. value
  end
  lines[#lines + 1] = ("function %s:%s(%s) end\n"):format(resource,
    method.name, table.concat(names, ", "))
  return table.concat(lines, "\n")
end

local FAILURE = { "maiagent.Error err", "maiagent.Response? response" }

local function optional(type_name)
  return type_name:find("|", 1, true) and type_name .. "|nil"
    or type_name .. "?"
end

local function operation_method(row)
  local text = classes.summary(row)
  local note = NOTES[row.operation]
  local does = sentence(note and text .. "; " .. note or text)
  local value, name = value_of(row)
  return {
    name = row.name,
    does = ("%s `%s %s`"):format(does, row.method, row.path),
    params = params_of(row, OPTIONS[row.operation] or "maiagent.CallOptions"),
    returns = { optional(value) .. " " .. name, FAILURE[1], FAILURE[2] },
  }
end

-- Beside `list`: each, pages and all.
local function list_methods(row)
  local list = classes.list_of(row)
  local params = params_of(row, "maiagent.ListOptions")
  return {
    { name = "each", params = params, does = "Every item of every page, for a "
      .. "`for` loop.", returns = { list.stem .. "Iterator" } },
    { name = "pages", params = params, does = "Every page, for a `for` loop.",
      returns = { list.stem .. "PageIterator" } },
    { name = "all", params = params, does = "Every item of every page, as one "
      .. "array.",
      returns = { list.item .. "[]? list", FAILURE[1], FAILURE[2] } },
  }
end

--
-- Resources
--

local function camel(name)
  return (("_" .. name):gsub("_(%l)", string.upper))
end

local function last_part(resource)
  return resource:match("[^.]*$")
end

-- resource → the names of those below it
local function children_of(rows)
  local children = {}
  for _, row in ipairs(rows) do
    local parent, name = row.resource:match("^(.*)%.([^.]*)$")
    if parent then
      children[parent] = children[parent] or {}
      children[parent][name] = true
    end
  end
  return children
end

-- Hand-written methods by the resource's last name: name → text.
local function flows()
  local found = {}
  for block in (read(FOLDER .. "flows.lua") .. "\n"):gmatch("(.-\n)\n") do
    local resource, name = block:match("\nfunction ([%w_]+):([%w_]+)%(")
    found[resource] = found[resource] or {}
    found[resource][name] = block
  end
  return found
end

local function header(resource, children)
  local name = last_part(resource)
  local lines = { "---@class maiagent." .. camel(name) .. "\n" }
  for _, child in ipairs(classes.sorted(children or {})) do
    lines[#lines + 1] = ("---@field %s maiagent.%s\n"):format(child,
      camel(child))
  end
  lines[#lines + 1] = "local " .. name .. " = {}\n"
  return table.concat(lines)
end

local function add_operation(texts, row, by_hand)
  local name = last_part(row.resource)
  if not (by_hand and by_hand[row.name]) then
    texts[#texts + 1] = method_text(name, operation_method(row))
  end
  if row.name == "list" then
    for _, method in ipairs(list_methods(row)) do
      texts[#texts + 1] = method_text(name, method)
    end
  end
end

local function resource_texts()
  local rows, texts, by_hand = core.describe(), {}, flows()
  local children = children_of(rows)
  for i, row in ipairs(rows) do
    local resource = row.resource
    local own = by_hand[last_part(resource)]
    if i == 1 or rows[i - 1].resource ~= resource then
      texts[#texts + 1] = header(resource, children[resource])
      for _, name in ipairs(classes.sorted(own or {})) do
        texts[#texts + 1] = own[name]
      end
    end
    add_operation(texts, row, own)
  end
  return texts
end

local function heading(text)
  return "--\n-- " .. text .. "\n--\n"
end

--- The text of lua/maiagent/types.lua.
-- @treturn string
local function render()
  return table.concat({
    read(FOLDER .. "shared.lua"),
    heading("Objects of the API, and what its operations take"),
    table.concat(classes.all(), "\n"),
    heading("Resources"),
    table.concat(resource_texts(), "\n"),
    heading("The client"),
    read(FOLDER .. "client.lua"),
  }, "\n")
end

if arg and arg[0] and arg[0]:find("types%.lua$") then
  local file = assert(io.open(TARGET, "wb"))
  file:write(render())
  file:close()
end

return { render = render }
