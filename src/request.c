#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "url.h"

#define HEADER_NAME_LIMIT 128
#define HEADERS_LIMIT ((size_t)64 * 1024)
#define BODY_LIMIT ((size_t)1024 * 1024 * 1024)
#define PARTS_LIMIT 1000
#define LARGEST_FEED 9007199254740992.0 /* 2^53, whole in every Lua */

static const char authorization[] = "authorization";

static struct request *check(lua_State *L) {
  return luaL_checkudata(L, 1, REQUEST_CLASS);
}

static struct url_text text_of(const char *string) {
  struct url_text text = {string, strlen(string)};
  return text;
}

/* The bytes of a buffer, which has none at all before its first append. */
static struct url_text text_in(const struct buffer *b) {
  struct url_text text = {b->data ? b->data : "", b->length};
  return text;
}

struct request *request_new(lua_State *L, const char *method) {
  struct request *request = lua_newuserdata(L, sizeof *request);
  memset(request, 0, sizeof *request);
  request->method = method;
  buffer_init(&request->url, URL_LIMIT);
  buffer_init(&request->headers, HEADERS_LIMIT);
  buffer_init(&request->body, BODY_LIMIT);
  luaL_getmetatable(L, REQUEST_CLASS);
  lua_setmetatable(L, -2);
  return request;
}

static int request_gc(lua_State *L) {
  struct request *request = check(L);
  while (request->parts) {
    struct request_part *next = request->parts->next;
    free(request->parts);
    request->parts = next;
  }
  request->has_body = false;
  buffer_free(&request->body);
  buffer_wipe(request->headers.data, request->headers.length);
  buffer_free(&request->headers);
  buffer_free(&request->url);
  return 0;
}

const char *request_type_name(lua_State *L, int index) {
  if (lua_isnoneornil(L, index))
    return "nil";
  if (lua_islightuserdata(L, index) && !lua_touserdata(L, index))
    return "null";
  return luaL_typename(L, index);
}

bool request_text(lua_State *L, int index, const char *what,
                  struct url_text *text) {
  text->data = lua_tolstring(L, index, &text->length);
  if (text->data)
    return true;
  lua_pushfstring(L, "%s must be a string, got %s", what,
                  request_type_name(L, index));
  return false;
}

bool request_fits(lua_State *L, enum buffer_result result, const char *what,
                  size_t limit) {
  if (result == BUFFER_OK)
    return true;
  if (result == BUFFER_NO_MEMORY) {
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
  }
  lua_pushfstring(L, "%s longer than %d bytes", what, (int)limit);
  return false;
}

/* ---- headers ---- */

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(const char *line, struct url_text name) {
  for (size_t i = 0; i < name.length; i++)
    if (lower(line[i]) != lower(name.data[i]))
      return false;
  return line[name.length] == ':';
}

