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
-- Last-Modified that is older than the answer (RFC 9110, 8.8.2.2). Of an
-- encoded answer the file holds other bytes than those that have places there.
-- @tparam function header name → value
-- @treturn string|nil
local function validator(header)
  local etag, modified = header("etag"), header("last-modified")
  local coding = header("content-encoding")
  if coding and coding:lower() ~= "identity" then
    return nil
  elseif is_validator(etag) then
    return etag
  elseif not etag and is_validator(modified) and header("date")
    and header("date") ~= modified
  then
    return modified
  end
end

--- What is there of a download, if the rest of it can be asked for.
-- @tparam string part as `partial` gives it
-- @tparam string source the URL, without its query
-- @tparam table disk what does not wait for a pipe, and follows no link, that
--   somebody put there: `read` and `stat` of maiagent.disk
-- @treturn table|nil size (bytes), validator, total (bytes, or nil)
local function held(part, source, disk)
  local note = disk.read(part .. NOTE) or ""
  local identity, total, from = note:match("^([^\n]*)\n([^\n]*)\n([^\n]*)\n")
  if not is_validator(identity) or from ~= source then
    return nil
  end
  local file = disk.stat(part)
  return file and file.kind == "file" and file.size > 0
    and { size = file.size, validator = identity, total = tonumber(total) }
    or nil
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
-- @tparam table disk `create` of maiagent.disk: nothing that somebody put there
--   is written to
local function remember(part, source, identity, total, disk)
  forget(part)
  local lines = { identity, total or "", source, "" }
  disk.create(part .. NOTE, table.concat(lines, "\n"))
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
