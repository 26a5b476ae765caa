#include "feed.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The last byte waits for the word that it is the last: a source that has more
** than it announced is found out before the request is whole. */
static size_t ready(const struct feed *feed) {
  size_t count = feed->waiting.length - feed->first;
  bool held = !feed->ended && feed->given == feed->size;
  return held && count > 0 ? count - 1 : count;
}

bool feed_is_hungry(const struct feed *feed) {
  size_t count = feed->waiting.length - feed->first;
  return feed->asked && !feed->ended &&
         (count < FEED_AHEAD || feed->given == feed->size);
}

/*
** libcurl's callbacks
*/

static size_t on_read(char *to, size_t size, size_t count, void *data) {
  struct feed *feed = data;
  size_t wanted = size * count, most = ready(feed);
  size_t taken = wanted < most ? wanted : most;
  feed->asked = true;
  if (taken > 0)
    memcpy(to, feed->waiting.data + feed->first, taken);
  feed->first += taken;
  feed->sent += (curl_off_t)taken;
  if (feed_is_hungry(feed))
    loop_news(feed->member);
  feed->starved = taken == 0 && feed->sent < feed->size;
  return feed->starved ? CURL_READFUNC_PAUSE : taken;
}

/* What was sent is gone, but libcurl may begin where nothing was. */
static int on_seek(void *data, curl_off_t offset, int origin) {
  const struct feed *feed = data;
  bool begins = origin == SEEK_SET && offset == 0 && feed->sent == 0;
  return begins ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

/*
** The program's side
*/

bool feed_attach(struct feed *feed, curl_mimepart *part, curl_off_t size,
                 struct loop_member *member, struct failure *failure) {
  memset(feed, 0, sizeof *feed);
  buffer_init(&feed->waiting, SIZE_MAX / 4);
  feed->member = member;
  feed->failure = failure;
  feed->used = true;
  feed->asked = size == 0; /* of no bytes at all libcurl would never ask */
  feed->size = size;
  return curl_mime_data_cb(part, size, on_read, on_seek, NULL, feed) ==
         CURLE_OK;
}

static void fail(struct feed *feed, const char *what) {
  failure_set(feed->failure, FAILURE_FILE,
              "the source has %s than the %" CURL_FORMAT_CURL_OFF_T
              " bytes that were announced",
              what, feed->size);
}

/* Moves what waits to the front, but only where that is the lesser half: else
** many small pieces would move the same bytes again and again. */
static void make_room(struct feed *feed) {
  struct buffer *waiting = &feed->waiting;
  size_t left = waiting->length - feed->first;
  if (left > feed->first || feed->first == 0)
    return;
  memmove(waiting->data, waiting->data + feed->first, left);
  waiting->length = left;
  feed->first = 0;
}

enum buffer_result feed_add(struct feed *feed, const char *bytes,
                            size_t length) {
  if ((uint64_t)length > (uint64_t)(feed->size - feed->given)) {
    fail(feed, "more");
    return BUFFER_OK;
  }
  make_room(feed);
  enum buffer_result result = buffer_add(&feed->waiting, bytes, length);
  if (result == BUFFER_OK)
    feed->given += (curl_off_t)length;
  return result;
}

void feed_end(struct feed *feed) {
  feed->ended = true;
  if (feed->given < feed->size)
    fail(feed, "fewer");
}

bool feed_may_go_on(struct feed *feed) {
  bool may = feed->starved && ready(feed) > 0;
  if (may)
    feed->starved = false;
  return may;
}

void feed_free(struct feed *feed) {
  buffer_free(&feed->waiting);
  feed->first = 0;
  feed->asked = feed->starved = false;
}
