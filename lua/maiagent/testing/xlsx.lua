--- Excel workbooks, as far as a table of texts needs: a ZIP archive of XML.
-- Written uncompressed; compressed ones are read with lua-zlib.
local has_zlib, zlib = pcall(require, "zlib")

local SHEET = "xl/worksheets/sheet1.xml"
local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", amp = "&",
  lt = "<", gt = ">", quot = '"', apos = "'" }

-- The files of a workbook: name, text. In a text $ stands for the address of
-- the schemas, # for the beginning of a type, @ for the rows.
local RELATION = [[<Relationships xmlns="$package/2006/relationships">
  <Relationship Id="rId1" Target="%s"
    Type="$officeDocument/2006/relationships/%s"/></Relationships>]]
local FILES = {
  { "[Content_Types].xml", [[<Types xmlns="$package/2006/content-types">
    <Default Extension="rels" ContentType="#package.relationships+xml"/>
    <Default Extension="xml"
      ContentType="#officedocument.spreadsheetml.worksheet+xml"/>
    <Override PartName="/xl/workbook.xml"
      ContentType="#officedocument.spreadsheetml.sheet.main+xml"/></Types>]] },
  { "_rels/.rels", RELATION:format("xl/workbook.xml", "officeDocument") },
  { "xl/workbook.xml", [[<workbook xmlns="$spreadsheetml/2006/main"
    xmlns:r="$officeDocument/2006/relationships"><sheets>
    <sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>]] },
  { "xl/_rels/workbook.xml.rels",
    RELATION:format("worksheets/sheet1.xml", "worksheet") },
  { SHEET, [[<worksheet xmlns="$spreadsheetml/2006/main">
    <sheetData>@</sheetData></worksheet>]] },
}

local function xor(a, b)
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    result = result + (a % 2 ~= b % 2 and bit or 0)
    a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
  end
  return result
end

local function crc_of_byte(value)
  for _ = 1, 8 do
    value = value % 2 == 1 and xor((value - 1) / 2, 0xEDB88320) or value / 2
  end
  return value
end

local function crc32(data)
  if has_zlib then
    return zlib.crc32()(data)
  end
  local crc, known = 0xFFFFFFFF, {}
  for place = 1, #data do
    local low = xor(crc % 256, data:byte(place))
    known[low] = known[low] or crc_of_byte(low)
    crc = xor(math.floor(crc / 256), known[low])
  end
  return xor(crc, 0xFFFFFFFF)
end

-- A little-endian number of `size` bytes.
local function pack(number, size)
  local bytes = ""
  for _ = 1, size do
    bytes = bytes .. string.char(number % 256)
    number = math.floor(number / 256)
  end
  return bytes
end

local function unpack_number(data, first, size)
  local value = 0
  for place = first + size - 1, first, -1 do
    value = value * 256 + (data:byte(place) or 0)
  end
  return value
end

-- The date of every file is 1 January 1980, the earliest there is.
local function zip(files)
  local bodies, directory, offset = {}, {}, 0
  for place, file in ipairs(files) do
    local name, data = file[1], file[2]
    local fields = "\20\0\0\8\0\0\0\0\33\0" .. pack(crc32(data), 4)
      .. pack(#data, 4):rep(2) .. pack(#name, 2) .. "\0\0"
    bodies[place] = "PK\3\4" .. fields .. name .. data
    directory[place] = "PK\1\2\20\0" .. fields .. ("\0"):rep(10)
      .. pack(offset, 4) .. name
    offset = offset + #bodies[place]
  end
  local list = table.concat(directory)
  return table.concat(bodies) .. list .. "PK\5\6\0\0\0\0"
    .. pack(#files, 2):rep(2) .. pack(#list, 4) .. pack(offset, 4) .. "\0\0"
end

-- name -> content, by the central directory at the archive's end.
local function unzip(archive)
  local tail = archive:find("PK\5\6", math.max(#archive - 65557, 1), true)
  local files, place = {}, tail and unpack_number(archive, tail + 16, 4) + 1
  while place and archive:sub(place, place + 3) == "PK\1\2" do
    local function number(offset, size)
      return unpack_number(archive, place + offset, size)
    end
    local name = archive:sub(place + 46, place + 45 + number(28, 2))
    local at = number(42, 4) + 1
    local first = at + 30 + unpack_number(archive, at + 26, 2)
      + unpack_number(archive, at + 28, 2)
    local data = archive:sub(first, first + number(20, 4) - 1)
    if number(10, 2) == 8 then
      data = has_zlib and zlib.inflate(-15)(data) or nil
    end
    files[name] = data
    place = place + 46 + #name + number(30, 2) + number(32, 2)
  end
  return files
end

--- A workbook of one sheet: rows is an array of arrays of texts.
local function write(rows)
  local parts, files = {}, {}
  for _, cells in ipairs(rows) do
    parts[#parts + 1] = "<row>"
    for _, text in ipairs(cells) do
      parts[#parts + 1] = '<c t="inlineStr"><is><t xml:space="preserve">'
        .. text:gsub("[&<>]", ENTITIES):gsub("[%z\1-\8\11\12\14-\31]", "")
        .. "</t></is></c>"
    end
    parts[#parts + 1] = "</row>"
  end
  local stands_for = { ["@"] = table.concat(parts),
    ["#"] = "application/vnd.openxmlformats-",
    ["$"] = "http://schemas.openxmlformats.org/" }
  for place, file in ipairs(FILES) do
    files[place] = { file[1],
      '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        .. file[2]:gsub("[@#$]", stands_for) }
  end
  return zip(files)
end

-- The text of all <t> and <v> in a piece of XML. Of numeric entities, those of
-- ASCII.
local function text_of(xml)
  local parts = {}
  for text in xml:gmatch("<[tv][^>/]*>(.-)</[tv]>") do
    parts[#parts + 1] = text
  end
  return (table.concat(parts):gsub("&#(%d+);", function(code)
    return tonumber(code) < 128 and string.char(code) or nil
  end):gsub("&(%a+);", ENTITIES))
end

-- column -> text of a row; shared are the texts that cells only number.
local function read_row(row, shared)
  local cells, column = {}, 0
  for attributes, content in row:gmatch("<c([^>]*)>(.-)</c>") do
    column = column + 1
    local letters = attributes:match(' r="(%u+)')
    if letters then
      column = 0
      for letter in letters:gmatch(".") do
        column = column * 26 + letter:byte() - 64
      end
    end
    local text = text_of(content)
    cells[column] = attributes:find(' t="s"', 1, true)
      and shared[tonumber(text) + 1] or text
  end
  return cells
end

--- The rows of a workbook's first sheet, each column -> text; nil if it cannot
-- be read (or needs lua-zlib, which is not there).
local function read(archive)
  local files, shared, rows = unzip(archive), {}, {}
  for item in (files["xl/sharedStrings.xml"] or ""):gmatch("<si>(.-)</si>") do
    shared[#shared + 1] = text_of(item)
  end
  for row in (files[SHEET] or ""):gsub("<c [^>]*/>", "")
    :gsub("<row [^>]*/>", ""):gmatch("<row[^>]*>(.-)</row>") do
    rows[#rows + 1] = read_row(row, shared)
  end
  return files[SHEET] and rows
end

return { read = read, write = write }
