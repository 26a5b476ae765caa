--- Excel workbooks, as far as a table of texts needs: a ZIP archive of XML.
-- Written uncompressed; compressed ones are read with lua-zlib.
local has_zlib, zlib = pcall(require, "zlib")

local NAMESPACE = "http://schemas.openxmlformats.org/"
local RELATION = NAMESPACE .. "officeDocument/2006/relationships"
local PACKAGE = NAMESPACE .. "package/2006/"
local MAIN = "application/vnd.openxmlformats-officedocument.spreadsheetml."
local DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
local SHEET = "xl/worksheets/sheet1.xml"
local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;", amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

local function relations(kind, target)
  return DECLARATION .. '<Relationships xmlns="' .. PACKAGE .. 'relationships">'
    .. '<Relationship Id="rId1" Type="' .. RELATION .. "/" .. kind
    .. '" Target="' .. target .. '"/></Relationships>'
end

local FIXED_FILES = {
  { "[Content_Types].xml", DECLARATION .. '<Types xmlns="' .. PACKAGE
    .. 'content-types"><Default Extension="rels" ContentType="application/vnd.'
    .. 'openxmlformats-package.relationships+xml"/><Default Extension="xml" '
    .. 'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
    .. 'ContentType="' .. MAIN .. 'sheet.main+xml"/><Override PartName="/'
    .. SHEET .. '" ContentType="' .. MAIN .. 'worksheet+xml"/></Types>' },
  { "_rels/.rels", relations("officeDocument", "xl/workbook.xml") },
  { "xl/workbook.xml", DECLARATION .. '<workbook xmlns="' .. NAMESPACE
    .. 'spreadsheetml/2006/main" xmlns:r="' .. RELATION .. '"><sheets><sheet '
    .. 'name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>' },
  { "xl/_rels/workbook.xml.rels",
    relations("worksheet", "worksheets/sheet1.xml") },
}

local function xor(a, b)
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    local x, y = a % 2, b % 2
    result = result + (x ~= y and bit or 0)
    a, b, bit = (a - x) / 2, (b - y) / 2, bit * 2
  end
  return result
end

local function crc_of_byte(value)
  for _ = 1, 8 do
    local low = value % 2
    value = (value - low) / 2
    value = low == 1 and xor(value, 0xEDB88320) or value
  end
  return value
end

local function crc32(data)
  if has_zlib then
    return zlib.crc32()(data)
  end
  local crc = 0xFFFFFFFF
  for place = 1, #data do
    local low = crc % 256
    crc = xor((crc - low) / 256, crc_of_byte(xor(low, data:byte(place))))
  end
  return xor(crc, 0xFFFFFFFF)
end

