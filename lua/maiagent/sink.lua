--- Where a download goes, as `send` asks it when an exchange begins, is under
-- way and ends. What is on disk is the matter of `download`.

local download = require("maiagent.download")
local errors = require("maiagent.errors")

local Sink = {}
Sink.__index = Sink

function Sink:look()
  return download.held(self.part, self.source, self.disk)
end

--- Prepares the request for what is missing.
-- @tparam string url
-- @treturn userdata|nil request
-- @treturn string|nil what is wrong with the URL
function Sink:request(url)
  local request, problem = self.prepare(url, self.settings)
  if not request then
    return nil, problem
  end
  -- A range of compressed bytes would be of no use.
  request:set("Accept-Encoding", "identity")
  self.held = not self.anew and self:look() or nil
  self.settings.resume = self.held and self.held.size or 0
  if not self.held then
    -- The file is emptied before its new note is there.
    download.forget(self.part)
  else
    request:set("Range", "bytes=" .. self.settings.resume .. "-")
    request:set("If-Range", self.held.validator)
  end
  return request
end

-- Some servers give a range of whatever they have now.
local function is_other(held, exchange)
  local by_etag = held.validator:sub(1, 1) == '"'
  local now = exchange:header(by_etag and "etag" or "last-modified")
  local range = exchange:header("content-range") or ""
  local total = tonumber(range:match("/(%d+)%s*$"))
  local last = tonumber(range:match("%-(%d+)/"))
  return (now and now ~= held.validator)
    or (held.total and (total and total ~= held.total
      or last and last + 1 ~= held.total))
end

local TAKEN = "%s is there already, and a name that the server chose "
  .. "replaces no file: give the file's own path"

-- Why what comes cannot be kept under the name that it has.
function Sink:refusal(exchange)
  if self.is_quiet and self.is_quiet(exchange) then
    return nil
  end
  local path, fresh = self.name(exchange)
  if fresh and self.disk.stat(path) then
    self.refused = true
    return { kind = "file", message = TAKEN:format(path) }
  end
end

--- The head of an answer is there: notes what the bytes after it belong to.
-- @tparam userdata exchange
-- @treturn table|nil kind and message: why the rest need not come
function Sink:head(exchange)
  local function header(name)
    return exchange:header(name)
  end
  local status = exchange:status()
  if status == 206 and self.held and is_other(self.held, exchange) then
    self.spoilt = true
    download.forget(self.part)
  elseif status == 200 then
    local identity = download.validator(header)
    self.anew = nil
    download.forget(self.part)
    if identity then
      download.remember(self.part, self.source, identity,
        header("content-length"), self.disk)
    end
  end
  if (status == 200 or status == 206) and not self.spoilt then
    return self:refusal(exchange)
  end
end

--- An exchange ends that will not be the call's answer.
-- @tparam userdata exchange
-- @tparam boolean head_seen whether `head` was called for it
function Sink:leave(exchange, head_seen)
  -- A file that could not be opened is not ours: maybe another download's.
  if not exchange:stored() then
    return
  end
  self.opened = true
  if not head_seen then
    self:head(exchange)
  end
end

--- Whether to begin anew because what is there cannot be gone on with.
-- @tparam userdata exchange
-- @tparam table outcome
-- @treturn boolean
function Sink:judge(exchange, outcome)
  local status = exchange:status()
  if not self.held or (status ~= 206 and status ~= 416) then
    return false
  end
  local useless = status == 416 or outcome.kind == "decode" or self.spoilt
    or is_other(self.held, exchange)
  -- The file stays for the next answer to empty: it may be another download's.
  self.anew, self.spoilt = useless, nil
  return useless
end

--- What to tell of the progress: with what was there before.
-- @tparam userdata exchange
-- @tparam integer received bytes of this answer
-- @tparam integer total bytes of this answer, 0: unknown
-- @treturn integer|nil nil: nothing is to be told
-- @treturn integer|nil
function Sink:progress(exchange, received, total)
  local status, held = exchange:status(), self.held
  if self.is_quiet and self.is_quiet(exchange) then
    return nil
  end
  if status == 200 then
    return received, total
  elseif not held then
    return 0, 0
  elseif status ~= 206 then
    return held.size, held.total or 0
  end
  return held.size + received, total > 0 and held.size + total or 0
end

--- The call has failed: what can be gone on with stays for the next one. What
-- was refused for its name is not to be left in the folder, unless an earlier
-- call had left it there.
function Sink:failed()
  local useless = self.refused and not self.held
  if self.opened and (useless or not self:look()) then
    download.discard(self.part)
  end
end

--- Removes what arrived.
function Sink:discard()
  download.discard(self.part)
end

--- What arrived, if it is short.
-- @tparam integer limit bytes
-- @treturn string|nil
function Sink:text(limit)
  local file = io.open(self.part, "rb")
  local text = file and file:read(limit + 1)
  if file then
    file:close()
  end
  return text and #text <= limit and text or nil
end

--- Gives a whole file its final name.
-- @tparam userdata exchange that ended well
-- @treturn string|nil path
-- @treturn table|nil error of kind "file"
function Sink:keep(exchange)
  local path, fresh = self.name(exchange)
  local ok, problem = exchange:keep(path, fresh)
  download.forget(self.part)
  if ok then
    return path
  end
  download.discard(self.part)
  local refused = self:refusal(exchange)
  exchange:close() -- and with it the file, which nobody can keep now
  return nil, errors.new(refused or {
    kind = "file",
    message = "cannot move the download to its name: " .. tostring(problem),
  })
end

--- Makes a sink.
-- @tparam string path the part is beside it
-- @tparam string source the URL, without its query
-- @tparam function prepare (url, settings) → request, or nil and what is
--   wrong; it may change the settings of the exchange
-- @tparam function name (exchange) → the final path, and whether nothing of
--   that name may be replaced
-- @treturn table
local function new(path, source, prepare, name)
  local part = download.partial(path)
  return setmetatable({
    disk = require("maiagent.disk"), -- loaded by the first download
    part = part,
    source = source,
    prepare = prepare,
    name = name,
    settings = { path = part, compressed = false }, -- of the exchange
  }, Sink)
end

return { new = new }
