--- The API as objects: client.knowledge_bases.files:list(…) and all the others,
-- made of the rows of core.describe().

local arguments_of = require("maiagent.arguments")
local call = require("maiagent.call")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local options_of = require("maiagent.options")
local wait = require("maiagent.wait")

-- The key of a proxy's state; a table of our own, so no field is in its way.
local STATE = {}

-- Positional arguments are ids in path order, then params, then options.
local function arguments(row, name, ...)
  local n, count = #row.ids, select("#", ...)
  if count > n + 2 then
    arguments_of.check_count(name, arguments_of.takes(row), ...)
  end
  local given = { ... }
  local params, options = given[n + 1], given[n + 2]
  if params ~= nil then
    arguments_of.check_params(row, name, params)
  end
  if options ~= nil then
    arguments_of.check_options(row, name, options)
  end
  return given, params, options
end

local function run(state, row, name, ...)
  return call.run(state, row, arguments(row, name, ...))
end

local function page_event(state, row, page)
  local on_event = state.settings.on_event
  local items = on_event and require("maiagent.pages").items_of(page)
  if items then
    on_event({
      type = "page",
      operation = row.operation,
      items = #items,
      count = page.count,
    })
  end
end

-- The request of one page, as `pages` wants it. What `of_row` gives is nil only
-- for files.
local function page_request(state, row, ids, query, options)
  local pending = call.of_row(state, row, ids, query, options)
  return {
    begin = function()
      pending:begin()
    end,
    close = function()
      pending:close()
    end,
    result = function(arrived)
      local page, err, response =
        call.collect(state, pending, row.reply, arrived)
      page_event(state, row, page)
      return page, err, response
    end,
  }
end

local function pager_of(state, row, name, ...)
  local ids, params, given = arguments(row, name, ...)
  local options = options_of.checked("call", name, given)
  -- Wrong arguments are told here, at the user's line, rather than in the
  -- middle of a loop.
  local request = call.prepare(state, row, ids, params, options, name)
  return require("maiagent.pages").pages(function(query)
    return page_request(state, row, ids, query, options)
  end, params, { prefetch = options.prefetch, null = core.null,
    path = request:path(), give_up = function(ahead)
      wait.give_up(state.hub, ahead)
    end })
end

-- A for-loop that is left early closes the pager where the VM can (5.4).
local function for_loop(pager)
  return pager, nil, nil, pager
end

local function items_of(state, row, ...)
  local pager = pager_of(state, row, ...)
  return require("maiagent.pages").items(pager, function()
    wait.pump(state.hub)
  end)
end

--- `all`: one array of every item, or nil and an error; and the response of
-- the last page.
local function all(state, row, ...)
  local items = items_of(state, row, ...)
  local list, n = core.array({}), 0
  while true do
    local item, err = items:take()
    if err then
      return nil, err, items:response()
    end
    if item == nil then
      return list, nil, items:response()
    end
    n = n + 1
    list[n] = item
  end
end

-- A page's `results` and a bare array alike are lists for each/pages/all.
local LISTS = {
  each = function(state, row, ...)
    return for_loop(items_of(state, row, ...))
  end,
  pages = function(state, row, ...)
    return for_loop(pager_of(state, row, ...))
  end,
  all = all,
}

local function called_with_dot(operation)
  errors.misuse(operation .. ": called with a dot; write client."
    .. operation:gsub("%.([^.]*)$", ":%1") .. "(…)")
end

local function method(class, row, action, name)
  local operation = row.resource .. "." .. (name or row.name)
  return errors.named(name or row.name, function(proxy, ...)
    if type(proxy) ~= "table" or getmetatable(proxy) ~= class then
      called_with_dot(operation)
    end
    return errors.outcome(action(proxy[STATE], row, operation, ...))
  end)
end

local function known_names(...)
  local known = {}
  for _, names in ipairs({ ... }) do
    for name in pairs(names) do
      known[name] = true
    end
  end
  return known
end

local function new_class(resource)
  local class = { __name = "maiagent." .. resource }
  class.methods, class.children = {}, {}
  class.__index = setmetatable(class.methods, {
    __index = function(_, name)
      local known = known_names(class.methods, class.children)
      errors.misuse("client." .. resource .. " has no '" .. tostring(name)
        .. "'" .. errors.instead(name, known, "methods"))
    end,
  })
  class.__tostring = function()
    return "maiagent resource " .. resource
  end
  return class
