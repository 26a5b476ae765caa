--- Chatbots, knowledge bases and what is kept alike: listed, created, fetched,
-- replaced, changed, deleted.
local api = require "maiagent.testing.api"
local state = require "maiagent.testing.state"
local validation = require "maiagent.testing.validation"

local fail, route, null = api.fail, api.route, state.null
local schema, timestamp = validation.schema, state.timestamp

local KNOWLEDGE_BASE = [[
  name!:name embeddingModel!:uuid rerankerModel!:uuid description?:string
  numberOfRetrievedChunks:count=12 sentenceWindowSize:natural=2
  enableHyde:boolean=false similarityCutoff:ratio=0 enableRerank:boolean=true
  enableRrf:boolean=true isMultimodal:boolean=false
  vectorDatabaseType:elasticsearch|opensearch|oracle=elasticsearch
  vectorDatabaseUrl?:string vectorDatabaseApiKey?:string
  opensearchUsername?:string opensearchPassword?:string oracleUser?:string
  oraclePassword?:string elasticsearchUrl?:string elasticsearchApiKey?:string
  chatbots:refs/chatbots groups:refs ]]

local CHATBOT = schema [[
  name!:name largeLanguageModel!:uuid rag?:uuid embeddingModel?:uuid
  rerankerModel?:uuid instructions?:string knowledgeBases:refs/knowledge_bases
  organization?:uuid builtInWorkflow?:uuid
  replyMode:normal|template|hybrid|workflow|agent=normal template?:string
  unanswerableTemplate?:string totalWordsCount:integer=0
  outputMode:text|json_schema=text rawOutputFormat?:any databaseUrl?:string
  databaseType?:string includeTables?:any groups:refs toolkits:refs tools:refs
  agentMode:normal|canvas=normal numberOfRetrievedChunks:count=12
  enableEvaluation:boolean=false enableInlineCitations:boolean=false
  enableKnowledgeBaseRag:boolean=false ]]

local BUILT_IN_KEYS = { file_name = true, file_type = true, page_label = true }

local function id_name(record)
  return { id = record.id,
    name = record.name or "Item " .. record.id:sub(1, 8) }
end

