#include "client.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "exchange.h"
#include "request.h"

#define CLIENT_CLASS "maiagent.client"

#define LARGEST_FILE 9007199254740992.0 /* 2^53, whole in every Lua */

struct client {
  struct loop loop;
  struct live *live; /* NULL once closed */
};

static struct client *check(lua_State *L) {
  struct client *client = luaL_checkudata(L, 1, CLIENT_CLASS);
  loop_enter(&client->loop);
  return client;
}

/*
** Options: read raw, so that no code of the program can run in between
*/

/* [-0, +1, -] pushes t[name], or nil where there is no table. */
static int push_field(lua_State *L, int t, const char *name) {
  lua_pushnil(L);
  if (lua_istable(L, t)) {
    lua_pop(L, 1);
    lua_pushstring(L, name);
    lua_rawget(L, t);
  }
  return lua_type(L, -1);
}

static double number(lua_State *L, int t, const char *name, double standard) {
  int type = push_field(L, t, name);
  double value = type == LUA_TNUMBER ? lua_tonumber(L, -1) : standard;
  lua_pop(L, 1);
  if (type != LUA_TNUMBER && type != LUA_TNIL)
    luaL_error(L, "%s: number expected", name);
  if (!(value >= 0))
    luaL_error(L, "%s: must not be negative", name);
  return value;
}

static size_t bytes(lua_State *L, int t, const char *name, size_t standard) {
  double value = number(L, t, name, (double)standard);
  return value < (double)(SIZE_MAX / 4) ? (size_t)value : SIZE_MAX / 4;
}

/* Files may be larger than memory. */
static curl_off_t file_bytes(lua_State *L, int t, const char *name) {
  double value = number(L, t, name, 0);
  if (!(value <= LARGEST_FILE))
    luaL_error(L, "%s: no size of a file", name);
  return (curl_off_t)value;
}

static bool flag(lua_State *L, int t, const char *name, bool standard) {
  bool given = push_field(L, t, name) != LUA_TNIL;
  bool value = given ? lua_toboolean(L, -1) : standard;
  lua_pop(L, 1);
  return value;
}

/* The text lives as long as it is in the table. */
static const char *text(lua_State *L, int t, const char *name) {
  int type = push_field(L, t, name);
  size_t length = 0;
  const char *value =
      type == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (type != LUA_TSTRING && type != LUA_TNIL)
    luaL_error(L, "%s: string expected", name);
  if (value && strlen(value) != length)
    luaL_error(L, "%s: contains a zero byte", name);
  lua_pop(L, 1);
  return value;
}

static bool is_idempotent(const char *method) {
  return strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
}

static struct transfer_settings read_settings(lua_State *L, int t,
                                              const struct request *request) {
  struct transfer_settings s = {0};
  s.connect = number(L, t, "connect", CONNECT_SECONDS);
  s.reply_limit = bytes(L, t, "reply_limit", REPLY_LIMIT);
  s.header_limit = bytes(L, t, "header_limit", HEADER_LIMIT);
  s.max_speed = (curl_off_t)bytes(L, t, "max_speed", 0);
  s.stream = flag(L, t, "stream", false);
  s.insecure = flag(L, t, "insecure", false);
  s.compressed = flag(L, t, "compressed", false);
  s.idempotent = flag(L, t, "idempotent", is_idempotent(request->method));
  s.elsewhere = flag(L, t, "elsewhere", false);
  s.path = text(L, t, "path");
  s.resume = file_bytes(L, t, "resume");
  s.ca_file = text(L, t, "ca_file");
  s.proxy = text(L, t, "proxy");
  s.user_agent = text(L, t, "user_agent");
  return s;
}

/*
** Methods
*/

static int refuse(lua_State *L, const char *kind, const char *message) {
  lua_pushnil(L);
  lua_pushstring(L, kind);
  lua_pushstring(L, message);
  return 3;
}

static int client_start(lua_State *L) {
  struct client *client = check(L);
  const struct request *request = luaL_checkudata(L, 2, REQUEST_CLASS);
  lua_settop(L, 3);
  struct transfer_settings settings = read_settings(L, 3, request);
  if (!client->live)
    return refuse(L, "cancelled", "the client is closed");
  struct exchange *exchange = exchange_new(L, 1, 2);
  if (transfer_start(&exchange->transfer, &client->loop, request, &settings))
    return 1;
  const struct failure *failure = &exchange->transfer.failure;
  if (failure->kind == FAILURE_MEMORY)
    return luaL_error(L, "%s", failure->message);
  lua_pushnil(L);
  exchange_push_failure(L, exchange);
  return 3;
}

/* step([milliseconds]) -> running, ends */
static int client_step(lua_State *L) {
  struct client *client = check(L);
  double ms = luaL_optnumber(L, 2, -1);
  loop_step(&client->loop, ms < 0 ? 0 : loop_now() + ms / 1000);
  lua_pushinteger(L, client->loop.running);
  lua_pushinteger(L, (lua_Integer)client->loop.events);
  return 2;
}

/* wake(time) the descriptor is to be readable then, on core.now()'s clock */
static int client_wake(lua_State *L) {
  struct client *client = check(L);
  loop_wake(&client->loop, luaL_checknumber(L, 2));
  return 0;
}

/* How many exchanges are under way. */
static int client_running(lua_State *L) {
  lua_pushinteger(L, check(L)->loop.running);
  return 1;
}

static int client_poll(lua_State *L) {
  struct client *client = check(L);
  double ms = luaL_checknumber(L, 2);
  int rounded = ms < 0 ? 0 : ms < INT_MAX ? (int)ms : INT_MAX;
  lua_pushboolean(L, client->live && loop_poll(&client->loop, rounded));
  return 1;
}

static int client_fd(lua_State *L) {
  struct client *client = check(L);
  int fd = client->live ? loop_fd(&client->loop) : -1;
  if (fd < 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, fd);
  return 1;
}

static int client_close(lua_State *L) {
  struct client *client = check(L);
  loop_close(&client->loop);
  if (client->live)
    client->live->clients--;
  client->live = NULL;
  return 0;
}

static int client_is_closed(lua_State *L) {
  lua_pushboolean(L, !check(L)->live);
  return 1;
}

/*
** The class
*/

static const luaL_Reg methods[] = {
    {"start", client_start},
    {"step", client_step},
    {"running", client_running},
    {"poll", client_poll},
    {"wake", client_wake},
    {"fd", client_fd},
    {"close", client_close},
    {"is_closed", client_is_closed},
    {NULL, NULL},
};

int client_new(lua_State *L) {
  lua_settop(L, 1);
  double connections = number(L, 1, "max_connections", 0);
  struct client *client = lua_newuserdata(L, sizeof *client);
  memset(client, 0, sizeof *client);
  luaL_getmetatable(L, CLIENT_CLASS);
  lua_setmetatable(L, -2);
  client->loop.max_connections = connections < 1e6 ? (long)connections : 0;
  client->live = live_get(L);
  client->live->clients++;
  return 1;
}

void client_register(lua_State *L) {
  class_register(L, CLIENT_CLASS, methods, client_close);
}
