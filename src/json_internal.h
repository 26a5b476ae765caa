/*
** What the two directions of json share; only the json files include this.
*/
#ifndef MAIAGENT_JSON_INTERNAL_H
#define MAIAGENT_JSON_INTERNAL_H

#include <cjson/cJSON.h>

#include "json.h"

#pragma GCC visibility push(hidden)

#define JSON_ARRAY_CLASS "maiagent.array"
#define JSON_OBJECT_CLASS "maiagent.object"

/* Arrays and objects inside each other, unless told otherwise. */
#define JSON_NESTING 512

/*
** The one owner of everything that lives outside Lua's memory during a
** conversion, so that an error raised by any lua_* call leaks nothing.
*/
struct json_guard {
  cJSON *tree;
  char *printed;
  struct buffer bytes;
};

/* [-0, +1, e] */
struct json_guard *json_guard_new(lua_State *L);

/* [-0, +0, -] Frees all that the guard at `index` owns. */
void json_guard_end(lua_State *L, int index);

/* [-0, +0, e] Raises as Lua does: without a position. */
int json_no_memory(lua_State *L);

/* [-0, +2, e] nil, and that `function` got something else at index 1. */
int json_misuse(lua_State *L, const char *function, const char *expected);

enum json_mark { JSON_UNMARKED, JSON_MARKED_ARRAY, JSON_MARKED_OBJECT };

/* [-0, +0, e] The mark of the table on top: ours, or another JSON library's
** that follows the same convention (dkjson). */
enum json_mark json_mark_of(lua_State *L);

int json_count_children(const cJSON *node);

/* decode(text, keep_null, nesting) -> value | nil, message */
int json_decode(lua_State *L);

/* encode(value, array_paths) -> text | nil, message */
int json_encode_value(lua_State *L);

#pragma GCC visibility pop

#endif
