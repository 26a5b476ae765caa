/* JSON text -> Lua value. */
#include "json_internal.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_list.h"
#include "json_text.h"
#include "reply.h"

/* The most that one may ask for; cJSON itself parses to 1000. */
#if CJSON_NESTING_LIMIT < 1000
#define NESTING_LIMIT CJSON_NESTING_LIMIT
#else
#define NESTING_LIMIT 1000
#endif

struct decoder {
  lua_State *L;
  struct json_guard *guard;
  const char *text, *end;
  const char *at;              /* the next byte to parse */
  struct json_scanner scanner; /* over the text of the tree */
  size_t numbers;              /* of the tree, converted so far */
  bool zeros; /* the text holds \u0000: lengths come from its tokens */
  bool keep_null;
  int nesting;
  int array_class; /* stack index of the metatable of arrays */
  char failure[128];
};

static bool fail(struct decoder *d, const char *what, const char *place) {
  snprintf(d->failure, sizeof d->failure, "%s at byte %zu of %zu", what,
           (size_t)(place - d->text) + 1, (size_t)(d->end - d->text));
  return false;
}

static bool fail_empty(struct decoder *d) {
  snprintf(d->failure, sizeof d->failure, "no JSON: the text is empty");
  return false;
}

static bool too_deep(struct decoder *d) {
  snprintf(d->failure, sizeof d->failure, "nested more than %d deep",
           d->nesting);
  return false;
}

/*
** cJSON would end a string at a zero byte, and reads an escape that is not
** hexadecimal as one; both are looked for before.
*/
static bool check_bytes(struct decoder *d) {
  size_t length = (size_t)(d->end - d->text);
  if (length == 0)
    return fail_empty(d);
  const char *at = memchr(d->text, '\0', length);
  if (at)
    return fail(d, "zero byte", at);
  at = memchr(d->text, '\\', length);
  while (at) {
    int code = at[1] == 'u' ? json_hex4(at + 2) : 1;
    if (code < 0)
      return fail(d, "invalid escape", at);
    d->zeros = d->zeros || code == 0;
    at += 2;
    at = at < d->end ? memchr(at, '\\', (size_t)(d->end - at)) : NULL;
  }
  return true;
}

static bool fail_parse(struct decoder *d, const char *place) {
  if (json_depth_at(d->text, place) >= CJSON_NESTING_LIMIT)
    return too_deep(d);
  if (place[0] == '\\' && place[1] == 'u')
    return fail(d, "lone surrogate", place);
  return fail(d, "invalid JSON", place);
}

/*
** Parses the value at d->at into the guard's tree. cJSON doesn't tell a lack
** of memory from a fault in the text, but malloc does, by errno. (A host that
** gives cJSON an allocator which leaves errno alone gets "invalid JSON"
** instead; either way nothing is lost.)
*/
static bool parse(struct decoder *d) {
  const char *stop = d->at;
  errno = 0;
  d->guard->tree =
      cJSON_ParseWithLengthOpts(d->at, (size_t)(d->end - d->at), &stop, 0);
  if (!d->guard->tree && errno == ENOMEM)
    json_no_memory(d->L);
  if (!d->guard->tree)
    return fail_parse(d, stop);
  d->scanner.at = d->at;
  d->scanner.numbers = d->numbers = 0;
  d->at = stop;
  return true;
}

static void drop_tree(struct decoder *d) {
  cJSON_Delete(d->guard->tree);
  d->guard->tree = NULL;
}

/* The token of the number node being converted. Only documents that need it pay
** for the scan: on a page of 100 records 0.6 % more instructions with a large
** integer as first field of each, 5 % with one as last, and without none. */
static struct json_token number_token(struct decoder *d) {
  struct json_token token;
  do
    token = json_next_number(&d->scanner, d->end);
  while (d->scanner.numbers < d->numbers);
  return token;
}

static size_t exact_length(struct decoder *d) {
  struct json_token token;
  do
    token = json_next_token(&d->scanner, d->end);
  while (token.number);
  return json_decoded_length(&token);
}

/* The length of the next string of the document. cJSON stores all its bytes,
** but not their number. */
static size_t string_length(struct decoder *d, const char *text) {
  return d->zeros ? exact_length(d) : strlen(text);
}

static bool is_exact(long long n) {
  if (HAVE_INTEGERS)
    return (lua_Integer)n == n;
  return n >= -(long long)JSON_EXACT_LIMIT && n <= (long long)JSON_EXACT_LIMIT;
}

/* [-0, +1, e] A number whose double may not be what was written: integers
** that the VM cannot hold come as their decimal digits. */
static bool push_large(struct decoder *d, double value) {
  struct json_token token = number_token(d);
  bool integer = strspn(token.start, "-0123456789") == token.length;
  if (!integer && isinf(value))
    return fail(d, "number out of range", token.start);
  errno = 0;
  long long n = integer ? strtoll(token.start, NULL, 10) : 0;
  if (integer && (errno == ERANGE || !is_exact(n)))
    lua_pushlstring(d->L, token.start, token.length);
  else if (integer && HAVE_INTEGERS)
    lua_pushinteger(d->L, (lua_Integer)n);
  else
    lua_pushnumber(d->L, value);
  return true;
}

