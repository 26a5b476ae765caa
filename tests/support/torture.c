/*
** Makes every allocation fail, one after the other: of Lua, of cJSON, of
** libcurl, and of the modules' own malloc and friends (they are linked with
** --wrap for this, see torture.sh). Each allocation of a scenario fails once
** alone ("once"; Lua then collects and asks again), and once with all that
** follow it ("on"). Whatever happens then, nothing may crash or leak, and the
** same client must work as soon as there is memory again.
**
** Each of these eight sweeps (torture SCENARIO KIND once|on) is a process of
** its own. The scenario is torture.lua. Its `cold` runs in a fresh Lua state
** for each failing point, its `pieces` in one state with one client that has to
** live through all of them.
*/
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKED() __lsan_do_recoverable_leak_check()
#else
#define LEAKED() 0
#endif

enum { STUCK_SECONDS = 20, MOST_REPORTS = 20, TEXT = 160 };

enum kind { OF_LUA, OF_CJSON, OF_OURS, OF_CURL, KINDS };

static const char *const kind_names[] = {"Lua", "cJSON", "own", "libcurl"};

/* One allocator: what it holds, and which of its allocations is to fail. */
struct allocator {
  long live; /* blocks */
  long count, fail_at, refused;
  bool armed, sticky;
};

static struct allocator allocators[KINDS];
static int failures;

/* Where we are, for the reports. */
static struct {
  const char *piece;
  enum kind kind;
  bool sticky;
  long point;
} now;

static void report(const char *what, const char *detail) {
  failures++;
  if (failures > MOST_REPORTS)
    return;
  printf("FAIL  %s, %s allocation %ld %s: %s: %s\n", now.piece,
         kind_names[now.kind], now.point, now.sticky ? "on" : "once", what,
         detail);
  fflush(stdout);
}

/* --- the allocators ------------------------------------------------------ */

static bool refuses(enum kind kind) {
  struct allocator *a = &allocators[kind];
  if (!a->armed)
    return false;
  a->count++;
  if (a->sticky ? a->count < a->fail_at : a->count != a->fail_at)
    return false;
  a->refused++;
  errno = ENOMEM; /* as malloc says it */
  return true;
}

static void *allocate(enum kind kind, size_t size) {
  void *block = refuses(kind) ? NULL : malloc(size);
  if (block)
    allocators[kind].live++;
  return block;
}

static void *reallocate(enum kind kind, void *old, size_t size) {
  if (!old)
    return allocate(kind, size);
  return refuses(kind) ? NULL : realloc(old, size);
}

static void *allocate_zeroed(enum kind kind, size_t n, size_t size) {
  void *block = refuses(kind) ? NULL : calloc(n, size);
  if (block)
    allocators[kind].live++;
  return block;
}

static char *duplicate(enum kind kind, const char *text, size_t length) {
  char *copy = allocate(kind, length + 1);
  if (copy) {
    memcpy(copy, text, length);
    copy[length] = '\0';
  }
  return copy;
}

static void release(enum kind kind, void *block) {
  if (block)
    allocators[kind].live--;
  free(block);
}

/* Lua takes it for granted that a block can shrink. */
static void *lua_allocate(void *unused, void *old, size_t had, size_t size) {
  (void)unused;
  if (size == 0) {
    release(OF_LUA, old);
    return NULL;
  }
  if (old && size <= had)
    return realloc(old, size);
  return reallocate(OF_LUA, old, size);
}

static void *cjson_malloc(size_t size) { return allocate(OF_CJSON, size); }
static void cjson_free(void *block) { release(OF_CJSON, block); }

static void *curl_malloc(size_t size) { return allocate(OF_CURL, size); }
static void curl_free_(void *block) { release(OF_CURL, block); }
static void *curl_realloc(void *old, size_t size) {
  return reallocate(OF_CURL, old, size);
}
static char *curl_strdup(const char *text) {
  return duplicate(OF_CURL, text, strlen(text));
}
static void *curl_calloc(size_t n, size_t size) {
  return allocate_zeroed(OF_CURL, n, size);
}

