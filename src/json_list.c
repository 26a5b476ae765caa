#include "json_list.h"

/*
** The items wait on the stack, and whenever there are CHUNK of them in a table
** of that size, so that a list of any length needs little stack. The chunks
** form a chain: behind its items, each has the chunk before it.
*/
#define CHUNK 128

struct json_list json_list_begin(lua_State *L) {
  luaL_checkstack(L, CHUNK + 4, "JSON"); /* table, chunk, items, two of work */
  lua_pushnil(L);
  lua_pushnil(L);
  struct json_list list = {.chunk = lua_gettop(L)};
  return list;
}

/* [-count, +0, e] Takes the values on top as the items of the table at
** `index` that follow its first `before`. */
static void take_items(lua_State *L, int index, int before, int count) {
  for (; count > 0; count--)
    lua_rawseti(L, index, before + count);
}

/* [-CHUNK, +0, e] */
static void store_chunk(lua_State *L, struct json_list *list) {
  lua_createtable(L, CHUNK + 1, 0);
  lua_pushvalue(L, list->chunk);
  lua_rawseti(L, -2, CHUNK + 1);
  lua_replace(L, list->chunk);
  take_items(L, list->chunk, 0, CHUNK);
  list->stored += CHUNK;
  list->waiting = 0;
}

void json_list_add(lua_State *L, struct json_list *list) {
  if (++list->waiting == CHUNK)
    store_chunk(L, list);
}

/* [-0, +0, e] Moves the last chunk into the table at `index`. */
static void take_chunk(lua_State *L, int index, struct json_list *list) {
  list->stored -= CHUNK;
  for (int i = 1; i <= CHUNK; i++) {
    lua_rawgeti(L, list->chunk, i);
    lua_rawseti(L, index, list->stored + i);
  }
  lua_rawgeti(L, list->chunk, CHUNK + 1);
  lua_replace(L, list->chunk);
}

void json_list_end(lua_State *L, struct json_list *list) {
  int index = list->chunk - 1;
  lua_createtable(L, list->stored + list->waiting, 0);
  lua_replace(L, index);
  take_items(L, index, list->stored, list->waiting);
  while (list->stored > 0)
    take_chunk(L, index, list);
  lua_settop(L, index);
}
