--- How many requests may be on the wire at a time: the others queue, in order.
-- A leaf: what counts those on the wire, and what begins one, are functions.
--
-- Nothing is reserved and nothing given back: whoever moves the network on
-- begins what there is room for, so no caller waits for another to wake up.

local Ticket = { __name = "maiagent.ticket" }
local methods = {}
Ticket.__index = methods

--- Whether the wait is over: the request was begun, or the queue left.
-- @treturn boolean
function methods:done()
  return self.over or false
end

--- Whether the request was begun; raises what beginning it raised.
-- @treturn boolean
function methods:begun()
  if self.ok == false then
    error(self.problem, 0)
  end
  return self.ok or false
end

--- What an error adds that tells of a wait without end.
-- @treturn string
function methods:reason()
  return string.format(": max_in_flight = %d others were under way",
    self.slots.limit)
end

--- Leaves the queue. May run twice.
function methods:close()
  self.over = true
  self.slots.queue[self.place] = nil
end

--- An empty queue.
-- @tparam integer limit how many may be on the wire
-- @tparam function count gives how many are
-- @treturn table
local function new(limit, count)
  return {
    limit = limit,
    count = count,
    -- Weak: a caller that was dropped in the middle of its wait is none.
    queue = setmetatable({}, { __mode = "v" }),
    first = 1,
    last = 0,
  }
end

--- Whether anyone queues; `first` is the place then. The ticket itself is not
-- given: in a register of whoever looks it would outlive a dropped caller, for
-- as long as the one who looks waits.
-- @tparam table slots
-- @treturn boolean
local function is_wanted(self)
  while self.first <= self.last and not self.queue[self.first] do
    self.first = self.first + 1
  end
  return self.first <= self.last
end

--- How many requests could be begun now without going before anyone.
-- @tparam table slots
-- @treturn integer
local function room(self)
  return is_wanted(self) and 0 or self.limit - self.count()
end

--- Begins what may be begun.
-- @tparam table slots
-- @treturn boolean whether anything was
local function serve(self)
  local any = false
  while is_wanted(self) and self.count() < self.limit do
    local ticket = self.queue[self.first]
    if ticket then -- the collector may have come by since
      ticket:close()
      ticket.ok, ticket.problem = pcall(ticket.begin, ticket.pending)
      any = true
    end
  end
  return any
end

--- Queues for a slot; where one is free the request is begun in here.
-- @tparam table slots
-- @tparam function begin called with pending, puts the request on the wire; it
--   must not yield
-- @param pending
-- @treturn table ticket: `:done()`, `:close()`, `:begun()`, `:reason()`
local function enter(self, begin, pending)
  self.last = self.last + 1
  local ticket = setmetatable({
    slots = self,
    place = self.last,
    begin = begin,
    pending = pending,
  }, Ticket)
  self.queue[self.last] = ticket
  serve(self)
  return ticket
end

return {
  enter = enter,
  is_wanted = is_wanted,
  new = new,
  room = room,
  serve = serve,
}
