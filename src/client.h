/*
** The class of clients: connections, and the exchanges that use them.
*/
#ifndef MAIAGENT_CLIENT_H
#define MAIAGENT_CLIENT_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* [-0, +0, e] registers the class; after exchange_register. */
void client_register(lua_State *L);

/* [-(0|1), +1, e] a Lua function: options table or nothing -> client. */
int client_new(lua_State *L);

#pragma GCC visibility pop

#endif
