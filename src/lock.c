#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_CLASS "maiagent.lock"
#define ATTEMPTS 100 /* each one lost to somebody who has given the lock back */

struct lock {
  bool open;
  int fd; /* meant only while it is open */
  char path[];
};

static void release(struct lock *lock) {
  if (lock->open)
    close(lock->fd);
  lock->open = false;
}

static struct lock *check(lua_State *L) {
  return luaL_checkudata(L, 1, LOCK_CLASS);
}

static int lock_collect(lua_State *L) {
  release(check(L));
  return 0;
}

/* Whether the file that is open is still the one of that path. */
static bool is_there(const struct lock *lock) {
  struct stat ours, there;
  return fstat(lock->fd, &ours) == 0 && lstat(lock->path, &there) == 0 &&
         there.st_ino == ours.st_ino && there.st_dev == ours.st_dev;
}

/* Removed while it is still held: whoever has it open then finds that out. */
static int lock_close(lua_State *L) {
  struct lock *lock = check(L);
  if (lock->open && is_there(lock))
    unlink(lock->path);
  release(lock);
  return 0;
}

/* 0 or an errno; EAGAIN, and nothing else, where the file was removed
** meanwhile. */
static int take(struct lock *lock, bool *taken) {
  int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  lock->fd = open(lock->path, flags, 0600);
  lock->open = lock->fd >= 0;
  if (!lock->open)
    return errno;
  if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
    *taken = errno == EWOULDBLOCK;
    return *taken ? 0 : errno;
  }
  if (is_there(lock))
    return 0;
  close(lock->fd);
  lock->open = false;
  return EAGAIN;
}

static struct lock *new_lock(lua_State *L, const char *path, size_t length) {
  struct lock *lock = lua_newuserdata(L, sizeof *lock + length + 1);
  memset(lock, 0, sizeof *lock);
  memcpy(lock->path, path, length + 1);
  luaL_getmetatable(L, LOCK_CLASS);
  lua_setmetatable(L, -2);
  return lock;
}

int lock_new(lua_State *L) {
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  luaL_argcheck(L, strlen(path) == length, 1, "contains a zero byte");
  struct lock *lock = new_lock(L, path, length);
  bool taken = false;
  int error = EAGAIN;
  for (int i = 0; i < ATTEMPTS && error == EAGAIN; i++)
    error = take(lock, &taken);
  if (error == 0 && !taken)
    return 1;
  release(lock);
  if (taken) {
    lua_pushboolean(L, false);
    return 1;
  }
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(error));
  return 2;
}

static const luaL_Reg methods[] = {
    {"close", lock_close},
    {NULL, NULL},
};

void lock_register(lua_State *L) {
  luaL_newmetatable(L, LOCK_CLASS);
  lua_pushcfunction(L, lock_collect);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
