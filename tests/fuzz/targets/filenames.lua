-- A name that a server chose, in a header or a URL: nothing, or one file of the
-- folder it is used in.

local filename = require("maiagent.filename")
local support = require("support")

local DEVICE = "^[cC][oO][nN]$|^[pP][rR][nN]$|^[aA][uU][xX]$|^[nN][uU][lL]$"
  .. "|^[cC][oO][mM]%d$|^[lL][pP][tT]%d$"

local function is_device(name)
  local stem = name:match("^[^.]*"):gsub(" +$", "")
  for pattern in DEVICE:gmatch("[^|]+") do
    if stem:find(pattern) then
      return true
    end
  end
  return false
end

local function check(name, limit)
  if name == nil then
    return
  end
  assert(#name >= 1 and #name <= limit, #name)
  assert(not name:find("[/\\%c]"), "a path, or a control character")
  assert(not name:find("^%."), "hidden, or the folder itself")
  assert(not name:find("[. ]$"), "ends as Windows does not keep it")
  assert(support.is_utf8(name), "not UTF-8")
  assert(not is_device(name), "a device")
end

return function(input)
  for _, given in ipairs({
    input,
    filename.of_disposition(input) or "",
    filename.of_url(input) or "",
  }) do
    check(filename.harmless(given), 255)
    check(filename.harmless(given, 40), 40)
  end
end
