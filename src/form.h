/*
** Ordered multipart parts for libcurl; files are streamed. No Lua.
*/
#ifndef MAIAGENT_FORM_H
#define MAIAGENT_FORM_H

#include <curl/curl.h>
#include <stdbool.h>

#include "failure.h"
#include "feed.h"
#include "loop.h"
#include "request.h"

#pragma GCC visibility push(hidden)

struct form_file;

/* All zeros is a valid, empty form. */
struct form {
  curl_mime *mime;
  struct form_file *files;
  struct feed feed;
};

/* Makes `form` the body of the member's easy handle, part by part in the order
** of the list, and opens the files. Later trouble goes to `failure` too, so it
** has to live as long as the form. False: see `failure`. */
bool form_build(struct form *form, struct loop_member *member,
                const struct request_part *parts, struct failure *failure);

/* Closes and releases everything; may run twice. */
void form_free(struct form *form);

#pragma GCC visibility pop

#endif
