/* When a file was last written; the field's name depends on the system. */
#ifndef MAIAGENT_MTIME_H
#define MAIAGENT_MTIME_H

#include <sys/stat.h>
#include <time.h>

static inline struct timespec mtime_of(const struct stat *file) {
#if defined(__APPLE__)
  return file->st_mtimespec;
#elif defined(_WIN32)
  struct timespec seconds = {.tv_sec = file->st_mtime};
  return seconds;
#else
  return file->st_mtim;
#endif
}

#endif
