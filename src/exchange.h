/*
** The class of exchanges: a request on its way and its reply.
*/
#ifndef MAIAGENT_EXCHANGE_H
#define MAIAGENT_EXCHANGE_H

#include "compat.h"
#include "reply.h"
#include "transfer.h"

#pragma GCC visibility push(hidden)

/* What is open in one Lua state: clients that were not closed, and exchanges
** under way. */
struct live {
  int clients, exchanges;
};

struct exchange {
  struct reply reply; /* first */
  struct transfer transfer;
};

/* [-0, +0, e] the counters of this Lua state; the registry keeps them. */
struct live *live_get(lua_State *L);

/* [-0, +0, e] registers the class. */
void exchange_register(lua_State *L);

/* [-0, +1, e] an exchange, not yet started, that keeps the client and the
** request at these (absolute) indices alive. */
struct exchange *exchange_new(lua_State *L, int client, int request);

/* [-0, +2, e] pushes kind and message of the exchange's failure. */
void exchange_push_failure(lua_State *L, const struct exchange *exchange);

/* [-0, +0, e] makes a class: `functions` in a table of their own, `close` for
** every way in which an object may end. */
void class_register(lua_State *L, const char *name, const luaL_Reg *functions,
                    lua_CFunction close);

#pragma GCC visibility pop

#endif
