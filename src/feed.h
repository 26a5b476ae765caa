/*
** A part of a form whose bytes come from the program while the request is
** under way. libcurl takes them from a buffer, and pauses where it is empty.
** No Lua.
*/
#ifndef MAIAGENT_FEED_H
#define MAIAGENT_FEED_H

#include <curl/curl.h>
#include <stdbool.h>

#include "buffer.h"
#include "failure.h"
#include "loop.h"

#pragma GCC visibility push(hidden)

/* While less than this waits, more is wanted: a few of the blocks that libcurl
** takes at once. One piece may still be longer. */
#define FEED_AHEAD ((size_t)256 * 1024)

/* All zeros: nothing is fed. */
struct feed {
  struct loop_member *member; /* whose waiter is told of hunger; not owned */
  struct failure *failure;    /* not owned */
  bool used;                  /* some part is fed; stays after the end */
  bool asked;                 /* libcurl wanted bytes: it is connected */
  bool ended;                 /* the program said that there are no more */
  bool starved;               /* libcurl paused itself for want of bytes */
  curl_off_t size, given, sent;
  struct buffer waiting;
  size_t first; /* where in `waiting` the bytes begin that were not sent */
};

/* Makes `feed` the content of a part, `size` bytes of it. It has to live as
** long as the part, and so have its waiter and `failure`. */
bool feed_attach(struct feed *feed, curl_mimepart *part, curl_off_t size,
                 struct loop_member *member, struct failure *failure);

/* Whether more bytes, or the word that there are none, are wanted now. */
bool feed_is_hungry(const struct feed *feed);

/* Takes the next bytes; more than `size` of them in all are a failure. */
enum buffer_result feed_add(struct feed *feed, const char *bytes,
                            size_t length);

/* There are no more bytes; fewer than `size` of them in all are a failure. */
void feed_end(struct feed *feed);

/* Whether libcurl paused itself and has no more reason to; if so, it has to be
** told, and counts as told. */
bool feed_may_go_on(struct feed *feed);

/* Releases the bytes; may run twice. */
void feed_free(struct feed *feed);

#pragma GCC visibility pop

#endif
