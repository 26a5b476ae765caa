#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mtime.h"

#define FOLDER_CLASS "maiagent.folder"
#define SMALL_FILE 8192 /* bytes */

static const char *check_path(lua_State *L) {
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  luaL_argcheck(L, strlen(path) == length, 1, "contains a zero byte");
  return path;
}

static int refuse(lua_State *L, const char *path, int error) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(error));
  return 2;
}

static int succeed(lua_State *L) {
  lua_pushboolean(L, true);
  return 1;
}

/*
** Listing: an open folder belongs to a userdata, since every push may raise
*/

struct listing {
  DIR *folder; /* NULL unless it is open */
};

static void release(struct listing *listing) {
  if (listing->folder)
    closedir(listing->folder);
  listing->folder = NULL;
}

static int listing_collect(lua_State *L) {
  release(luaL_checkudata(L, 1, FOLDER_CLASS));
  return 0;
}

static struct listing *new_listing(lua_State *L) {
  struct listing *listing = lua_newuserdata(L, sizeof *listing);
  listing->folder = NULL;
  luaL_getmetatable(L, FOLDER_CLASS);
  lua_setmetatable(L, -2);
  return listing;
}

static bool is_itself_or_parent(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* [-0, +0, e] Adds the names to the table on top; 0 or an errno. */
static int add_names(lua_State *L, DIR *folder) {
  int count = 0;
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (!entry)
      return errno;
    if (is_itself_or_parent(entry->d_name))
      continue;
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, ++count);
  }
}

/* list(path) -> array of names in the system's order | nil, message */
int folder_list(lua_State *L) {
  const char *path = check_path(L);
  struct listing *listing = new_listing(L);
  lua_newtable(L);
  listing->folder = opendir(path);
  if (!listing->folder)
    return refuse(L, path, errno);
  int error = add_names(L, listing->folder);
  release(listing);
  return error == 0 ? 1 : refuse(L, path, error);
}

void folder_register(lua_State *L) {
  luaL_newmetatable(L, FOLDER_CLASS);
  lua_pushcfunction(L, listing_collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

/*
** The others
*/

static const char *kind_of(mode_t mode) {
  if (S_ISREG(mode))
    return "file";
  if (S_ISDIR(mode))
    return "folder";
  return S_ISLNK(mode) ? "link" : "other";
}

/* [-0, +0, e] A whole number; a float where integers may be too short. */
static void set_number(lua_State *L, const char *name, unsigned long long n) {
#if HAVE_INTEGERS
  lua_pushinteger(L, (lua_Integer)n);
#else
  lua_pushnumber(L, (lua_Number)n);
#endif
  lua_setfield(L, -2, name);
}

/* stat(path, follow) -> { kind =, size =, mtime =, device =, inode = } | nil,
** message */
int folder_stat(lua_State *L) {
  const char *path = check_path(L);
  struct stat now;
  int failed = lua_toboolean(L, 2) ? stat(path, &now) : lstat(path, &now);
  if (failed)
    return refuse(L, path, errno);
  struct timespec mtime = mtime_of(&now);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, kind_of(now.st_mode));
  lua_setfield(L, -2, "kind");
  lua_pushnumber(L, (lua_Number)mtime.tv_sec + (lua_Number)mtime.tv_nsec / 1e9);
  lua_setfield(L, -2, "mtime");
  set_number(L, "size", (unsigned long long)now.st_size);
  set_number(L, "device", (unsigned long long)now.st_dev);
  set_number(L, "inode", (unsigned long long)now.st_ino);
  return 1;
}

/* make_folder(path) -> true | nil, message; one that is there is fine */
int folder_make(lua_State *L) {
  const char *path = check_path(L);
  struct stat now;
  if (mkdir(path, 0777) == 0)
    return succeed(L);
  int error = errno;
  if (error == EEXIST && stat(path, &now) == 0 && S_ISDIR(now.st_mode))
    return succeed(L);
  return refuse(L, path, error);
}

/* Through no link that somebody put there, and never waiting for the other end
** of a named pipe. */
#define CAREFUL (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

/* One write, so that the lines of several writers never mix. */
static int put(const char *path, int flags, const char *text, size_t length) {
  int fd = open(path, O_WRONLY | O_CREAT | CAREFUL | flags, 0600), error = 0;
  if (fd < 0)
    return errno;
  ssize_t count = write(fd, text, length);
  if (count < 0)
    error = errno;
  else if ((size_t)count < length)
    error = ENOSPC; /* what a second write would say */
  if (close(fd) != 0 && error == 0 && errno != EINTR)
    error = errno;
  return error;
}

static int put_text(lua_State *L, int flags) {
  const char *path = check_path(L);
  size_t length;
  const char *text = luaL_checklstring(L, 2, &length);
  int error = put(path, flags, text, length);
  return error == 0 ? succeed(L) : refuse(L, path, error);
}

/* append(path, text) -> true | nil, message */
int folder_append(lua_State *L) { return put_text(L, O_APPEND); }

/* create(path, text) -> true | nil, message; nothing may be there yet */
int folder_create(lua_State *L) { return put_text(L, O_EXCL); }

/* The count of bytes, or -1 and errno. */
static ssize_t get(const char *path, char *to, size_t most) {
  struct stat now;
  ssize_t count = -1;
  int fd = open(path, O_RDONLY | CAREFUL), error = 0;
  if (fd < 0)
    return -1;
  if (fstat(fd, &now) != 0)
    error = errno;
  else if (!S_ISREG(now.st_mode))
    error = S_ISDIR(now.st_mode) ? EISDIR : ESPIPE;
  else if (now.st_uid != geteuid())
    error = EPERM;
  else
    count = read(fd, to, most);
  if (count < 0 && error == 0)
    error = errno;
  close(fd);
  errno = error;
  return count;
}

/* read(path) -> text | nil, message: how a small file of this user begins */
int folder_read(lua_State *L) {
  const char *path = check_path(L);
  char text[SMALL_FILE];
  ssize_t count = get(path, text, sizeof text);
  if (count < 0)
    return refuse(L, path, errno);
  lua_pushlstring(L, text, (size_t)count);
  return 1;
}