-- Little-endian numbers: pack(2, a, 4, b, …).
local function pack(...)
  local bytes, arguments = {}, { ... }
  for place = 1, #arguments, 2 do
    local value = arguments[place + 1]
    for _ = 1, arguments[place] do
      bytes[#bytes + 1] = string.char(value % 256)
      value = math.floor(value / 256)
    end
  end
  return table.concat(bytes)
end

local function unpack_number(data, first, size)
  local value = 0
  for place = first + size - 1, first, -1 do
    value = value * 256 + (data:byte(place) or 0)
  end
  return value
end

-- The fields that the local and the central header of a file share; the date
-- is 1 January 1980, the earliest there is.
local function zip_fields(name, data)
  return pack(2, 20, 2, 2048, 2, 0, 2, 0, 2, 33, 4, crc32(data), 4, #data,
    4, #data, 2, #name, 2, 0)
end

local function zip(files)
  local bodies, directory, offset = {}, {}, 0
  for _, file in ipairs(files) do
    local name, data = file[1], file[2]
    local fields = zip_fields(name, data)
    local entry = "PK\3\4" .. fields .. name .. data
    bodies[#bodies + 1] = entry
    directory[#directory + 1] = "PK\1\2" .. pack(2, 20) .. fields
      .. pack(2, 0, 2, 0, 2, 0, 4, 0, 4, offset) .. name
    offset = offset + #entry
  end
  local list = table.concat(directory)
  return table.concat(bodies) .. list .. "PK\5\6" .. pack(2, 0, 2, 0, 2, #files,
    2, #files, 4, #list, 4, offset, 2, 0)
end

-- The file whose central directory entry begins at `place`: its name, its
-- content and where the next entry begins.
local function unzip_entry(archive, place)
  local function number(offset, size)
    return unpack_number(archive, place + offset, size)
  end
  local name_size, at = number(28, 2), number(42, 4) + 1
  local name = archive:sub(place + 46, place + 45 + name_size)
  local first = at + 30 + unpack_number(archive, at + 26, 2)
    + unpack_number(archive, at + 28, 2)
  local data = archive:sub(first, first + number(20, 4) - 1)
  if number(10, 2) == 8 then
    data = has_zlib and zlib.inflate(-15)(data) or nil
  end
  return name, data, place + 46 + name_size + number(30, 2) + number(32, 2)
end

local function unzip(archive)
  local tail = archive:find("PK\5\6", math.max(#archive - 65557, 1), true)
  local files, place = {}, tail and unpack_number(archive, tail + 16, 4) + 1
  while place and archive:sub(place, place + 3) == "PK\1\2" do
    local name, data, following = unzip_entry(archive, place)
    files[name], place = data, following
  end
  return files
end

local function escape(text)
  return (text:gsub('[&<>"]', ENTITIES):gsub("[%z\1-\8\11\12\14-\31]", ""))
end

-- A character as UTF-8.
local function utf8_of(code)
  if code < 128 then
    return string.char(code)
  end
  local tail, limit, lead = "", 64, 128
  repeat
    local low = code % 64
    tail = string.char(128 + low) .. tail
    code, limit, lead = (code - low) / 64, limit / 2, lead + limit
  until code < limit
  return string.char(lead + code) .. tail
end

local function unescape(text)
  text = text:gsub("&#(x?)(%x+);", function(hexadecimal, digits)
    return utf8_of(tonumber(digits, hexadecimal == "x" and 16 or 10))
  end)
  return (text:gsub("&(%a+);", ENTITIES))
end

local function column_name(number)
  local name = ""
  while number > 0 do
    local digit = (number - 1) % 26
    name = string.char(65 + digit) .. name
    number = math.floor((number - 1 - digit) / 26)
  end
  return name
end

local function column_number(name)
  local number = 0
  for letter in name:gmatch("%u") do
    number = number * 26 + letter:byte() - 64
  end
  return number
end

local function row_xml(number, cells)
  local parts = { '<row r="' .. number .. '">' }
  for column, text in ipairs(cells) do
    parts[#parts + 1] = ('<c r="%s%d" t="inlineStr"><is><t xml:space='
      .. '"preserve">%s</t></is></c>'):format(column_name(column), number,
      escape(text))
  end
  return table.concat(parts) .. "</row>"
end

--- A workbook of one sheet: rows is an array of arrays of texts.
local function write(rows)
  local parts = {}
  for number, cells in ipairs(rows) do
    parts[number] = row_xml(number, cells)
  end
  local files = { { SHEET, DECLARATION .. '<worksheet xmlns="' .. NAMESPACE
    .. 'spreadsheetml/2006/main"><sheetData>' .. table.concat(parts)
    .. "</sheetData></worksheet>" } }
  for place, file in ipairs(FIXED_FILES) do
    table.insert(files, place, file)
  end
  return zip(files)
end

local function joined_text(xml)
  local parts = {}
  for text in xml:gmatch("<t[^>/]*>(.-)</t>") do
    parts[#parts + 1] = unescape(text)
  end
  return table.concat(parts)
end

local function shared_strings(xml)
  local list = {}
  for item in (xml or ""):gmatch("<si>(.-)</si>") do
    list[#list + 1] = joined_text(item)
  end
  return list
end

local function cell_text(attributes, content, shared)
  local kind = attributes:match(' t="(%a+)"')
  local value = content:match("<v[^>]*>(.-)</v>")
  if kind == "inlineStr" then
    return joined_text(content)
  elseif kind == "s" then
    return shared[(tonumber(value) or -1) + 1] or ""
  end
  return unescape(value or "")
end

local function read_row(content, shared)
  local cells = {}
  for attributes, cell in content:gmatch("<c( [^>]*)>(.-)</c>") do
    local column = column_number(attributes:match(' r="(%u+)') or "A")
    cells[column] = cell_text(attributes, cell, shared)
  end
  return cells
end

--- The rows of a workbook's first sheet: {number =, cells = {column -> text}};
-- nil if it cannot be read (or needs lua-zlib, which is not there).
local function read(archive)
  local files = unzip(archive)
  if not files[SHEET] then
    return nil
  end
  local shared, rows = shared_strings(files["xl/sharedStrings.xml"]), {}
  local sheet = files[SHEET]:gsub("<c [^>]*/>", ""):gsub("<row [^>]*/>", "")
  for attributes, content in sheet:gmatch("<row([^>]*)>(.-)</row>") do
    rows[#rows + 1] = { cells = read_row(content, shared),
      number = tonumber(attributes:match(' r="(%d+)"')) or #rows + 1 }
  end
  return rows
end

return { read = read, write = write }
