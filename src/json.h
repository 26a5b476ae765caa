/*
** Lua value <-> cJSON tree, exactly: 64-bit integers, doubles, zero bytes and
** empty arrays come out as they went in, and what JSON cannot hold is refused
** with its place.
*/
#ifndef MAIAGENT_JSON_H
#define MAIAGENT_JSON_H

#include <stdbool.h>

#include "buffer.h"
#include "compat.h"

#pragma GCC visibility push(hidden)

/* [-0, +0, e] Registers the classes of arrays and objects, and adds null,
** array, object, decode and encode to the table on top of the stack. */
void json_open(lua_State *L);

/* [-0, +0|+1, e] Appends the JSON of the value at index `value` to `out`. On
** failure returns false and leaves a message ("params.name: ...") on the stack;
** what `out` holds is of no use then. `arrays` (NULL for none) lists, separated
** by spaces, the paths at which an empty table without a mark is an array:
** "files files[].labels", "[]" for the root, "[].labels" in the items of a root
** array. `out` has to be owned by a userdata: this raises when memory ends. */
bool json_encode(lua_State *L, int value, const char *arrays,
                 struct buffer *out);

#pragma GCC visibility pop

#endif
