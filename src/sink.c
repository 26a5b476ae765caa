#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* With 16 KiB, libcurl's pieces, a download takes a tenth more CPU; 256 KiB are
** no faster than this. */
#define GATHERED ((size_t)64 * 1024)

/* O_NONBLOCK: a named pipe that nobody reads is an error, not an endless wait.
** To a plain file it means nothing. */
#define FLAGS (O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

bool sink_name(struct sink *sink, const char *path, curl_off_t resume) {
  sink->resume = resume;
  sink->path = strdup(path);
  return sink->path != NULL;
}

static bool refuse(const struct sink *sink, const char *why,
                   struct failure *failure) {
  failure_set(failure, FAILURE_FILE, "%s: %s", sink->path, why);
  return false;
}

/*
** Opening
*/

/* Only a file that somebody else made can be somebody else's: on some mounts
** even a new one shows another owner. */
static bool open_file(struct sink *sink, bool fresh, struct failure *failure) {
  struct stat now;
  bool created = false;
  sink->fd = -1;
  if (fresh)
    sink->fd = open(sink->path, FLAGS | O_CREAT | O_EXCL, 0600);
  created = sink->fd >= 0;
  if (!created && (!fresh || errno == EEXIST))
    sink->fd = open(sink->path, FLAGS);
  sink->open = sink->fd >= 0;
  if (!sink->open && errno == ELOOP)
    return refuse(sink, "is a symbolic link, which is not followed", failure);
  if (!sink->open || fstat(sink->fd, &now) != 0) {
    failure_file(failure, sink->path, errno);
    return false;
  }
  if (!S_ISREG(now.st_mode))
    return refuse(sink, "is not a regular file", failure);
  if (!created && now.st_uid != geteuid())
    return refuse(sink, "belongs to another user", failure);
  if (now.st_nlink > 1)
    return refuse(sink, "has another name too (a hard link)", failure);
  return true;
}

/* Who had the lock before may have given the file its final name meanwhile:
** then it is not ours to write. */
static bool is_still_named(const struct sink *sink) {
  struct stat ours, named;
  return fstat(sink->fd, &ours) == 0 && lstat(sink->path, &named) == 0 &&
         ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* A file system without locks is no reason not to download. */
static bool lock(const struct sink *sink, struct failure *failure) {
  bool taken = flock(sink->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (taken || !is_still_named(sink))
    return refuse(sink, "is being written by another download", failure);
  return true;
}

static bool set_position(const struct sink *sink, curl_off_t at,
                         struct failure *failure) {
  if (fchmod(sink->fd, 0600) != 0 || (at == 0 && ftruncate(sink->fd, 0) != 0)) {
    failure_file(failure, sink->path, errno);
    return false;
  }
  if ((curl_off_t)lseek(sink->fd, 0, SEEK_END) != at)
    return refuse(sink, "is not as long as it was", failure);
  return true;
}

bool sink_open(struct sink *sink, curl_off_t at, curl_off_t length,
               struct failure *failure) {
  sink->left = length;
  buffer_init(&sink->gathered, GATHERED);
  if (open_file(sink, at == 0, failure) && lock(sink, failure) &&
      set_position(sink, at, failure)) {
    sink->taken = true;
    return true;
  }
  sink_close(sink);
  return false;
}

/*
** Writing
*/

static bool write_all(struct sink *sink, const char *bytes, size_t length,
                      struct failure *failure) {
  while (length > 0) {
    ssize_t count = write(sink->fd, bytes, length);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) {
      failure_file(failure, sink->path, errno);
      return false;
    }
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

static bool flush(struct sink *sink, struct failure *failure) {
  bool written =
      write_all(sink, sink->gathered.data, sink->gathered.length, failure);
  buffer_clear(&sink->gathered);
  return written;
}

/* The length of a part is told twice, and libcurl looks at the other one. */
static bool count_down(struct sink *sink, size_t length,
                       struct failure *failure) {
  if (sink->left == SINK_ANY_LENGTH)
    return true;
  if ((curl_off_t)length > sink->left) {
    failure_set(failure, FAILURE_DECODE,
                "%s: more came than the part that was announced", sink->path);
    return false;
  }
  sink->left -= (curl_off_t)length;
  return true;
}

static void check_end(const struct sink *sink, struct failure *failure) {
  if (sink->left > 0)
    failure_set(failure, FAILURE_CONNECTION,
                "%s: the reply ended %" CURL_FORMAT_CURL_OFF_T
                " bytes before the end of the part that was announced",
                sink->path, sink->left);
}

/* What cannot be gathered, for want of memory or because it is too large, is
** written as it comes. */
bool sink_write(struct sink *sink, const char *bytes, size_t length,
                struct failure *failure) {
  if (!count_down(sink, length, failure))
    return false;
  if (sink->gathered.length + length > GATHERED && !flush(sink, failure))
    return false;
  if (buffer_reserve(&sink->gathered, GATHERED - sink->gathered.length) ==
          BUFFER_OK &&
      buffer_add(&sink->gathered, bytes, length) == BUFFER_OK)
    return true;
  return flush(sink, failure) && write_all(sink, bytes, length, failure);
}

/*
** The end
*/

/* What a new file of this process would get. The mask can only be read by
** setting it; meanwhile the strictest one can do no harm. Two threads that do
** so at once would leave it to the process for good. */
static mode_t usual_mode(void) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&one_at_a_time);
  mode_t mask = umask(077);
  umask(mask);
  pthread_mutex_unlock(&one_at_a_time);
  return 0666 & ~mask;
}

/* Some file systems tell only at closing that there was no room. Closing a
** duplicate makes them tell while the lock is held. */
static bool is_stored(const struct sink *sink) {
  int twin = fcntl(sink->fd, F_DUPFD_CLOEXEC, 0);
  return twin < 0 || close(twin) == 0 || errno == EINTR;
}

void sink_finish(struct sink *sink, struct failure *failure) {
  if (!sink->open || sink->whole)
    return;
  check_end(sink, failure);
  bool stored = flush(sink, failure);
  if (stored && failure->kind == FAILURE_NONE) {
    if (fchmod(sink->fd, usual_mode()) != 0 || !is_stored(sink))
      failure_file(failure, sink->path, errno);
  }
  buffer_free(&sink->gathered);
  sink->whole = failure->kind == FAILURE_NONE;
  if (!sink->whole)
    sink_close(sink);
}

static int rename_to(const char *from, const char *to) {
  return rename(from, to) == 0 ? 0 : errno;
}

/* Not every file system does it in one step: there somebody may make a file
** between the two. */
static int rename_to_new(const char *from, const char *to) {
  struct stat there;
#ifdef RENAME_NOREPLACE
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return 0;
#endif
  return lstat(to, &there) == 0 ? EEXIST : rename_to(from, to);
}

/* What has that name now may be the half file of another download, after
** somebody removed ours. */
int sink_keep(struct sink *sink, const char *path, bool fresh) {
  int error = ENOENT;
  if (is_still_named(sink))
    error =
        fresh ? rename_to_new(sink->path, path) : rename_to(sink->path, path);
  if (error == 0)
    sink_close(sink);
  return error;
}

void sink_close(struct sink *sink) {
  if (sink->open)
    close(sink->fd);
  sink->open = sink->whole = false;
  buffer_free(&sink->gathered);
}

void sink_free(struct sink *sink) {
  free(sink->path);
  sink->path = NULL;
}
