/*
** A prepared request: everything one HTTP message needs and no I/O, so that a
** retry can send the very same bytes again. It is the one struct that
** maiagent.core and maiagent.http share: core makes and owns it (a userdata
** with the metatable REQUEST_CLASS in the registry), http only reads it while
** an exchange that it keeps alive is under way.
*/
#ifndef MAIAGENT_REQUEST_H
#define MAIAGENT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

#define REQUEST_CLASS "maiagent.request"

/* One part of a multipart/form-data body, in the order of the wire. The texts
** lie in the same allocation as the part. */
struct request_part {
  struct request_part *next;
  char *name;          /* never NULL */
  char *value;         /* the bytes, or NULL: they are read from `path` */
  size_t value_length;
  char *path;          /* the file to stream, or NULL */
  char *filename;      /* NULL for a plain field */
  char *type;          /* Content-Type of the part, or NULL */
};

struct request {
  const char *method;         /* a static text: "GET", "POST", … */
  struct buffer url;          /* absolute, percent-encoded, NUL-terminated */
  struct buffer headers;      /* "Name: value" lines, each ended by a NUL */
  struct buffer body;         /* meant only where has_body is true */
  bool has_body;
  struct request_part *parts; /* a multipart body, or NULL */
};

#endif