static bool is_token_byte(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
         (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* A token of RFC 9110 §5.6.2; anything else could end the line or the name. */
static bool is_token(struct url_text name) {
  for (size_t i = 0; i < name.length; i++)
    if (!is_token_byte(name.data[i]))
      return false;
  return name.length > 0 && name.length <= HEADER_NAME_LIMIT;
}

static bool has_control(struct url_text text) {
  for (size_t i = 0; i < text.length; i++)
    if (((unsigned char)text.data[i] < ' ' && text.data[i] != '\t') ||
        text.data[i] == 127)
      return true;
  return false;
}

static void remove_header(struct buffer *headers, struct url_text name) {
  size_t at = 0;
  while (at < headers->length) {
    char *line = headers->data + at;
    size_t length = strlen(line) + 1;
    if (strlen(line) > name.length && same_name(line, name)) {
      memmove(line, line + length, headers->length - at - length);
      headers->length -= length;
    } else {
      at += length;
    }
  }
}

/* Room first: when it fails, the header that was there is still there. */
static enum buffer_result put_header(struct buffer *headers,
                                     struct url_text name,
                                     struct url_text value) {
  size_t length = name.length + 2 + value.length + 1;
  enum buffer_result result = buffer_reserve(headers, length);
  if (result)
    return result;
  remove_header(headers, name);
  buffer_add(headers, name.data, name.length);
  buffer_add(headers, ": ", 2);
  buffer_add(headers, value.data, value.length);
  return buffer_add(headers, "", 1);
}

/* [-0, +0|+n, e] Sets a header; one of the same name is replaced. */
static bool request_header(lua_State *L, struct request *request,
                           struct url_text name, struct url_text value) {
  if (!is_token(name)) {
    lua_pushliteral(L, "a header's name has to be 1 to 128 letters, digits or "
                       "hyphens");
    return false;
  }
  if (has_control(value)) {
    lua_pushfstring(L, "header %s: control characters are refused", name.data);
    return false;
  }
  enum buffer_result result = put_header(&request->headers, name, value);
  return request_fits(L, result, "headers", HEADERS_LIMIT);
}

bool request_content_type(lua_State *L, struct request *request,
                          const char *type) {
  return request_header(L, request, text_of("Content-Type"), text_of(type));
}

static bool is_reserved(lua_State *L, struct url_text name) {
  static const char *const reserved[][2] = {
      {"authorization:", "Authorization is set from the API key alone"},
      {"content-length:", "Content-Length is set by the transport"},
      {"transfer-encoding:", "Transfer-Encoding is set by the transport"},
  };
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (strlen(reserved[i][0]) > name.length &&
        same_name(reserved[i][0], name)) {
      lua_pushstring(L, reserved[i][1]);
      return true;
    }
  return false;
}

int request_refuse(lua_State *L) {
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static int set_header(lua_State *L, struct request *request,
                      struct url_text name, struct url_text value) {
  if (!request_header(L, request, name, value))
    return request_refuse(L);
  lua_pushboolean(L, true);
  return 1;
}

/* request:set(name, value) -> true | nil, message */
static int request_set(lua_State *L) {
  struct request *request = check(L);
  struct url_text name, value;
  if (!request_text(L, 2, "a header's name", &name) ||
      !request_text(L, 3, "a header's value", &value) || is_reserved(L, name))
    return request_refuse(L);
  return set_header(L, request, name, value);
}

/* request:authorize(base, value) -> true | false | nil, message: the only place
** that attaches the credential, and to the origin of `base` alone. */
static int request_authorize(lua_State *L) {
  struct request *request = check(L);
  struct url_text base, value;
  struct url_parts own, trusted;
  if (!request_text(L, 2, "the base URL", &base) ||
      !request_text(L, 3, "a credential", &value))
    return request_refuse(L);
  const char *wrong = url_parse(base, &trusted);
  if (wrong) {
    lua_pushstring(L, wrong);
    return request_refuse(L);
  }
  if (url_parse(text_in(&request->url), &own) ||
      !url_same_origin(&own, &trusted)) {
    lua_pushboolean(L, false);
    return 1;
  }
  return set_header(L, request, text_of("Authorization"), value);
}

/* ---- form ---- */

enum { NAME, VALUE, PATH, FILENAME, TYPE, FIELDS };

static const char *const field_names[FIELDS] = {"name", "value", "path",
                                                "filename", "type"};

static bool wrong_part(lua_State *L, int part, const char *what) {
  lua_pushfstring(L, "parts[%d]%s", part, what);
  return false;
}

/* [-0, +2|+n, e] Reads whether the entry at `index` is fed, and how much. */
static bool read_feed(lua_State *L, int part, int index,
                      struct request_part *to) {
  lua_pushliteral(L, "feed");
  lua_rawget(L, index);
  to->fed = lua_toboolean(L, -1);
  lua_pushliteral(L, "size");
  lua_rawget(L, index);
  if (!to->fed)
    return true;
  lua_Number size = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (!(size >= 0 && size <= LARGEST_FEED) || size != (double)(long long)size)
    return wrong_part(L, part, ".size: a whole number of bytes expected");
  to->size = (long long)size;
  return true;
}

/* Only a value may hold any byte: a path is a C string, and the others go into
** headers. Answers NULL, or what is wrong. */
static const char *check_field(int field, struct url_text text) {
  if (text.length > BODY_LIMIT)
    return "longer than a body may be";
  if (field == PATH && strlen(text.data) != text.length)
    return "a path has no zero bytes";
  if (field != PATH && field != VALUE && has_control(text))
    return "control characters are refused";
  return NULL;
}

/* [-0, +1|+n, e] Pushes a field of the entry, above which the fields before it
** lie already. */
static bool read_field(lua_State *L, int part, int field,
                       struct url_text *text) {
  const char *wrong = "a string is expected";
  lua_pushstring(L, field_names[field]);
  lua_rawget(L, -2 - field);
  if (lua_isnil(L, -1))
    return true;
  if (lua_type(L, -1) == LUA_TSTRING) {
    text->data = lua_tolstring(L, -1, &text->length);
    wrong = check_field(field, *text);
  }
  if (wrong)
    lua_pushfstring(L, "parts[%d].%s: %s", part, field_names[field], wrong);
  return !wrong;
}

static char *store(char **cursor, struct url_text text) {
  char *start = *cursor;
  if (!text.data)
    return NULL;
  memcpy(start, text.data, text.length);
  start[text.length] = '\0';
  *cursor = start + text.length + 1;
  return start;
}

/* One block for a part and its texts: there is nothing half made to lose. */
static struct request_part *new_part(const struct url_text fields[FIELDS],
                                     const struct request_part *feed) {
  size_t size = sizeof(struct request_part) + FIELDS;
  for (int i = 0; i < FIELDS; i++)
    size += fields[i].length;
  struct request_part *part = malloc(size);
  if (!part)
    return NULL;
  char *cursor = (char *)(part + 1);
  *part = *feed;
  part->name = store(&cursor, fields[NAME]);
  part->value = store(&cursor, fields[VALUE]);
  part->value_length = fields[VALUE].length;
  part->path = store(&cursor, fields[PATH]);
  part->filename = store(&cursor, fields[FILENAME]);
  part->type = store(&cursor, fields[TYPE]);
  return part;
}

/* The entry on top as a part at the end of the list, `*end`. */
static bool add_part(lua_State *L, struct request_part **end, int position) {
  struct url_text fields[FIELDS] = {{NULL, 0}};
  struct request_part feed = {0};
  int entry = lua_gettop(L);
  if (!lua_istable(L, -1))
    return wrong_part(L, position, ": table expected");
  for (int i = 0; i < FIELDS; i++)
    if (!read_field(L, position, i, &fields[i]))
      return false;
  if (!fields[NAME].data)
    return wrong_part(L, position, ".name: a string is expected");
  if (!read_feed(L, position, entry, &feed))
    return false;
  if (!!fields[VALUE].data + !!fields[PATH].data + feed.fed != 1)
    return wrong_part(L, position, ": either a value or a path expected");
  *end = new_part(fields, &feed);
  return request_fits(L, *end ? BUFFER_OK : BUFFER_NO_MEMORY, "part", 0);
}

bool request_form(lua_State *L, struct request *request, int index) {
  int top = lua_gettop(L), count = (int)lua_rawlen(L, index);
  struct request_part **end = &request->parts;
  bool fed = false;
  if (count < 1 || count > PARTS_LIMIT) {
    lua_pushfstring(L, "parts: an array of 1 to %d expected", PARTS_LIMIT);
    return false;
  }
  for (int i = 1; i <= count; i++, end = &(*end)->next) {
    lua_rawgeti(L, index, i);
    if (!add_part(L, end, i))
      return false;
    if ((*end)->fed && fed)
      return wrong_part(L, i, ".feed: only one part can be fed");
    fed = fed || (*end)->fed;
    lua_settop(L, top);
  }
  return true;
}

/* ---- methods ---- */

/* request:method(), url(), body() -> strings; body is nil if there is none */
static int request_method(lua_State *L) {
  lua_pushstring(L, check(L)->method);
  return 1;
}

static int request_url(lua_State *L) {
  struct url_text url = text_in(&check(L)->url);
  lua_pushlstring(L, url.data, url.length);
  return 1;
}

/* path() -> what of the URL names the resource: no host, no query. */
static int request_path(lua_State *L) {
  struct url_text url = text_in(&check(L)->url);
  struct url_parts parts = {0};
  url_parse(url, &parts); /* it was one when the request was made */
  lua_pushlstring(L, url.data + parts.path, parts.query - parts.path);
  return 1;
}

static int request_body(lua_State *L) {
  const struct request *request = check(L);
  struct url_text body = text_in(&request->body);
  if (request->has_body)
    lua_pushlstring(L, body.data, body.length);
  else
    lua_pushnil(L);
  return 1;
}

/* request:headers() -> a fresh table of lower-case names and values; the
** credential is not to be had from a request again. */
static int request_headers(lua_State *L) {
  const struct buffer *headers = &check(L)->headers;
  lua_newtable(L);
  for (size_t at = 0; at < headers->length;) {
    const char *line = headers->data + at;
    char name[HEADER_NAME_LIMIT + 1];
    size_t length = strcspn(line, ":");
    for (size_t i = 0; i < length; i++)
      name[i] = lower(line[i]);
    name[length] = '\0';
    lua_pushstring(L, strcmp(name, authorization) ? line + length + 2
                                                  : "[redacted]");
    lua_setfield(L, -2, name);
    at += strlen(line) + 1;
  }
  return 1;
}

/* Ends before the query, which may hold the signature of a storage URL. */
static int request_tostring(lua_State *L) {
  const struct request *request = check(L);
  const char *url = text_in(&request->url).data;
  lua_pushfstring(L, "%s: %s ", REQUEST_CLASS, request->method);
  lua_pushlstring(L, url, strcspn(url, "?"));
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg methods[] = {
    {"set", request_set},         {"authorize", request_authorize},
    {"url", request_url},         {"method", request_method},
    {"path", request_path},       {"body", request_body},
    {"headers", request_headers}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", request_gc},
    {"__tostring", request_tostring},
    {NULL, NULL},
};

void request_register(lua_State *L) {
  luaL_newmetatable(L, REQUEST_CLASS);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, REQUEST_CLASS);
  lua_setfield(L, -2, "__name");
  /* maiagent.http reads the struct only if it was built with the same one */
  lua_pushliteral(L, MAIAGENT_VERSION);
  lua_setfield(L, -2, "version");
  lua_pop(L, 1);
}
