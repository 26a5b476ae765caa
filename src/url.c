#include "url.h"

#include <stdio.h>
#include <string.h>

#define HTTP_PORT 80
#define HTTPS_PORT 443
#define HIGHEST_PORT 65535

/* <ctype.h> follows the program's locale; URLs are ASCII. */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_alphanumeric(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

/* A loop and not strchr: the sets are short, and every byte of every URL is
** asked for several times (2,000 instructions of a request against 9,000). */
static bool is_one_of(char c, const char *set) {
  while (*set != '\0' && *set != c)
    set++;
  return *set != '\0';
}

static bool is_unreserved(char c) {
  return is_alphanumeric(c) || is_one_of(c, "-._~");
}

static bool is_legal(char c) {
  return is_unreserved(c) || is_one_of(c, ":/?#[]@!$&'()*+,;=%");
}

static bool is_control(char c) {
  return (unsigned char)c < ' ' || (unsigned char)c == 127;
}

static struct url_text slice(struct url_text text, size_t from, size_t to) {
  struct url_text part = {text.data + from, to - from};
  return part;
}

static bool equal(struct url_text a, struct url_text b) {
  if (a.length != b.length)
    return false;
  for (size_t i = 0; i < a.length; i++)
    if (lower(a.data[i]) != lower(b.data[i]))
      return false;
  return true;
}

static bool starts_with(struct url_text text, const char *prefix) {
  struct url_text wanted = {prefix, strlen(prefix)};
  return text.length >= wanted.length &&
         equal(slice(text, 0, wanted.length), wanted);
}

/* The offset of the first byte of `set` at or after `from`, or the length. */
static size_t find(struct url_text text, size_t from, const char *set) {
  while (from < text.length && !is_one_of(text.data[from], set))
    from++;
  return from;
}

/* Only digits, hexadecimal or not, colons and dots: no zone, no escapes. */
static bool is_ipv6_literal(struct url_text host) {
  if (host.length < 4 || host.data[host.length - 1] != ']')
    return false;
  for (size_t i = 1; i < host.length - 1; i++)
    if (!is_digit(host.data[i]) && !is_one_of(host.data[i], "abcdefABCDEF:."))
      return false;
  return true;
}

/* Escapes are refused in a host: "%61" is read by some as "a". */
static bool is_name(struct url_text host) {
  for (size_t i = 0; i < host.length; i++)
    if (!is_alphanumeric(host.data[i]) && !is_one_of(host.data[i], "-._"))
      return false;
  return true;
}

static const char *check_host(struct url_text host) {
  if (host.length == 0)
    return "the URL has no host";
  if (host.length > URL_HOST_LIMIT)
    return "the URL's host is too long";
  if (host.data[0] == '[' ? !is_ipv6_literal(host) : !is_name(host))
    return "the URL's host is not a plain ASCII name or address";
  return NULL;
}

/* Reads what follows the host: nothing, or ":" and maybe a number. */
static const char *parse_port(struct url_text text, unsigned *port) {
  static const char wrong[] = "the URL's port is not a number from 1 to 65535";
  if (text.length > 0 && text.data[0] != ':')
    return wrong;
  if (text.length <= 1)
    return NULL;
  *port = 0;
  for (size_t i = 1; i < text.length; i++) {
    if (!is_digit(text.data[i]))
      return wrong;
    *port = *port * 10 + (unsigned)(text.data[i] - '0');
    if (*port > HIGHEST_PORT)
      return wrong;
  }
  return *port == 0 ? wrong : NULL;
}

static const char *parse_authority(struct url_text text,
                                   struct url_parts *parts) {
  if (find(text, 0, "@") < text.length)
    return "the URL must not hold a user name or password";
  size_t host_end = find(text, 0, ":");
  if (text.length > 0 && text.data[0] == '[') {
    size_t bracket = find(text, 0, "]");
    host_end = bracket < text.length ? bracket + 1 : bracket;
  }
  parts->host = slice(text, 0, host_end);
  const char *wrong = check_host(parts->host);
  if (wrong)
    return wrong;
  return parse_port(slice(text, host_end, text.length), &parts->port);
}

static const char *check_bytes(struct url_text text) {
  for (size_t i = 0; i < text.length; i++)
    if (is_control(text.data[i]))
      return "the URL has a control character";
  return NULL;
}

const char *url_parse(struct url_text url, struct url_parts *parts) {
  memset(parts, 0, sizeof *parts);
  const char *wrong = check_bytes(url);
  if (wrong)
    return wrong;
  parts->https = starts_with(url, "https://");
  if (!parts->https && !starts_with(url, "http://"))
    return "the URL does not begin with https:// or http://";
  parts->port = parts->https ? HTTPS_PORT : HTTP_PORT;
  size_t authority = strlen(parts->https ? "https://" : "http://");
  parts->end = find(url, authority, "#");
  parts->query = find(slice(url, 0, parts->end), authority, "?");
  parts->path = find(slice(url, 0, parts->query), authority, "/");
  return parse_authority(slice(url, authority, parts->path), parts);
}

const char *url_parse_base(struct url_text url, struct url_parts *parts) {
  const char *wrong = url_parse(url, parts);
  if (!wrong && parts->query < url.length)
    return "the base URL must not have a query or a fragment";
  return wrong;
}

bool url_same_origin(const struct url_parts *a, const struct url_parts *b) {
  return a->https == b->https && a->port == b->port && equal(a->host, b->host);
}

void url_origin(const struct url_parts *parts, char text[URL_ORIGIN_SIZE]) {
  char host[URL_HOST_LIMIT + 1];
  for (size_t i = 0; i < parts->host.length; i++)
    host[i] = lower(parts->host.data[i]);
  host[parts->host.length] = '\0';
  snprintf(text, URL_ORIGIN_SIZE, "%s://%s:%u", parts->https ? "https" : "http",
           host, parts->port);
}

bool url_is_absolute(struct url_text text) {
  size_t colon = 0;
  while (colon < text.length && (is_alphanumeric(text.data[colon]) ||
                                 is_one_of(text.data[colon], "+-.")))
    colon++;
  return colon > 0 && starts_with(slice(text, colon, text.length), "://");
}

/* Escaped dots count too: servers, and newer libcurls, unescape them first. */
static bool is_dots(struct url_text segment) {
  size_t dots = 0;
  while (segment.length > 0) {
    size_t length = starts_with(segment, "%2e") ? 3 : 1;
    if (length == 1 && segment.data[0] != '.')
      return false;
    segment = slice(segment, length, segment.length);
    dots++;
  }
  return dots == 1 || dots == 2;
}

const char *url_check_path(struct url_text path) {
  const char *wrong = check_bytes(path);
  if (wrong)
    return wrong;
  if (starts_with(path, "//"))
    return "the path must not begin with //";
  struct url_text segments = slice(path, 0, find(path, 0, "?#"));
  for (size_t from = 0, to; from <= segments.length; from = to + 1) {
    to = find(segments, from, "/\\");
    if (is_dots(slice(segments, from, to)))
      return "the path must not have . or .. as a segment";
  }
  return NULL;
}

static enum buffer_result add_escaped(struct buffer *b, char c) {
  static const char digits[] = "0123456789ABCDEF";
  unsigned char byte = (unsigned char)c;
  char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
  return buffer_add(b, escape, sizeof escape);
}

/* Appends `text`, escaping each byte that `keep` does not keep. */
static enum buffer_result add_kept(struct buffer *b, struct url_text text,
                                   bool (*keep)(char)) {
  enum buffer_result result = BUFFER_OK;
  for (size_t from = 0, to; from < text.length && !result; from = to) {
    for (to = from; to < text.length && keep(text.data[to]);)
      to++;
    if (to > from)
      result = buffer_add(b, text.data + from, to - from);
    else
      result = add_escaped(b, text.data[to++]);
  }
  return result;
}

/* Every byte that is not unreserved (RFC 3986 §2.3) becomes %XX. */
static enum buffer_result add_encoded(struct buffer *b, struct url_text text) {
  return add_kept(b, text, is_unreserved);
}

enum buffer_result url_add(struct buffer *b, struct url_text url) {
  return add_kept(b, slice(url, 0, find(url, 0, "#")), is_legal);
}

enum buffer_result url_add_base(struct buffer *b, struct url_text base,
                                const struct url_parts *parts) {
  enum buffer_result result = url_add(b, slice(base, 0, parts->query));
  bool has_slash =
      parts->path < parts->query && base.data[parts->query - 1] == '/';
  return result || has_slash ? result : buffer_text(b, "/");
}

enum buffer_result url_add_joined(struct buffer *b, struct url_text base,
                                  const struct url_parts *parts,
                                  struct url_text path) {
  enum buffer_result result = starts_with(path, "/")
                                  ? url_add(b, slice(base, 0, parts->path))
                                  : url_add_base(b, base, parts);
  return result ? result : url_add(b, path);
}

enum buffer_result url_add_query(struct buffer *b, struct url_text name,
                                 struct url_text value) {
  bool begun = b->length > 0 && memchr(b->data, '?', b->length) != NULL;
  enum buffer_result result = buffer_text(b, begun ? "&" : "?");
  if (!result)
    result = add_encoded(b, name);
  if (!result)
    result = buffer_text(b, "=");
  return result ? result : add_encoded(b, value);
}

const char *url_next_id(const char *template, struct url_text *name) {
  const char *open = strchr(template, '{');
  if (!open)
    return NULL;
  name->data = open + 1;
  name->length = strcspn(name->data, "}");
  return name->data + name->length + 1;
}

enum buffer_result url_expand(struct buffer *b, const char *template,
                              const struct url_text **ids) {
  enum buffer_result result = BUFFER_OK;
  while (*template && !result) {
    struct url_text name;
    size_t literal = strcspn(template, "{");
    result = buffer_add(b, template, literal);
    template = url_next_id(template, &name);
    if (!template)
      return result;
    if (!result)
      result = add_encoded(b, *(*ids)++);
  }
  return result;
}
