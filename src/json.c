/*
** Lua value <-> JSON text, through a cJSON tree in both directions.
**
** cJSON alone is not exact: its numbers are doubles, its strings end at the
** first zero byte. What it drops is read back from the text, which the tree
** follows in document order: the k-th number node visited is the k-th number
** token, the k-th string node the k-th string token. Only documents that need
** it pay for that.
**
** Taken as cJSON takes it: leading zeros ("01"), "1." and "-.5", raw control
** bytes inside strings (but zero), a byte order mark, bytes up to 32 as white
** space, and bytes that are not UTF-8, which are handed on as they are. A lone
** surrogate (\ud800) has no UTF-8 form and makes the document invalid.
*/
#include "json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_CLASS "maiagent.array"
#define OBJECT_CLASS "maiagent.object"
#define GUARD_CLASS "maiagent.json.guard"

/* Arrays and objects inside each other; cJSON itself parses up to 1000. */
#define NESTING_DEFAULT 512
#define NESTING_LIMIT (CJSON_NESTING_LIMIT < 1000 ? CJSON_NESTING_LIMIT : 1000)

/* cJSON prints no more than this. */
#define TEXT_LIMIT ((size_t)INT_MAX)

/* From here on a double no longer tells neighbouring integers apart. */
#define EXACT_LIMIT 9007199254740992.0

/*
** The one owner of everything that lives outside Lua's memory during a
** conversion, so that an error raised by any lua_* call leaks nothing.
*/
struct guard {
  cJSON *tree;
  char *printed;
  struct buffer bytes;
};

static void release(struct guard *g) {
  cJSON_Delete(g->tree);
  g->tree = NULL;
  if (g->printed)
    cJSON_free(g->printed);
  g->printed = NULL;
  buffer_free(&g->bytes);
}

static int guard_gc(lua_State *L) {
  release(luaL_checkudata(L, 1, GUARD_CLASS));
  return 0;
}

/* [-0, +1, e] */
static struct guard *guard_new(lua_State *L) {
  struct guard *g = lua_newuserdata(L, sizeof *g);
  memset(g, 0, sizeof *g);
  buffer_init(&g->bytes, TEXT_LIMIT);
  luaL_getmetatable(L, GUARD_CLASS);
  lua_setmetatable(L, -2);
  return g;
}

/* As Lua raises it: without a position. */
static int no_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  return lua_error(L);
}

/* {=== Tokens: what cJSON drops is read back from the text === */

struct token {
  const char *start;
  size_t length; /* of a string: what is between the quotes */
  bool number;
};

/* Walks a text that cJSON has accepted. */
struct scanner {
  const char *at;
  size_t numbers; /* number tokens before `at` */
};

/* The quote that ends the string whose first byte is `at`; or `end`. */
static const char *string_end(const char *at, const char *end) {
  while (at < end && *at != '"')
    at += *at == '\\' ? 2 : 1;
  return at < end ? at : end;
}

static bool starts_token(char c) {
  return c == '"' || c == '-' || (c >= '0' && c <= '9');
}