/* What the modules call in place of malloc, realloc and so on: the names are
** those of the linker's --wrap. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

void *__wrap_malloc(size_t size) { return allocate(OF_OURS, size); }
void *__wrap_calloc(size_t n, size_t size) {
  return allocate_zeroed(OF_OURS, n, size);
}
void *__wrap_realloc(void *old, size_t size) {
  return reallocate(OF_OURS, old, size);
}
void __wrap_free(void *block) { release(OF_OURS, block); }
char *__wrap_strdup(const char *text) {
  return duplicate(OF_OURS, text, strlen(text));
}
char *__wrap_strndup(const char *text, size_t length) {
  return duplicate(OF_OURS, text, strnlen(text, length));
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* --- one attempt --------------------------------------------------------- */

/* Text of the value on top of the stack, without allocating in Lua. */
static void describe(lua_State *L, char *text, size_t size) {
  if (lua_type(L, -1) == LUA_TSTRING)
    snprintf(text, size, "%s", lua_tostring(L, -1));
  else
    snprintf(text, size, "(a %s)", luaL_typename(L, -1));
}

/* What the alarm is to say: a handler must not format it. */
static char stuck_text[2 * TEXT];
static size_t stuck_length;

static void stuck(int unused) {
  (void)unused;
  ssize_t written = write(STDOUT_FILENO, stuck_text, stuck_length);
  _exit(written < 0 ? 2 : 1);
}

static void set_alarm(void) {
  snprintf(stuck_text, sizeof stuck_text,
           "FAIL  %s, %s allocation %ld %s: stuck: no end in sight\n",
           now.piece, kind_names[now.kind], now.point,
           now.sticky ? "on" : "once");
  stuck_length = strlen(stuck_text);
  alarm(STUCK_SECONDS);
}

static void arm(long point) {
  struct allocator *a = &allocators[now.kind];
  a->count = a->refused = 0;
  a->fail_at = point;
  a->sticky = now.sticky;
  a->armed = true;
}

static long disarm(void) {
  allocators[now.kind].armed = false;
  return allocators[now.kind].refused;
}

/* An error is right when memory is short; an error of ours in handling it, or
** a wrong result (which the scenario returns as a text), is not. */
static void judge(lua_State *L, int code) {
  char text[TEXT];
  describe(L, text, sizeof text);
  if (code == LUA_OK && !lua_isnil(L, -1))
    report("wrong result", text);
  else if (code != LUA_OK && strstr(text, "attempt to"))
    report("error", text);
}

/* [-1, +0, -] calls the function on the top with allocation `point` failing.
** Returns how many allocations were refused: 0 means that it has fewer. */
static long attempt(lua_State *L, long point) {
  int code;
  long refused;
  lua_gc(L, LUA_GCCOLLECT, 0);
  now.point = point;
  set_alarm();
  arm(point);
  code = lua_pcall(L, 0, 1, 0);
  refused = disarm();
  alarm(0);
  judge(L, code);
  lua_pop(L, 1);
  return refused;
}

/* [-0, +0, -] calls the scenario's function `name` with all memory there. */
static bool call(lua_State *L, const char *name) {
  bool ok;
  set_alarm();
  lua_getfield(L, 1, name);
  ok = lua_pcall(L, 0, 0, 0) == LUA_OK;
  alarm(0);
  if (!ok) {
    char text[TEXT];
    describe(L, text, sizeof text);
    report(name, text);
    lua_pop(L, 1);
  }
  return ok;
}

/* --- Lua states ---------------------------------------------------------- */

/* A state with the scenario's table at stack index 1. */
static lua_State *open_state(const char *scenario) {
  lua_State *L = lua_newstate(lua_allocate, NULL);
  if (!L)
    exit(EXIT_FAILURE);
  luaL_openlibs(L);
  if (luaL_dofile(L, scenario) != LUA_OK) {
    fprintf(stderr, "torture: %s\n", lua_tostring(L, -1));
    exit(EXIT_FAILURE);
  }
  return L;
}

