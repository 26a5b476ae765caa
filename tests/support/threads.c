/*
** Two threads, each with Lua states of its own that call a local server: what
** the modules share between states must be safe. Built, as the modules are,
** with -fsanitize=thread; see threads.sh. The scenario is threads.lua.
**
** With the argument "race" the threads make a race on purpose, to show that
** one would be found.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 2, ROUNDS = 5, USAGE = 2 };

struct worker {
  pthread_t thread;
  const char *scenario;
  int number;
  int failures;
};

static pthread_barrier_t line;
static bool racing;
static int unguarded;

static bool run(lua_State *L, const char *scenario, int number, int round) {
  luaL_openlibs(L);
  if (luaL_loadfile(L, scenario) != LUA_OK)
    return false;
  lua_pushinteger(L, number);
  lua_pushinteger(L, round);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* All begin a round at the same time, so that what is done once in a process,
** and loading and unloading, meet. */
static void *work(void *data) {
  struct worker *worker = data;
  for (int round = 1; round <= ROUNDS; round++) {
    lua_State *L = luaL_newstate();
    pthread_barrier_wait(&line);
    if (racing)
      unguarded++;
    else if (!L || !run(L, worker->scenario, worker->number, round)) {
      const char *message = L ? lua_tostring(L, -1) : "no memory";
      printf("FAIL  thread %d, round %d: %s\n", worker->number, round,
             message ? message : "an error that is no text");
      worker->failures++;
    }
    if (L)
      lua_close(L);
  }
  return NULL;
}

int main(int count, char **arguments) {
  struct worker workers[THREADS];
  int failures = 0;
  if (count < 2)
    return USAGE;
  racing = strcmp(arguments[1], "race") == 0;
  pthread_barrier_init(&line, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){.scenario = arguments[1], .number = i + 1};
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
      return USAGE;
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    failures += workers[i].failures;
  }
  printf("%d threads, %d states each: %d failed\n", THREADS, ROUNDS, failures);
  return failures > 0;
}
