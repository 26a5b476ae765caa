#include "query.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

/* Doubles are exact integers up to here. */
#define EXACT_LIMIT 9007199254740992.0

static struct url_text text_of(const char *string) {
  struct url_text text = {string, strlen(string)};
  return text;
}

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
static void write_double(char number[QUERY_NUMBER_SIZE], double value) {
  if (value > -EXACT_LIMIT && value < EXACT_LIMIT &&
      (double)(long long)value == value) {
    snprintf(number, QUERY_NUMBER_SIZE, "%lld", (long long)value);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(number, QUERY_NUMBER_SIZE, "%.*g", digits, value);
    if (strtod(number, NULL) == value)
      break;
  }
  use_point(number);
}

static bool write_number(lua_State *L, int index,
                         char number[QUERY_NUMBER_SIZE]) {
  if (lua_isinteger(L, index)) {
    snprintf(number, QUERY_NUMBER_SIZE, "%lld",
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

bool query_scalar(lua_State *L, int index, char number[QUERY_NUMBER_SIZE],
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
                    request_type_name(L, index));
    return false;
  }
}

static bool add_value(lua_State *L, struct buffer *url, struct url_text name,
                      int index) {
  char number[QUERY_NUMBER_SIZE];
  struct url_text value;
  if (!query_scalar(L, index, number, &value))
    return false;
  enum buffer_result result = url_add_query(url, name, value);
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
static bool add_items(lua_State *L, struct buffer *url, const char *place,
                      struct url_text name) {
  int array = lua_gettop(L);
  size_t count = lua_rawlen(L, array);
  if (count != count_pairs(L, array)) {
    lua_pushliteral(L, "array expected, got a table with other keys");
    return at_place(L, place, name, 0);
  }
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, array, (int)i);
    if (!add_value(L, url, name, array + 1))
      return at_place(L, place, name, i);
    lua_pop(L, 1);
  }
  return true;
}

static bool add_field(lua_State *L, struct buffer *url, int table,
                      const char *place, struct url_text name) {
  int top = lua_gettop(L);
  lua_pushlstring(L, name.data, name.length);
  lua_rawget(L, table);
  if (lua_istable(L, -1)) {
    if (!add_items(L, url, place, name))
      return false;
  } else if (!add_value(L, url, name, top + 1)) {
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

bool query_add(lua_State *L, struct buffer *url, int index, int except,
               const char *place) {
  int top = lua_gettop(L);
  if (!push_names(L, index, place))
    return false;
  size_t count = lua_rawlen(L, -1);
  struct url_text *names = push_sorted(L, count);
  for (size_t i = 0; i < count; i++)
    if (!has_name(L, except, names[i]) &&
        !add_field(L, url, index, place, names[i]))
      return false;
  lua_settop(L, top);
  return true;
}
