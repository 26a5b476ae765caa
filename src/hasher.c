#include "hasher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"

#define HASHER_CLASS "maiagent.hasher"
#define BLOCK ((size_t)256 * 1024)

struct hasher {
  bool open;
  int fd; /* meant only while it is open */
  off_t size;
  struct digest digest;
  char *block; /* made with the first step */
  size_t block_size;
};

static void need_crypto(lua_State *L) {
  if (!digest_ready())
    luaL_error(L, "hashing needs OpenSSL's libcrypto (1.1 or 3), and none "
                  "could be loaded: install it (Debian, Ubuntu: libssl3)");
}

static void check_digest(lua_State *L, bool ok) {
  if (!ok)
    luaL_error(L, "not enough memory");
}

static struct hasher *check(lua_State *L) {
  return luaL_checkudata(L, 1, HASHER_CLASS);
}

static void release(struct hasher *hasher) {
  if (hasher->open)
    close(hasher->fd);
  hasher->open = false;
  digest_free(&hasher->digest);
  free(hasher->block);
  hasher->block = NULL;
}

static int hasher_close(lua_State *L) {
  release(check(L));
  return 0;
}

/*
** Opening
*/

/* 0 or an errno; what was opened is the hasher's even then. */
static int open_file(struct hasher *hasher, const char *path) {
  struct stat now;
  hasher->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  hasher->open = hasher->fd >= 0;
  if (!hasher->open || fstat(hasher->fd, &now) != 0)
    return errno;
  if (S_ISDIR(now.st_mode))
    return EISDIR;
  if (!S_ISREG(now.st_mode))
    return ESPIPE;
  hasher->block_size = BLOCK;
  if (now.st_size < (off_t)BLOCK)
    hasher->block_size = (size_t)now.st_size + 1; /* the end is seen at once */
#ifdef POSIX_FADV_SEQUENTIAL
  posix_fadvise(hasher->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  return 0;
}

int hasher_new(lua_State *L) {
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  luaL_argcheck(L, strlen(path) == length, 1, "contains a zero byte");
  need_crypto(L);
  struct hasher *hasher = lua_newuserdata(L, sizeof *hasher);
  memset(hasher, 0, sizeof *hasher);
  luaL_getmetatable(L, HASHER_CLASS);
  lua_setmetatable(L, -2);
  int error = open_file(hasher, path);
  if (error == 0) {
    check_digest(L, digest_begin(&hasher->digest));
    return 1;
  }
  release(hasher);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(error));
  return 2;
}

/*
** Reading
*/

static int refuse(lua_State *L, const char *message) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  return 2;
}

static ssize_t read_block(const struct hasher *hasher, size_t most) {
  ssize_t count;
  do
    count = read(hasher->fd, hasher->block, most);
  while (count < 0 && errno == EINTR);
  return count;
}

static int finish(lua_State *L, struct hasher *hasher) {
  unsigned char digest[DIGEST_SIZE];
  char hex[DIGEST_HEX];
  bool ok = digest_end(&hasher->digest, digest);
  release(hasher);
  check_digest(L, ok);
  digest_hex(digest, hex);
  lua_pushstring(L, hex);
#if HAVE_INTEGERS
  lua_pushinteger(L, (lua_Integer)hasher->size);
#else
  lua_pushnumber(L, (lua_Number)hasher->size);
#endif
  return 2;
}

/* step(bytes) -> false | hexadecimal digits, bytes | nil, message */
static int hasher_step(lua_State *L) {
  struct hasher *hasher = check(L);
  lua_Number left = luaL_checknumber(L, 2);
  if (!hasher->open)
    return refuse(L, "the hasher is closed");
  if (!hasher->block)
    hasher->block = malloc(hasher->block_size);
  check_digest(L, hasher->block);
  while (left >= 1) {
    size_t most = hasher->block_size;
    if (left < (lua_Number)most)
      most = (size_t)left;
    ssize_t count = read_block(hasher, most);
    int error = errno;
    if (count == 0)
      return finish(L, hasher);
    if (count < 0) {
      release(hasher);
      return refuse(L, strerror(error));
    }
    check_digest(L, digest_add(&hasher->digest, hasher->block, (size_t)count));
    hasher->size += (off_t)count;
    left -= (lua_Number)count;
  }
  lua_pushboolean(L, false);
  return 1;
}

/*
** Texts
*/

int hasher_sha256(lua_State *L) {
  size_t length;
  unsigned char digest[DIGEST_SIZE];
  char hex[DIGEST_HEX];
  const char *text = luaL_checklstring(L, 1, &length);
  need_crypto(L);
  check_digest(L, digest_of(text, length, digest));
  digest_hex(digest, hex);
  lua_pushstring(L, hex);
  return 1;
}

int hasher_hmac_sha256(lua_State *L) {
  size_t key_length, length;
  unsigned char digest[DIGEST_SIZE];
  const char *key = luaL_checklstring(L, 1, &key_length);
  const char *text = luaL_checklstring(L, 2, &length);
  need_crypto(L);
  check_digest(L, digest_hmac(key, key_length, text, length, digest));
  lua_pushlstring(L, (const char *)digest, sizeof digest);
  return 1;
}

/*
** The class
*/

void hasher_register(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"step", hasher_step}, {"close", hasher_close}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {
      {"__gc", hasher_close}, {"__close", hasher_close}, {NULL, NULL}};
  luaL_newmetatable(L, HASHER_CLASS);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushliteral(L, HASHER_CLASS);
  lua_setfield(L, -2, "__name");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
