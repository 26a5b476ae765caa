/* A Lua table as the query of a URL. */
#ifndef MAIAGENT_QUERY_H
#define MAIAGENT_QUERY_H

#include <stdbool.h>

#include "buffer.h"
#include "compat.h"
#include "url.h"

#pragma GCC visibility push(hidden)

#define QUERY_NUMBER_SIZE 32

/* Both leave a message on top of the stack when they answer false, and may
** leave more below it. */

/* [-0, +0|+n, e] The text of the string, boolean or finite number at `index`;
** numbers are written into `number`. */
bool query_scalar(lua_State *L, int index, char number[QUERY_NUMBER_SIZE],
                  struct url_text *text);

/* [-0, +0|+n, e] Appends the table at `index` to the query of `url`, sorted by
** name and without the names that the table at `except` has too (0: none). An
** array is its name again and again. Messages call the table `place`. `url`
** has to be owned by a userdata: this raises when memory ends. */
bool query_add(lua_State *L, struct buffer *url, int index, int except,
               const char *place);

#pragma GCC visibility pop

#endif
