/* URLs: path templates, ids, queries, origins. No Lua, no libcurl. */
#ifndef MAIAGENT_URL_H
#define MAIAGENT_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

#pragma GCC visibility push(hidden)

/* Servers refuse longer ones anyway, with less to go by. */
#define URL_LIMIT ((size_t)16 * 1024)

#define URL_HOST_LIMIT 255
#define URL_ORIGIN_SIZE (sizeof "https://:65535" + URL_HOST_LIMIT)

struct url_text {
  const char *data;
  size_t length;
};

/* What url_parse found; offsets count from the first byte of the URL. */
struct url_parts {
  bool https;
  struct url_text host; /* as written; an IPv6 literal with its brackets */
  unsigned port;        /* the scheme's own where none is written */
  size_t path;          /* where the path begins: maybe `query` or `end` */
  size_t query;         /* where its '?' is, or `end` */
  size_t end;           /* where a fragment begins, or the length */
};

/* Takes an absolute http or https URL apart. Answers NULL, or what is wrong
** with it: a static text that quotes nothing of the URL. */
const char *url_parse(struct url_text url, struct url_parts *parts);

/* The same for the URL that others are joined to: it has no query. */
const char *url_parse_base(struct url_text url, struct url_parts *parts);

/* Scheme, host and effective port; the host in either case. */
bool url_same_origin(const struct url_parts *a, const struct url_parts *b);

/* Writes "https://host:443": the host in lower case, the port always. */
void url_origin(const struct url_parts *parts, char text[URL_ORIGIN_SIZE]);

/* Whether `text` begins with a scheme and "://". */
bool url_is_absolute(struct url_text text);

/* NULL, or why `path` cannot be joined to a base: it would name another host,
** or climb out of the base with "." and ".." (which an id may bring along). */
const char *url_check_path(struct url_text path);

/* The functions below append to `b`, whose limit should be URL_LIMIT. */

/* The URL up to its fragment; bytes that no URL may hold become %XX. */
enum buffer_result url_add(struct buffer *b, struct url_text url);

/* The base up to and with the slash that ends its path. */
enum buffer_result url_add_base(struct buffer *b, struct url_text base,
                                const struct url_parts *parts);

/* `path` relative to the base; a leading slash means from the origin. */
enum buffer_result url_add_joined(struct buffer *b, struct url_text base,
                                  const struct url_parts *parts,
                                  struct url_text path);

/* "?name=value", or "&name=value" where a query has begun. */
enum buffer_result url_add_query(struct buffer *b, struct url_text name,
                                 struct url_text value);

/* A template such as "files/{id}/" with the next of `*ids` for each name;
** leaves `*ids` behind the last one used. */
enum buffer_result url_expand(struct buffer *b, const char *template,
                              const struct url_text **ids);

/* Finds the next {name} of a template: answers what follows it, or NULL. */
const char *url_next_id(const char *template, struct url_text *name);

#pragma GCC visibility pop

#endif
