-- Lists whose every `next`, count and length the service makes up: pages or an
-- error object, an end, of a `next` nothing but its query, and no request left.

local errors = require("maiagent.errors")
local pages = require("maiagent.pages")
local support = require("support")

local MOST_PAGES = 200

local COUNTS = { 0, 1, 7, 1e300, -3, 2.5, math.maxinteger, math.mininteger }
local RESULTS = { {}, { 1 }, { 1, 2, 3 } }

local function page_of(reader)
  local kind, count = reader:byte(), reader:byte()
  local next_url = reader:text()
  if kind >= 250 then
    return ({ {}, { results = 5 }, "text", false, { next = 5, results = {} },
      { results = { a = 1 } } })[kind - 249]
  end
  return {
    next = not reader:ended() and next_url or nil,
    count = COUNTS[count % #COUNTS + 1],
    results = RESULTS[kind % #RESULTS + 1],
  }
end

local function check_query(query)
  for name, value in pairs(query) do
    assert(type(name) == "string")
    assert(type(value) == "string" or type(value) == "number"
      or type(value) == "table" and #value > 0)
  end
end

return function(input)
  local reader = support.reader(input)
  local ahead = {} -- requests that were begun and not ended
  local options = {
    prefetch = reader:byte() % 5,
    give_up = function(all) all:close() end,
  }
  local function request(query)
    check_query(query)
    local page, self = page_of(reader), {}
    function self.begin() ahead[self] = true end
    function self.close() ahead[self] = nil end
    function self.result(arrived)
      ahead[self] = nil
      if arrived then
        arrived()
      end
      return page
    end
    return self
  end
  local params = { pageSize = 3, status = "done" }
  if reader:byte() % 2 == 1 then
    params.page = reader:text()
  end
  local items = pages.items(pages.pages(request, params, options))
  local taken, item, err = 0
  repeat
    item, err = items:take()
    assert(err == nil or errors.is(err), err)
    taken = taken + 1
  until item == nil or taken > 3 * MOST_PAGES
  items:close()
  assert(next(ahead) == nil, "a request is left")
  pages.query_of(input)
end
