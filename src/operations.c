#include "operations.h"

#include <stdbool.h>
#include <string.h>

#include "json.h"
#include "query.h"
#include "request.h"
#include "url.h"

enum body { NO_BODY, JSON, FORM };
enum reply { OBJECT, PAGE, ITEMS, NOTHING, BYTES };

static const char *const body_names[] = {"none", "json", "form"};
static const char *const reply_names[] = {"object", "page", "list", "none",
                                          "file"};

/* One operation. `fields` says more about the body: where a JSON body has
** arrays (see json_encode), or what the file's part of a form is called. */
struct action {
  const char *name, *method;
  const char *path; /* below the resource's */
  enum body body;
  const char *fields;
  enum reply reply;
  bool filtered; /* takes the same query as the resource's list */
};

struct resource {
  const char *name, *path;
  unsigned verbs;
  const char *query;  /* of its list */
  const char *arrays; /* in the body of create, replace and update */
  const struct action *actions;
};

/* The standard verbs; a resource has those whose bit is set. */
static const struct action verbs[] = {
    {"list", "GET", "", NO_BODY, NULL, ITEMS, true},
    {"get", "GET", "{id}/", NO_BODY, NULL, OBJECT, false},
    {"create", "POST", "", JSON, NULL, OBJECT, false},
    {"replace", "PUT", "{id}/", JSON, NULL, OBJECT, false},
    {"update", "PATCH", "{id}/", JSON, NULL, OBJECT, false},
    {"delete", "DELETE", "{id}/", NO_BODY, NULL, NOTHING, false},
};

#define VERBS (sizeof verbs / sizeof *verbs)

enum {
  LIST = 1 << 0,
  GET = 1 << 1,
  CREATE = 1 << 2,
  REPLACE = 1 << 3,
  UPDATE = 1 << 4,
  DELETE = 1 << 5,
  ALL = LIST | GET | CREATE | REPLACE | UPDATE | DELETE,
  PAGED = 1 << 6,    /* the list comes in pages */
  VERSIONED = 1 << 7 /* lives below /api/v1/ even where the rest is at /api/ */
};

static const struct action knowledge_base_actions[] = {
    {"check_rrf_availability", "GET", "{id}/check-rrf-availability/", NO_BODY,
     NULL, OBJECT, false},
    {"export_labels_excel", "GET", "{id}/export-labels-excel/", NO_BODY, NULL,
     BYTES, false},
    {"import_labels_excel", "POST", "{id}/import-labels-excel/", FORM,
     "excelFile", OBJECT, false},
    {"export_metadata_excel", "GET", "{id}/export-metadata-excel/", NO_BODY,
     NULL, BYTES, false},
    {"import_metadata_excel", "POST", "{id}/import-metadata-excel/", FORM,
     "excelFile", OBJECT, false},
    {0},
};

/* Registering files is the one irregular create: many at once, a page back. */
static const struct action file_actions[] = {
    {"create", "POST", "", JSON, "files files[].labels", PAGE, true},
    {"batch_delete", "POST", "batch-delete/", JSON, "ids", NOTHING, false},
    {"batch_reparse", "PATCH", "batch-reparse/", JSON, "[] [].labels", OBJECT,
     true},
    {"latest_failed_reason", "GET", "{id}/latest-failed-reason/", NO_BODY, NULL,
     OBJECT, false},
    {"transcription", "GET", "{id}/transcription/", NO_BODY, NULL, OBJECT,
     false},
    {0},
};

static const struct action translation_actions[] = {
    {"download", "GET", "{id}/download/", NO_BODY, NULL, OBJECT, false},
    {0},
};

static const struct action faq_actions[] = {
    {"batch_delete", "POST", "batch-delete/", JSON, "ids", NOTHING, false},
    {0},
};

static const struct action upload_actions[] = {
    {"presign", "POST", "", JSON, NULL, OBJECT, false},
    {0},
};

static const struct action no_actions[] = {{0}};