static long curl_baseline = -1;

static void expect_blocks(enum kind kind, long expected) {
  char text[TEXT];
  long live = allocators[kind].live;
  if (live == expected)
    return;
  snprintf(text, sizeof text, "%ld blocks, not %ld", live, expected);
  report(kind_names[kind], text);
  allocators[kind].live = expected;
}

/* All is given back when the state is closed; libcurl keeps what its first use
** made for the whole process. */
static void close_state(lua_State *L) {
  lua_close(L);
  expect_blocks(OF_LUA, 0);
  expect_blocks(OF_CJSON, 0);
  expect_blocks(OF_OURS, 0);
  if (curl_baseline < 0)
    curl_baseline = allocators[OF_CURL].live;
  expect_blocks(OF_CURL, curl_baseline);
}

/* --- sweeps -------------------------------------------------------------- */

/* Everything from `require` to `close`, a new state for each failing point;
** the same state must manage when asked again. */
static long sweep_cold(const char *scenario) {
  long point = 0, refused;
  do {
    lua_State *L = open_state(scenario);
    call(L, "prepare");
    lua_getfield(L, 1, "cold");
    refused = attempt(L, ++point);
    call(L, "cold_again");
    close_state(L);
  } while (refused > 0);
  return point - 1;
}

static long sweep_piece(lua_State *L, int piece) {
  long point = 0, refused;
  do {
    lua_rawgeti(L, 2, piece);
    lua_getfield(L, -1, "run");
    lua_remove(L, -2);
    refused = attempt(L, ++point);
    if (!call(L, "check"))
      return point;
  } while (refused > 0);
  return point - 1;
}

/* One state and one client for all pieces. */
static long sweep_warm(const char *scenario) {
  lua_State *L = open_state(scenario);
  long points = 0;
  int i, pieces;
  call(L, "prepare");
  if (!call(L, "open"))
    exit(EXIT_FAILURE);
  lua_getfield(L, 1, "pieces");
  pieces = (int)lua_rawlen(L, 2);
  for (i = 1; i <= pieces; i++) {
    lua_rawgeti(L, 2, i);
    lua_getfield(L, -1, "name");
    now.piece = lua_tostring(L, -1);
    lua_pop(L, 2);
    points += sweep_piece(L, i);
  }
  now.piece = "all pieces";
  call(L, "close");
  close_state(L);
  return points;
}

static long sweep(const char *scenario) {
  long points;
  now.piece = "cold";
  points = sweep_cold(scenario);
  points += sweep_warm(scenario);
  if (LEAKED())
    report("leak", "see above");
  return points;
}

/* Once with all memory: what lasts for the whole process is made here. */
static void rehearse(const char *scenario) {
  int i;
  now.piece = "rehearsal";
  for (i = 0; i < 2; i++) {
    lua_State *L = open_state(scenario);
    call(L, "prepare");
    call(L, "cold");
    close_state(L);
  }
}

static void install(void) {
  cJSON_Hooks hooks = {cjson_malloc, cjson_free};
  cJSON_InitHooks(&hooks);
  curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_free_,
                       curl_realloc, curl_strdup, curl_calloc);
  signal(SIGALRM, stuck);
  signal(SIGPIPE, SIG_IGN);
}

static bool choose(const char *kind, const char *how) {
  now.sticky = strcmp(how, "on") == 0;
  for (now.kind = 0; now.kind < KINDS; now.kind++)
    if (strcmp(kind_names[now.kind], kind) == 0)
      return now.sticky || strcmp(how, "once") == 0;
  return false;
}

int main(int argc, char **argv) {
  long points;
  if (argc != 4 || !choose(argv[2], argv[3]))
    return EXIT_FAILURE;
  install();
  rehearse(argv[1]);
  points = sweep(argv[1]);
  printf("%-8s %-4s %6ld failing points, %d failures\n", argv[2], argv[3],
         points, failures);
  return failures == 0 && points > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