local function render_refs(list)
  local shown = state.array()
  for _, reference in ipairs(list or {}) do
    local record = reference.record or reference
    if not record.removed then
      shown[#shown + 1] = id_name(record)
    end
  end
  return shown
end

local function render_field(field, value)
  if field.reference == "refs" then
    return render_refs(value)
  elseif value == nil then
    value = field.default
  end
  if value == nil and field.nullable then
    return null
  end
  return value
end

--- A record's own fields as they are answered, and its id.
local function render(fields, record)
  local shown = { id = record.id }
  for _, field in ipairs(fields) do
    shown[field.name] = render_field(field, record[field.name])
  end
  return shown
end

local function shown(kind, record, call, listed)
  local result = render(kind.fields, record)
  local decorate = listed and kind.decorate_item or kind.decorate
  if decorate then
    decorate(result, record, call)
  end
  return result
end

local function check_unique(kind, clean, collection, own)
  local value = kind.unique and clean[kind.unique]
  local others = value and collection:filter(function(record)
    return record ~= own and record[kind.unique] == value
  end)
  if others and #others > 0 then
    fail(400, { [kind.unique] = state.array({
      ("%s with this %s already exists."):format(kind.title, kind.unique) }) })
  end
end

local function merge(record, clean)
  for name, value in pairs(clean) do
    record[name] = value
  end
  record.updated = state.now()
  return record
end

--- A new record of `clean` values.
local function new_record(call, clean)
  return merge({ id = state.new_id(call.state), created = state.now() }, clean)
end

--- A filter: the field has that value.
local function equals(field)
  return function(record, value) return tostring(record[field]) == value end
end

-- kind.filters: query name -> test(record, value, call).
local function filtered(kind, call, collection)
  return collection:filter(function(record)
    for name, test in pairs(kind.filters or {}) do
      local value = call.query[name] or ""
      if value ~= "" and not test(record, value, call) then
        return false
      end
    end
    return true
  end)
end

--- A filter: `value` occurs in the field, in any case.
local function contains(field)
  return function(record, value)
    return record[field]:lower():find(value:lower(), 1, true) ~= nil
  end
end

local VERBS = {}

function VERBS.list(kind)
  return "GET ", "page pageSize " .. (kind.query or ""), function(call)
    local records = filtered(kind, call, kind.collection(call))
    local function show(record) return shown(kind, record, call, true) end
    if kind.unpaged or call.query.pagination == "false" then
      local all = state.array()
      for place, record in ipairs(records) do
        all[place] = show(record)
      end
      return 200, all
    end
    return 200, call:page(records, show)
  end
end

function VERBS.create(kind)
  return "POST ", "", function(call)
    local collection = kind.collection(call)
    local clean = call:check(kind.create_fields or kind.fields)
    check_unique(kind, clean, collection)
    local record = new_record(call, clean)
    if kind.prepare then
      kind.prepare(record, call)
    end
    collection:add(record)
    return 201, shown(kind, record, call)
  end
end

function VERBS.get(kind)
  return "GET {id}/", "", function(call)
    local record = call:find(kind.collection(call), call.ids[#call.ids])
    return 200, shown(kind, record, call)
  end
end

local function change(kind)
  return function(call)
    local collection = kind.collection(call)
    local record = call:find(collection, call.ids[#call.ids])
    local clean = call:check(kind.fields)
    check_unique(kind, clean, collection, record)
    merge(record, clean)
    return 200, shown(kind, record, call)
  end
end

function VERBS.replace(kind) return "PUT {id}/", "", change(kind) end
function VERBS.update(kind) return "PATCH {id}/", "", change(kind) end

function VERBS.delete(kind)
  return "DELETE {id}/", "", function(call)
    local collection = kind.collection(call)
    local record = call:find(collection, call.ids[#call.ids])
    if kind.before_delete then
      kind.before_delete(record, call)
    end
    collection:remove(record)
    return 204
  end
end

--- Declares the verbs (names in VERBS) of one kind of resource.
local function declare(kind, verbs)
  for verb in verbs:gmatch("%a+") do
    local target, query, handler = VERBS[verb](kind)
    local method, rest = target:match("^(%u+) (.*)$")
    route(method .. " " .. kind.path .. rest, query, handler)
  end
end

--- The knowledge base of a path's first id, or the end of the call with 404.
local function knowledge_base(call)
  call.knowledge_base = call:find(call.state.knowledge_bases, call.ids[1])
  return call.knowledge_base
end

--- kind.collection for a collection inside a knowledge base.
local function inside(name)
  return function(call)
    return knowledge_base(call).sub[name]
  end
end

local function of_state(name)
  return function(call) return call.state[name] end
end

local knowledge_bases = {
  path = "knowledge-bases/", collection = of_state("knowledge_bases"),
  fields = schema(KNOWLEDGE_BASE
    .. "createdBy?:uuid user?:uuid organization?:uuid"),
  create_fields = schema(KNOWLEDGE_BASE),
  query = "query embeddingModel rerankerModel",
  filters = { query = contains("name"),
    embeddingModel = equals("embeddingModel"),
    rerankerModel = equals("rerankerModel") },
}

function knowledge_bases.prepare(record)
  record.sub = {}
  for name in ("labels metadata_keys files documents faqs"):gmatch("%S+") do
    record.sub[name] = state.new_collection()
  end
end

function knowledge_bases.decorate(result, record, call)
  result.labels = render_refs(record.sub.labels.order)
  result.filesCount = #record.sub.files.order
  result.chunksCount = #record.sub.files:filter(function(file)
    return state.file_status(call.state, file) == "done"
  end)
  result.vectorStorageSize = result.chunksCount * 4096
  result.canUpdate, result.canDelete = true, true
  result.createdAt = timestamp(record.created)
  result.updatedAt = timestamp(record.updated)
end

local chatbots = {
  path = "chatbots/", collection = of_state("chatbots"), fields = CHATBOT,
  query = "query replyMode largeLanguageModel pagination",
  filters = { query = contains("name"),
    largeLanguageModel = equals("largeLanguageModel"),
    replyMode = function(record, value)
      return (record.replyMode or "normal") == value
    end },
}

function chatbots.decorate(result, record)
  result.updatedAt = timestamp(record.updated)
end

local LIST_MODELS = { "rag", "largeLanguageModel", "embeddingModel",
  "rerankerModel" }
local LIST_OMITS = { "instructions", "organization", "builtInWorkflow",
  "template", "unanswerableTemplate", "totalWordsCount", "outputMode",
  "rawOutputFormat", "databaseUrl", "databaseType", "includeTables" }

-- In a list the models are objects, and the long fields are left out.
function chatbots.decorate_item(result, record, call)
  chatbots.decorate(result, record)
  for _, name in ipairs(LIST_MODELS) do
    local id = result[name]
    result[name] = id ~= null and (call.state.embedding_models:get(id)
      or call.state.reranker_models:get(id) or id_name({ id = id })) or null
  end
  for _, name in ipairs(LIST_OMITS) do
    result[name] = nil
  end
end

local labels = {
  path = "knowledge-bases/{id}/labels/", collection = inside("labels"),
  fields = schema "name!:name", title = "label", unique = "name",
}

local metadata_keys = {
  path = "knowledge-bases/{id}/metadata-keys/",
  collection = inside("metadata_keys"), title = "metadata key",
  unique = "keyName", fields = schema [[ keyName!:name description?:string
    isRequired:boolean=false defaultValue?:string
    enabledForSearch:boolean=true ]],
}

function metadata_keys.decorate(result, record, call)
  result.knowledgeBase = id_name(call.knowledge_base)
  result.keyType = BUILT_IN_KEYS[record.keyName] and "built_in" or "custom"
  result.createdAt = timestamp(record.created)
  result.updatedAt = timestamp(record.updated)
end

local faqs = {
  path = "knowledge-bases/{id}/faqs/", collection = inside("faqs"),
  fields = schema [[ question!:text answer!:text answerMediaUrls?:any
    labels:refs/labels rawUserDefineMetadata?:object
    knowledgeBase?:ref/knowledge_bases ]],
  query = "query", filters = { query = contains("question") },
}

function faqs.decorate(result, record, call)
  result.knowledgeBase = id_name(call.knowledge_base)
  result.hitsCount, result.embeddingTokensCount = 0, #record.question
end

-- An attachment's type is an open string in the documents.
local attachments = {
  path = "attachments/", collection = of_state("attachments"),
  fields = schema "type:string=other filename!:name file!:text",
}

function attachments.decorate(result, _, call)
  result.file = call.server:file_url(result.file)
end

--- Removes the records with those ids; ids nil removes all.
local function remove_all(collection, ids, before)
  for _, id in ipairs(ids or collection:filter()) do
    local record = collection:get(ids and id or id.id)
    if record then
      before(record)
      collection:remove(record)
    end
  end
end

declare(knowledge_bases, "list create get replace update delete")
declare(chatbots, "list create get replace update delete")
declare(labels, "list create get replace update delete")
declare(metadata_keys, "list create get replace")
declare(faqs, "list create get replace update delete")
declare(attachments, "list create get replace update delete")

-- As in the live service, no ids at all means every FAQ.
route("POST knowledge-bases/{id}/faqs/batch-delete/", "", function(call)
  local collection = faqs.collection(call)
  local ids = call:check(schema "ids:ids").ids
  remove_all(collection, ids and #ids > 0 and ids or nil, function() end)
  return 204
end)

route("GET knowledge-bases/{id}/check-rrf-availability/", "", function(call)
  return 200, shown(knowledge_bases, knowledge_base(call), call)
end)

for name, path in pairs({ embedding_models = "embedding-models/",
  reranker_models = "reranker-models/" }) do
  route("GET " .. path, "", function(call)
    return 200, call.state[name]:filter()
  end)
end

return {
  contains = contains,
  declare = declare,
  equals = equals,
  id_name = id_name,
  inside = inside,
  knowledge_base = knowledge_base,
  new_record = new_record,
  remove_all = remove_all,
  render = render,
  render_refs = render_refs,
  shown = shown,
}
