--- Names of files that another side chose, made harmless. A leaf.

local LONGEST = 255 -- bytes, of a name on the usual file systems
local LONGEST_EXTENSION = 16

-- On Windows these are devices in every folder, whatever the extension.
local DEVICES = { con = true, prn = true, aux = true, nul = true }
for digit = 0, 9 do
  DEVICES["com" .. digit], DEVICES["lpt" .. digit] = true, true
end

--- Undoes percent-encoding; what is no escape stays.
-- @tparam string text
-- @treturn string
local function percent_decoded(text)
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function from_latin1(text)
  return (text:gsub("[\128-\255]", function(char)
    local code = char:byte()
    return string.char(192 + math.floor(code / 64), 128 + code % 64)
  end))
end

-- The length of the well-formed UTF-8 sequence at a place, or nil.
local function sequence_length(text, at)
  local first, second = text:byte(at, at + 1)
  local length = first < 128 and 1 or first < 194 and 0 or first < 224 and 2
    or first < 240 and 3 or first < 245 and 4 or 0
  if length < 2 then
    return length == 1 and 1 or nil
  end
  local tail = text:sub(at + 1, at + length - 1)
  local overlong = first == 224 and second and second < 160
    or first == 240 and second and second < 144
  local beyond = first == 237 and second and second > 159
    or first == 244 and second and second > 143
  if #tail < length - 1 or tail:find("[^\128-\191]") or overlong or beyond then
    return nil
  end
  return length
end

local function well_formed(text)
  local kept, at = {}, 1
  while at <= #text do
    local length = sequence_length(text, at)
    kept[#kept + 1] = length and text:sub(at, at + length - 1) or "_"
    at = at + (length or 1)
  end
  return table.concat(kept)
end

-- Control characters too of Unicode: those that turn the direction of writing
-- make "exe.pdf" of "fdp.exe".
local function without_controls(text)
  text = text:gsub("[%z\1-\31\127]", "")
  text = text:gsub("\194[\128-\159]", ""):gsub("\216\156", "")
  text = text:gsub("\226\128[\142\143\168-\174]", "")
  return (text:gsub("\226\129[\166-\169]", ""))
end

-- Cut between two characters.
local function clipped(text, limit)
  if #text <= limit then
    return text
  end
  while limit > 0 and text:byte(limit + 1) >= 128
    and text:byte(limit + 1) < 192
  do
    limit = limit - 1
  end
  return text:sub(1, limit)
end

local function shortened(name, limit)
  if #name <= limit then
    return name
  end
  local stem, extension = name:match("^(.+)(%.[^.]+)$")
  if not stem or #extension > LONGEST_EXTENSION then
    stem, extension = name, ""
  end
  return clipped(stem, limit - #extension) .. extension
end

-- Files that downloads go on from: another side must not write them.
local function is_ours(name)
  name = name:lower()
  return name:find("%.part$") ~= nil or name:find("%.part%.etag$") ~= nil
end

local function no_device(name)
  local stem = name:match("^[^.]*"):lower():gsub(" +$", "")
  return (DEVICES[stem] and "_" or "") .. name
end

--- A name that is one file in the folder where it is used: no path, no control
-- characters, not hidden, no device, not the part of a download, valid UTF-8.
-- @tparam string|nil name whatever another side gave
-- @tparam integer|nil limit bytes (255)
-- @treturn string|nil nil where nothing is left of it
local function harmless(name, limit)
  if type(name) ~= "string" then
    return nil
  end
  name = without_controls(well_formed(name))
  name = name:gsub("[/\\%s]+$", ""):match("[^/\\]*$")
  name = name:gsub("^%s+", ""):gsub("[. ]+$", ""):gsub("^%.+", "_")
  if name == "" then
    return nil
  end
  limit = limit or LONGEST
  name = shortened(no_device(name), limit):gsub("[. ]+$", "")
  name = no_device(name) -- what was cut off may have made it one
  return is_ours(name) and clipped(name, limit - 1) .. "_" or name
end

local function unquoted(text)
  return (text:gsub("\\(.)", function(char)
    if char == '"' or char == "\\" then
      return char
    end
    return nil -- a path of Windows, whose slashes are no escapes
  end))
end

local function extended(text)
  local charset, value = text:match("^([%w%-_]*)'[^']*'(.*)$")
  charset = charset and charset:lower()
  if charset == "utf-8" then
    return percent_decoded(value)
  elseif charset == "iso-8859-1" then
    return from_latin1(percent_decoded(value))
  end
end

-- The end of a quoted text that begins at a place, or nil.
local function quote_end(text, at)
  local i = at + 1
  while i <= #text do
    local char = text:sub(i, i)
    if char == '"' then
      return i
    end
    i = i + (char == "\\" and 2 or 1)
  end
end

-- Parameter by parameter: "; filename=" may stand inside of another's quotes.
local function parameters(header)
  local found, at = {}, (header:find(";", 1, true) or #header) + 1
  while at <= #header do
    local name, value_at = header:match("^%s*([^%s=;\"]+)%s*=%s*()", at)
    local stop
    if name and header:sub(value_at, value_at) == '"' then
      stop = quote_end(header, value_at) or #header + 1
      found[name:lower()] = unquoted(header:sub(value_at + 1, stop - 1))
    elseif name then
      stop = header:find(";", value_at, true) or #header + 1
      local value = header:sub(value_at, stop - 1):gsub("%s+$", "")
      found[name:lower()] = found[name:lower()] or value
    end
    at = (header:find(";", stop or at, true) or #header) + 1
  end
  return found
end

--- The name in a Content-Disposition header (RFC 6266): filename* before
-- filename.
-- @tparam string|nil header
-- @treturn string|nil as it stands there, not yet harmless
local function of_disposition(header)
  if not header then
    return nil
  end
  local found = parameters(header)
  local name = found["filename*"] and extended(found["filename*"])
  return name or found.filename
end

--- The last segment of a URL's path, decoded.
-- @tparam string url
-- @treturn string|nil not yet harmless
local function of_url(url)
  local path = url:gsub("[?#].*$", ""):gsub("^%a[%w+.-]*://[^/]*", "")
  local segment = path:match("([^/]+)/*$")
  return segment and percent_decoded(segment)
end

return {
  harmless = harmless,
  of_disposition = of_disposition,
  of_url = of_url,
  percent_decoded = percent_decoded,
}
