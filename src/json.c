/*
** Lua value <-> JSON text, through a cJSON tree in both directions.
**
** cJSON alone is not exact: its numbers are doubles, its strings end at the
** first zero byte. What it drops is read back from the text, which the tree
** follows in document order: the k-th number node visited is the k-th number
** token, the k-th string node the k-th string token. Only documents that need
** it pay for that.
**
** Taken as cJSON takes it: leading zeros ("01"), "1." and "-.5", raw control
** bytes inside strings (but zero), a byte order mark, bytes up to 32 as white
** space, and bytes that are not UTF-8, which are handed on as they are. A lone
** surrogate (\ud800) has no UTF-8 form and makes the document invalid.
*/
#include "json_internal.h"

#include <limits.h>
#include <string.h>

#define GUARD_CLASS "maiagent.json.guard"

/* cJSON prints no more than this. */
#define TEXT_LIMIT ((size_t)INT_MAX)

/* May run twice. */
static void release(struct json_guard *g) {
  cJSON_Delete(g->tree);
  g->tree = NULL;
  if (g->printed)
    cJSON_free(g->printed);
  g->printed = NULL;
  buffer_free(&g->bytes);
}

static int guard_gc(lua_State *L) {
  release(luaL_checkudata(L, 1, GUARD_CLASS));
  return 0;
}

struct json_guard *json_guard_new(lua_State *L) {
  struct json_guard *g = lua_newuserdata(L, sizeof *g);
  memset(g, 0, sizeof *g);
  buffer_init(&g->bytes, TEXT_LIMIT);
  luaL_getmetatable(L, GUARD_CLASS);
  lua_setmetatable(L, -2);
  return g;
}

/* What owns nothing needs no finalizer: to be collected without one saves a
** twentieth of the work on a small object. */
void json_guard_end(lua_State *L, int index) {
  release(lua_touserdata(L, index));
  lua_pushnil(L);
  lua_setmetatable(L, index);
}

int json_no_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  return lua_error(L);
}

int json_misuse(lua_State *L, const char *function, const char *expected) {
  const char *got = luaL_typename(L, 1);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s expected, got %s", function, expected, got);
  return 2;
}

int json_count_children(const cJSON *node) {
  int count = 0;
  for (const cJSON *child = node->child; child && count < INT_MAX;
       child = child->next)
    count++;
  return count;
}

enum json_mark json_mark_of(lua_State *L) {
  enum json_mark mark = JSON_UNMARKED;
  if (!lua_getmetatable(L, -1))
    return mark;
  lua_pushliteral(L, "__jsontype");
  lua_rawget(L, -2);
  const char *type = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (strcmp(type, "array") == 0)
    mark = JSON_MARKED_ARRAY;
  else if (strcmp(type, "object") == 0)
    mark = JSON_MARKED_OBJECT;
  lua_pop(L, 2);
  return mark;
}

static int set_mark(lua_State *L, const char *class, const char *name) {
  if (lua_type(L, 1) != LUA_TTABLE)
    return json_misuse(L, name, "table");
  lua_settop(L, 1);
  if (json_mark_of(L) == JSON_UNMARKED && lua_getmetatable(L, 1)) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: the table has another metatable", name);
    return 2;
  }
  luaL_getmetatable(L, class);
  lua_setmetatable(L, 1);
  return 1;
}

static int mark_array(lua_State *L) {
  return set_mark(L, JSON_ARRAY_CLASS, "array");
}

static int mark_object(lua_State *L) {
  return set_mark(L, JSON_OBJECT_CLASS, "object");
}

static void new_mark(lua_State *L, const char *class, const char *type) {
  luaL_newmetatable(L, class);
  lua_pushstring(L, class);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, type);
  lua_setfield(L, -2, "__jsontype");
  lua_pop(L, 1);
}

static const luaL_Reg functions[] = {
    {"array", mark_array},
    {"object", mark_object},
    {"decode", json_decode},
    {"encode", json_encode_value},
    {NULL, NULL},
};

void json_open(lua_State *L) {
  new_mark(L, JSON_ARRAY_CLASS, "array");
  new_mark(L, JSON_OBJECT_CLASS, "object");
  luaL_newmetatable(L, GUARD_CLASS);
  lua_pushcfunction(L, guard_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
}
