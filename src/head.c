#include "head.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
** Of a request
*/

static bool add(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer)
    *list = longer;
  return longer != NULL;
}

/* To libcurl "Name:" means to leave it out, and "Name;" that it is empty. */
static bool add_line(struct curl_slist **list, const char *line) {
  const char *colon = strchr(line, ':');
  if (!colon || colon[1 + strspn(colon + 1, " \t")] != '\0')
    return add(list, line);
  char name[256];
  snprintf(name, sizeof name, "%.*s;", (int)(colon - line), line);
  return add(list, name);
}

/* Of its own libcurl adds an Expect and a type, but only to a body. */
bool head_list(struct curl_slist **list, const struct request *request,
               bool has_body) {
  const struct buffer *lines = &request->headers;
  bool typed = request->parts != NULL;
  size_t at = 0;
  while (at < lines->length) {
    const char *line = lines->data + at;
    typed = typed || strncasecmp(line, "Content-Type:", 13) == 0;
    if (!add_line(list, line))
      return false;
    at += strlen(line) + 1;
  }
  if (!has_body)
    return true;
  return add(list, "Expect:") && (typed || add(list, "Content-Type:"));
}

/* One of them is the key. */
void head_free(struct curl_slist **list) {
  for (struct curl_slist *line = *list; line; line = line->next)
    buffer_wipe(line->data, strlen(line->data));
  curl_slist_free_all(*list);
  *list = NULL;
}

/*
** Of a reply
*/

/* Only the ends of lines may look like ends of lines (RFC 9112, 2.2). */
static void blank_controls(char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i] == '\r' || bytes[i] == '\n' || bytes[i] == '\0')
      bytes[i] = ' ';
}

/* An old-style continuation belongs to the line before it. */
enum buffer_result head_add(struct buffer *lines, const char *line,
                            size_t length) {
  bool continues = line[0] == ' ' || line[0] == '\t';
  if (continues && lines->length > 0)
    lines->length--;
  size_t from = lines->length;
  enum buffer_result result = buffer_add(lines, line, length);
  if (result)
    return result;
  blank_controls(lines->data + from, length);
  return buffer_add(lines, "", 1);
}

bool head_next(const struct buffer *lines, size_t *at, struct head_field *f) {
  while (*at < lines->length) {
    const char *line = lines->data + *at;
    size_t length = strlen(line);
    const char *colon = strchr(line, ':');
    *at += length + 1;
    if (!colon)
      continue;
    f->name = line;
    f->name_length = (size_t)(colon - line);
    f->value = colon + 1 + strspn(colon + 1, " \t");
    f->value_length = length - (size_t)(f->value - line);
    while (f->value_length > 0 && strchr(" \t", f->value[f->value_length - 1]))
      f->value_length--;
    return true;
  }
  return false;
}

/* A number of decimal digits alone; `end` is moved behind it. */
static bool number(const char **end, curl_off_t *value) {
  char *behind = NULL;
  if (!isdigit((unsigned char)**end))
    return false;
  errno = 0;
  *value = (curl_off_t)strtoll(*end, &behind, 10);
  *end = behind;
  return errno == 0;
}

static bool skip(const char **at, const char *text) {
  size_t length = strlen(text);
  bool same = strncasecmp(*at, text, length) == 0;
  if (same)
    *at += length;
  return same;
}

/* The value of the first field of that name, with what follows it in its line;
** or NULL. */
static const char *value_of(const struct buffer *lines, const char *name) {
  struct head_field f;
  size_t at = 0, length = strlen(name);
  while (head_next(lines, &at, &f))
    if (f.name_length == length && strncasecmp(f.name, name, length) == 0)
      return f.value;
  return NULL;
}

static bool is_encoded(const struct buffer *lines) {
  const char *coding = value_of(lines, "Content-Encoding");
  return coding && strcasecmp(coding, "identity") != 0;
}

/* "bytes FIRST-LAST/TOTAL" (RFC 9110, 14.4); the total may be "*". */
curl_off_t head_rest(const struct buffer *lines, curl_off_t from) {
  const char *at = value_of(lines, "Content-Range");
  curl_off_t first, last, total;
  if (!at || is_encoded(lines) || !skip(&at, "bytes ") ||
      !number(&at, &first) || !skip(&at, "-") || !number(&at, &last) ||
      !skip(&at, "/"))
    return -1;
  if (!skip(&at, "*") && !(number(&at, &total) && last == total - 1))
    return -1;
  return first == from && last >= first ? last - first + 1 : -1;
}
