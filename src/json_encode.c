/* Lua value -> JSON text. */
#include "json_internal.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json_text.h"

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
  struct json_guard *guard;
  const char *arrays;
  bool zeros; /* the tree holds a ZERO_MARK */
};

static void add(struct encoder *e, const char *bytes, size_t length) {
  if (buffer_add(&e->guard->bytes, bytes, length) != BUFFER_OK)
    json_no_memory(e->L);
}

static void add_format(struct encoder *e, const char *format, ...) {
  char text[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  add(e, text, strlen(text));
}

static bool is_identifier(const char *key, size_t length) {
  static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return length > 0 && !(key[0] >= '0' && key[0] <= '9') &&
         strspn(key, letters) == length;
}

/* Quoted as Lua would read it; messages stay printable whatever the key. */
static void add_quoted(struct encoder *e, const char *key, size_t length) {
  bool binary = json_utf8_fault(key, length) != 0;
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
  json_no_memory(e->L);
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
    json_format_double(text, sizeof text, value);
  attach(e, at, parent, cJSON_CreateRaw(text));
  return true;
}

static bool encode_string(struct encoder *e, const struct place *at,
                          cJSON *parent) {
  size_t length;
  const char *text = lua_tolstring(e->L, -1, &length);
  size_t fault = json_utf8_fault(text, length);
  if (fault > 0)
    return refuse(e, at, "invalid UTF-8 at byte %zu", fault);
  text = c_text(e, text, length);
  attach(e, at, parent, text ? cJSON_CreateString(text) : NULL);
  return true;
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
  return refuse(e, at,
                "array with a hole at [%d] (maiagent.null would fill it; a "
                "number that is a name is written as a string)",
                i);
}

/* [-0, +0, e] Whether the table on top is an array, in *array. */
static bool classify(struct encoder *e, const struct place *at, bool *array) {
  struct survey s = {0, 0, 0};
  enum json_mark mark = json_mark_of(e->L);
  if (!survey_keys(e, at, &s))
    return false;
  if (s.names > 0 && s.indexes > 0)
    return refuse(e, at, "names and indexes mixed in one table");
  if (mark == JSON_MARKED_ARRAY && s.names > 0)
    return refuse(e, at, "array with names");
  if (mark == JSON_MARKED_OBJECT && s.indexes > 0)
    return refuse(e, at, "object with indexes");
  if (s.indexes < s.largest)
    return refuse_hole(e, at);
  *array = s.indexes > 0 || mark == JSON_MARKED_ARRAY ||
           (mark == JSON_UNMARKED && s.names == 0 && is_array_path(e, at));
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
  object->child = sorted(&rest, json_count_children(object));
  for (cJSON *node = object->child; node; node = node->next) {
    node->prev = last;
    last = node;
    object->child->prev = last; /* as cJSON has it: the first knows the last */
  }
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
    size_t fault = json_utf8_fault(field.key, field.key_length);
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
  return refuse(e, at, "nested more than %d deep", JSON_NESTING);
}

static bool encode_table(struct encoder *e, struct place *at, cJSON *parent) {
  bool array = false;
  at->table = lua_topointer(e->L, -1);
  if (!check_cycle(e, at))
    return false;
  if (at->depth >= JSON_NESTING)
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
  e->guard->printed = cJSON_PrintUnformatted(e->guard->tree);
  if (!e->guard->printed)
    return json_no_memory(e->L);
  enum buffer_result result = e->zeros ? add_marked(out, e->guard->printed)
                                       : buffer_text(out, e->guard->printed);
  if (result == BUFFER_OK)
    return true;
  if (result == BUFFER_NO_MEMORY)
    json_no_memory(e->L);
  return refuse(e, root, "larger than %zu bytes of JSON", out->limit);
}

bool json_encode(lua_State *L, int value, const char *arrays,
                 struct buffer *out) {
  struct place root = {.parent = NULL};
  int top = lua_gettop(L);
  luaL_checkstack(L, 6, "JSON");
  lua_pushvalue(L, value);
  struct json_guard *guard = json_guard_new(L);
  struct encoder e = {.L = L, .guard = guard, .arrays = arrays};
  lua_insert(L, top + 1);
  bool done = encode_value(&e, &root, NULL) && print(&e, &root, out);
  if (!done)
    lua_pushlstring(L, guard->bytes.data, guard->bytes.length);
  json_guard_end(L, top + 1);
  if (!done)
    lua_replace(L, top + 1);
  lua_settop(L, done ? top : top + 1);
  return done;
}

int json_encode_value(lua_State *L) {
  const char *arrays = luaL_optstring(L, 2, NULL);
  lua_settop(L, 2);
  struct buffer *out = &json_guard_new(L)->bytes;
  if (!json_encode(L, 1, arrays, out)) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushlstring(L, out->data, out->length);
  json_guard_end(L, 3);
  return 1;
}
