/*
** A file that takes the body of a reply. libcurl hands it out in small pieces,
** which are gathered: fewer, larger writes take much less time. No Lua.
**
** The file is ours alone while it is written: nobody else may read it, a
** symbolic link is not followed, and a lock keeps a second writer away until
** the file was closed or got its final name.
*/
#ifndef MAIAGENT_SINK_H
#define MAIAGENT_SINK_H

#include <stdbool.h>

#include "buffer.h"
#include "failure.h"

#pragma GCC visibility push(hidden)

#define SINK_ANY_LENGTH ((curl_off_t)-1)

/* All zeros is a valid, closed sink that leads nowhere. */
struct sink {
  char *path;        /* NULL: no file was asked for */
  curl_off_t resume; /* bytes of the body that are in the file already */
  curl_off_t left;   /* bytes that are still to come, if that was told */
  int fd;            /* meant only while it is open */
  bool open;
  bool taken; /* was opened and locked once: what is there is ours */
  bool whole; /* finished without a failure: may be kept */
  struct buffer gathered;
};

/* Notes where the body is to go; false when out of memory. */
bool sink_name(struct sink *sink, const char *path, curl_off_t resume);

/* Opens the file for a body that begins at byte `at` of it: creates or empties
** it for 0, else it has to end exactly there. More or fewer bytes than `length`
** are a failure. False, here and below: see `failure`. */
bool sink_open(struct sink *sink, curl_off_t at, curl_off_t length,
               struct failure *failure);

/* Takes the next bytes. */
bool sink_write(struct sink *sink, const char *bytes, size_t length,
                struct failure *failure);

/* The end of the body. What came is written even where there was a failure, so
** that it need not come again; then the file is closed. Without one it stays
** locked until sink_keep or sink_close. May run twice. */
void sink_finish(struct sink *sink, struct failure *failure);

/* Gives a whole file (and no other) its final name and closes it; 0 or an
** errno. `fresh`: nothing of that name is replaced. */
int sink_keep(struct sink *sink, const char *path, bool fresh);

/* Closes the file and writes nothing more; may run twice. */
void sink_close(struct sink *sink);

/* Releases the memory of a closed sink; may run twice. */
void sink_free(struct sink *sink);

#pragma GCC visibility pop

#endif