end

local classes = {}

local function class_of(resource)
  if not classes[resource] then
    classes[resource] = new_class(resource)
    local parent, name = resource:match("^(.*)%.([^.]*)$")
    if parent then
      class_of(parent).children[name] = resource
    end
  end
  return classes[resource]
end

for _, row in pairs(call.rows) do
  local class = class_of(row.resource)
  class.methods[row.name] = method(class, row, run)
  if row.name == "list" then
    for name, action in pairs(LISTS) do
      class.methods[name] = method(class, row, action, name)
    end
  end
end

--- The object of a resource, with those below it.
-- @tparam table state
-- @tparam string resource
-- @treturn table
local function proxy_of(state, resource)
  local class = classes[resource]
  local proxy = { [STATE] = state }
  for name, child in pairs(class.children) do
    proxy[name] = proxy_of(state, child)
  end
  return setmetatable(proxy, class)
end

-- Flows above one request, beside the operations of their resource. Each is
-- loaded when it is used: a program uses few, and all of them together would
-- add 3 ms to the first client, and the disk with libcrypto.
local FLOWS = {
  ["attachments.upload"] = function(...)
    return require("maiagent.attachments").upload(...)
  end,
  ["knowledge_bases.export_labels_excel"] = function(...)
    return require("maiagent.fetch").export(
      "knowledge_bases.export_labels_excel")(...)
  end,
  ["knowledge_bases.export_metadata_excel"] = function(...)
    return require("maiagent.fetch").export(
      "knowledge_bases.export_metadata_excel")(...)
  end,
  ["knowledge_bases.files.download"] = function(...)
    return require("maiagent.fetch").file(...)
  end,
  ["knowledge_bases.files.translations.download"] = function(...)
    return require("maiagent.fetch").translation(...)
  end,
  ["knowledge_bases.files.upload"] = function(...)
    return require("maiagent.files").upload(...)
  end,
  ["knowledge_bases.files.upload_all"] = function(...)
    return require("maiagent.upload_all").upload_all(...)
  end,
  ["knowledge_bases.files.translations.wait"] = function(...)
    return require("maiagent.processing").wait_for_translations(...)
  end,
  ["knowledge_bases.files.wait"] = function(...)
    return require("maiagent.processing").wait_for_files(...)
  end,
  ["knowledge_bases.sync"] = function(...)
    return require("maiagent.sync").sync(...)
  end,
  ["uploads.put"] = function(...)
    return require("maiagent.storing").put_source(...)
  end,
}

-- What each takes after the client, in order.
local TAKES = {
  ["attachments.upload"] = "source, params, options",
  ["knowledge_bases.export_labels_excel"] = "knowledge_base_id, path, options",
  ["knowledge_bases.export_metadata_excel"] =
    "knowledge_base_id, path, options",
  ["knowledge_bases.files.download"] = "knowledge_base_id, id, path, options",
  ["knowledge_bases.files.translations.download"] =
    "knowledge_base_id, file_id, id, path, options",
  ["knowledge_bases.files.upload"] =
    "knowledge_base_id, source, params, options",
  ["knowledge_bases.files.upload_all"] =
    "knowledge_base_id, sources, params, options",
  ["knowledge_bases.files.translations.wait"] =
    "knowledge_base_id, file_id, id, options",
  ["knowledge_bases.files.wait"] = "knowledge_base_id, id, options",
  ["knowledge_bases.sync"] = "knowledge_base_id, folder, options",
  ["uploads.put"] = "source, model_name, options",
}

for operation, action in pairs(FLOWS) do
  local resource, name = operation:match("^(.*)%.([^.]*)$")
  local class = class_of(resource)
  class.methods[name] = method(class, { resource = resource, name = name },
    function(state, _, _, ...)
      arguments_of.check_count(operation, TAKES[operation], ...)
      return action(state, ...)
    end)
end

--- The names of the resources that a client has itself.
-- @treturn table name → true
local function top_level()
  local names = {}
  for resource in pairs(classes) do
    if not resource:find(".", 1, true) then
      names[resource] = true
    end
  end
  return names
end

--- Where a resource is that another one has.
-- @tparam string name such as "files"
-- @treturn string|nil "knowledge_bases.files"
local function find(name)
  for resource in pairs(classes) do
    if resource:match("%.([^.]*)$") == name then
      return resource
    end
  end
end

return { find = find, proxy_of = proxy_of, top_level = top_level }
