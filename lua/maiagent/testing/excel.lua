--- A knowledge base's labels and metadata as Excel sheets, out and in.
local api = require "maiagent.testing.api"
local multipart = require "maiagent.testing.multipart"
local resources = require "maiagent.testing.resources"
local state = require "maiagent.testing.state"
local xlsx = require "maiagent.testing.xlsx"

local TYPE =
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
local PATH = "knowledge-bases/{id}/"

local labels, metadata = {}, {}

function labels.header() return { "file_id", "filename", "labels" } end

function labels.row(file)
  local names = {}
  for place, label in ipairs(resources.render_refs(file.labels)) do
    names[place] = label.name
  end
  return { file.id, file.filename, table.concat(names, ",") }
end

-- Gives the file the labels of a cell, or returns what is wrong with it.
function labels.set(file, values, base)
  local found = {}
  for name in values.labels:gmatch("[^,]+") do
    name = name:match("^%s*(.-)%s*$")
    local label = base.sub.labels:filter(function(other)
      return other.name == name
    end)[1]
    if not label then
      return "Label not found: " .. name
    end
    found[#found + 1] = { id = label.id, record = label }
  end
  file.labels = found
end

-- The metadata of a file, never null.
local function metadata_of(file)
  local own = file.rawUserDefineMetadata
  return own ~= state.null and own or {}
end

function metadata.header(base)
  local names = { "file_id", "filename" }
  for _, key in ipairs(base.sub.metadata_keys.order) do
    names[#names + 1] = key.keyName
  end
  return names
end

function metadata.row(file, header)
  local values = { file.id, file.filename }
  for column = 3, #header do
    local value = metadata_of(file)[header[column]]
    values[column] = (value == nil or value == state.null) and ""
      or tostring(value)
  end
  return values
end

function metadata.set(file, values)
  local changed = state.object()
  for name, value in pairs(metadata_of(file)) do
    changed[name] = value
  end
  for name, value in pairs(values) do
    if value ~= tostring(changed[name]) then -- else it keeps its type
      changed[name] = value ~= "" and value or nil
    end
  end
  file.rawUserDefineMetadata = changed
end

local function disposition(name)
  if name:find("^[%w ._-]+$") then
    return 'attachment; filename="' .. name .. '"'
  end
  return "attachment; filename*=utf-8''" .. api.encode_percent(name)
end

local function export(kind, title)
  return function(call)
    local base = resources.knowledge_base(call)
    local rows = { kind.header(base) }
    for _, file in ipairs(base.sub.files.order) do
      rows[#rows + 1] = kind.row(file, rows[1])
    end
    return 200, xlsx.write(rows), { ["Content-Type"] = TYPE,
      ["Content-Disposition"] = disposition(base.name .. title) }
  end
end

-- The bytes of the part excelFile, or the end of the call.
local function uploaded(call)
  local pieces, found = {}, nil
  local body = call.request.body
  multipart.parse(function()
    local data = body
    body = nil
    return data
  end, call.request.headers["content-type"] or "", function(part)
    found = found or part.name == "excelFile" and part
    return function(data)
      pieces[#pieces + 1] = part == found and data or ""
    end
  end)
  local problem = not found and "No file was submitted."
    or not found.filename and "The submitted data was not a file. Check the "
      .. "encoding type on the form."
    or table.concat(pieces) == "" and "The submitted file is empty."
  if problem then
    api.fail(400, { excelFile = state.array({ problem }) })
  end
  return table.concat(pieces)
end

local function values_of(row, header)
  local values = {}
  for column, name in pairs(header.cells) do
    values[name] = row.cells[column] or ""
  end
  local id = values.file_id or ""
  values.file_id, values.filename = nil, nil
  return id, values
end

local function import(kind)
  return function(call)
    local base = resources.knowledge_base(call)
    local rows = xlsx.read(uploaded(call))
    if not rows or not rows[1] then
      api.fail(400, { excelFile = state.array({ "Not an Excel workbook." }) })
    end
    local errors, updated = state.array(), 0
    local header = table.remove(rows, 1)
    for _, row in ipairs(rows) do
      local id, values = values_of(row, header)
      local file = base.sub.files:get(id)
      local problem = file and kind.set(file, values, base)
        or not file and "File not found."
      updated = updated + (problem and 0 or 1)
      errors[#errors + 1] = problem and { row = row.number, file_id = id,
        error = problem } or nil
    end
    return 200, { success = #errors == 0, updated_count = updated,
      total_rows = #rows, errors = errors }
  end
end

for name, kind in pairs({ labels = labels, metadata = metadata }) do
  api.route("GET " .. PATH .. "export-" .. name .. "-excel/", "",
    export(kind, "_" .. name .. ".xlsx"))
  api.route("POST " .. PATH .. "import-" .. name .. "-excel/", "",
    import(kind))
end