/* [-0, +0|1, e] cJSON cannot tell 1.0 from 1: both are integers. */
static bool push_number(struct decoder *d, double value) {
  d->numbers++;
  if (!(fabs(value) < JSON_EXACT_LIMIT))
    return push_large(d, value);
  long long n = (long long)value;
  bool integer = (double)n == value && (n != 0 || !signbit(value));
  if (HAVE_INTEGERS && integer && is_exact(n))
    lua_pushinteger(d->L, (lua_Integer)n);
  else
    lua_pushnumber(d->L, value);
  return true;
}

/* [-0, +1, e] A name, or a string that is a value. */
static void push_string(struct decoder *d, const char *text) {
  lua_pushlstring(d->L, text, string_length(d, text));
}

static bool push_node(struct decoder *d, const cJSON *node, int depth);

/* [-0, +1, e] */
static bool push_array(struct decoder *d, const cJSON *node, int depth) {
  lua_State *L = d->L;
  int i = 0;
  lua_createtable(L, json_count_children(node), 0);
  lua_pushvalue(L, d->array_class);
  lua_setmetatable(L, -2);
  for (const cJSON *child = node->child; child; child = child->next) {
    if (!push_node(d, child, depth))
      return false;
    lua_rawseti(L, -2, ++i);
  }
  return true;
}

/* [-1, +0, e] The key on top, of a field that is null, in the table at `index`.
** Null is absent, but as the second of two fields of one name it is the valid
** one. To set nil where there is nothing takes room in most versions of Lua. */
static void unset(lua_State *L, int index) {
  lua_pushvalue(L, -1);
  lua_rawget(L, index);
  bool there = !lua_isnil(L, -1);
  lua_pop(L, there ? 1 : 2);
  if (!there)
    return;
  lua_pushnil(L);
  lua_rawset(L, index);
}

static bool is_absent(const struct decoder *d, const cJSON *node) {
  return (node->type & 0xFF) == cJSON_NULL && !d->keep_null;
}

static int count_fields(const struct decoder *d, const cJSON *node) {
  int count = 0;
  for (const cJSON *child = node->child; child; child = child->next)
    count += is_absent(d, child) ? 0 : 1;
  return count;
}

/* [-0, +1, e] */
static bool push_object(struct decoder *d, const cJSON *node, int depth) {
  lua_State *L = d->L;
  lua_createtable(L, 0, count_fields(d, node));
  int index = lua_gettop(L);
  for (const cJSON *child = node->child; child; child = child->next) {
    push_string(d, child->string);
    if (is_absent(d, child)) {
      unset(L, index);
      continue;
    }
    if (!push_node(d, child, depth))
      return false;
    lua_rawset(L, index);
  }
  return true;
}

/* [-0, +1, e] On failure what is half-made stays on the stack. */
static bool push_node(struct decoder *d, const cJSON *node, int depth) {
  lua_State *L = d->L;
  switch (node->type & 0xFF) {
  case cJSON_String:
    push_string(d, node->valuestring);
    return true;
  case cJSON_Number:
    return push_number(d, node->valuedouble);
  case cJSON_False:
  case cJSON_True:
    lua_pushboolean(L, cJSON_IsTrue(node));
    return true;
  case cJSON_Array:
  case cJSON_Object:
    if (depth >= d->nesting)
      return too_deep(d);
    luaL_checkstack(L, 4, "JSON"); /* table, key, value, metatable */
    return cJSON_IsArray(node) ? push_array(d, node, depth + 1)
                               : push_object(d, node, depth + 1);
  default:
    lua_pushlightuserdata(L, NULL);
    return true;
  }
}

/*
** A long text isn't made into one tree, which would take seven times its
** size: the outermost object or list is walked here, and a list that is a
** field of that object. Each of their items, a record, is parsed, converted
** and freed before the next: for 13.7 MB of records the process needs 59 MB
** instead of 118. A short text is one tree, because each field would be one by
** itself: 36 % more instructions for a small object, 17 % for one of 1.4 KB. A
** list of 5 KB and more takes as many either way.
*/
#define WALK_LENGTH 16384

static char skip_space(struct decoder *d) {
  while (d->at < d->end && (unsigned char)*d->at <= ' ')
    d->at++;
  return *d->at;
}

static bool fail_here(struct decoder *d) {
  return fail(d, "invalid JSON", d->at < d->end ? d->at : d->end - 1);
}

/* Whether the array or object that d->at opens has any item. */
static bool has_items(struct decoder *d, char closing) {
  d->at++;
  if (skip_space(d) != closing)
    return true;
  d->at++;
  return false;
}

