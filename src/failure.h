/*
** Why an exchange failed: a kind that a program can branch on, and a sentence
** that says what to do. No Lua.
*/
#ifndef MAIAGENT_FAILURE_H
#define MAIAGENT_FAILURE_H

#include <curl/curl.h>
#include <stdbool.h>

#include "proxy.h"

#pragma GCC visibility push(hidden)

/* Room for "name:port". */
#define FAILURE_HOST 272

enum failure_kind {
  FAILURE_NONE,
  FAILURE_MEMORY, /* raised as Lua does where that is possible */
  FAILURE_CONNECTION,
  FAILURE_TIMEOUT,
  FAILURE_TLS,
  FAILURE_CANCELLED,
  FAILURE_DECODE,
  FAILURE_FILE
};

/* All zeros: no failure. */
struct failure {
  enum failure_kind kind;
  int code; /* libcurl's CURLcode */
  char message[512];
};

/* What libcurl's own verdict is explained with. */
struct failure_facts {
  const char *host;              /* "name:port" */
  const char *text;              /* libcurl's words, or "" */
  int system_error;              /* errno of the connection, or 0 */
  double connect;                /* the time-out for connecting, in seconds */
  bool elsewhere;                /* not the host that the settings name */
  struct proxy proxy;            /* what is between, if anything */
  curl_off_t received, expected; /* bytes of the body; expected < 0: unknown */
};

/* "connection", "timeout", …; never NULL. */
const char *failure_name(enum failure_kind kind);

/* Writes "name:port" of `url` for messages: no user, no path, no query. */
void failure_host(char *to, size_t size, const char *url);

/* Notes a failure, unless there is one already: the first one is the cause. */
void failure_set(struct failure *failure, enum failure_kind kind,
                 const char *format, ...);

/* Notes that `path` could not be used, with the system's reason. */
void failure_file(struct failure *failure, const char *path, int error);

/* Explains `code` unless there is a failure already, and keeps the code. */
void failure_explain(struct failure *failure, CURLcode code,
                     const struct failure_facts *facts);

#pragma GCC visibility pop

#endif
