#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATHERED ((size_t)256 * 1024)

bool sink_name(struct sink *sink, const char *path) {
  sink->path = strdup(path);
  return sink->path != NULL;
}

bool sink_open(struct sink *sink, struct failure *failure) {
  buffer_init(&sink->gathered, GATHERED);
  sink->fd = open(sink->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  sink->open = sink->fd >= 0;
  if (!sink->open)
    failure_file(failure, sink->path, errno);
  return sink->open;
}

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

/* What cannot be gathered, for want of memory or because it is too large, is
** written as it comes. */
bool sink_write(struct sink *sink, const char *bytes, size_t length,
                struct failure *failure) {
  if (sink->gathered.length + length > GATHERED && !flush(sink, failure))
    return false;
  if (buffer_reserve(&sink->gathered, GATHERED - sink->gathered.length) ==
          BUFFER_OK &&
      buffer_add(&sink->gathered, bytes, length) == BUFFER_OK)
    return true;
  return write_all(sink, bytes, length, failure);
}

/* Some file systems tell only at the end that there was no room. */
void sink_close(struct sink *sink, struct failure *failure) {
  if (!sink->open)
    return;
  if (failure->kind == FAILURE_NONE)
    flush(sink, failure);
  if (close(sink->fd) != 0 && errno != EINTR)
    failure_file(failure, sink->path, errno);
  sink->open = false;
  buffer_free(&sink->gathered);
}

void sink_free(struct sink *sink) {
  free(sink->path);
  sink->path = NULL;
}
