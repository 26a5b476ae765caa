-- Whatever a journal holds, it is read; and what is appended to it behind a
-- torn line's end is found.

local journal = require("maiagent.journal")
local support = require("support")

local NOW = 1790000000

local function check(garbage, kb_id, name, key)
  local entry = { hash = ("a"):rep(64), size = 5, name = name }
  local text = garbage .. "\n" .. journal.stored(kb_id, entry, key, NOW - 60)
  if key ~= "" then
    local found = journal.key_of(journal.read(text, NOW), kb_id, entry)
    assert(found == key, found)
  end
  text = text .. journal.used(key)
  assert(journal.key_of(journal.read(text, NOW), kb_id, entry) ~= key)
end

return function(input)
  local reader = support.reader(input)
  local waiting = journal.read(input, NOW)
  for id, key in pairs(waiting) do
    assert(type(id) == "string" and type(key) == "string" and key ~= "")
  end
  check(reader:text(), reader:text(), reader:text(), reader:text())
end
