/* A child process for the specs of forks; no Lua in Debian has one for all
** versions. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

/* [-0, +1, -] 0 in the child, its id in the parent. */
static int fork_process(lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, (lua_Integer)fork());
  return 1;
}

/* The exit code of child 1, or nil where waitpid has none; a child that a
** signal ended counts as 128 and the signal. */
static int push_code(lua_State *L, int options) {
  int status = 0;
  pid_t child = (pid_t)luaL_checkinteger(L, 1);
  if (waitpid(child, &status, options) != child)
    return 0;
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  lua_pushinteger(L, code);
  return 1;
}

/* [-0, +1, -] the exit code of child 1, or nil while it runs. */
static int fork_status(lua_State *L) { return push_code(L, WNOHANG); }

/* [-0, +1, -] the exit code of child 1, once it has ended. */
static int fork_wait(lua_State *L) { return push_code(L, 0); }

/* Ends the process with code 1 as it is, without any finaliser; what counts
** the lines that are executed tells its counts when a process exits. */
static int fork_exit(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  if (getenv("MAIAGENT_COVERAGE"))
    exit(code);
  _exit(code);
}

__attribute__((visibility("default"))) int luaopen_fork(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, fork_process);
  lua_setfield(L, -2, "fork");
  lua_pushcfunction(L, fork_status);
  lua_setfield(L, -2, "status");
  lua_pushcfunction(L, fork_wait);
  lua_setfield(L, -2, "wait");
  lua_pushcfunction(L, fork_exit);
  lua_setfield(L, -2, "exit");
  return 1;
}