/* Whether another item follows the one just parsed, in *more. */
static bool next_item(struct decoder *d, char closing, bool *more) {
  char c = skip_space(d);
  *more = c == ',';
  if (c != ',' && c != closing)
    return fail_here(d);
  d->at++;
  return true;
}

/* [-0, +1, e] The value at d->at, by way of a tree. */
static bool push_record(struct decoder *d, int depth) {
  char c = skip_space(d);
  if (c == '\0' || !strchr("{[\"-0123456789tfn", c))
    return fail_here(d); /* cJSON would skip a byte order mark anywhere */
  if (!parse(d) || !push_node(d, d->guard->tree, depth))
    return false;
  drop_tree(d);
  return true;
}

/* [-0, +1, e] */
static bool walk_array(struct decoder *d, int depth) {
  lua_State *L = d->L;
  bool more = has_items(d, ']');
  struct json_list list = json_list_begin(L);
  while (more) {
    if (!push_record(d, depth) || !next_item(d, ']', &more))
      return false;
    json_list_add(L, &list);
  }
  json_list_end(L, &list);
  lua_pushvalue(L, d->array_class);
  lua_setmetatable(L, -2);
  return true;
}

/* [-0, +1, e] The name of a field, and its colon. */
static bool walk_key(struct decoder *d) {
  if (skip_space(d) != '"')
    return fail_here(d);
  if (!parse(d))
    return false;
  push_string(d, d->guard->tree->valuestring);
  drop_tree(d);
  if (skip_space(d) != ':')
    return fail_here(d);
  d->at++;
  return true;
}

/* [-0, +1, e] */
static bool push_field(struct decoder *d, int depth) {
  if (skip_space(d) != '[')
    return push_record(d, depth);
  return depth < d->nesting ? walk_array(d, depth + 1) : too_deep(d);
}

/* [-2, +0, e] Sets the field on top in the object at `index`. */
static void set_field(struct decoder *d, int index) {
  lua_State *L = d->L;
  if (d->keep_null || !lua_islightuserdata(L, -1)) {
    lua_rawset(L, index);
    return;
  }
  lua_pop(L, 1);
  unset(L, index);
}

/* [-0, +1, e] Its table grows: one of names doubles when it is full, and so
** ends at the size at which it would have been made. */
static bool walk_object(struct decoder *d, int depth) {
  lua_State *L = d->L;
  bool more = has_items(d, '}');
  luaL_checkstack(L, 4, "JSON"); /* table, key, value, one of work */
  lua_newtable(L);
  int index = lua_gettop(L);
  while (more) {
    if (!walk_key(d) || !push_field(d, depth) || !next_item(d, '}', &more))
      return false;
    set_field(d, index);
  }
  return true;
}

/* [-0, +1, e] The value at d->at, of a long text. */
static bool walk_value(struct decoder *d) {
  if (skip_space(d) != '{')
    return push_field(d, 0);
  return d->nesting > 0 ? walk_object(d, 1) : too_deep(d);
}

/* [-0, +1, e] The whole text. */
static bool push_document(struct decoder *d) {
  size_t length = (size_t)(d->end - d->text);
  if (!check_bytes(d))
    return false;
  if (length >= 3 && memcmp(d->text, "\xEF\xBB\xBF", 3) == 0)
    d->at += 3;
  if (!(length >= WALK_LENGTH ? walk_value(d) : push_record(d, 0)))
    return false;
  skip_space(d);
  return d->at == d->end || fail(d, "text after the document", d->at);
}

/* [-0, +2, e] */
static void prepare(struct decoder *d) {
  luaL_checkstack(d->L, 6, "JSON");
  d->guard = json_guard_new(d->L);
  luaL_getmetatable(d->L, JSON_ARRAY_CLASS);
  d->array_class = lua_gettop(d->L); /* the guard is below it */
}

/* Of a string, or of an exchange; NULL of anything else. */
static const char *text_at(lua_State *L, int index, size_t *length) {
  if (lua_type(L, index) == LUA_TSTRING)
    return lua_tolstring(L, index, length);
  const struct reply *reply = luaL_testudata(L, index, EXCHANGE_CLASS);
  if (!reply)
    return NULL;
  *length = reply->bytes->length;
  return reply->bytes->data ? reply->bytes->data : "";
}

int json_decode(lua_State *L) {
  size_t length = 0;
  const char *text = text_at(L, 1, &length);
  if (!text)
    return json_misuse(L, "decode", "text");
  lua_Number nesting = luaL_optnumber(L, 3, JSON_NESTING);
  struct decoder d = {.L = L, .text = text, .end = text + length, .at = text};
  d.keep_null = lua_toboolean(L, 2);
  d.nesting =
      nesting >= 0 && nesting < NESTING_LIMIT ? (int)nesting : NESTING_LIMIT;
  prepare(&d);
  bool done = push_document(&d);
  json_guard_end(L, d.array_class - 1);
  if (done)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, d.failure);
  return 2;
}
