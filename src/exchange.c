#include "exchange.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "head.h"

#define LIVE_KEY "maiagent.live"

struct live *live_get(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LIVE_KEY);
  struct live *live = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return live;
}

static struct exchange *check(lua_State *L) {
  struct exchange *exchange = luaL_checkudata(L, 1, EXCHANGE_CLASS);
  if (exchange->transfer.member.loop)
    loop_enter(exchange->transfer.member.loop);
  return exchange;
}

/* The metatable comes before anything that has to be released. */
struct exchange *exchange_new(lua_State *L, int client, int request) {
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, client);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, request);
  lua_rawseti(L, -2, 2);
  struct exchange *exchange = lua_newuserdata(L, sizeof *exchange);
  memset(exchange, 0, sizeof *exchange);
  luaL_getmetatable(L, EXCHANGE_CLASS);
  lua_setmetatable(L, -2);
  exchange->reply.bytes = &exchange->transfer.reply;
  exchange->transfer.under_way = &live_get(L)->exchanges;
  lua_insert(L, -2); /* exchange, what it keeps alive */
  lua_setuservalue(L, -2);
  return exchange;
}

void exchange_push_failure(lua_State *L, const struct exchange *exchange) {
  const struct failure *failure = &exchange->transfer.failure;
  lua_pushstring(L, failure_name(failure->kind));
  lua_pushstring(L, failure->message);
}

static int exchange_close(lua_State *L) {
  transfer_close(&check(L)->transfer);
  return 0;
}

/*
** Is it there yet?
*/

/* Answering "no" is what makes the descriptor tell of the end: a program has
** to ask before it waits, or it may sleep on an end that came meanwhile. */
static int exchange_done(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  bool done = transfer_is_done(t);
  loop_look(&t->member, !done);
  lua_pushboolean(L, done);
  return 1;
}

static int exchange_failure(lua_State *L) {
  const struct exchange *exchange = check(L);
  const struct failure *failure = &exchange->transfer.failure;
  if (failure->kind == FAILURE_NONE) {
    lua_pushnil(L);
    return 1;
  }
  exchange_push_failure(L, exchange);
  lua_pushinteger(L, failure->code);
  return 3;
}

static int exchange_status(lua_State *L) {
  int status = transfer_status(&check(L)->transfer);
  if (status == 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, status);
  return 1;
}

/*
** Headers
*/

/* Steps from line to line of a head that is complete; `at` begins as 0. */
static bool next_field(const struct transfer *t, size_t *at,
                       struct head_field *f) {
  return t->head_done && head_next(&t->head, at, f);
}

static void push_lower(lua_State *L, const char *text, size_t length) {
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (size_t i = 0; i < length; i++)
    luaL_addchar(&buffer, (char)tolower((unsigned char)text[i]));
  luaL_pushresult(&buffer);
}

/* [-0, +0, e] Adds to the table on top; values of one name become a list. */
static void add_field(lua_State *L, const struct head_field *f) {
  push_lower(L, f->name, f->name_length);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3); /* headers, name, what is there */
  if (lua_isstring(L, -1)) {
    lua_createtable(L, 2, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
  }
  lua_pushlstring(L, f->value, f->value_length);
  if (lua_istable(L, -2))
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
  else
    lua_replace(L, -2);
  lua_rawset(L, -3);
}

/* [-1, +1, e] The list on top as one text. */
static void join(lua_State *L) {
  int list = lua_gettop(L), count = (int)lua_rawlen(L, list);
  luaL_Buffer joined;
  luaL_buffinit(L, &joined);
  for (int i = 1; i <= count; i++) {
    if (i > 1)
      luaL_addlstring(&joined, ", ", 2);
    lua_rawgeti(L, list, i);
    luaL_addvalue(&joined);
  }
  luaL_pushresult(&joined);
  lua_replace(L, list);
}

/* Lists first, and each joined once: a reply may repeat a name so often that
** joining pair by pair would take seconds. */
static int exchange_headers(lua_State *L) {
  const struct transfer *t = &check(L)->transfer;
  struct head_field f;
  size_t at = 0;
  lua_newtable(L);
  while (next_field(t, &at, &f))
    add_field(L, &f);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_istable(L, -1)) {
      join(L);
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, -4); /* headers, name, name, text */
    } else {
      lua_pop(L, 1);
    }
  }
  return 1;
}

static int exchange_header(lua_State *L) {
  const struct transfer *t = &check(L)->transfer;
  size_t length, at = 0;
  const char *name = luaL_checklstring(L, 2, &length);
  bool found = false;
  struct head_field f;
  luaL_Buffer joined;
  luaL_buffinit(L, &joined);
  while (next_field(t, &at, &f)) {
    if (f.name_length != length || strncasecmp(f.name, name, length) != 0)
      continue;
    if (found)
      luaL_addlstring(&joined, ", ", 2);
    luaL_addlstring(&joined, f.value, f.value_length);
    found = true;
  }
  if (found)
    luaL_pushresult(&joined);
  else
    lua_pushnil(L);
  return 1;
}

/*
** Body
*/

static void push_reply(lua_State *L, const struct transfer *t) {
  lua_pushlstring(L, t->reply.data ? t->reply.data : "", t->reply.length);
}

static int exchange_body(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  push_reply(L, t);
  buffer_free(&t->reply);
  transfer_resume(t);
  return 1;
}