static struct token next_token(struct scanner *s, const char *end) {
  while (s->at < end && !starts_token(*s->at))
    s->at++;
  struct token token = {s->at, 0, *s->at != '"'};
  if (token.number) {
    token.length = strspn(s->at, "0123456789+-.eE");
    s->at += token.length;
    s->numbers++;
    return token;
  }
  token.start = s->at + 1;
  token.length = (size_t)(string_end(token.start, end) - token.start);
  s->at = token.start + token.length + 1;
  return token;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* The value of four hexadecimal digits, or -1. */
static int hex4(const char *digits) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(digits[i]);
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* Bytes of UTF-8 that cJSON made of the escape at `at`; `*taken` is its own
** length in the text. */
static size_t escape_length(const char *at, size_t *taken) {
  *taken = 2;
  if (at[1] != 'u')
    return 1;
  int code = hex4(at + 2);
  bool pair = code >= 0xD800 && code <= 0xDFFF;
  *taken = pair ? 12 : 6;
  if (pair)
    return 4;
  return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

/* The length of a string token once its escapes are undone. */
static size_t decoded_length(const struct token *token) {
  const char *at = token->start, *end = token->start + token->length;
  size_t length = 0;
  while (at < end) {
    size_t taken = 1;
    length += *at == '\\' ? escape_length(at, &taken) : 1;
    at += taken;
  }
  return length;
}

/* }=== */

/* {=== Decode === */

#define KEY_SLOTS 64

/* A key seen before: its text is that of the Lua string in its stack slot. */
struct key {
  const char *text;
  size_t length;
};

struct decoder {
  lua_State *L;
  struct guard *guard;
  const char *text, *end;
  const char *at;         /* the next byte to parse */
  struct scanner scanner; /* over the text of the tree */
  size_t numbers;         /* of the tree, converted so far */
  bool zeros; /* the text holds \u0000: lengths come from its tokens */
  bool keep_null;
  bool walk;
  int nesting;
  int array_class; /* stack index of the metatable of arrays */
  int key_slots;   /* stack index below the first slot */
  struct key keys[KEY_SLOTS];
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
    int code = at[1] == 'u' ? hex4(at + 2) : 1;
    if (code < 0)
      return fail(d, "invalid escape", at);
    d->zeros = d->zeros || code == 0;
    at += 2;
    at = at < d->end ? memchr(at, '\\', (size_t)(d->end - at)) : NULL;
  }
  return true;
}

/* How many arrays and objects are open where cJSON gave up. */
static int depth_at(const char *at, const char *end) {
  int depth = 0;
  for (; at < end; at++) {
    if (*at == '"')
      at = string_end(at + 1, end);
    else if (*at == '[' || *at == '{')
      depth++;
    else if (*at == ']' || *at == '}')
      depth--;
  }
  return depth;
}

static bool fail_parse(struct decoder *d, const char *place) {
  if (depth_at(d->text, place) >= CJSON_NESTING_LIMIT)
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
    no_memory(d->L);
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

/* The token of the number node being converted. */
static struct token number_token(struct decoder *d) {
  struct token token;
  do
    token = next_token(&d->scanner, d->end);
  while (!token.number || d->scanner.numbers < d->numbers);
  return token;
}

static size_t exact_length(struct decoder *d) {
  struct token token;
  do
    token = next_token(&d->scanner, d->end);
  while (token.number);
  return decoded_length(&token);
}

/* The length of the next string of the document. cJSON stores all its bytes,
** but not their number. */
static size_t string_length(struct decoder *d, const char *text) {
  return d->zeros ? exact_length(d) : strlen(text);
}

static bool is_exact(long long n) {
  if (HAVE_INTEGERS)
    return (lua_Integer)n == n;
  return n >= -(long long)EXACT_LIMIT && n <= (long long)EXACT_LIMIT;
}

/* [-0, +1, e] A number whose double may not be what was written: integers
** that the VM cannot hold come as their decimal digits. */
static bool push_large(struct decoder *d, double value) {
  struct token token = number_token(d);
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
  if (!(fabs(value) < EXACT_LIMIT))
    return push_large(d, value);
  long long n = (long long)value;
  bool integer = (double)n == value && (n != 0 || !signbit(value));
  if (HAVE_INTEGERS && integer && is_exact(n))
    lua_pushinteger(d->L, (lua_Integer)n);
  else
    lua_pushnumber(d->L, value);
  return true;
}

/* [-0, +1, e] Objects of a list repeat their keys: a key that is still in its
** slot is copied instead of being hashed and looked up again. */
static void push_key(struct decoder *d, const char *text) {
  size_t length = string_length(d, text);
  const unsigned char *u = (const unsigned char *)text;
  size_t slot = (u[0] + 3u * u[length / 2] + 5u * length) % KEY_SLOTS;
  struct key *key = &d->keys[slot];
  int index = d->key_slots + 1 + (int)slot;
  if (key->text && key->length == length &&
      memcmp(key->text, text, length) == 0) {
    lua_pushvalue(d->L, index);
    return;
  }
  lua_pushlstring(d->L, text, length);
  lua_pushvalue(d->L, -1);
  lua_replace(d->L, index);
  key->text = lua_tostring(d->L, -1);
  key->length = length;
}

static int count_children(const cJSON *node) {
  int count = 0;
  for (const cJSON *child = node->child; child && count < INT_MAX;
       child = child->next)
    count++;
  return count;
}

static bool push_node(struct decoder *d, const cJSON *node, int depth);

/* [-0, +1, e] */
static bool push_array(struct decoder *d, const cJSON *node, int depth) {
  lua_State *L = d->L;
  int i = 0;
  lua_createtable(L, count_children(node), 0);
  lua_pushvalue(L, d->array_class);
  lua_setmetatable(L, -2);
  for (const cJSON *child = node->child; child; child = child->next) {
    if (!push_node(d, child, depth))
      return false;
    lua_rawseti(L, -2, ++i);
  }
  return true;
}

/* [-0, +1, e] A null is set as nil, not left out: it may be the second, and
** so the valid one, of two fields of one name. */
static bool push_object(struct decoder *d, const cJSON *node, int depth) {
  lua_State *L = d->L;
  lua_createtable(L, 0, count_children(node));
  for (const cJSON *child = node->child; child; child = child->next) {
    push_key(d, child->string);
    if (cJSON_IsNull(child) && !d->keep_null)
      lua_pushnil(L);
    else if (!push_node(d, child, depth))
      return false;
    lua_rawset(L, -3);
  }
  return true;
}

/* [-0, +1, e] On failure what is half-made stays on the stack. */
static bool push_node(struct decoder *d, const cJSON *node, int depth) {
  lua_State *L = d->L;
  switch (node->type & 0xFF) {
  case cJSON_String:
    lua_pushlstring(L, node->valuestring, string_length(d, node->valuestring));
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
** size: the outer levels are walked here, and each record of a list is parsed,
** converted and freed before the next.
*/
#define WALK_LENGTH 16384
#define WALK_DEPTH 2

static bool push_value(struct decoder *d, int depth);

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

/* [-0, +1, e] */
static bool walk_array(struct decoder *d, int depth) {
  lua_State *L = d->L;
  bool more = has_items(d, ']');
  lua_newtable(L);
  lua_pushvalue(L, d->array_class);
  lua_setmetatable(L, -2);
  for (int i = 1; more; i++) {
    if (!push_value(d, depth))
      return false;
    lua_rawseti(L, -2, i);
    if (!next_item(d, ']', &more))
      return false;
  }
  return true;
}

/* [-0, +1, e] The name of a field, and its colon. */
static bool walk_key(struct decoder *d) {
  if (skip_space(d) != '"')
    return fail_here(d);
  if (!parse(d))
    return false;
  push_key(d, d->guard->tree->valuestring);
  drop_tree(d);
  if (skip_space(d) != ':')
    return fail_here(d);
  d->at++;
  return true;
}

/* [-0, +1, e] */
static bool walk_object(struct decoder *d, int depth) {
  lua_State *L = d->L;
  bool more = has_items(d, '}');
  lua_newtable(L);
  while (more) {
    if (!walk_key(d) || !push_value(d, depth))
      return false;
    if (!d->keep_null && lua_islightuserdata(L, -1)) {
      lua_pop(L, 1);
      lua_pushnil(L);
    }
    lua_rawset(L, -3);
    if (!next_item(d, '}', &more))
      return false;
  }
  return true;
}

/* [-0, +1, e] The value at d->at. */
static bool push_value(struct decoder *d, int depth) {
  char c = skip_space(d);
  if (c == '\0' || !strchr("{[\"-0123456789tfn", c))
    return fail_here(d); /* cJSON would skip a byte order mark anywhere */
  if (d->walk && depth < WALK_DEPTH && (c == '[' || c == '{')) {
    if (depth >= d->nesting)
      return too_deep(d);
    luaL_checkstack(d->L, 4, "JSON");
    return c == '[' ? walk_array(d, depth + 1) : walk_object(d, depth + 1);
  }
  if (!parse(d) || !push_node(d, d->guard->tree, depth))
    return false;
  drop_tree(d);
  return true;
}

/* [-0, +1, e] The whole text. */
static bool push_document(struct decoder *d) {
  size_t length = (size_t)(d->end - d->text);
  if (!check_bytes(d))
    return false;
  d->walk = length >= WALK_LENGTH;
  if (length >= 3 && memcmp(d->text, "\xEF\xBB\xBF", 3) == 0)
    d->at += 3;
  if (!push_value(d, 0))
    return false;
  skip_space(d);
  return d->at == d->end || fail(d, "text after the document", d->at);
}

/* [-0, +2, e] */
static int misuse(lua_State *L, const char *function, const char *expected) {
  const char *got = luaL_typename(L, 1);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s expected, got %s", function, expected, got);
  return 2;
}

/* [-0, +?, e] The guard and the slots that the decoder needs at hand. */
static void prepare(struct decoder *d) {
  lua_State *L = d->L;
  luaL_checkstack(L, KEY_SLOTS + 4, "JSON");
  d->guard = guard_new(L);
  luaL_getmetatable(L, ARRAY_CLASS);
  d->array_class = d->key_slots = lua_gettop(L);
  lua_settop(L, d->key_slots + KEY_SLOTS);
}

/* decode(text, keep_null, nesting) -> value | nil, message */
static int decode(lua_State *L) {
  size_t length;
  if (lua_type(L, 1) != LUA_TSTRING)
    return misuse(L, "decode", "text");
  lua_Number nesting = luaL_optnumber(L, 3, NESTING_DEFAULT);
  const char *text = lua_tolstring(L, 1, &length);
  struct decoder d = {.L = L, .text = text, .end = text + length, .at = text};
  d.keep_null = lua_toboolean(L, 2);
  d.nesting =
      nesting >= 0 && nesting < NESTING_LIMIT ? (int)nesting : NESTING_LIMIT;
  prepare(&d);
  bool done = push_document(&d);
  release(d.guard);
  if (done)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, d.failure);
  return 2;
}

/* }=== */

/* {=== Encode === */

/* JSON strings are UTF-8, which never has this byte: it stands for the zero
** byte inside the tree, whose strings are NUL-terminated. */
#define ZERO_MARK 0xFF

/* Where a value is: the chain from it up to the root. */
struct place {
  const struct place *parent; /* NULL: the root */
  const char *key;            /* NULL: an item of an array */
  size_t key_length;
  size_t index;
  const void *table; /* its identity, once the value is known to be one */
  int depth;
};

struct encoder {
  lua_State *L;
  struct guard *guard;
  const char *arrays;
  bool zeros; /* the tree holds a ZERO_MARK */
};

static void add(struct encoder *e, const char *bytes, size_t length) {
  if (buffer_add(&e->guard->bytes, bytes, length) != BUFFER_OK)
    no_memory(e->L);
}

static void add_format(struct encoder *e, const char *format, ...) {
  char text[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  add(e, text, strlen(text));
}

/* 0 where `s` doesn't start with a valid UTF-8 sequence */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
  unsigned c = s[0];
  size_t size = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  if (c > 0xF4 || size > left)
    return 0;
  if (size < 2)
    return size;
  /* no overlong forms, no surrogates, nothing above U+10FFFF */
  unsigned least = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  unsigned most = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (s[1] < least || s[1] > most)
    return 0;
  for (size_t i = 2; i < size; i++)
    if ((s[i] & 0xC0) != 0x80)
      return 0;
  return size;
}

/* The first byte, counted from 1, that isn't UTF-8; 0 if there is none. */
static size_t utf8_fault(const char *text, size_t length) {
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0;
  while (i < length) {
    size_t size = utf8_sequence(s + i, length - i);
    if (size == 0)
      return i + 1;
    i += size;
  }
  return 0;
}

static bool is_identifier(const char *key, size_t length) {
  static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return length > 0 && !(key[0] >= '0' && key[0] <= '9') &&
         strspn(key, letters) == length;
}

/* Quoted as Lua would read it; messages stay printable whatever the key. */
static void add_quoted(struct encoder *e, const char *key, size_t length) {
  bool binary = utf8_fault(key, length) != 0;
  add(e, "\"", 1);
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)key[i];
    if (c < 0x20 || c == 0x7F || (binary && c > 0x7F))
      add_format(e, "\\%03u", c);
    else if (c == '"' || c == '\\')
      add_format(e, "\\%c", c);
    else
      add(e, &key[i], 1);
  }
  add(e, "\"", 1);
}

/* params.files[2]["file name"] */
static void add_place(struct encoder *e, const struct place *at) {
  if (at->parent)
    add_place(e, at->parent);
  if (!at->parent) {
    add(e, "params", 6);
  } else if (!at->key) {
    add_format(e, "[%zu]", at->index);
  } else if (is_identifier(at->key, at->key_length)) {
    add(e, ".", 1);
    add(e, at->key, at->key_length);
  } else {
    add(e, "[", 1);
    add_quoted(e, at->key, at->key_length);
    add(e, "]", 1);
  }
}

/* Makes the guard's bytes the message; returns false. */
static bool refuse(struct encoder *e, const struct place *at,
                   const char *format, ...) {
  char text[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  buffer_clear(&e->guard->bytes);
  add_place(e, at);
  add(e, ": ", 2);
  add(e, text, strlen(text));
  return false;
}

/* files[].labels */
static void add_pattern(struct encoder *e, const struct place *at) {
  if (!at->parent)
    return;
  add_pattern(e, at->parent);
  if (!at->key) {
    add(e, "[]", 2);
    return;
  }
  if (e->guard->bytes.length > 0)
    add(e, ".", 1);
  add(e, at->key, at->key_length);
}

/* Whether `word` is one of the words of `list`. */
static bool listed(const char *list, const char *word) {
  size_t length = strlen(word);
  while (*list) {
    list += strspn(list, " ");
    size_t here = strcspn(list, " ");
    if (here == length && memcmp(list, word, length) == 0)
      return true;
    list += here;
  }
  return false;
}

/* Whether an empty table without a mark is an array here. */
static bool is_array_path(struct encoder *e, const struct place *at) {
  if (!e->arrays)
    return false;
  if (!at->parent)
    return listed(e->arrays, "[]");
  buffer_clear(&e->guard->bytes);
  add_pattern(e, at);
  /* an item of a root array would be called as the root is */
  return strcmp(e->guard->bytes.data, "[]") != 0 &&
         listed(e->arrays, e->guard->bytes.data);
}

/* `text` without zero bytes, for cJSON; NULL if memory ends. Valid until the
** guard's bytes change. */
static const char *c_text(struct encoder *e, const char *text, size_t length) {
  struct buffer *copy = &e->guard->bytes;
  if (!memchr(text, '\0', length))
    return text;
  buffer_clear(copy);
  if (buffer_add(copy, text, length) != BUFFER_OK)
    return NULL;
  for (size_t i = 0; i < length; i++)
    if (copy->data[i] == '\0')
      copy->data[i] = (char)ZERO_MARK;
  e->zeros = true;
  return copy->data;
}

/* [-0, +0, e] Takes `node` (NULL: memory ended) into the tree. */
static void attach(struct encoder *e, const struct place *at, cJSON *parent,
                   cJSON *node) {
  bool done = node != NULL;
  if (!parent)
    e->guard->tree = node;
  else if (done && at->key) {
    const char *key = c_text(e, at->key, at->key_length);
    done = key && cJSON_AddItemToObject(parent, key, node);
  } else if (done)
    done = cJSON_AddItemToArray(parent, node);
  if (done)
    return;
  cJSON_Delete(node);
  no_memory(e->L);
}

/* The shortest text that reads back as `value`. Up to 2^53 an integral value is
** written as an integer, beyond it with a fraction or an exponent, so that it
** comes back as the float that it is. */
static void format_double(char *text, size_t size, double value) {
  if (fabs(value) <= EXACT_LIMIT && (double)(long long)value == value) {
    snprintf(text, size, "%.0f", value);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, size, "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  size_t point = strspn(text, "-0123456789");
  size_t rest = point + strcspn(text + point, "0123456789e");
  if (text[point] == '\0') {
    snprintf(text + point, size - point, ".0");
  } else if (rest > point) { /* the locale's decimal point, maybe two bytes */
    text[point] = '.';
    memmove(text + point + 1, text + rest, strlen(text + rest) + 1);
  }
}

static bool encode_number(struct encoder *e, const struct place *at,
                          cJSON *parent) {
  char text[64];
  double value = lua_tonumber(e->L, -1);
  if (lua_isinteger(e->L, -1))
    snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(e->L, -1));
  else if (isnan(value))
    return refuse(e, at, "NaN");
  else if (isinf(value))
    return refuse(e, at, "infinite number");
  else
    format_double(text, sizeof text, value);
  attach(e, at, parent, cJSON_CreateRaw(text));
  return true;
}

static bool encode_string(struct encoder *e, const struct place *at,
                          cJSON *parent) {
  size_t length;
  const char *text = lua_tolstring(e->L, -1, &length);
  size_t fault = utf8_fault(text, length);
  if (fault > 0)
    return refuse(e, at, "invalid UTF-8 at byte %zu", fault);
  text = c_text(e, text, length);
  attach(e, at, parent, text ? cJSON_CreateString(text) : NULL);
  return true;
}

enum mark { UNMARKED, MARKED_ARRAY, MARKED_OBJECT };

/* [-0, +0, e] The mark of the table on top: ours, or another JSON library's
** that follows the same convention (dkjson). */
static enum mark mark_of(lua_State *L) {
  enum mark mark = UNMARKED;
  if (!lua_getmetatable(L, -1))
    return mark;
  lua_pushliteral(L, "__jsontype");
  lua_rawget(L, -2);
  const char *type = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (strcmp(type, "array") == 0)
    mark = MARKED_ARRAY;
  else if (strcmp(type, "object") == 0)
    mark = MARKED_OBJECT;
  lua_pop(L, 2);
  return mark;
}

/* What the keys of a table are. */
struct survey {
  size_t names, indexes, largest;
};

/* Counts the key below the value on top. */
static bool survey_key(struct encoder *e, const struct place *at,
                       struct survey *s) {
  int type = lua_type(e->L, -2);
  double n = type == LUA_TNUMBER ? lua_tonumber(e->L, -2) : 0;
  if (type == LUA_TSTRING) {
    s->names++;
  } else if (n >= 1 && n <= INT_MAX && n == (int)n) {
    s->indexes++;
    s->largest = (size_t)n > s->largest ? (size_t)n : s->largest;
  } else if (type == LUA_TNUMBER) {
    return refuse(e, at, "the key %.14g is neither a name nor an index", n);
  } else {
    return refuse(e, at, "a key is a %s", lua_typename(e->L, type));
  }
  return true;
}

/* [-0, +0, e] Of the table on top; on failure the stack is left as it is. */
static bool survey_keys(struct encoder *e, const struct place *at,
                        struct survey *s) {
  lua_pushnil(e->L);
  while (lua_next(e->L, -2)) {
    if (!survey_key(e, at, s))
      return false;
    lua_pop(e->L, 1);
  }
  return true;
}

/* Refuses the first index of the table on top that has no value. */
static bool refuse_hole(struct encoder *e, const struct place *at) {
  int i = 0;
  do {
    if (i > 0)
      lua_pop(e->L, 1);
    lua_rawgeti(e->L, -1, ++i);
  } while (!lua_isnil(e->L, -1));
  return refuse(e, at, "array with a hole at [%d]", i);
}

/* [-0, +0, e] Whether the table on top is an array, in *array. */
static bool classify(struct encoder *e, const struct place *at, bool *array) {
  struct survey s = {0, 0, 0};
  enum mark mark = mark_of(e->L);
  if (!survey_keys(e, at, &s))
    return false;
  if (s.names > 0 && s.indexes > 0)
    return refuse(e, at, "names and indexes mixed in one table");
  if (mark == MARKED_ARRAY && s.names > 0)
    return refuse(e, at, "array with names");
  if (mark == MARKED_OBJECT && s.indexes > 0)
    return refuse(e, at, "object with indexes");
  if (s.indexes < s.largest)
    return refuse_hole(e, at);
  *array = s.indexes > 0 || mark == MARKED_ARRAY ||
           (mark == UNMARKED && s.names == 0 && is_array_path(e, at));
  return true;
}

static bool encode_value(struct encoder *e, struct place *at, cJSON *parent);

/* [-0, +0, e] Items of the table on top. */
static bool encode_items(struct encoder *e, const struct place *at,
                         cJSON *node) {
  struct place item = {.parent = at, .depth = at->depth + 1};
  lua_rawgeti(e->L, -1, 1);
  while (!lua_isnil(e->L, -1)) {
    item.index++;
    if (!encode_value(e, &item, node))
      return false;
    lua_pop(e->L, 1);
    lua_rawgeti(e->L, -1, (int)item.index + 1);
  }
  lua_pop(e->L, 1);
  return true;
}

/* Takes `count` nodes off `*rest` and returns them sorted by name. */
static cJSON *sorted(cJSON **rest, int count) {
  if (count == 1) {
    cJSON *only = *rest;
    *rest = only->next;
    only->next = NULL;
    return only;
  }
  cJSON *a = sorted(rest, count / 2), *b = sorted(rest, count - count / 2);
  cJSON *first = NULL, **link = &first;
  while (a && b) {
    cJSON **least = strcmp(a->string, b->string) <= 0 ? &a : &b;
    *link = *least;
    link = &(*least)->next;
    *least = *link;
  }
  *link = a ? a : b;
  return first;
}

/* Lua has no order of keys, so the same table would not always give the same
** bytes. In the tree, sorting needs neither memory nor Lua. */
static void sort_fields(cJSON *object) {
  cJSON *rest = object->child, *last = NULL;
  if (!rest)
    return;
  object->child = sorted(&rest, count_children(object));
  for (cJSON *node = object->child; node; node = node->next) {
    node->prev = last;
    last = node;
  }
  object->child->prev = last; /* as cJSON has it: the first knows the last */
}

/* [-0, +0, e] Fields of the table on top. */
static bool encode_fields(struct encoder *e, const struct place *at,
                          cJSON *node) {
  lua_State *L = e->L;
  struct place field = {.parent = at, .depth = at->depth + 1};
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    /* classify() saw names only, but a finalizer may have run since */
    if (lua_type(L, -2) != LUA_TSTRING)
      return refuse(e, at, "changed while it was sent");
    field.key = lua_tolstring(L, -2, &field.key_length);
    size_t fault = utf8_fault(field.key, field.key_length);
    if (fault > 0)
      return refuse(e, &field, "invalid UTF-8 at byte %zu of the key", fault);
    if (!encode_value(e, &field, node))
      return false;
    lua_pop(L, 1);
  }
  sort_fields(node);
  return true;
}

static bool check_cycle(struct encoder *e, const struct place *at) {
  const struct place *same = at->parent;
  while (same && same->table != at->table)
    same = same->parent;
  if (!same)
    return true;
  refuse(e, at, "a cycle, the same table as ");
  add_place(e, same);
  return false;
}

/* Names the first levels only: they tell which field it is. */
static bool refuse_depth(struct encoder *e, const struct place *at) {
  while (at->depth > 4)
    at = at->parent;
  return refuse(e, at, "nested more than %d deep", NESTING_DEFAULT);
}

static bool encode_table(struct encoder *e, struct place *at, cJSON *parent) {
  bool array = false;
  at->table = lua_topointer(e->L, -1);
  if (!check_cycle(e, at))
    return false;
  if (at->depth >= NESTING_DEFAULT)
    return refuse_depth(e, at);
  luaL_checkstack(e->L, 4, "JSON"); /* key, value, metatable, its field */
  if (!classify(e, at, &array))
    return false;
  cJSON *node = array ? cJSON_CreateArray() : cJSON_CreateObject();
  attach(e, at, parent, node);
  return array ? encode_items(e, at, node) : encode_fields(e, at, node);
}

/* [-0, +0, e] The value on top; on failure the stack is left as it is. */
static bool encode_value(struct encoder *e, struct place *at, cJSON *parent) {
  int type = lua_type(e->L, -1);
  switch (type) {
  case LUA_TSTRING:
    return encode_string(e, at, parent);
  case LUA_TNUMBER:
    return encode_number(e, at, parent);
  case LUA_TTABLE:
    return encode_table(e, at, parent);
  case LUA_TBOOLEAN:
    attach(e, at, parent, cJSON_CreateBool(lua_toboolean(e->L, -1)));
    return true;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(e->L, -1))
      break;
    attach(e, at, parent, cJSON_CreateNull());
    return true;
  default:
    break;
  }
  return refuse(e, at, "JSON has no %s", lua_typename(e->L, type));
}

