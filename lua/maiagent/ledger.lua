--- The journal of a synchronisation on the disk. What cannot be read or written
-- of it is as if it were empty: it saves work, and nothing depends on it.

local disk = require("maiagent.disk")
local folder = require("maiagent.folder")
local journal = require("maiagent.journal")

local FILE = "uploads.journal"

local Ledger = {}
Ledger.__index = Ledger

local function text_of(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

local function read(ledger)
  local text = text_of(ledger.path)
  ledger.torn = text and not text:find("\n$") or false
  return journal.read(text, os.time())
end

local function make_folders(ledger)
  local ok, problem = disk.make_folder(ledger.parent)
  if ok then
    ok, problem = disk.make_folder(ledger.folder)
  end
  return ok, problem
end

local function append(ledger, text)
  if ledger.problem or text == "" then
    return
  end
  local ok, problem = make_folders(ledger)
  if ledger.torn then
    text, ledger.torn = "\n" .. text, false
  end
  if ok then
    ok, problem = disk.append(ledger.path, text)
  end
  if not ok then
    ledger.problem = problem
  end
end

--- Whether anything that was stored may wait for its registration.
function Ledger:has_any()
  return next(self.waiting) ~= nil
end

--- The key under which a file's bytes were stored by an earlier run.
-- @tparam table entry hash, size, name
-- @treturn string|nil
function Ledger:key_of(entry)
  return journal.key_of(self.waiting, self.kb_id, entry)
end

--- Writes down that a file's bytes were stored.
-- @tparam table entry hash, size, name
-- @tparam string key
function Ledger:stored(entry, key)
  append(self, journal.stored(self.kb_id, entry, key, os.time()))
end

--- Writes down that keys are given to the service now.
-- @tparam table keys a list
function Ledger:used(keys)
  local lines = {}
  for i, key in ipairs(keys) do
    lines[i] = journal.used(key)
  end
  append(self, table.concat(lines))
end

--- Removes the journal, if nothing in it may be of use any more.
function Ledger:tidy()
  if text_of(self.path) and next(read(self)) == nil then
    os.remove(self.path)
    os.remove(self.folder) -- only where it is empty
  end
end

local function lock_of(ledger, part)
  local name = (ledger.kb_id .. "." .. part):gsub("[^%w.-]", "_")
  for _ = 1, 3 do -- another run may remove the folder in between
    if not make_folders(ledger) then
      return nil
    end
    local lock = disk.lock(ledger.folder .. "/" .. name .. ".lock")
    if lock ~= nil then
      return lock
    end
  end
end

-- Whether no other run is at the same work; where the disk cannot lock, none
-- is taken to be.
local function is_alone(ledger, part)
  ledger.lock = lock_of(ledger, part)
  if ledger.lock == false then
    collectgarbage() -- a run that was dropped has it until then
    collectgarbage()
    ledger.lock = lock_of(ledger, part)
  end
  return ledger.lock ~= false
end

--- Ends the work: the next run may begin.
function Ledger:close()
  if self.lock then
    self.lock:close()
    os.remove(self.folder) -- only where it is empty
  end
end

--- Opens the journal of a folder.
-- @tparam string parent where it is kept, in a folder of its own: there it is
--   never taken for one of the files, wherever the parent is
-- @tparam string kb_id
-- @tparam string|nil part of the folder that is to be worked on, by one run at
--   a time; nil: nothing will be written
-- @treturn table|nil its `problem` says why nothing can be written, if so; nil
--   where another run is at the same work
local function open(parent, kb_id, part)
  local own = parent .. "/" .. folder.OWN
  local ledger = setmetatable({
    parent = parent,
    folder = own,
    path = own .. "/" .. FILE,
    kb_id = kb_id,
  }, Ledger)
  if part and not is_alone(ledger, part) then
    return nil
  end
  ledger.waiting = read(ledger)
  return ledger
end

return { open = open }
