--- How to wait where we are: a plain script, nginx, or the program's own hook.
-- A waiter is a function (hub, milliseconds) that returns after that time or
-- earlier; the hub is that of `wait`.

local errors = require("maiagent.errors")

-- nginx's phases in which a light thread may yield, and those that run before
-- there is an event loop, where blocking is right.
local YIELDING = {
  rewrite = true,
  server_rewrite = true,
  access = true,
  content = true,
  timer = true,
  preread = true,
  ssl_cert = true,
  ssl_session_fetch = true,
  ssl_client_hello = true,
}
local BLOCKING = { init = true, init_worker = true }

--- Blocks in C until libcurl's descriptor is readable, the time is over or a
-- signal came: Ctrl-C works.
local function poll(self, milliseconds)
  self.native:poll(milliseconds)
end

local function nginx_sleep(ngx)
  return function(_, milliseconds)
    ngx.sleep(milliseconds / 1000)
  end
end

local function nginx_wait(ngx)
  local phase = ngx.get_phase()
  if BLOCKING[phase] then
    return poll
  end
  if YIELDING[phase] then
    return nginx_sleep(ngx)
  end
  errors.misuse("maiagent: cannot wait for an answer in nginx's phase '"
    .. phase .. "'; start a timer with ngx.timer.at and call from there")
end

local function host_wait(self)
  local ngx = rawget(_G, "ngx")
  if type(ngx) == "table" and ngx.get_phase and ngx.sleep then
    return nginx_wait(ngx)
  end
  return poll
end

--- How to wait here and now; raises where nothing can wait.
-- Called before a request is sent, so that none is sent in vain.
-- @tparam table hub
-- @treturn function (hub, milliseconds)
local function waiter(self)
  local hook = self.hook
  if not hook then
    return host_wait(self)
  end
  return function(hub_, milliseconds)
    hook(hub_.client, milliseconds)
  end
end

return { poll = poll, waiter = waiter }
