-- Names and values that a caller gives: refused, or one line each and nothing
-- but what was given; never the credential's or the transport's own.

local core = require("maiagent.core")
local support = require("support")

local RESERVED = {
  authorization = true,
  ["content-length"] = true,
  ["transfer-encoding"] = true,
}

local KEY = "Api-Key k-1234567890"
local URL = "https://api.example.com/"

local function check(request, name, value)
  assert(#name > 0 and not name:find("[%c%s:\128-\255]"), name)
  assert(not RESERVED[name:lower()], name)
  assert(not value:find("[%z\r\n]"), "a second line")
  assert(request:headers()[name:lower()] == value, name)
end

return function(input)
  local reader = support.reader(input)
  local request = core.request("GET", URL)
  assert(request:authorize(URL, KEY))
  local count, given = 0, {}
  while not reader:ended() and count < 20 do
    local name, value = reader:text(), reader:text()
    local done, problem = request:set(name, value)
    if done then
      check(request, name, value)
      given[name:lower()] = value
    else
      assert(type(problem) == "string" and not problem:find(KEY, 1, true))
    end
    count = count + 1
  end
  for name, value in pairs(request:headers()) do
    assert(given[name] == value or value == "[redacted]", name)
  end
  assert(not tostring(request):find(KEY, 1, true))
end