/* The body is not needed any more, whole or in part. */
static int exchange_drop(lua_State *L) {
  buffer_free(&check(L)->transfer.reply);
  return 0;
}

static int exchange_read(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  bool empty = t->reply.length == 0;
  if (empty)
    lua_pushnil(L);
  else
    push_reply(L, t);
  buffer_clear(&t->reply);
  loop_look(&t->member, empty && !t->finished);
  transfer_resume(t);
  return 1;
}

/*
** What is fed, and what was received
*/

/* hungry() -> boolean: "no" makes the descriptor tell when it turns "yes". */
static int exchange_hungry(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  bool hungry = transfer_is_hungry(t);
  loop_look(&t->member, !hungry && !t->finished);
  lua_pushboolean(L, hungry);
  return 1;
}

/* feed(bytes | nil): the next bytes of the part that is fed, or its end; after
** the end of the exchange they go nowhere. */
static int exchange_feed(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  size_t length = 0;
  const char *bytes = NULL;
  if (!lua_isnoneornil(L, 2))
    bytes = luaL_checklstring(L, 2, &length);
  if (t->started && !t->form.feed.used)
    return luaL_error(L, "no part of this request is fed");
  if (t->form.feed.ended && !t->finished)
    return luaL_error(L, "the end of the fed part was told before");
  if (!transfer_feed(t, bytes, length))
    return luaL_error(L, "not enough memory");
  return 0;
}

/* stored() -> boolean: whether any of the reply went into its file; else the
** file, if there is one, may be somebody else's. */
static int exchange_stored(lua_State *L) {
  lua_pushboolean(L, check(L)->transfer.sink.taken);
  return 1;
}

/* keep(path, fresh) -> true | nil, message: what was received, whole, gets its
** final name, which with `fresh` nothing may have; until then, or until close,
** nobody else may write it. */
static int exchange_keep(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  size_t length;
  const char *path = luaL_checklstring(L, 2, &length);
  luaL_argcheck(L, strlen(path) == length, 2, "contains a zero byte");
  const char *wrong = transfer_keep(t, path, lua_toboolean(L, 3));
  if (!wrong) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, wrong);
  return 2;
}

/*
** Facts about the way
*/

/* exchange:sent() -> whether it may have arrived, and whether it may have done
** so before: libcurl sends again what a kept connection did not answer. */
static int exchange_sent(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  lua_pushboolean(L, transfer_sent(t));
  lua_pushboolean(L, t->resent);
  return 2;
}

static int exchange_idle(lua_State *L) {
  lua_pushnumber(L, transfer_idle(&check(L)->transfer));
  return 1;
}

/* [-0, +1, -] A whole number; a float where integers may be too short. */
static void push_bytes(lua_State *L, curl_off_t count) {
#if HAVE_INTEGERS
  lua_pushinteger(L, (lua_Integer)count);
#else
  lua_pushnumber(L, (lua_Number)count);
#endif
}

static int exchange_progress(lua_State *L) {
  struct transfer *t = &check(L)->transfer;
  transfer_measure(t);
  push_bytes(L, t->progress.sent);
  push_bytes(L, t->progress.send_total);
  push_bytes(L, t->progress.received);
  push_bytes(L, t->progress.receive_total);
  return 4;
}

static void set_seconds(lua_State *L, const char *name, double seconds) {
  lua_pushnumber(L, seconds);
  lua_setfield(L, -2, name);
}

static int exchange_timings(lua_State *L) {
  const struct measure_timings *timings = &check(L)->transfer.timings;
  lua_createtable(L, 0, 6);
  set_seconds(L, "dns", timings->dns);
  set_seconds(L, "connect", timings->connect);
  set_seconds(L, "tls", timings->tls);
  set_seconds(L, "first_byte", timings->first_byte);
  set_seconds(L, "total", timings->total);
  lua_pushboolean(L, timings->reused);
  lua_setfield(L, -2, "reused");
  return 1;
}

static int exchange_redirect(lua_State *L) {
  lua_pushstring(L, check(L)->transfer.redirect); /* NULL is nil */
  return 1;
}

/*
** The class
*/

static const luaL_Reg methods[] = {
    {"done", exchange_done},
    {"failure", exchange_failure},
    {"status", exchange_status},
    {"headers", exchange_headers},
    {"header", exchange_header},
    {"body", exchange_body},
    {"drop", exchange_drop},
    {"read", exchange_read},
    {"sent", exchange_sent},
    {"idle", exchange_idle},
    {"progress", exchange_progress},
    {"timings", exchange_timings},
    {"redirect", exchange_redirect},
    {"hungry", exchange_hungry},
    {"feed", exchange_feed},
    {"stored", exchange_stored},
    {"keep", exchange_keep},
    {"close", exchange_close},
    {NULL, NULL},
};

void class_register(lua_State *L, const char *name, const luaL_Reg *functions,
                    lua_CFunction close) {
  luaL_newmetatable(L, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}

/* A second load finds the counters that objects of the first one point to. */
static void live_register(lua_State *L) {
  if (live_get(L))
    return;
  struct live *live = lua_newuserdata(L, sizeof *live);
  memset(live, 0, sizeof *live);
  lua_setfield(L, LUA_REGISTRYINDEX, LIVE_KEY);
}

void exchange_register(lua_State *L) {
  live_register(L);
  class_register(L, EXCHANGE_CLASS, methods, exchange_close);
}
