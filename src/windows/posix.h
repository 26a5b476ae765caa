/*
** What POSIX has and Windows has not, by its names. The Makefile includes it
** first where the compiler is MinGW's, with the other headers of this folder.
** Compiled in .ci/run, and never run.
*/
#ifndef MAIAGENT_WINDOWS_POSIX_H
#define MAIAGENT_WINDOWS_POSIX_H

#include <direct.h>
#include <fcntl.h>
#include <io.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Every file is opened with it: bytes stay bytes. */
#define O_CLOEXEC (_O_NOINHERIT | _O_BINARY)
#define O_NOFOLLOW 0
#define O_NONBLOCK 0
#define F_DUPFD_CLOEXEC 0

#define S_ISLNK(mode) ((void)(mode), 0)
#define lstat stat
#define mkdir(path, mode) _mkdir(path)

/* There is no fork. */
#undef pthread_atfork
static inline int pthread_atfork(void (*before)(void), void (*parent)(void),
                                 void (*child)(void)) {
  (void)before, (void)parent, (void)child;
  return 0;
}

static inline int geteuid(void) { return 0; } /* as stat's st_uid there */

static inline int fchmod(int fd, mode_t mode) {
  (void)fd;
  (void)mode;
  return 0;
}

/* Only to duplicate. */
static inline int fcntl(int fd, int command, int least) {
  (void)command;
  (void)least;
  return _dup(fd);
}

/* Moves the descriptor's place, which nobody here reads by. */
static inline ssize_t pread(int fd, void *to, size_t length, off_t at) {
  unsigned most = length < 0x40000000 ? (unsigned)length : 0x40000000;
  return _lseeki64(fd, at, SEEK_SET) < 0 ? -1 : _read(fd, to, most);
}

#endif
