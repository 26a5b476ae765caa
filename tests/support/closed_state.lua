-- A second Lua state of this process, closed while a client of it looks a name
-- up; the process goes on until libcurl's thread that does so has ended. For
-- LuaJIT. Run with slow_dns.so preloaded (see hosts/ends.lua).

local ffi = require("ffi")

local LOOKUP = tonumber(os.getenv("SLOW_DNS_MS")) -- milliseconds

ffi.cdef([[
typedef struct lua_State lua_State;
lua_State *luaL_newstate(void);
void luaL_openlibs(lua_State *L);
int luaL_loadstring(lua_State *L, const char *text);
int lua_pcall(lua_State *L, int arguments, int results, int handler);
const char *lua_tolstring(lua_State *L, int index, size_t *length);
void lua_close(lua_State *L);
int usleep(unsigned int microseconds);
]])

local PROGRAM = [[
local core = require("maiagent.core")
local client = require("maiagent").new({
  api_key = "test-key",
  base_url = "https://name.slow.test",
})
client:go(function()
  client.chatbots:list()
end)
local until_when = core.now() + 0.1
while core.now() < until_when do
  client:step()
end
]]

local L = ffi.C.luaL_newstate()
ffi.C.luaL_openlibs(L)
if ffi.C.luaL_loadstring(L, PROGRAM) ~= 0
  or ffi.C.lua_pcall(L, 0, 0, 0) ~= 0
then
  error(ffi.string(ffi.C.lua_tolstring(L, -1, nil)))
end
ffi.C.lua_close(L)
ffi.C.usleep(LOOKUP * 1000)
io.write("goes on")
