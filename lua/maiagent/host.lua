--- How to wait where we are: a plain script, nginx, or the program's own hook.
-- A waiter is a function (hub, milliseconds) that returns after that time or
-- earlier; the hub is that of `wait`.

local errors = require("maiagent.errors")

-- nginx's phases in which a light thread may yield, and those that run before
-- there is an event loop or after its end, where blocking is right.
local YIELDING = {
  rewrite = true,
  server_rewrite = true,
  access = true,
  precontent = true,
  content = true,
  timer = true,
  preread = true,
  ssl_cert = true,
  proxy_ssl_cert = true,
  proxy_ssl_verify = true,
}
local BLOCKING = { init = true, init_worker = true, exit_worker = true }

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

-- OpenResty builds its Lua module, and its patches, into nginx.
local function is_openresty(ngx)
  local configure = ngx.config and ngx.config.nginx_configure
  return configure and configure():find("/ngx_lua-", 1, true) ~= nil
end

-- Raises unless OpenSSL has what tells it that a session is still looked up.
local function find_pending_session()
  local ffi = require("ffi")
  ffi.cdef("void *SSL_magic_pending_session_ptr(void);")
  return ffi.C.SSL_magic_pending_session_ptr
end

-- Here nginx itself must know how to go on after a yield, by a patch that comes
-- with OpenResty, and for a session OpenSSL too, by one that OpenResty's
-- packages have: without them the handshake or the handler ends without a word.
local YIELDING_IF_PATCHED = {
  ssl_client_hello = is_openresty,
  ssl_session_fetch = function(ngx)
    return is_openresty(ngx) and pcall(find_pending_session)
  end,
}

local function refuse(phase)
  local instead = "start a timer with ngx.timer.at and call from there"
  if YIELDING_IF_PATCHED[phase] then
    instead = "OpenResty's build can wait here, if its OpenSSL is patched too "
      .. "for ssl_session_fetch_by_lua; others can in ssl_certificate_by_lua"
  end
  errors.misuse("maiagent: cannot wait for an answer in nginx's phase '"
    .. phase .. "'; " .. instead)
end

local function may_yield_in(ngx, phase)
  local is_patched = YIELDING_IF_PATCHED[phase]
  return YIELDING[phase] or (is_patched and is_patched(ngx))
end

-- nginx's table, and whether the phase may yield; nil elsewhere.
local function nginx()
  local ngx = rawget(_G, "ngx")
  if type(ngx) ~= "table" or not ngx.get_phase or not ngx.sleep then
    return nil
  end
  local phase = ngx.get_phase()
  local may_yield = may_yield_in(ngx, phase)
  if not may_yield and not BLOCKING[phase] then
    refuse(phase)
  end
  return ngx, may_yield
end

local function host_wait()
  local ngx, may_yield = nginx()
  return may_yield and nginx_sleep(ngx) or poll
end

local function at_once(fn, ...)
  fn(...)
end

--- What runs a function beside the caller here, where the host has its own
-- way: coroutines of one request of nginx can't be resumed from another, and
-- in init_worker there are none. Raises where nothing can wait.
-- @treturn function|nil start(fn, ...); nil: tasks are coroutines of ours
-- @treturn boolean|nil whether start returns only when fn has ended
local function starter()
  local ngx, may_yield = nginx()
  if not ngx then
    return nil
  end
  return may_yield and ngx.thread.spawn or at_once, not may_yield
end

--- How to wait here and now; raises where nothing can wait.
-- Called before a request is sent, so that none is sent in vain.
-- @tparam table hub
-- @treturn function (hub, milliseconds)
local function waiter(self)
  local hook = self.hook
  if not hook then
    return host_wait()
  end
  return function(hub_, milliseconds)
    hook(hub_.client, milliseconds)
  end
end

return { poll = poll, starter = starter, waiter = waiter }