/* Appends `text` to `out`, each ZERO_MARK as its escape. */
static enum buffer_result add_marked(struct buffer *out, const char *text) {
  enum buffer_result result = BUFFER_OK;
  const char *mark;
  while (result == BUFFER_OK && (mark = strchr(text, ZERO_MARK)) != NULL) {
    result = buffer_add(out, text, (size_t)(mark - text));
    if (result == BUFFER_OK)
      result = buffer_text(out, "\\u0000");
    text = mark + 1;
  }
  return result == BUFFER_OK ? buffer_text(out, text) : result;
}

static bool print(struct encoder *e, const struct place *root,
                  struct buffer *out) {
  size_t before = out->length;
  e->guard->printed = cJSON_PrintUnformatted(e->guard->tree);
  if (!e->guard->printed)
    no_memory(e->L);
  enum buffer_result result = e->zeros ? add_marked(out, e->guard->printed)
                                       : buffer_text(out, e->guard->printed);
  if (result == BUFFER_OK)
    return true;
  out->length = before;
  if (out->data)
    out->data[before] = '\0';
  if (result == BUFFER_NO_MEMORY)
    no_memory(e->L);
  return refuse(e, root, "larger than %zu bytes of JSON", out->limit);
}

bool json_encode(lua_State *L, int value, const char *arrays,
                 struct buffer *out) {
  struct place root = {.parent = NULL};
  int top = lua_gettop(L);
  luaL_checkstack(L, 6, "JSON");
  lua_pushvalue(L, value);
  struct guard *guard = guard_new(L);
  struct encoder e = {.L = L, .guard = guard, .arrays = arrays};
  lua_insert(L, top + 1);
  bool done = encode_value(&e, &root, NULL) && print(&e, &root, out);
  if (!done)
    lua_pushlstring(L, guard->bytes.data, guard->bytes.length);
  release(guard);
  if (!done)
    lua_replace(L, top + 1);
  lua_settop(L, done ? top : top + 1);
  return done;
}

