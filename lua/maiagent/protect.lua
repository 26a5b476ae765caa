--- pcall for callbacks that may yield. A leaf.

-- PUC 5.1 alone cannot yield across pcall.
local PCALL_YIELDS = coroutine.wrap(function()
  return pcall(coroutine.yield, true)
end)() == true

local function needs_no_relay()
  return PCALL_YIELDS or not coroutine.running()
end

local function relay(thread, ok, ...)
  if not ok or coroutine.status(thread) == "dead" then
    return ok, ...
  end
  return relay(thread, coroutine.resume(thread, coroutine.yield(...)))
end

--- pcall that fn may yield through, on every VM. On PUC 5.1, inside a
-- coroutine, fn runs in a coroutine of its own whose yields are passed on.
-- @tparam function fn called with the further arguments
-- @treturn boolean whether it returned
-- @return what it returned, or what it raised
local function call(fn, ...)
  if needs_no_relay() then
    return pcall(fn, ...)
  end
  local thread = coroutine.create(function(...)
    return fn(...)
  end)
  return relay(thread, coroutine.resume(thread, ...))
end

--- The same for what minds in which coroutine it runs, as parking a task
-- does. On PUC 5.1, inside a coroutine, what fn raises is not caught.
-- @tparam function fn called with the further arguments
-- @treturn boolean whether it returned
-- @return what it returned, or what it raised
local function call_here(fn, ...)
  if needs_no_relay() then
    return pcall(fn, ...)
  end
  return true, fn(...)
end

return { call = call, call_here = call_here }
