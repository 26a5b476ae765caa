-- Any ids, queries, paths and base URLs: refused, or a URL of legal characters
-- on the origin of the base, from which the ids and the query can be read
-- again.

local core = require("maiagent.core")
local pages = require("maiagent.pages")
local support = require("support")

local BASE = "https://api.example.com/api/"
local LEGAL = "^[%w%-._~:/?#%[%]@!$&'()*+,;=%%]*$"

local function check_url(url, base)
  assert(url:find(LEGAL), url)
  assert(core.same_origin(url, base), url)
  assert(#url <= 16384)
end

local function segments_of(url)
  local segments = {}
  local path = url:match("^[^?#]*"):sub(#BASE + 1)
  for segment in path:gmatch("[^/]*") do
    assert(support.unescaped(segment) ~= "..", url)
    assert(support.unescaped(segment) ~= ".", url)
    segments[#segments + 1] = support.unescaped(segment)
  end
  return segments
end

local function binding(first, second, params)
  local get = core.bindings["knowledge_bases.files.list"]
  local request, problem = get(BASE, nil, first, params)
  if not request then
    assert(type(problem) == "string")
    return
  end
  check_url(request:url(), BASE)
  assert(segments_of(request:url())[2] == first, request:url())
  local read = pages.query_of(request:url())
  for name, value in pairs(params) do
    assert(read[name] == value, name)
  end
  request = core.bindings["knowledge_bases.files.get"](BASE, nil, first, second)
  if request then
    check_url(request:url(), BASE)
    local segments = segments_of(request:url())
    assert(segments[2] == first and segments[4] == second, request:url())
  end
end

local function join(base, path)
  local origin = core.origin(base)
  local url, problem = core.join(base, path)
  assert(url or type(problem) == "string")
  if url then
    assert(origin and core.origin(url) == origin, url)
    check_url(url, base)
  end
end

local KEY = 'k "1"\\' -- as no URL can hold it

local function whole(url)
  local request = core.request("GET", url)
  local origin = core.origin(url)
  assert(not request == not origin)
  if request then
    assert(core.origin(request:url()) == origin, url)
    assert(request:url():find(LEGAL), url)
    local base_told = request:authorize(BASE, KEY)
    assert(base_told == core.same_origin(url, BASE), url)
    assert(not tostring(request):find(KEY, 1, true))
  end
end

return function(input)
  local reader = support.reader(input)
  local first, second, params = reader:text(), reader:text(), {}
  for _ = 1, 3 do
    params[reader:text()] = reader:text()
  end
  binding(first, second, params)
  join(BASE, first)
  join(first, second)
  whole(first)
  whole("https://" .. second)
end
