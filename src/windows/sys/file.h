/* No such locks: who asks for one goes on without. */
#ifndef MAIAGENT_WINDOWS_SYS_FILE_H
#define MAIAGENT_WINDOWS_SYS_FILE_H

#include <errno.h>

#define LOCK_EX 1
#define LOCK_NB 2

static inline int flock(int fd, int operation) {
  (void)fd;
  (void)operation;
  errno = ENOSYS;
  return -1;
}

#endif
