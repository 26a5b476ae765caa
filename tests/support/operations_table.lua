--- The table of operations in README.md, made of core.describe().
--
--   lua tests/support/operations_table.lua      writes it into README.md
--
-- As a module it gives { insert = function(text) → text with a fresh table,
-- ids = the names of positional ids }.

local core = require("maiagent.core")
local read = require("tests.support.files").read

local BEGIN, FINISH = "<!-- operations -->\n", "<!-- /operations -->"

-- Positional ids as a person calls them.
local IDS = { knowledgeBasePk = "knowledge_base_id",
  knowledgeBaseFilePk = "file_id" }

local NOUNS = {
  knowledge_bases = "the knowledge base",
  ["knowledge_bases.labels"] = "the label",
  ["knowledge_bases.metadata_keys"] = "the metadata key",
  ["knowledge_bases.files"] = "the file",
  ["knowledge_bases.files.translations"] = "the translation",
  ["knowledge_bases.documents"] = "the document",
  ["knowledge_bases.faqs"] = "the FAQ",
  chatbots = "the assistant",
  attachments = "the attachment",
}

-- Objects that are not the resource's own.
local OBJECTS = {
  ["knowledge_bases.import_labels_excel"] = "a report",
  ["knowledge_bases.import_metadata_excel"] = "a report",
  ["knowledge_bases.files.batch_reparse"] = "a page, or a file",
  ["knowledge_bases.files.latest_failed_reason"] = "the reason",
  ["knowledge_bases.files.translations.create"] = "what was sent",
  ["uploads.presign"] = "`url` and `fields`",
}

local REPLIES = {
  page = "a page",
  list = "an array",
  none = "`true`",
  file = "the bytes; with `path`, the path",
}

local function arguments(row)
  local list = {}
  for _, id in ipairs(row.ids) do
    list[#list + 1] = IDS[id] or id
  end
  if row.body == "form" then
    list[#list + 1] = "source"
  elseif row.reply == "file" then
    list[#list + 1] = "path"
  elseif row.body == "json" or #row.query > 0 then
    list[#list + 1] = "params"
  end
  return table.concat(list, ", ")
end

local function returns(row)
  local text = OBJECTS[row.operation] or REPLIES[row.reply]
    or NOUNS[row.resource]
  if row.name == "list" then
    text = text .. "; also `each`, `pages`, `all`"
  end
  return text
end

local function line(row)
  local call = ("client.%s:%s(%s)"):format(row.resource, row.name,
    arguments(row))
  return ("| `%s` | `%s` | %s `%s` | %s |\n"):format(row.operation, call,
    row.method, row.path, returns(row))
end

local function render()
  local lines = { "| operation | call | HTTP | returns |\n",
    "| --- | --- | --- | --- |\n" }
  for _, row in ipairs(core.describe()) do
    lines[#lines + 1] = line(row)
  end
  return table.concat(lines)
end

--- Replaces what stands between the two comments.
-- @tparam string text of README.md
-- @treturn string
local function insert(text)
  local _, first = text:find(BEGIN, 1, true)
  local last = text:find(FINISH, 1, true)
  if not first or not last then
    error("README.md lacks the comments around the table of operations", 0)
  end
  return text:sub(1, first) .. render() .. text:sub(last)
end

local function rewrite(path)
  local text = insert(read(path))
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

if arg and arg[0] and arg[0]:find("operations_table%.lua$") then
  rewrite("README.md")
end

return { ids = IDS, insert = insert }