static const struct resource resources[] = {
    {"knowledge_bases", "knowledge-bases/", ALL | PAGED,
     "embeddingModel page pageSize query rerankerModel", "chatbots groups",
     knowledge_base_actions},
    {"knowledge_bases.labels", "knowledge-bases/{knowledgeBasePk}/labels/",
     ALL | PAGED, "page pageSize", "", no_actions},
    {"knowledge_bases.metadata_keys",
     "knowledge-bases/{knowledgeBasePk}/metadata-keys/",
     LIST | GET | CREATE | REPLACE | PAGED, "page pageSize", "", no_actions},
    {"knowledge_bases.files", "knowledge-bases/{knowledgeBasePk}/files/",
     LIST | GET | REPLACE | UPDATE | DELETE | PAGED,
     "fileType knowledgeBase page pageSize query status", "labels",
     file_actions},
    {"knowledge_bases.files.translations",
     "knowledge-bases/{knowledgeBasePk}/files/{knowledgeBaseFilePk}/"
     "translations/",
     LIST | GET | CREATE | DELETE | PAGED, "page pageSize", "",
     translation_actions},
    {"knowledge_bases.documents",
     "knowledge-bases/{knowledgeBasePk}/documents/",
     LIST | REPLACE | UPDATE | DELETE, "chatbotFileId knowledgeBaseFileId", "",
     no_actions},
    {"knowledge_bases.faqs", "knowledge-bases/{knowledgeBasePk}/faqs/",
     ALL | PAGED, "page pageSize query", "labels", faq_actions},
    {"chatbots", "chatbots/", ALL | PAGED,
     "largeLanguageModel page pageSize pagination query replyMode",
     "groups knowledgeBases toolkits tools", no_actions},
    {"embedding_models", "embedding-models/", LIST, "", "", no_actions},
    {"reranker_models", "reranker-models/", LIST, "", "", no_actions},
    {"attachments", "attachments/", ALL | PAGED, "page pageSize", "",
     no_actions},
    {"uploads", "upload-presigned-url/", VERSIONED, "", "", upload_actions},
};

#define RESOURCES (sizeof resources / sizeof *resources)

/* ---- reading the rows ---- */

/* An operation by the numbers of its rows: of the resource, and of the verb
** or, counting on behind the verbs, of the resource's own action. */
struct operation {
  size_t row, column;
  const struct resource *resource;
  const struct action *action;
};

/* Fills in the rest from the numbers; false if there is no such operation. */
static bool operation_find(struct operation *op) {
  op->resource = &resources[op->row];
  if (op->column < VERBS) {
    op->action = &verbs[op->column];
    return (op->resource->verbs >> op->column & 1) != 0;
  }
  op->action = &op->resource->actions[op->column - VERBS];
  return op->action->name != NULL;
}

/* Calls `visit` for each operation in turn. */
static void operations_each(lua_State *L,
                            void (*visit)(lua_State *L,
                                          const struct operation *op)) {
  struct operation op;
  for (op.row = 0; op.row < RESOURCES; op.row++) {
    bool found = true;
    for (op.column = 0; found || op.column <= VERBS; op.column++) {
      found = operation_find(&op);
      if (found)
        visit(L, &op);
    }
  }
}

static bool is_paged(const struct operation *op) {
  return op->column < VERBS && 1U << op->column == LIST &&
         op->resource->verbs & PAGED;
}

static enum reply reply_of(const struct operation *op) {
  return is_paged(op) ? PAGE : op->action->reply;
}

static const char *arrays_of(const struct operation *op) {
  if (op->action->body != JSON)
    return "";
  if (op->column < VERBS)
    return op->resource->arrays;
  return op->action->fields ? op->action->fields : "";
}

/* [-0, +1, e] "knowledge_bases.files.get" */
static const char *push_name(lua_State *L, const struct operation *op) {
  return lua_pushfstring(L, "%s.%s", op->resource->name, op->action->name);
}

/* ---- describe ---- */

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool flag) {
  lua_pushboolean(L, flag);
  lua_setfield(L, -2, name);
}

/* [-0, +0, e] Appends the names in the template to the array on top. */
static void append_ids(lua_State *L, const char *template) {
  struct url_text name;
  while ((template = url_next_id(template, &name)) != NULL) {
    lua_pushlstring(L, name.data, name.length);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
  }
}

static void set_ids(lua_State *L, const struct operation *op) {
  lua_newtable(L);
  append_ids(L, op->resource->path);
  append_ids(L, op->action->path);
  lua_setfield(L, -2, "ids");
}

