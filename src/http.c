/*
** maiagent.http: how bytes travel. Loaded with the first request, because
** loading libcurl takes time and memory.
*/
#include <dlfcn.h>
#include <string.h>

#include "client.h"
#include "exchange.h"
#include "request.h"

MAIAGENT_EXPORT int luaopen_maiagent_http(lua_State *L);

/* Both modules read one struct, so they must come from one build. */
static void check_core(lua_State *L) {
  luaL_getmetatable(L, REQUEST_CLASS);
  if (!lua_istable(L, -1))
    luaL_error(L, "maiagent.http: maiagent.core has to be loaded before");
  lua_pushliteral(L, "version");
  lua_rawget(L, -2);
  const char *version = lua_tostring(L, -1);
  if (!version || strcmp(version, MAIAGENT_VERSION) != 0)
    luaL_error(L, "maiagent.http is version %s, maiagent.core is %s",
               MAIAGENT_VERSION, version ? version : "unknown");
  lua_pop(L, 2);
}

static int http_live(lua_State *L) {
  const struct live *live = live_get(L);
  lua_pushinteger(L, live->clients);
  lua_pushinteger(L, live->exchanges);
  return 2;
}

static int http_versions(lua_State *L) {
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, info->version);
  lua_setfield(L, -2, "curl");
  lua_pushstring(L, info->ssl_version);
  lua_setfield(L, -2, "ssl");
  return 1;
}

static const luaL_Reg functions[] = {
    {"client", client_new},
    {"live", http_live},
    {"versions", http_versions},
    {NULL, NULL},
};

/* A resolver thread of libcurl may still run when a Lua state closes and
** unloads its modules: this one, and libcurl with it, stays for the whole
** process. The linker's -z nodelete says so too; luarocks cannot pass it. */
static void stay_loaded(void) {
  Dl_info here;
  if (dladdr(functions, &here) && here.dli_fname)
    dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

int luaopen_maiagent_http(lua_State *L) {
  check_core(L);
  stay_loaded();
  exchange_register(L);
  client_register(L);
  luaL_newlib(L, functions);
  return 1;
}
