#include "callbacks.h"

#include <stdlib.h>
#include <string.h>

#include "easy.h"
#include "head.h"

/* A Content-Length is the server's word: beyond this the buffer grows with
** what really comes. */
#define PRESIZE_LIMIT ((curl_off_t)16 * 1024 * 1024)

#define HEADERS "headers of the reply are"

#define FINAL 200 /* and above: statuses of an answer, not of a 1xx before it */
#define WHOLE 200
#define PARTIAL_CONTENT 206

/*
** A count that is not the one given ends the exchange with an error, which
** `failure` explains.
*/

static bool stored(struct transfer *t, enum buffer_result result,
                   const char *what, size_t limit, const char *name) {
  if (result == BUFFER_NO_MEMORY)
    failure_set(&t->failure, FAILURE_MEMORY, "not enough memory");
  if (result == BUFFER_FULL)
    failure_set(&t->failure, FAILURE_DECODE,
                "the %s larger than the limit of %zu bytes (limits.%s)", what,
                limit, name);
  return result == BUFFER_OK;
}

static bool store_reply(struct transfer *t, const char *bytes, size_t length) {
  return stored(t, buffer_add(&t->reply, bytes, length), "reply is",
                t->reply.limit, "reply");
}

static bool store_line(struct transfer *t, const char *line, size_t length) {
  return stored(t, head_add(&t->head, line, length), HEADERS, t->head.limit,
                "header");
}

/* One count of all that comes as headers, before the final ones and after the
** body too: libcurl keeps every line. */
static bool count_header(struct transfer *t, size_t length) {
  size_t left = t->head.limit - t->header_bytes;
  t->header_bytes += length < left ? length : left;
  return stored(t, length <= left ? BUFFER_OK : BUFFER_FULL, HEADERS,
                t->head.limit, "header");
}

/* Only a hint, so a failure does not matter: the body itself will tell. With a
** buffer that grows as it comes, a call of 30 KB that is not decoded took 6 %
** more instructions. */
static void presize(struct transfer *t) {
  curl_off_t length = -1;
  curl_easy_getinfo(t->member.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                    &length);
  if (length > 0 && length <= PRESIZE_LIMIT && !t->stream &&
      strcmp(t->request->method, "HEAD") != 0)
    (void)buffer_reserve(&t->reply, (size_t)length);
}

/* A part of the file is taken only where it is all that is missing. */
static bool open_sink(struct transfer *t) {
  curl_off_t resume = t->sink.resume, rest = head_rest(&t->head, resume);
  if (t->status != PARTIAL_CONTENT)
    return sink_open(&t->sink, 0, SINK_ANY_LENGTH, &t->failure);
  if (resume > 0 && rest > 0)
    return sink_open(&t->sink, resume, rest, &t->failure);
  failure_set(&t->failure, FAILURE_DECODE,
              "%s answered with another part than the one asked for", t->host);
  return false;
}

/* With any other success, as 202 and 204, no file comes. */
static bool is_file(const struct transfer *t) {
  return t->sink.path && (t->status == WHOLE || t->status == PARTIAL_CONTENT);
}

static bool finish_head(struct transfer *t) {
  t->head_done = true;
  if (t->stream || t->form.feed.starved)
    loop_news(&t->member);
  if (is_file(t))
    return open_sink(t);
  presize(t);
  return true;
}

static void begin_head(struct transfer *t, const char *line, size_t length) {
  const char *space = memchr(line, ' ', length);
  buffer_clear(&t->head);
  t->head_done = false;
  t->status = space ? (int)strtol(space + 1, NULL, 10) : 0;
}

static bool take_line(struct transfer *t, const char *line, size_t length) {
  if (length > 5 && memcmp(line, "HTTP/", 5) == 0)
    begin_head(t, line, length);
  else if (length > 0)
    return store_line(t, line, length);
  else if (t->status >= FINAL)
    return finish_head(t);
  return true;
}

/* libcurl's lines end as they came; they are no C strings. What comes before
** the final headers, and after the body, does not bring the answer on: a server
** that sends nothing else is idle. */
static size_t on_header(char *line, size_t size, size_t count, void *data) {
  struct transfer *t = data;
  size_t given = size * count, length = given;
  while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
    length--;
  if (!count_header(t, length + 1))
    return 0;
  if (t->head_done)
    return given; /* a trailer, whatever it is called */
  bool ok = take_line(t, line, length);
  if (t->status >= FINAL)
    t->last_byte = loop_now();
  return ok ? given : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data) {
  struct transfer *t = data;
  size_t length = size * count;
  t->last_byte = loop_now();
  if (t->sink.open)
    return sink_write(&t->sink, bytes, length, &t->failure) ? length : 0;
  if (t->stream && t->reply.length >= STREAM_AHEAD) {
    t->paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (!store_reply(t, bytes, length))
    return 0;
  if (t->stream)
    loop_news(&t->member);
  return length;
}

#if EASY_HAS_PREREQ
/* Called when the request is about to go out. When that happens again, the
** server hung up on a connection that libcurl had kept: it may have seen the
** request or not. */
static int on_request(void *data, char *to, char *from, int to_port,
                      int from_port) {
  struct transfer *t = data;
  (void)to, (void)from, (void)to_port, (void)from_port;
  t->last_byte = loop_now();
  if (t->sent && !t->idempotent) {
    failure_set(&t->failure, FAILURE_CONNECTION,
                "%s closed the connection before it answered; not sent again "
                "because it may have been processed",
                t->host);
    return CURL_PREREQFUNC_ABORT;
  }
  t->resent = t->sent;
  t->sent = true;
  return CURL_PREREQFUNC_OK;
}
#endif

void callbacks_set(struct transfer *t) {
  CURL *easy = t->member.easy;
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->text);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
#if EASY_HAS_PREREQ
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
#else
  /* nothing tells when libcurl sends again: a DELETE would get a 404 */
  bool harmless = t->idempotent && strcmp(t->request->method, "DELETE") != 0;
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, harmless ? 0L : 1L);
#endif
}