static void set_query(lua_State *L, const struct operation *op) {
  const char *names = op->action->filtered ? op->resource->query : "";
  lua_newtable(L);
  for (int i = 1; *names; i++) {
    size_t length = strcspn(names, " ");
    lua_pushlstring(L, names, length);
    lua_rawseti(L, -2, i);
    names += length + strspn(names + length, " ");
  }
  lua_setfield(L, -2, "query");
}

/* [-0, +0, e] Appends the operation's row to the array on top. */
static void describe_one(lua_State *L, const struct operation *op) {
  lua_newtable(L);
  push_name(L, op);
  lua_setfield(L, -2, "operation");
  set_text(L, "resource", op->resource->name);
  set_text(L, "name", op->action->name);
  set_text(L, "method", op->action->method);
  lua_pushfstring(L, "%s%s", op->resource->path, op->action->path);
  lua_setfield(L, -2, "path");
  set_ids(L, op);
  set_query(L, op);
  set_text(L, "body", body_names[op->action->body]);
  set_text(L, "arrays", arrays_of(op));
  set_text(L, "reply", reply_names[reply_of(op)]);
  set_flag(L, "pages", is_paged(op));
  if (op->action->body == FORM)
    set_text(L, "part", op->action->fields);
  if (op->resource->verbs & VERSIONED)
    set_flag(L, "versioned", true);
  lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
}

static int describe(lua_State *L) {
  lua_newtable(L);
  operations_each(L, describe_one);
  return 1;
}

/* ---- bindings ---- */

enum { BASE = 1, EXTRA_QUERY = 2, FIRST_ID = 3, IDS_LIMIT = 4 };

/* A call under way: the operation, the ids and where the arguments are. */
struct call {
  struct operation op;
  struct url_text ids[IDS_LIMIT];
  int params;
  struct request *request;
};

/* [-0, +n, e] Puts "chatbots.get: " before the message on top. */
static bool refuse(lua_State *L, const struct operation *op) {
  const char *message = lua_tostring(L, -1);
  lua_pushfstring(L, "%s: %s", push_name(L, op), message);
  return false;
}

static bool refuse_id(lua_State *L, const struct operation *op,
                      struct url_text name, const char *wrong) {
  lua_pushlstring(L, name.data, name.length);
  lua_pushfstring(L, "%s %s", lua_tostring(L, -1), wrong);
  return refuse(L, op);
}

/* The usual slips: the object for its id, and params without the ids. */
static const char *expected(lua_State *L, int index) {
  const char *hint = "";
  if (lua_istable(L, index)) {
    lua_pushliteral(L, "id");
    lua_rawget(L, index);
    hint = lua_isnil(L, -1) ? " (the ids come before the table)"
                            : " (did you mean obj.id?)";
  } else if (lua_type(L, index) == LUA_TNUMBER) {
    hint = " (a number has to be whole, and below 2^53)";
  }
  return lua_pushfstring(L, "expected, got %s%s", request_type_name(L, index),
                         hint);
}

/* A number becomes a text in our own stack slot, where it stays alive. */
static void write_integer(lua_State *L, int index) {
  char number[QUERY_NUMBER_SIZE];
  struct url_text text;
  if (lua_type(L, index) != LUA_TNUMBER ||
      !query_scalar(L, index, number, &text) || strpbrk(number, ".eE"))
    return;
  lua_pushlstring(L, text.data, text.length);
  lua_replace(L, index);
}

static bool check_id(lua_State *L, const struct operation *op,
                     struct url_text name, int index, struct url_text *id) {
  write_integer(L, index);
  if (lua_type(L, index) != LUA_TSTRING)
    return refuse_id(L, op, name, expected(L, index));
  id->data = lua_tolstring(L, index, &id->length);
  if (id->length == 0)
    return refuse_id(L, op, name, "must not be empty");
  if (!strcmp(id->data, ".") || !strcmp(id->data, ".."))
    return refuse_id(L, op, name, "must not be . or ..");
  return true;
}

/* Takes one argument after the other for the names of both templates. */
static bool check_ids(lua_State *L, struct call *call) {
  const char *templates[] = {call->op.resource->path, call->op.action->path};
  struct url_text name;
  call->params = FIRST_ID;
  for (int i = 0; i < 2; i++)
    while ((templates[i] = url_next_id(templates[i], &name)) != NULL) {
      struct url_text *id = &call->ids[call->params - FIRST_ID];
      if (!check_id(L, &call->op, name, call->params++, id))
        return false;
    }
  return true;
}

