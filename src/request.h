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

#pragma GCC visibility push(hidden)

#define REQUEST_CLASS "maiagent.request"

/* One part of a multipart/form-data body, in the order of the wire. The texts
** lie in the same allocation as the part. */
struct request_part {
  struct request_part *next;
  char *name;  /* never NULL */
  char *value; /* the bytes, or NULL: they are read from `path` or fed */
  size_t value_length;
  char *path;     /* the file to stream, or NULL */
  char *filename; /* NULL for a plain field */
  char *type;     /* Content-Type of the part, or NULL */
  bool fed;       /* the bytes come while the request is under way: … */
  long long size; /* … so many */
};

struct request {
  const char *method;    /* a static text: "GET", "POST", … */
  struct buffer url;     /* absolute, percent-encoded, NUL-terminated */
  struct buffer headers; /* "Name: value" lines, each ended by a NUL */
  struct buffer body;    /* meant only where has_body is true */
  bool has_body;
  struct request_part *parts; /* a multipart body, or NULL */
};

/*
** What follows belongs to maiagent.core alone; its Lua state is only named, so
** that files without lua.h can include this one. Functions that answer false
** leave a message on top of the stack, and may leave more below it. All raise
** when memory ends; the request, a userdata, owns every byte even then.
*/
struct lua_State;
struct url_text;

/* [-0, +0, e] Makes the class. */
void request_register(struct lua_State *L);

/* [-0, +1, e] A new request; `method` is a text that never goes away. */
struct request *request_new(struct lua_State *L, const char *method);

/* [-0, +0, 0] What a message says was found: "null" and "nil" included. */
const char *request_type_name(struct lua_State *L, int index);

/* [-0, +0|+n, e] Reads the string or number at `index`; `what` names it. */
bool request_text(struct lua_State *L, int index, const char *what,
                  struct url_text *text);

/* [-0, +0|+n, e] Whether an append worked; if not, says that `what` is longer
** than `limit` bytes, or raises for want of memory. */
bool request_fits(struct lua_State *L, enum buffer_result result,
                  const char *what, size_t limit);

/* [-0, +0|+n, e] Sets the Content-Type. */
bool request_content_type(struct lua_State *L, struct request *request,
                          const char *type);

/* [-0, +0|+n, e] Takes the array at `index` as the parts of the body. */
bool request_form(struct lua_State *L, struct request *request, int index);

/* [-1, +2, 0] Puts nil below the message on top; what a function returns. */
int request_refuse(struct lua_State *L);

#pragma GCC visibility pop

#endif
