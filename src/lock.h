/*
** The class of locks: a file that one process at a time has, until it gives it
** back or ends, however it ends.
*/
#ifndef MAIAGENT_LOCK_H
#define MAIAGENT_LOCK_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* [-0, +0, e] registers the class. */
void lock_register(lua_State *L);

/* Lua function: lock(path) -> lock | false (another one has it) | nil, message
** The file is made; lock:close() removes it. */
int lock_new(lua_State *L);

#pragma GCC visibility pop

#endif
