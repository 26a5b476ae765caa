/*
** A file that takes the body of a reply. libcurl hands it out in small pieces,
** which are gathered: fewer, larger writes take much less time. No Lua.
*/
#ifndef MAIAGENT_SINK_H
#define MAIAGENT_SINK_H

#include <stdbool.h>

#include "buffer.h"
#include "failure.h"

#pragma GCC visibility push(hidden)

/* All zeros is a valid, closed sink that leads nowhere. */
struct sink {
  char *path; /* NULL: no file was asked for */
  int fd;     /* meant only while it is open */
  bool open;
  struct buffer gathered;
};

/* Notes where the body is to go; false when out of memory. */
bool sink_name(struct sink *sink, const char *path);

/* Creates or empties the file. False, here and below: see `failure`. */
bool sink_open(struct sink *sink, struct failure *failure);

/* Takes the next bytes. */
bool sink_write(struct sink *sink, const char *bytes, size_t length,
                struct failure *failure);

/* Writes what is gathered unless there was a failure, and closes the file;
** may run twice. */
void sink_close(struct sink *sink, struct failure *failure);

/* Releases the memory of a closed sink; may run twice. */
void sink_free(struct sink *sink);

#pragma GCC visibility pop

#endif
