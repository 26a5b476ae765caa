/*
** maiagent.core: the API as data, values to JSON and back, prepared requests.
** It does no I/O and does not link libcurl, so that requiring it is cheap.
*/
#include <string.h>
#include <time.h>

#include "compat.h"
#include "json.h"
#include "operations.h"
#include "query.h"
#include "request.h"
#include "url.h"

static int refuse(lua_State *L, const char *message) {
  lua_pushstring(L, message);
  return request_refuse(L);
}

/* now() -> seconds of a clock that nobody sets */
static int core_now(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

/* origin(url) -> "https://host:443" | nil, message */
static int core_origin(lua_State *L) {
  struct url_text url;
  struct url_parts parts;
  char origin[URL_ORIGIN_SIZE];
  if (!request_text(L, 1, "the URL", &url))
    return request_refuse(L);
  const char *wrong = url_parse(url, &parts);
  if (wrong)
    return refuse(L, wrong);
  url_origin(&parts, origin);
  lua_pushstring(L, origin);
  return 1;
}

static bool has_origin(lua_State *L, int index, struct url_parts *parts) {
  struct url_text url;
  return request_text(L, index, "the URL", &url) && !url_parse(url, parts);
}

/* same_origin(a, b) -> boolean; what is no URL has no origin */
static int core_same_origin(lua_State *L) {
  struct url_parts a, b;
  lua_settop(L, 2);
  bool same =
      has_origin(L, 1, &a) && has_origin(L, 2, &b) && url_same_origin(&a, &b);
  lua_pushboolean(L, same);
  return 1;
}

/* NULL if `path` may be joined to the base, or what is wrong. */
static const char *check_join(const struct url_parts *base,
                              struct url_text path, bool absolute) {
  struct url_parts parts;
  const char *wrong = url_check_path(path);
  if (wrong || !absolute)
    return wrong;
  wrong = url_parse(path, &parts);
  if (wrong || url_same_origin(base, &parts))
    return wrong;
  return "the URL is on another origin than the base URL";
}

/* join(base, path) -> url | nil, message */
static int core_join(lua_State *L) {
  struct url_text base, path;
  struct url_parts parts;
  if (!request_text(L, 1, "the base URL", &base) ||
      !request_text(L, 2, "the path", &path))
    return request_refuse(L);
  bool absolute = url_is_absolute(path);
  const char *wrong = url_parse_base(base, &parts);
  if (!wrong)
    wrong = check_join(&parts, path, absolute);
  if (wrong)
    return refuse(L, wrong);
  /* a request that is never sent owns the bytes while Lua copies them */
  struct buffer *url = &request_new(L, "GET")->url;
  enum buffer_result result =
      absolute ? url_add(url, path) : url_add_joined(url, base, &parts, path);
  if (!request_fits(L, result, "the URL would be", URL_LIMIT))
    return request_refuse(L);
  lua_pushlstring(L, url->data, url->length);
  buffer_free(url);
  return 1;
}

/* The text that the request may keep for ever, or NULL. */
static const char *known_method(struct url_text method) {
  static const char *const methods[] = {"GET",   "POST",   "PUT",
                                        "PATCH", "DELETE", "HEAD"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (!strcmp(method.data, methods[i]) && strlen(methods[i]) == method.length)
      return methods[i];
  return NULL;
}

enum { OPTIONS = 3, BODY, TYPE, PARTS, QUERY, REQUEST };

/* [-0, +3, e] Puts each option on the stack at its own index. */
static void push_options(lua_State *L) {
  static const char *const names[] = {"body", "type", "parts", "query"};
  lua_settop(L, OPTIONS);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (lua_istable(L, OPTIONS)) {
      lua_pushstring(L, names[i]);
      lua_rawget(L, OPTIONS);
    } else {
      lua_pushnil(L);
    }
  }
}

/* [-0, +0|+1, e] Leaves a message if an option is of a wrong type. */
static bool check_options(lua_State *L) {
  static const struct {
    int index, type;
    const char *wrong;
  } rows[] = {
      {OPTIONS, LUA_TTABLE, "options must be a table"},
      {BODY, LUA_TSTRING, "body must be a string"},
      {TYPE, LUA_TSTRING, "type must be a string"},
      {PARTS, LUA_TTABLE, "parts must be a table"},
      {QUERY, LUA_TTABLE, "query must be a table"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!lua_isnil(L, rows[i].index) &&
        lua_type(L, rows[i].index) != rows[i].type) {
      lua_pushfstring(L, "%s, got %s", rows[i].wrong,
                      request_type_name(L, rows[i].index));
      return false;
    }
  if (lua_isnil(L, BODY) || lua_isnil(L, PARTS))
    return true;
  lua_pushliteral(L, "a request has either a body or parts");
  return false;
}

static bool add_body(lua_State *L, struct request *request) {
  size_t length;
  const char *body = lua_tolstring(L, BODY, &length);
  enum buffer_result result = BUFFER_OK;
  if (body)
    result = buffer_add(&request->body, body, length);
  request->has_body = body != NULL;
  return request_fits(L, result, "body", request->body.limit) &&
         (lua_isnil(L, TYPE) ||
          request_content_type(L, request, lua_tostring(L, TYPE))) &&
         (lua_isnil(L, PARTS) || request_form(L, request, PARTS));
}

static bool add_all(lua_State *L, struct request *request,
                    struct url_text url) {
  return request_fits(L, url_add(&request->url, url), "the URL would be",
                      URL_LIMIT) &&
         (lua_isnil(L, QUERY) ||
          query_add(L, &request->url, QUERY, 0, "query")) &&
         add_body(L, request);
}

/* request(method, url, {body=, type=, parts=, query=}) -> request | nil,
** message: for URLs that no operation has */
static int core_request(lua_State *L) {
  struct url_text name, url;
  struct url_parts parts;
  if (!request_text(L, 1, "the method", &name) ||
      !request_text(L, 2, "the URL", &url))
    return request_refuse(L);
  const char *method = known_method(name);
  const char *wrong = url_parse(url, &parts);
  if (!method)
    wrong = "the method is none of GET POST PUT PATCH DELETE HEAD";
  if (wrong)
    return refuse(L, wrong);
  push_options(L);
  if (!check_options(L))
    return request_refuse(L);
  struct request *request = request_new(L, method);
  if (!add_all(L, request, url))
    return request_refuse(L);
  lua_settop(L, REQUEST);
  return 1;
}

static const luaL_Reg functions[] = {
    {"join", core_join},
    {"now", core_now},
    {"origin", core_origin},
    {"request", core_request},
    {"same_origin", core_same_origin},
    {NULL, NULL},
};

MAIAGENT_EXPORT int luaopen_maiagent_core(lua_State *L) {
  request_register(L);
  luaL_newlib(L, functions);
  lua_pushliteral(L, MAIAGENT_VERSION);
  lua_setfield(L, -2, "version");
  json_open(L);
  operations_open(L);
  return 1;
}
