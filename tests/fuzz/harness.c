/*
** One fuzzing target: a Lua file that returns a function of the input, which
** raises where a promise of the library does not hold. The C modules are part
** of this program, built with libFuzzer's instrumentation, ASan and UBSan; of
** the Lua files each executed line counts as covered, so that libFuzzer finds
** its way through them too.
**
**   MAIAGENT_FUZZ_TARGET=tests/fuzz/targets/journal.lua harness CORPUS
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS = 1 << 14, HANDLER = 1, TARGET = 2 };

/* libFuzzer treats these as it does its own. */
__attribute__((section("__libfuzzer_extra_counters"),
               used)) static uint8_t counters[COUNTERS];

static lua_State *state;

int luaopen_maiagent_core(lua_State *L);
int luaopen_maiagent_disk(lua_State *L);
int luaopen_maiagent_http(lua_State *L);
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not of the pointers: those differ from run to run. */
static void on_line(lua_State *L, lua_Debug *at) {
  uint32_t place = 0;
  lua_getinfo(L, "S", at);
  if (!strstr(at->short_src, "maiagent/"))
    return;
  for (const char *c = at->short_src; *c; c++)
    place = place * 31 + (uint8_t)*c;
  place = (place + (uint32_t)at->currentline) * 2654435761u;
  counters[place >> 18]++;
}

static void fail(lua_State *L) {
  fprintf(stderr, "\nfuzz: %s\n", lua_tostring(L, -1));
  abort();
}

static int with_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

/* What the sanitizer still finds then, nobody owned. */
static void close_state(void) { lua_close(state); }

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  const char *target = getenv("MAIAGENT_FUZZ_TARGET");
  (void)count;
  (void)arguments;
  state = luaL_newstate();
  luaL_openlibs(state);
  preload(state, "maiagent.core", luaopen_maiagent_core);
  preload(state, "maiagent.disk", luaopen_maiagent_disk);
  preload(state, "maiagent.http", luaopen_maiagent_http);
  lua_sethook(state, on_line, LUA_MASKLINE, 0);
  lua_pushcfunction(state, with_traceback);
  if (!target || luaL_dofile(state, target))
    fail(state);
  lua_settop(state, TARGET);
  atexit(close_state);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_pushvalue(state, TARGET);
  lua_pushlstring(state, (const char *)data, size);
  if (lua_pcall(state, 1, 0, HANDLER))
    fail(state);
  return 0;
}
