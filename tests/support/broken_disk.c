/* A broken disk for the specs: preloaded into a process, it makes one call on a
** file with "broken" in its name fail. BROKEN=pread:5:2 is the second pread
** (fails with errno 5); an errno of 0 makes a write that is half done. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* What the functions below stand before; ISO C has no cast for it. */
#define REAL(name, text)                                                       \
  void *found = dlsym(RTLD_NEXT, text);                                        \
  memcpy(&(name), &found, sizeof(name))

static bool is_named(int fd) {
  char path[64], name[4096];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, name, sizeof name - 1);
  name[length > 0 ? length : 0] = '\0';
  return strstr(name, "broken") != NULL;
}

/* Whether this very call is to fail, and with which errno. */
static bool fails(const char *call, int fd, int *error) {
  static long calls;
  const char *order = getenv("BROKEN");
  size_t length = strlen(call);
  char *rest;
  if (!order || strncmp(order, call, length) != 0 || order[length] != ':')
    return false;
  *error = (int)strtol(order + length + 1, &rest, 10);
  return *rest == ':' && is_named(fd) && ++calls == strtol(rest + 1, NULL, 10);
}

/* The C library's names for the parameters of its own are reserved. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

#define MAY_FAIL(result, call, symbol, parameters, arguments)                  \
  EXPORT result call parameters {                                              \
    __typeof__(call) *real;                                                    \
    REAL(real, symbol);                                                        \
    int error;                                                                 \
    if (!fails(#call, fd, &error))                                             \
      return real arguments;                                                   \
    errno = error;                                                             \
    return -1;                                                                 \
  }

MAY_FAIL(ssize_t, read, "read", (int fd, void *to, size_t most), (fd, to, most))
MAY_FAIL(ssize_t, pread, "pread64", (int fd, void *to, size_t most, off_t at),
         (fd, to, most, at))
MAY_FAIL(int, fstat, "fstat64", (int fd, struct stat *to), (fd, to))
MAY_FAIL(int, fchmod, "fchmod", (int fd, mode_t mode), (fd, mode))

/* It is closed all the same. */
EXPORT int close(int fd) {
  int (*real)(int);
  REAL(real, "close");
  int error, kept = errno;
  bool failed = fails("close", fd, &error);
  if (!failed)
    errno = kept;
  int result = real(fd);
  if (failed)
    errno = error;
  return failed ? -1 : result;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t (*real)(int, const void *, size_t);
  REAL(real, "write");
  int error;
  if (!fails("write", fd, &error))
    return real(fd, bytes, length);
  if (error == 0)
    return real(fd, bytes, length / 2);
  errno = error;
  return -1;
}

EXPORT int renameat2(int from, const char *old, int to, const char *new,
                     unsigned flags) {
  int (*real)(int, const char *, int, const char *, unsigned);
  REAL(real, "renameat2");
  int error, fd = openat(from, old, O_RDONLY);
  bool failed = fails("renameat2", fd, &error);
  close(fd);
  if (!failed)
    return real(from, old, to, new, flags);
  errno = error;
  return -1;
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
