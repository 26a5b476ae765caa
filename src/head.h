/*
** The header lines of a request, as libcurl wants them, and those of a reply,
** as it came. No Lua.
*/
#ifndef MAIAGENT_HEAD_H
#define MAIAGENT_HEAD_H

#include <curl/curl.h>
#include <stdbool.h>

#include "buffer.h"
#include "request.h"

#pragma GCC visibility push(hidden)

/* One field of a reply; neither text ends with a NUL. */
struct head_field {
  const char *name, *value;
  size_t name_length, value_length;
};

/* Adds the lines that `request` goes out with, with a body or without any, to
** `list`, which is the caller's to free even then; false when out of memory. */
bool head_list(struct curl_slist **list, const struct request *request,
               bool has_body);

/* Overwrites and frees such a list; it is NULL then. */
void head_free(struct curl_slist **list);

/* Adds a line of a reply, without its end. */
enum buffer_result head_add(struct buffer *lines, const char *line,
                            size_t length);

/* Steps through the lines of a reply, each ended by a NUL; `at` begins as 0.
** False: there is no further one. */
bool head_next(const struct buffer *lines, size_t *at, struct head_field *f);

/* How many bytes a reply of status 206 carries, if it carries all from byte
** `from` to the end, as far as it tells, and just as they are; else -1. */
curl_off_t head_rest(const struct buffer *lines, curl_off_t from);

#pragma GCC visibility pop

#endif
