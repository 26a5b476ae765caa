--- What became of which file: the result of a synchronisation. A leaf.

local LISTS = { "uploaded", "replaced", "registered", "deleted", "kept",
  "failed", "skipped" }

local Summary = { __name = "maiagent.summary" }
local methods = {}
Summary.__index = methods

--- Adds a file to a list.
-- @tparam string list
-- @tparam table item name, reason, id
function methods:add(list, item)
  self[list][#self[list] + 1] = item
end

--- Moves a file that was added to another list, for another reason.
-- @tparam table item
-- @tparam string from
-- @tparam string to
-- @tparam string reason
-- @tparam table err
function methods:move(item, from, to, reason, err)
  for i, other in ipairs(self[from]) do
    if other == item then
      table.remove(self[from], i)
      item.reason, item.error = reason, err
      return self:add(to, item)
    end
  end
end

local function by_name(a, b)
  if a.name ~= b.name then
    return a.name < b.name
  end
  return tostring(a.id) < tostring(b.id)
end

--- Sorts the lists by name, and counts them.
-- @treturn table the summary
function methods:close()
  for _, list in ipairs(LISTS) do
    table.sort(self[list], by_name)
    self.counts[list] = #self[list]
  end
  return self
end

function Summary.__tostring(self)
  local words = {}
  for i, list in ipairs(LISTS) do
    words[i] = #self[list] .. " " .. list
  end
  local start = self.dry_run and "would be: " or ""
  local ending = self.cancelled and " (cancelled)" or ""
  return start .. table.concat(words, ", ") .. ending
end

--- Makes an empty summary.
-- @tparam boolean dry_run whether it tells what would happen
-- @treturn table
local function new(dry_run)
  local self = { dry_run = dry_run, cancelled = false, counts = {} }
  for _, list in ipairs(LISTS) do
    self[list] = {}
  end
  return setmetatable(self, Summary)
end

return { new = new }
