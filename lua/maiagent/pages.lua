--- Iterators over the pages and items of a list. A leaf: takes a function
-- that starts one page's request, and knows neither client nor network.
--
-- Of a `next` URL only the query is used: the host and path stay those of the
-- first request, so that the key can't be lured elsewhere.

local errors = require("maiagent.errors")
local protect = require("maiagent.protect")

-- A service that gives nothing but a `next`, again and again, is a loop.
local EMPTY_PAGES_LIMIT = 100

local MOST_PAGES = 2 ^ 53 -- beyond it, numbers no longer differ by one

local function decoded(text)
  text = text:gsub("+", " ")
  return (text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function add(query, name, value)
  local present = query[name]
  if present == nil then
    query[name] = value
  elseif type(present) == "table" then
    present[#present + 1] = value
  else
    query[name] = { present, value }
  end
end

--- The query of a URL as a table.
-- @tparam string url
-- @treturn table name → value, or list of values where a name is repeated
local function query_of(url)
  local query = {}
  local text = url:match("^[^#?]*%?([^#]*)") or ""
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    add(query, decoded(name), decoded(value))
  end
  return query
end

local function copied_list(list)
  local copy = {}
  for i, value in ipairs(list) do
    copy[i] = value
  end
  return copy
end

-- What the caller changes between two pages is no longer meant for this list.
local function copied(params)
  local copy = {}
  for name, value in pairs(params or {}) do
    copy[name] = type(value) == "table" and copied_list(value) or value
  end
  return copy
end

local function text_of(value)
  if type(value) ~= "table" then
    return tostring(value)
  end
  local texts = {}
  for i, item in ipairs(value) do
    texts[i] = tostring(item)
  end
  return table.concat(texts, "\0")
end

-- The same query always gives the same text.
local function key_of(query)
  local names = {}
  for name in pairs(query) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    names[i] = name .. "\0" .. text_of(query[name])
  end
  return table.concat(names, "\1")
end

local function decode_error(self, message)
  return errors.new({ kind = "decode", message = message, method = "GET",
    path = self.path })
end

local Pages = { __name = "maiagent.pages" }
local methods = {}
Pages.__index = methods

-- The pages that were asked for ahead: a list, to be given up as a whole.
local Ahead = {}
Ahead.__index = Ahead

function Ahead:close()
  for i = #self, 1, -1 do
    self[i].request:close()
    self[i] = nil
  end
end

local function cancel_ahead(self)
  if #self.ahead > 0 then
    self.give_up(self.ahead)
  end
end

-- Page numbers that only grow cannot loop, so nothing is remembered for them.
local function repeated(self, query)
  local number = tonumber(query.page)
  if number and number > self.number then
    self.number = number
    return false
  end
  local key = key_of(query)
  if self.seen[key] then
    return true
  end
  self.seen[key] = true
  return false
end

local function following_query(self, page)
  local following = page.next
  if following == nil or following == self.null or following == "" then
    return nil
  end
  if type(following) ~= "string" then
    return nil, decode_error(self, "a page's `next` is not a URL")
  end
  local query = query_of(following)
  for name, value in pairs(self.params) do
    if query[name] == nil then
      query[name] = value
    end
  end
  if repeated(self, query) then
    -- Without the URL: the service's text, which may hold a secret.
    return nil, decode_error(self, "the service's pages loop: `next` came "
      .. "back to a page already read")
  end
  return query
end

local function is_array(value)
  local mark = getmetatable(value)
  return mark ~= nil and mark.__jsontype == "array"
end

--- The items of a page.
-- @param page a decoded answer
-- @treturn table|nil its list; nil where it is no page
local function items_of(page)
  if type(page) ~= "table" then
    return nil
  end
  local results = page.results
  if type(results) == "table" then
    return (#results > 0 or next(results) == nil) and results or nil
  end
  -- An empty object is no list: `{ "results": null }` arrives as one.
  local bare = results == nil and (#page > 0 or is_array(page))
  return bare and page or nil
end

-- A page's number that can be counted on from; a service may write anything.
local function page_number(query)
  local number = tonumber(query.page)
  local countable = number and number % 1 == 0 and number >= 0
    and number < MOST_PAGES
  return countable and number or nil
end

local function pages_left(self, page, query)
  local number, size = page_number(query), #items_of(page)
  if not number or size == 0 or type(page.count) ~= "number" then
    return nil
  end
  -- A user may begin anywhere, so the last page is counted from this size.
  return math.ceil(page.count / size) - number, number
end

-- In the list before it is on the wire, lest it be lost there.
local function ask_ahead(self, query)
  local ahead = self.ahead
  ahead[#ahead + 1] = { key = key_of(query), request = self.request(query) }
  ahead[#ahead].request.begin()
end

local function with_page(query, number)
  local copy = copied(query)
  copy.page = string.format("%d", number)
  return copy
end

-- Beyond the next page the queries are guesses (page + 1, + 2 …); a guess is
-- used only where the service's own `next` then agrees with it.
local function read_ahead(self, page)
  local query = self.query
  if not query or self.prefetch < 1 then
    return
  end
  local ahead = self.ahead
  if not ahead[1] or ahead[1].key ~= key_of(query) then
    cancel_ahead(self)
    ask_ahead(self, query)
  end
  local left, number = pages_left(self, page, query)
  self.last = left and number + left
  for i = #ahead, math.min(self.prefetch - 1, left or 0) do
    ask_ahead(self, with_page(query, number + i))
  end
end

-- The place of a page that has arrived is taken before that page is decoded:
-- the time of it, a millisecond, comes off the time of each page after it. With
-- pages 20 ms late, 4 or 8 of them ahead, that is 4 to 5 % more items a second.
local function refill(self)
  local ahead, last = self.ahead, self.last
  local number = last and page_number(self.query) + #ahead + 1
  if last and #ahead < self.prefetch and number <= last then
    ask_ahead(self, with_page(self.query, number))
  end
end

local function fetch(self)
  local ahead = self.ahead
  if ahead[1] and ahead[1].key == key_of(self.query) then
    return table.remove(ahead, 1).request.result(function()
      refill(self)
    end)
  end
  cancel_ahead(self)
  return self.request(self.query).result()
end

local function check_empty(self, items)
  self.empty = #items == 0 and self.empty + 1 or 0
  if self.query and self.empty >= EMPTY_PAGES_LIMIT then
    return decode_error(self, EMPTY_PAGES_LIMIT .. " empty pages in a row, "
      .. "each with a `next`")
  end
end

local function finish(self, err)
  self.query = nil
  cancel_ahead(self)
  return nil, err
end

-- Nothing that was asked for ahead is left by what raises.
local function settle(self, ok, ...)
  if not ok then
    cancel_ahead(self)
    error((...), 0)
  end
  return ...
end

-- A page whose `next` is wrong is still given; the error comes after it.
local function advance(self)
  local page, err, response = fetch(self)
  self.response = response
  if page == nil then
    return finish(self, err)
  end
  local items = items_of(page)
  if not items then
    return finish(self, decode_error(self, "the answer is neither a page "
      .. "(an object with `results`) nor a list"))
  end
  self.query, err = following_query(self, page)
  err = err or check_empty(self, items)
  if err then
    self.failure, self.query = err, nil
  end
  if not self.query then
    cancel_ahead(self) -- there were fewer pages than `count` said
  end
  read_ahead(self, page)
  return page, nil, response
end

--- The next page, or nil at the end, or nil and an error.
-- @treturn table|nil page exactly as on the wire
-- @treturn table|nil error; after one the iteration has ended
-- @treturn table the response
function methods:take()
  local failure = self.failure
  if failure then
    self.failure = nil
    return finish(self, failure)
  end
  if not self.query then
    return nil
  end
  return settle(self, protect.call_here(advance, self))
end

--- The next page; nil at the end.
-- @treturn table|nil
-- Raises the error object: a list that ends early must never look complete.
function methods:next()
  local page, err = self:take()
  if err then
    error(err, 0)
  end
  return page
end

--- Ends the iteration and cancels what was fetched ahead. May run twice.
function methods:close()
  finish(self)
end

Pages.__call = methods.next
Pages.__close = methods.close

--- An iterator over pages.
-- @tparam function request takes a query and gives its request: { result =
--   function(arrived) → page | nil, err, response; begin, close = … };
--   arrived() is to be called before the answer is decoded; begin() puts it on
--   the wire ahead of that, close() gives it up: both for prefetch alone
-- @tparam table|nil params the query of the first page, carried to every page
-- @tparam table|nil options prefetch (further pages kept in flight; 0),
--   null (the value that stands for JSON's null), path (of the requests, for
--   messages), give_up (closes what has close() and `before`, for prefetch:
--   see `tasks`)
-- @treturn table a pager: call it, or `:next()`, `:close()`
local function pages(request, params, options)
  local query = copied(params)
  return setmetatable({
    request = request,
    params = copied(params),
    query = query,
    number = tonumber(query.page) or 1,
    seen = { [key_of(query)] = true },
    empty = 0,
    prefetch = options and options.prefetch or 0,
    null = options and options.null,
    path = options and options.path,
    give_up = options and options.give_up,
    ahead = setmetatable({ before = false }, Ahead),
  }, Pages)
end

local Items = { __name = "maiagent.items" }
local item_methods = {}
Items.__index = item_methods

--- The next item, or nil at the end, or nil and an error.
function item_methods:take()
  local items = self.items
  while items do
    local index = self.index + 1
    if index <= self.length then
      self.index = index
      if self.pump and index % self.every == 0 then
        self.pump()
      end
      return items[index]
    end
    local page, err = self.pages:take()
    if not page then
      self.items = nil
      return nil, err
    end
    items = items_of(page)
    self.items, self.length, self.index = items, #items, 0
  end
end

--- The response of the last page.
-- @treturn table|nil nil where none has come
function item_methods:response()
  return self.pages.response
end

--- The next item; nil at the end. Raises the error object.
function item_methods:next()
  local item, err = self:take()
  if err then
    error(err, 0)
  end
  return item
end

--- Ends the iteration and cancels what was fetched ahead. May run twice.
function item_methods:close()
  self.items = nil
  self.pages:close()
end

Items.__call = item_methods.next
Items.__close = item_methods.close

--- An iterator over the items of every page.
-- @tparam table pager what `pages` gave
-- @tparam function|nil pump called every few items while pages are fetched
--   ahead, so that their bytes keep moving while the caller works
-- @treturn table call it, or `:next()`, `:close()`
local function items(pager, pump)
  return setmetatable({
    pages = pager,
    items = {},
    length = 0,
    index = 0,
    every = 16,
    pump = pager.prefetch > 0 and pump or nil,
  }, Items)
end

return {
  items = items,
  items_of = items_of,
  pages = pages,
  query_of = query_of,
}
