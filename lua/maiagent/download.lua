--- What is on disk of a download: PATH.part, which gets its final name when it
-- is whole, and beside it PATH.part.etag, which tells of what the bytes in
-- PATH.part are the beginning, so that the rest can be asked for. A leaf.

local SUFFIX = ".part"
local NOTE = ".etag"

-- Bytes that a header may hold; what else stands in a note is not ours.
local ETAG = '^"[\33\35-\126\128-\255]*"$'
local DATE = "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$"

--- Where the bytes go while they arrive.
-- @tparam string path the final name
-- @treturn string
local function partial(path)
  return path .. SUFFIX
end

local function is_validator(text)
  return text ~= nil and (text:find(ETAG) or text:find(DATE)) ~= nil
end

--- What identifies the bytes of an answer exactly: a strong ETag, else a
-- Last-Modified that is older than the answer (RFC 9110, 8.8.2.2).
-- @tparam function header name → value
-- @treturn string|nil
local function validator(header)
  local etag, modified = header("etag"), header("last-modified")
  if is_validator(etag) then
    return etag
  elseif not etag and is_validator(modified) and header("date")
    and header("date") ~= modified
  then
    return modified
  end
end

local function size_of(path)
  local file = io.open(path, "rb")
  local size = file and file:seek("end")
  if file then
    file:close()
  end
  return size or 0
end

local function lines_of(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local first, second, third = file:read("*l", "*l", "*l")
  file:close()
  return first, second, third
end

--- What is there of a download, if the rest of it can be asked for.
-- @tparam string part as `partial` gives it
-- @tparam string source the URL, without its query
-- @treturn table|nil size (bytes), validator, total (bytes, or nil)
local function held(part, source)
  local identity, total, from = lines_of(part .. NOTE)
  if not is_validator(identity) or from ~= source then
    return nil
  end
  local size = size_of(part)
  return size > 0
    and { size = size, validator = identity, total = tonumber(total) } or nil
end

--- Forgets of what PATH.part is the beginning.
-- @tparam string part
local function forget(part)
  os.remove(part .. NOTE)
end

--- Notes of what PATH.part is the beginning. Where that fails, the download
-- will not be resumed, and nothing else is wrong.
-- @tparam string part
-- @tparam string source the URL, without its query
-- @tparam string identity as `validator` gives it
-- @tparam string|nil total bytes
-- @tparam function append (path, text) → whether it could be written to a file
--   of its own: through no link that somebody put there
local function remember(part, source, identity, total, append)
  forget(part)
  local lines = { identity, total or "", source, "" }
  if not append(part .. NOTE, table.concat(lines, "\n")) then
    forget(part)
  end
end

--- Removes what arrived of a download.
-- @tparam string part
local function discard(part)
  os.remove(part)
  forget(part)
end

return {
  discard = discard,
  forget = forget,
  held = held,
  partial = partial,
  remember = remember,
  validator = validator,
}
