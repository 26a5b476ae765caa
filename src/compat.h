/*
** The Lua 5.4 C API names this library uses, for 5.1, 5.2, 5.3 and LuaJIT.
** The 5.1 build is made against PUC 5.1 headers, so that one binary loads in
** PUC 5.1, LuaJIT, nginx and LOVE: nothing here may need a LuaJIT extension.
*/
#ifndef MAIAGENT_COMPAT_H
#define MAIAGENT_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#define MAIAGENT_VERSION "0.1.0"

#if defined(__GNUC__)
#define MAIAGENT_EXPORT __attribute__((visibility("default")))
#else
#define MAIAGENT_EXPORT __declspec(dllexport)
#endif

#if LUA_VERSION_NUM >= 503
#define HAVE_INTEGERS 1
#else
#define HAVE_INTEGERS 0
#define lua_isinteger(L, i) (0)
#endif

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen(L, i)
#define lua_setuservalue(L, i) lua_setfenv(L, i)
#define luaL_newlib(L, l) (lua_newtable(L), luaL_setfuncs(L, l, 0))

/* [-nup, +0, e] registers `l` into the table below `nup` upvalues. */
static inline void luaL_setfuncs(lua_State *L, const luaL_Reg *l, int nup) {
  for (; l->name; l++) {
    for (int i = 0; i < nup; i++)
      lua_pushvalue(L, -nup);
    lua_pushcclosure(L, l->func, nup);
    lua_setfield(L, -(nup + 2), l->name);
  }
  lua_pop(L, nup);
}

/* [-0, +0, e] the userdata at `i` if its metatable is `name`'s, else NULL. */
static inline void *luaL_testudata(lua_State *L, int i, const char *name) {
  void *data = lua_touserdata(L, i);
  if (!data || !lua_getmetatable(L, i))
    return NULL;
  luaL_getmetatable(L, name);
  if (!lua_rawequal(L, -1, -2))
    data = NULL;
  lua_pop(L, 2);
  return data;
}
#endif

#endif