/* encode(value, array_paths) -> text | nil, message */
static int encode(lua_State *L) {
  const char *arrays = luaL_optstring(L, 2, NULL);
  lua_settop(L, 2);
  struct buffer *out = &guard_new(L)->bytes;
  if (!json_encode(L, 1, arrays, out)) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushlstring(L, out->data, out->length);
  buffer_free(out);
  return 1;
}

/* }=== */

/* {=== Marks === */

static int set_mark(lua_State *L, const char *class, const char *name) {
  if (lua_type(L, 1) != LUA_TTABLE)
    return misuse(L, name, "table");
  lua_settop(L, 1);
  if (mark_of(L) == UNMARKED && lua_getmetatable(L, 1)) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: the table has another metatable", name);
    return 2;
  }
  luaL_getmetatable(L, class);
  lua_setmetatable(L, 1);
  return 1;
}

static int mark_array(lua_State *L) {
  return set_mark(L, ARRAY_CLASS, "array");
}

static int mark_object(lua_State *L) {
  return set_mark(L, OBJECT_CLASS, "object");
}

static void new_mark(lua_State *L, const char *class, const char *type) {
  luaL_newmetatable(L, class);
  lua_pushstring(L, class);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, type);
  lua_setfield(L, -2, "__jsontype");
  lua_pop(L, 1);
}

/* }=== */

static const luaL_Reg functions[] = {
    {"array", mark_array}, {"object", mark_object},
    {"decode", decode},    {"encode", encode},
    {NULL, NULL},
};

void json_open(lua_State *L) {
  new_mark(L, ARRAY_CLASS, "array");
  new_mark(L, OBJECT_CLASS, "object");
  luaL_newmetatable(L, GUARD_CLASS);
  lua_pushcfunction(L, guard_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
}