static bool check_table(lua_State *L, const struct operation *op, int index,
                        const char *name) {
  if (lua_isnoneornil(L, index) || lua_istable(L, index))
    return true;
  lua_pushfstring(L, "%s must be a table, got %s", name,
                  request_type_name(L, index));
  return refuse(L, op);
}

static bool check_arguments(lua_State *L, struct call *call) {
  return check_ids(L, call) &&
         check_table(L, &call->op, call->params, "params") &&
         check_table(L, &call->op, EXTRA_QUERY, "query");
}

/* Where the base is the unversioned /api/, a versioned path goes to /api/v1/;
** any other base says itself which version it means. */
static enum buffer_result expand(struct call *call, struct url_text base,
                                 const struct url_parts *parts) {
  struct buffer *url = &call->request->url;
  const struct url_text *ids = call->ids;
  enum buffer_result result = url_add_base(url, base, parts);
  if (!result && call->op.resource->verbs & VERSIONED &&
      !strcmp(url->data + parts->path, "/api/"))
    result = buffer_text(url, "v1/");
  if (!result)
    result = url_expand(url, call->op.resource->path, &ids);
  return result ? result : url_expand(url, call->op.action->path, &ids);
}

static bool add_url(lua_State *L, struct call *call) {
  struct url_text base;
  struct url_parts parts;
  if (!request_text(L, BASE, "the base URL", &base))
    return false;
  const char *wrong = url_parse_base(base, &parts);
  if (wrong) {
    lua_pushstring(L, wrong);
    return false;
  }
  enum buffer_result result = expand(call, base, &parts);
  return request_fits(L, result, "the URL would be", URL_LIMIT) ||
         refuse(L, &call->op);
}

static bool add_json(lua_State *L, struct call *call) {
  struct request *request = call->request;
  const char *arrays = arrays_of(&call->op);
  const char *empty = !strncmp(arrays, "[]", 2) ? "[]" : "{}";
  request->has_body = true;
  bool fits =
      lua_istable(L, call->params)
          ? json_encode(L, call->params, arrays, &request->body)
          : request_fits(L, buffer_text(&request->body, empty), "body", 2);
  return fits && request_content_type(L, request, "application/json");
}

static bool add_params(lua_State *L, struct call *call) {
  bool given = lua_istable(L, call->params);
  switch (call->op.action->body) {
  case JSON:
    return add_json(L, call);
  case FORM:
    return request_form(L, call->request, call->params);
  default:
    return !given ||
           query_add(L, &call->request->url, call->params,
                     lua_istable(L, EXTRA_QUERY) ? EXTRA_QUERY : 0, "params");
  }
}

static bool add_extra_query(lua_State *L, struct call *call) {
  return !lua_istable(L, EXTRA_QUERY) ||
         query_add(L, &call->request->url, EXTRA_QUERY, 0, "query");
}

/* The one function behind all bindings. */
static int operation_call(lua_State *L) {
  struct call call = {
      .op = {.row = (size_t)lua_tointeger(L, lua_upvalueindex(1)),
             .column = (size_t)lua_tointeger(L, lua_upvalueindex(2))}};
  operation_find(&call.op);
  if (!check_arguments(L, &call))
    return request_refuse(L);
  lua_settop(L, call.params);
  call.request = request_new(L, call.op.action->method);
  if (!add_url(L, &call) || !add_params(L, &call) || !add_extra_query(L, &call))
    return request_refuse(L);
  lua_settop(L, call.params + 1);
  return 1;
}

/* [-0, +0, e] Adds the operation's binding to the table on top. Row numbers
** and not pointers: LuaJIT's light userdata have room for 47 bits. */
static void bind_one(lua_State *L, const struct operation *op) {
  push_name(L, op);
  lua_pushinteger(L, (lua_Integer)op->row);
  lua_pushinteger(L, (lua_Integer)op->column);
  lua_pushcclosure(L, operation_call, 2);
  lua_rawset(L, -3);
}

void operations_open(lua_State *L) {
  lua_newtable(L);
  operations_each(L, bind_one);
  lua_setfield(L, -2, "bindings");
  lua_pushcfunction(L, describe);
  lua_setfield(L, -2, "describe");
}
