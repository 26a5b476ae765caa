#include "request.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "url.h"

#define HEADER_NAME_LIMIT 128
#define HEADERS_LIMIT ((size_t)64 * 1024)
#define BODY_LIMIT ((size_t)1024 * 1024 * 1024)
#define PARTS_LIMIT 1000

/* Doubles are exact integers up to here. */
#define EXACT_LIMIT 9007199254740992.0

static const char authorization[] = "authorization";

static struct request *check(lua_State *L) {
  return luaL_checkudata(L, 1, REQUEST_CLASS);
}

static struct url_text check_text(lua_State *L, int index) {
  struct url_text text;
  text.data = luaL_checklstring(L, index, &text.length);
  return text;
}

static struct url_text text_of(const char *string) {
  struct url_text text = {string, strlen(string)};
  return text;
}

static struct url_text url_of(const struct request *request) {
  struct url_text url = {request->url.data, request->url.length};
  return url;
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
  buffer_free(&request->headers);
  buffer_free(&request->url);
  return 0;
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

/* A token of RFC 9110 §5.6.2; anything else could end the line or the name. */
static bool is_token(struct url_text name) {
  static const char set[] = "!#$%&'*+-.^_`|~0123456789"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "abcdefghijklmnopqrstuvwxyz";
  for (size_t i = 0; i < name.length; i++)
    if (name.data[i] == '\0' || !strchr(set, name.data[i]))
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

bool request_header(lua_State *L, struct request *request, struct url_text name,
                    struct url_text value) {
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

static int request_set(lua_State *L) {
  struct request *request = check(L);
  struct url_text name = check_text(L, 2), value = check_text(L, 3);
  if (is_reserved(L, name))
    return request_refuse(L);
  return set_header(L, request, name, value);
}

/* The only place that attaches the credential, and to its own origin alone. */
static int request_authorize(lua_State *L) {
  struct request *request = check(L);
  struct url_text base = check_text(L, 2), value = check_text(L, 3);
  struct url_parts own, trusted;
  const char *wrong = url_parse(base, &trusted);
  if (wrong) {
    lua_pushstring(L, wrong);
    return request_refuse(L);
  }
  if (url_parse(url_of(request), &own) || !url_same_origin(&own, &trusted)) {
    lua_pushboolean(L, false);
    return 1;
  }
  return set_header(L, request, text_of("Authorization"), value);
}

/* ---- query ---- */

/* The program may have set a locale with another decimal point. */
static void use_point(char *number) {
  char *point = strstr(number, localeconv()->decimal_point);
  size_t length = strlen(localeconv()->decimal_point);
  if (!point || length == 0)
    return;
  *point = '.';
  memmove(point + 1, point + length, strlen(point + length) + 1);
}

/* The shortest digits that read back as the same double. */
static void write_double(char number[REQUEST_NUMBER_SIZE], double value) {
  if (value > -EXACT_LIMIT && value < EXACT_LIMIT &&
      (double)(long long)value == value) {
    snprintf(number, REQUEST_NUMBER_SIZE, "%lld", (long long)value);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(number, REQUEST_NUMBER_SIZE, "%.*g", digits, value);
    if (strtod(number, NULL) == value)
      break;
  }
  use_point(number);
}

static bool write_number(lua_State *L, int index,
                         char number[REQUEST_NUMBER_SIZE]) {
  if (lua_isinteger(L, index)) {
    snprintf(number, REQUEST_NUMBER_SIZE, "%lld",
             (long long)lua_tointeger(L, index));
    return true;
  }
  double value = (double)lua_tonumber(L, index);
  if (value - value != 0) {
    lua_pushliteral(L, "infinity and NaN cannot be sent");
    return false;
  }
  write_double(number, value);
  return true;
}

static const char *type_name(lua_State *L, int index) {
  if (lua_islightuserdata(L, index) && !lua_touserdata(L, index))
    return "null";
  return luaL_typename(L, index);
}

bool request_scalar(lua_State *L, int index, char number[REQUEST_NUMBER_SIZE],
                    struct url_text *text) {
  switch (lua_type(L, index)) {
  case LUA_TSTRING:
    text->data = lua_tolstring(L, index, &text->length);
    return true;
  case LUA_TBOOLEAN:
    *text = text_of(lua_toboolean(L, index) ? "true" : "false");
    return true;
  case LUA_TNUMBER:
    if (!write_number(L, index, number))
      return false;
    *text = text_of(number);
    return true;
  default:
    lua_pushfstring(L, "string, number or boolean expected, got %s",
                    type_name(L, index));
    return false;
  }
}

static bool add_value(lua_State *L, struct request *request,
                      struct url_text name, int index) {
  char number[REQUEST_NUMBER_SIZE];
  struct url_text value;
  if (!request_scalar(L, index, number, &value))
    return false;
  enum buffer_result result = url_add_query(&request->url, name, value);
  return request_fits(L, result, "the URL would be", URL_LIMIT);
}

static size_t count_pairs(lua_State *L, int index) {
  size_t count = 0;
  lua_pushnil(L);
  for (; lua_next(L, index); lua_pop(L, 1))
    count++;
  return count;
}

/* Puts "params.name[2]: " before the message on top. */
static bool at_place(lua_State *L, const char *place, struct url_text name,
                     size_t item) {
  if (item > 0)
    lua_pushfstring(L, "%s.%s[%d]: ", place, name.data, (int)item);
  else
    lua_pushfstring(L, "%s.%s: ", place, name.data);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return false;
}

/* The array on top as one name again and again. */
static bool add_items(lua_State *L, struct request *request, const char *place,
                      struct url_text name) {
  int array = lua_gettop(L);
  size_t count = lua_rawlen(L, array);
  if (count != count_pairs(L, array)) {
    lua_pushliteral(L, "array expected, got a table with other keys");
    return at_place(L, place, name, 0);
  }
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, array, (int)i);
    if (!add_value(L, request, name, array + 1))
      return at_place(L, place, name, i);
    lua_pop(L, 1);
  }
  return true;
}

static bool add_field(lua_State *L, struct request *request, int table,
                      const char *place, struct url_text name) {
  int top = lua_gettop(L);
  lua_pushlstring(L, name.data, name.length);
  lua_rawget(L, table);
  if (lua_istable(L, -1)) {
    if (!add_items(L, request, place, name))
      return false;
  } else if (!add_value(L, request, name, top + 1)) {
    return at_place(L, place, name, 0);
  }
  lua_settop(L, top);
  return true;
}

static int compare_names(const void *left, const void *right) {
  const struct url_text *a = left, *b = right;
  size_t shorter = a->length < b->length ? a->length : b->length;
  int order = memcmp(a->data, b->data, shorter);
  if (order != 0 || a->length == b->length)
    return order;
  return a->length < b->length ? -1 : 1;
}

/* [-0, +1, e] An array of the table's names: the strings stay alive in it even
** if a finaliser, which any allocation may run, changes the table. */
static bool push_names(lua_State *L, int table, const char *place) {
  lua_newtable(L);
  int names = lua_gettop(L);
  lua_pushnil(L);
  for (int count = 1; lua_next(L, table); count++) {
    /* lua_tolstring would turn a number into a string and confuse lua_next */
    if (lua_type(L, -2) != LUA_TSTRING) {
      lua_pushfstring(L, "%s: names of a query are strings, got a %s", place,
                      luaL_typename(L, -2));
      return false;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, names, count);
  }
  return true;
}

/* [-0, +1, e] The names in the array on top, sorted, in a userdata. */
static struct url_text *push_sorted(lua_State *L, size_t count) {
  int array = lua_gettop(L);
  struct url_text *names = lua_newuserdata(L, (count + 1) * sizeof *names);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, array, (int)i + 1);
    names[i].data = lua_tolstring(L, -1, &names[i].length);
    lua_pop(L, 1);
  }
  qsort(names, count, sizeof *names, compare_names);
  return names;
}

