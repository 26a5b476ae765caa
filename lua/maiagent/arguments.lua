--- What is wrong with the arguments of an operation, for what the service would
-- not tell: it ignores a query that it doesn't know. A leaf.

local errors = require("maiagent.errors")

-- Positional ids as a person calls them.
local READABLE = {
  knowledgeBasePk = "knowledge_base_id",
  knowledgeBaseFilePk = "file_id",
}

-- Why an option has no effect at an operation, if it has none.
local USELESS = {
  prefetch = function(row, name)
    if name == row.operation then
      return "pages are fetched ahead by each, pages and all alone"
    end
  end,
  all = function(row)
    if row.operation ~= "knowledge_bases.faqs.batch_delete" then
      return "it is for knowledge_bases.faqs:batch_delete, to delete every FAQ"
        .. (row.name == "list" and "; all() gives every item of a list" or "")
    end
  end,
  max_speed = function(row)
    if row.body ~= "form" and row.reply ~= "file" then
      return "it is for calls that send or receive a file"
    end
  end,
}

-- The options of a call. `query` is one where it is a table of names: as a text
-- it is what lists look for.
local OPTIONS = {
  timeout = true,
  max_retries = true,
  headers = true,
  on_progress = true,
  max_speed = true,
  prefetch = true,
  all = true,
  query = true,
}

-- Of an operation: the names of its query, as a set. Made once.
local queries = {}

local function query_of(row)
  local known = {}
  for _, name in ipairs(row.body == "none" and row.query or {}) do
    known[name] = true
  end
  queries[row] = known
  return known
end

local function ids_of(row)
  local ids = {}
  for i, id in ipairs(row.ids) do
    ids[i] = READABLE[id] or id
  end
  return ids
end

-- "get(knowledge_base_id, id" and what follows the ids.
local function shape(row, name, ...)
  local parts = ids_of(row)
  for _, part in ipairs({ ... }) do
    parts[#parts + 1] = part
  end
  return name:match("[^.]*$") .. "(" .. table.concat(parts, ", ") .. ")"
end

local function refuse_option(row, name, option)
  local useless = USELESS[option] and USELESS[option](row, name)
  if useless then
    errors.misuse(("%s: %s is no parameter: %s"):format(name, option, useless))
  end
  local params = row.body == "none" and #row.query == 0 and "nil" or "params"
  errors.misuse(("%s: %s is an option: pass it after params, %s"):format(name,
    option, shape(row, name, params, "{ " .. option .. " = … }")))
end

local function is_list(value)
  return type(value) == "table" and value[1] ~= nil
end

local function check_name(row, known, name, field, value)
  if OPTIONS[field] and (field ~= "query"
    or (type(value) == "table" and not is_list(value)))
  then
    refuse_option(row, name, field)
  end
  if row.body ~= "none" or type(field) ~= "string" then
    return
  end
  local meant = errors.misspelt(field, known)
  if meant then
    errors.misuse(("%s: unknown params.%s (did you mean '%s'?); a name that "
      .. "the API's documentation lacks goes into options.query"):format(name,
      field, meant))
  end
end

--- Checks the names in an operation's params: an option of the call is none,
-- and where they become a query, neither is what is close to a name that the
-- API has (other case, words joined otherwise, a letter or two off). Other
-- names pass: the service may know more than it documents.
-- @tparam table row of core.describe()
-- @tparam string name of the method, for messages
-- @param params as the user gave them
-- Raises what is wrong. options.query is never checked.
local function check_params(row, name, params)
  if type(params) ~= "table" or row.body == "form" then
    return
  end
  local known = queries[row] or query_of(row)
  for field, value in next, params do
    if not known[field] then
      check_name(row, known, name, field, value)
    end
  end
end

--- Checks that options have an effect at an operation.
-- @tparam table row of core.describe()
-- @tparam string name of the method, for messages
-- @param options as the user gave them
-- Raises for the first that has none.
local function check_options(row, name, options)
  -- Without a loop: every call with options comes by here.
  if type(options) ~= "table" or (options.prefetch == nil
    and options.all == nil and options.max_speed == nil)
  then
    return
  end
  for option, reason_of in next, USELESS do
    local reason = options[option] ~= nil and reason_of(row, name)
    if reason then
      errors.misuse(("%s: %s has no effect here: %s"):format(name, option,
        reason))
    end
  end
end

--- Whether a name is one of the options of a call.
-- @param name
-- @treturn boolean
local function is_option(name)
  return OPTIONS[name] or false
end

--- Raises where a call has more arguments than it takes; nil at the end is
-- none.
-- @tparam string name of the method
-- @tparam string takes the names of what it takes, with ", " between
-- @param ... the arguments
local function check_count(name, takes, ...)
  local count, most = select("#", ...), select(2, takes:gsub(",", ",")) + 1
  while count > most and (select(count, ...)) == nil do
    count = count - 1
  end
  if count > most then
    errors.misuse(name .. ": " .. count .. " arguments given; it takes "
      .. takes)
  end
end

--- What an operation takes, for `check_count`.
-- @tparam table row of core.describe()
-- @treturn string
local function takes(row)
  local parts = ids_of(row)
  parts[#parts + 1] = "params, options"
  return table.concat(parts, ", ")
end

--- What core said of an operation's arguments, for who called it by `name`.
-- @tparam table row of core.describe()
-- @tparam string name of the method
-- @tparam string problem
-- @treturn string
local function explained(row, name, problem)
  local prefix = row.operation .. ": "
  if problem:sub(1, #prefix) ~= prefix then
    return name .. ": " .. problem
  end
  local id, wrong = problem:sub(#prefix + 1):match("^(%w+)( .*)$")
  if not READABLE[id] and id ~= "id" then
    return name .. ": " .. problem:sub(#prefix + 1)
  end
  local text = name .. ": " .. (READABLE[id] or id) .. wrong
  local is_own = name == row.operation or row.name == "list"
  local is_plain = #row.ids == 1 and id == "id"
  if is_own and not is_plain and wrong:find("^ expected") then
    text = text .. "; it is " .. shape(row, name,
      row.body ~= "none" and "params" or nil)
  end
  return text
end

return {
  check_count = check_count,
  check_options = check_options,
  check_params = check_params,
  explained = explained,
  is_option = is_option,
  takes = takes,
}
