--- What the service keeps, one row a kind: listed, created, fetched, replaced,
-- changed, deleted, all of them alike.
local api = require "maiagent.testing.api"
local json = require "maiagent.testing.json"
local state = require "maiagent.testing.state"
local validation = require "maiagent.testing.validation"

local fail, route = api.fail, api.route

local VERBS = {} -- what each does, given the call and its kind
local TARGETS = { list = "GET ", create = "POST ", get = "GET {id}/",
  replace = "PUT {id}/", update = "PATCH {id}/", delete = "DELETE {id}/" }
local ALL = "list create get replace update delete"

--- {id, name} of a record, or of something that only its id is known of.
local function id_name(record)
  return { id = record.id,
    name = record.name or "Item " .. record.id:sub(1, 8) }
end

local function render_references(list)
  local shown = json.array()
  for _, reference in ipairs(list or {}) do
    local record = reference.record or reference
    if not record.removed then
      shown[#shown + 1] = id_name(record)
    end
  end
  return shown
end

-- The value of a record's own field, as it is answered.
local function value_of(_, record, field)
  local value = record[field.name]
  if value == nil then
    value = field.default
  end
  return field.refers and render_references(value) or value
end

--- A record of call.kind, as it is answered, in a list or alone.
local function show(call, record, listed)
  local shown, kind = { id = record.id }, call.kind
  for _, field in ipairs(kind.fields) do
    shown[field.name] = value_of(call, record, field)
  end
  for name, derive in pairs(kind.derived) do
    shown[name] = derive(call, record)
  end
  for name in (kind.times or ""):gmatch("%a+") do
    shown[name] = state.timestamp(record[name])
  end
  if kind.decorate then
    kind.decorate(call, record, shown, listed)
  end
  return shown
end

-- The records whose field is the wanted text (or whose id is it) or, if not
-- the whole of it, has it as a part in any case.
local function filtered(call, list, name, wanted, whole)
  local read, field = call.kind.derived[name] or value_of,
    call.kind.fields[name]
  local found, part = {}, wanted:lower()
  for _, record in ipairs(list) do
    local value = read(call, record, field)
    value = tostring(type(value) == "table" and value.id or value)
    if value == wanted
      or not whole and value:lower():find(part, 1, true) then
      found[#found + 1] = record
    end
  end
  return found
end

-- The absolute URL of another page of this list, for the same query.
local function page_url(call, page)
  local query = ("&" .. call.request.query):gsub("&page=[^&]*", "")
  return call.server.base_url .. call.request.path .. "?page=" .. page .. query
end

-- A whole number above 0, or nil.
local function count(text)
  local number = tonumber(tostring(text):match("^%d+$"))
  return number and number > 0 and number or nil
end

--- One page of `records`, as it is answered; or, if it is to be bare, all of
-- them in an array.
local function page_of(call, records, bare)
  local size = bare and #records + 1 or count(call.query.pageSize)
    or call.state.options.page_size
  local last = math.max(math.ceil(#records / size), 1)
  local page = count(call.query.page or 1)
  if not page or page > last then
    fail(404, "Invalid page.")
  end
  local results = json.array()
  for place = (page - 1) * size + 1, math.min(page * size, #records) do
    results[#results + 1] = show(call, records[place], true)
  end
  return bare and results or { count = #records, results = results,
    next = page < last and page_url(call, page + 1) or json.null,
    previous = page > 1 and page_url(call, page - 1) or json.null }
end

-- Of the filters NAME=FIELD means the whole of a field, NAME~FIELD a part.
function VERBS.list(call, kind)
  local found = call.list
  for name, sign, field in kind.filters:gmatch("(%w+)([=~])(%w+)") do
    local wanted = call.query[name] or ""
    if wanted ~= "" then
      found = filtered(call, found, field, wanted, sign == "=")
    end
  end
  return 200, page_of(call, found, kind.unpaged
    or call.query.pagination == "false")
end

--- Gives a record the values of `clean`.
local function change(record, clean)
  for name, value in pairs(clean) do
    record[name] = value
  end
  record.updatedAt = state.now()
  return record
end

--- Adds a record of `clean` values to a list.
local function add(call, list, clean)
  local record = change({ id = state.new_id(call.state), children = {},
    createdAt = state.now() }, clean)
  state.append(list, record)
  return record
end

-- The fields of the body; a name that another record has is refused where the
-- kind says so.
local function checked(call, kind)
  local clean = call:check(kind.fields)
  local name = clean[kind.unique]
  for _, record in ipairs(name and call.list or {}) do
    if record[kind.unique] == name and record ~= call.record then
      fail(400, { [kind.unique] = { "This name exists already." } })
    end
  end
  return clean
end

function VERBS.create(call, kind)
  return 201, show(call, add(call, call.list, checked(call, kind)))
end

function VERBS.get(call)
  return 200, show(call, call.record)
end

function VERBS.replace(call, kind)
  return 200, show(call, change(call.record, checked(call, kind)))
end

VERBS.update = VERBS.replace

function VERBS.delete(call)
  state.remove(call.list, call.record)
  return 204
end

--- Declares a kind of resource: {path=, verbs=, schema=, filters= (see above),
-- unpaged=, unique= (a field), times= (names of such fields), derived= (field
-- -> function(call, record)), decorate(call, record, shown, listed) for the
-- rest, prepare(call) before anything}.
local function declare(kind)
  kind.fields = validation.schema(kind.schema)
  kind.filters, kind.verbs = kind.filters or "", kind.verbs or ALL
  kind.derived = kind.derived or {}
  for verb in kind.verbs:gmatch("%a+") do
    route(kind, TARGETS[verb], VERBS[verb], verb == "list"
      and "page pageSize pagination " .. kind.filters:gsub("[=~]%w+", ""))
  end
  return kind
end

local knowledge_bases = declare { path = "knowledge-bases/",
  times = "createdAt updatedAt",
  filters = "query~name embeddingModel=embeddingModel"
    .. " rerankerModel=rerankerModel",
  schema = [[
    name!:name embeddingModel!:uuid rerankerModel!:uuid description?:string
    numberOfRetrievedChunks:count=12 sentenceWindowSize:natural=2
    enableHyde:boolean=false similarityCutoff:ratio=0 enableRerank:boolean=true
    enableRrf:boolean=true isMultimodal:boolean=false
    vectorDatabaseType:elasticsearch|opensearch|oracle=elasticsearch
    vectorDatabaseUrl?:string vectorDatabaseApiKey?:string
    opensearchUsername?:string opensearchPassword?:string oracleUser?:string
    oraclePassword?:string elasticsearchUrl?:string elasticsearchApiKey?:string
    chatbots:[{chatbots}] groups:[{}] createdBy?:uuid user?:uuid
    organization?:uuid ]] }

function knowledge_bases.decorate(_, record, shown)
  local files = state.children(record, "files")
  shown.labels = render_references(state.children(record, "labels"))
  shown.filesCount, shown.chunksCount = #files, #files
  shown.vectorStorageSize = #files * 4096
  shown.canUpdate, shown.canDelete = true, true
end

route(knowledge_bases, "GET {id}/check-rrf-availability/", VERBS.get)

local chatbots = declare { path = "chatbots/", times = "updatedAt",
  filters = "query~name replyMode=replyMode"
    .. " largeLanguageModel=largeLanguageModel",
  schema = [[
    name!:name largeLanguageModel!:uuid rag?:uuid embeddingModel?:uuid
    rerankerModel?:uuid instructions?:string
    knowledgeBases:[{knowledge-bases}] organization?:uuid builtInWorkflow?:uuid
    replyMode:normal|template|hybrid|workflow|agent=normal template?:string
    unanswerableTemplate?:string totalWordsCount:natural=0
    outputMode:text|json_schema=text rawOutputFormat?:any databaseUrl?:string
    databaseType?:string includeTables?:any groups:[{}] toolkits:[{}]
    tools:[{}] agentMode:normal|canvas=normal numberOfRetrievedChunks:count=12
    enableEvaluation:boolean=false enableInlineCitations:boolean=false
    enableKnowledgeBaseRag:boolean=false ]] }

-- In a list the models are objects, and the long fields are left out.
function chatbots.decorate(call, _, shown, listed)
  if not listed then
    return
  end
  for name in ("rag largeLanguageModel embeddingModel rerankerModel")
    :gmatch("%a+") do
    local id, kind = shown[name], name:gsub("Model$", "-models")
    shown[name] = id ~= json.null and (state.children(call.state, kind)
      .by_id[id] or id_name({ id = id })) or id
  end
  for name in ("instructions organization builtInWorkflow template "
    .. "unanswerableTemplate totalWordsCount outputMode rawOutputFormat "
    .. "databaseUrl databaseType includeTables"):gmatch("%a+") do
    shown[name] = nil
  end
end

declare { path = "knowledge-bases/{id}/labels/", schema = "name!:name",
  unique = "name" }

local metadata_keys = declare { path = "knowledge-bases/{id}/metadata-keys/",
  verbs = "list create get replace", times = "createdAt updatedAt",
  unique = "keyName",
  schema = [[ keyName!:name description?:string isRequired:boolean=false
    defaultValue?:string enabledForSearch:boolean=true ]] }

function metadata_keys.decorate(call, _, shown)
  shown.knowledgeBase, shown.keyType = id_name(call.records[1]), "custom"
end

local faqs = declare { path = "knowledge-bases/{id}/faqs/",
  filters = "query~question",
  schema = [[ question!:text answer!:text answerMediaUrls?:any
    labels:[{labels}] rawUserDefineMetadata?:object
    knowledgeBase?:{knowledge-bases} ]] }

function faqs.decorate(call, record, shown)
  shown.knowledgeBase = id_name(call.records[1])
  shown.hitsCount, shown.embeddingTokensCount = 0, #record.question
end

--- Removes the records with the ids of the body.
local function batch_delete(call)
  for _, id in ipairs(call:check(validation.schema "ids!:[id]").ids) do
    local record = call.list.by_id[id]
    if record then
      state.remove(call.list, record)
    end
  end
  return 204
end

-- As in the live service, no ids at all means every FAQ.
route(faqs, "POST batch-delete/", function(call)
  local ids = call:body().ids
  if not ids or #ids == 0 then
    call.records[1].children.faqs = nil
    return 204
  end
  return batch_delete(call)
end)

-- An attachment's type is an open string in the documents.
local attachments = declare { path = "attachments/",
  schema = "type:string=other filename!:name file!:text" }

function attachments.decorate(call, _, shown)
  shown.file = call.server:file_url(shown.file)
end

for _, path in ipairs({ "embedding-models/", "reranker-models/" }) do
  declare { path = path, verbs = "list", unpaged = true,
    schema = "name!:name isDefault:boolean icon?:any" }
end

return { add = add, batch_delete = batch_delete, change = change,
  declare = declare, id_name = id_name, knowledge_bases = knowledge_bases,
  page_of = page_of, render_references = render_references, show = show,
  verbs = VERBS }
