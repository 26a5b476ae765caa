/*
** Which lines of the library's Lua files a process executes, told when it ends:
** "FILE LINE" for each, appended to a file of its own in the folder that
** MAIAGENT_COVERAGE names. Coroutines inherit a hook that is set in C.
**
**   LUA_INIT_5_4='package.loadlib("hook.so", "luaopen_hook")()'
*/
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES = 128, NAME = 64, LINES = 1024 };

static struct file {
  char name[NAME];
  char executed[LINES];
} files[FILES];

static int file_count;

int luaopen_hook(lua_State *L);

static struct file *file_of(const char *name) {
  static struct file *last = files;
  if (strcmp(last->name, name) == 0)
    return last;
  for (int i = 0; i < file_count; i++)
    if (strcmp(files[i].name, name) == 0)
      return last = &files[i];
  size_t size = strlen(name) + 1;
  if (file_count == FILES || size > NAME)
    abort();
  memcpy(files[file_count].name, name, size);
  return last = &files[file_count++];
}

static void on_line(lua_State *L, lua_Debug *at) {
  lua_getinfo(L, "S", at);
  const char *name =
      at->source[0] == '@' ? strstr(at->source, "/maiagent/") : 0;
  if (!name || at->currentline < 0 || at->currentline >= LINES)
    return;
  file_of(name + 1)->executed[at->currentline] = 1;
}

static void tell(void) {
  char path[4096];
  const char *folder = getenv("MAIAGENT_COVERAGE");
  if (!folder)
    return;
  snprintf(path, sizeof path, "%s/%ld.lines", folder, (long)getpid());
  FILE *out = fopen(path, "a");
  for (int i = 0; out && i < file_count; i++)
    for (int line = 0; line < LINES; line++)
      if (files[i].executed[line])
        fprintf(out, "%s %d\n", files[i].name, line);
  if (out)
    fclose(out);
}

/* A spec's process that may only write short files would leave torn counts of
** the C lines, for all that come after it: its own go elsewhere. */
static void keep_counts_whole(void) {
  char torn[4096];
  struct rlimit limit;
  snprintf(torn, sizeof torn, "%s/torn", getenv("MAIAGENT_COVERAGE"));
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    setenv("GCOV_PREFIX", torn, 1);
  setenv("GCOV_ERROR_FILE", "/dev/null", 1);
}

int luaopen_hook(lua_State *L) {
  keep_counts_whole();
  atexit(tell);
  lua_sethook(L, on_line, LUA_MASKLINE, 0);
  return 0;
}
