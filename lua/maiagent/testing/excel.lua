--- A knowledge base's labels and metadata as Excel sheets, out and in.
local api = require "maiagent.testing.api"
local http = require "maiagent.testing.http"
local json = require "maiagent.testing.json"
local ltn12 = require "ltn12"
local multipart = require "maiagent.testing.multipart"
local resources = require "maiagent.testing.resources"
local state = require "maiagent.testing.state"
local xlsx = require "maiagent.testing.xlsx"

local TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

-- Of each kind of sheet the columns beside a file's id and name, what a file
-- has in them, and how it takes that back: an error or nil.
local labels, metadata = {}, {}

function labels.columns() return { { name = "labels" } } end

function labels.get(file)
  local names = {}
  for place, label in ipairs(resources.render_references(file.labels)) do
    names[place] = label.name
  end
  return { labels = table.concat(names, ",") }
end

function labels.set(file, values, base)
  local known, found = {}, {}
  for _, label in ipairs(state.children(base, "labels")) do
    known[label.name] = { id = label.id, record = label }
  end
  for name in values.labels:gmatch("%s*([^,]*[^,%s])") do
    if not known[name] then
      return "Label not found: " .. name
    end
    found[#found + 1] = known[name]
  end
  file.labels = found
end

function metadata.columns(base)
  return state.children(base, "metadata-keys")
end

function metadata.get(file)
  local own = file.rawUserDefineMetadata
  return own ~= json.null and own or {}
end

function metadata.set(file, values)
  local changed = json.object()
  for name, value in pairs(metadata.get(file)) do
    changed[name] = value
  end
  for name, value in pairs(values) do
    if value ~= tostring(changed[name]) then -- else it keeps its type
      changed[name] = value ~= "" and value or nil
    end
  end
  file.rawUserDefineMetadata = changed
end

local function export(kind, title)
  return function(call)
    local rows = { { "file_id", "filename" } }
    for _, column in ipairs(kind.columns(call.record)) do
      table.insert(rows[1], column.keyName or column.name)
    end
    for number, file in ipairs(state.children(call.record, "files")) do
      rows[number + 1] = { file.id, file.filename }
      for column = 3, #rows[1] do
        local value = kind.get(file)[rows[1][column]]
        rows[number + 1][column] = value ~= json.null and tostring(value or "")
          or ""
      end
    end
    return 200, xlsx.write(rows), { ["Content-Type"] = TYPE,
      ["Content-Disposition"] = http.attachment(call.record.name .. title) }
  end
end

-- The rows of the sheet in the part excelFile, or the end of the call.
local function uploaded(call)
  local parts = multipart.parse(ltn12.source.string(call.text),
    call.request.headers["content-type"] or "")
  local part = parts and parts[1] or {}
  local found = part.name == "excelFile" and part.filename
  local rows = found and xlsx.read(part.content:sub(1, part.size))
  return rows and rows[1] and rows or api.fail(400, { excelFile = json.array({
    found and "Not an Excel workbook." or "No file was submitted." }) })
end

local function import(kind)
  return function(call)
    local rows, errors = uploaded(call), json.array()
    local files = state.children(call.record, "files")
    for number = 2, #rows do
      local values = {}
      for column, name in pairs(rows[1]) do
        values[name] = rows[number][column] or ""
      end
      local id, file = values.file_id, files.by_id[values.file_id]
      values.file_id, values.filename = nil, nil
      local problem = not file and "File not found."
        or kind.set(file, values, call.record)
      errors[#errors + 1] = problem and { row = number, file_id = id,
        error = problem } or nil
    end
    return 200, { success = #errors == 0, errors = errors,
      updated_count = #rows - 1 - #errors, total_rows = #rows - 1 }
  end
end

local bases = resources.knowledge_bases
for name, kind in pairs({ labels = labels, metadata = metadata }) do
  api.route(bases, "GET {id}/export-" .. name .. "-excel/",
    export(kind, "_" .. name .. ".xlsx"))
  api.route(bases, "POST {id}/import-" .. name .. "-excel/",
    import(kind))
end