static bool has_name(lua_State *L, int table, struct url_text name) {
  if (table == 0)
    return false;
  lua_pushlstring(L, name.data, name.length);
  lua_rawget(L, table);
  bool has = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return has;
}

bool request_query(lua_State *L, struct request *request, int index, int except,
                   const char *place) {
  int top = lua_gettop(L);
  if (!push_names(L, index, place))
    return false;
  size_t count = lua_rawlen(L, -1);
  struct url_text *names = push_sorted(L, count);
  for (size_t i = 0; i < count; i++)
    if (!has_name(L, except, names[i]) &&
        !add_field(L, request, index, place, names[i]))
      return false;
  lua_settop(L, top);
  return true;
}

/* ---- form ---- */

enum { NAME, VALUE, PATH, FILENAME, TYPE, FIELDS };

static const char *const field_names[FIELDS] = {"name", "value", "path",
                                                "filename", "type"};

static bool wrong_part(lua_State *L, int part, const char *what) {
  lua_pushfstring(L, "parts[%d]%s", part, what);
  return false;
}

/* Only a value may hold any byte: the rest goes into headers or names a file,
** as C strings. */
static bool read_field(lua_State *L, int part, int field,
                       struct url_text *text) {
  lua_pushstring(L, field_names[field]);
  lua_rawget(L, -2 - field);
  if (lua_isnil(L, -1))
    return true;
  if (lua_type(L, -1) != LUA_TSTRING) {
    lua_pushfstring(L, ".%s: string expected, got %s", field_names[field],
                    luaL_typename(L, -1));
    return wrong_part(L, part, lua_tostring(L, -1));
  }
  text->data = lua_tolstring(L, -1, &text->length);
  if (field == VALUE ? text->length <= BODY_LIMIT : !has_control(*text))
    return true;
  lua_pushfstring(L,
                  field == VALUE ? ".%s: longer than a body may be"
                                 : ".%s: control characters are refused",
                  field_names[field]);
  return wrong_part(L, part, lua_tostring(L, -1));
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
static struct request_part *new_part(const struct url_text fields[FIELDS]) {
  size_t size = sizeof(struct request_part) + FIELDS;
  for (int i = 0; i < FIELDS; i++)
    size += fields[i].length;
  struct request_part *part = malloc(size);
  if (!part)
    return NULL;
  char *cursor = (char *)(part + 1);
  part->next = NULL;
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
  if (!lua_istable(L, -1))
    return wrong_part(L, position, ": table expected");
  for (int i = 0; i < FIELDS; i++)
    if (!read_field(L, position, i, &fields[i]))
      return false;
  if (!fields[NAME].data)
    return wrong_part(L, position, ".name: string expected, got nil");
  if (!fields[VALUE].data == !fields[PATH].data)
    return wrong_part(L, position, ": either a value or a path expected");
  *end = new_part(fields);
  return request_fits(L, *end ? BUFFER_OK : BUFFER_NO_MEMORY, "part", 0);
}

bool request_form(lua_State *L, struct request *request, int index) {
  int top = lua_gettop(L), count = (int)lua_rawlen(L, index);
  struct request_part **end = &request->parts;
  if (count < 1 || count > PARTS_LIMIT) {
    lua_pushfstring(L, "parts: an array of 1 to %d expected", PARTS_LIMIT);
    return false;
  }
  for (int i = 1; i <= count; i++, end = &(*end)->next) {
    lua_rawgeti(L, index, i);
    if (!add_part(L, end, i))
      return false;
    lua_settop(L, top);
  }
  return true;
}

/* ---- methods ---- */

static int request_method(lua_State *L) {
  lua_pushstring(L, check(L)->method);
  return 1;
}

static int request_url(lua_State *L) {
  struct request *request = check(L);
  lua_pushlstring(L, request->url.data, request->url.length);
  return 1;
}

static int request_body(lua_State *L) {
  struct request *request = check(L);
  if (request->has_body)
    lua_pushlstring(L, request->body.data, request->body.length);
  else
    lua_pushnil(L);
  return 1;
}

/* A fresh table; the credential is not to be had from a request again. */
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
  struct request *request = check(L);
  size_t length = request->url.data ? strcspn(request->url.data, "?") : 0;
  lua_pushfstring(L, "%s: %s ", REQUEST_CLASS, request->method);
  lua_pushlstring(L, request->url.data, length);
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg methods[] = {
    {"set", request_set},   {"authorize", request_authorize},
    {"url", request_url},   {"method", request_method},
    {"body", request_body}, {"headers", request_headers},
    {NULL, NULL},
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
