/*
** maiagent.disk: what moving files needs of the disk. Loaded with the first of
** the flows that use it; it links neither libcurl nor libcrypto.
*/
#include "compat.h"
#include "folder.h"
#include "hasher.h"
#include "lock.h"

MAIAGENT_EXPORT int luaopen_maiagent_disk(lua_State *L);

static const luaL_Reg functions[] = {
    {"append", folder_append},
    {"create", folder_create},
    {"hasher", hasher_new},
    {"hmac_sha256", hasher_hmac_sha256},
    {"list", folder_list},
    {"lock", lock_new},
    {"make_folder", folder_make},
    {"read", folder_read},
    {"sha256", hasher_sha256},
    {"stat", folder_stat},
    {NULL, NULL},
};

int luaopen_maiagent_disk(lua_State *L) {
  folder_register(L);
  hasher_register(L);
  lock_register(L);
  luaL_newlib(L, functions);
  return 1;
}
