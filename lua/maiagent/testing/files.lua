--- A knowledge base's files, and what is made from them: documents,
-- translations.
local api = require "maiagent.testing.api"
local resources = require "maiagent.testing.resources"
local state = require "maiagent.testing.state"
local validation = require "maiagent.testing.validation"

local fail, route, null = api.fail, api.route, state.null
local PATH = "knowledge-bases/{id}/files/"
local FILTERS = "query status fileType knowledgeBase"
local STATUSES =
  " initial processing done deleting deleted failed delete_failed "
local MAX_FILES = 50
local FIELDS = [[ filename!:name file!:text parser?:uuid labels:refs/labels
  rawUserDefineMetadata?:object ]]
local ITEM = validation.schema(FIELDS)
local REPARSE = validation.schema(FIELDS:gsub("!", "") .. " id!:id")

local function status_of(call, file)
  return state.file_status(call.state, file)
end

local function file_type(file)
  return (file.filename:match("%.(%w+)$") or ""):lower()
end

local function by_status(file, value, call)
  if not STATUSES:find(" " .. value .. " ", 1, true) then
    fail(400, { status = state.array({ "Select a valid choice. " .. value
      .. " is not one of the available choices." }) })
  end
  return status_of(call, file) == value
end

local files = {
  path = PATH, collection = resources.inside("files"), fields = ITEM,
  query = FILTERS,
  filters = { query = resources.contains("filename"), status = by_status,
    fileType = function(file, value) return file_type(file) == value end,
    knowledgeBase = function(_, value, call)
      return call.knowledge_base.id == value
    end },
}

function files.decorate(result, file, call)
  local object = call.state.objects[file.file]
  local status = status_of(call, file)
  local half = status == "done" and call.state.options.processing_time / 2
  result.file = call.server:file_url(file.file)
  result.fileType, result.size = file_type(file), object and object.size or 0
  result.knowledgeBase = resources.id_name(call.knowledge_base)
  result.status, result.chunksCount = status, half and 1 or 0
  result.vectorStorageSize = result.chunksCount * 4096
  result.waitingTime, result.processingTime = half or null, half or null
  result.processingTimeDetails = null
  result.createdAt = state.timestamp(file.created)
  if result.parser ~= null then
    result.parser = { id = file.parser, name = "Parser", order = 1,
      provider = "maiagent" }
  end
end

local function drop_documents(call, file)
  local documents = call.knowledge_base.sub.documents
  for _, document in ipairs(documents:filter(function(document)
    return document.chatbotFile == file.id
  end)) do
    documents:remove(document)
  end
  file.has_document = nil
end

function files.before_delete(file, call)
  if status_of(call, file) == "processing" then
    fail(409, "file is being processed, cannot delete")
  end
  drop_documents(call, file)
end

resources.declare(files, "list get replace update delete")

local function one_page(call, list)
  local results = state.array()
  for place, file in ipairs(list) do
    results[place] = resources.shown(files, file, call)
  end
  return { count = #results, next = null, previous = null, results = results }
end

-- The items of a list of files, each checked with `fields`.
local function check_items(fields, value, call)
  local context = call:context()
  context.partial = false
  return validation.check_list(value, function(item)
    return validation.check(fields, item, context)
  end)
end

local function check_files(value, call)
  local size = validation.python_type(value) == "list" and #value
  if size == 0 then
    return nil, { nonFieldErrors = state.array({
      "This list may not be empty." }) }
  elseif size and size > MAX_FILES then
    return nil, { nonFieldErrors = state.array({
      "Ensure this field has no more than 50 elements." }) }
  end
  return check_items(ITEM, value, call)
end

-- New files are given the defaults of the metadata keys.
local function add_defaults(file, base)
  for _, key in ipairs(base.sub.metadata_keys.order) do
    local own, default = file.rawUserDefineMetadata, key.defaultValue
    if default and default ~= null then
      own = own and own ~= null and own or state.object()
      own[key.keyName] = own[key.keyName] == nil and default
        or own[key.keyName]
      file.rawUserDefineMetadata = own
    end
  end
end

route("POST " .. PATH, FILTERS .. " page pageSize", function(call)
  local collection = files.collection(call)
  local made = {}
  local clean = call:check({ { name = "files", snake = "files",
    required = true, check = function(value)
      return check_files(value, call)
    end } })
  for place, item in ipairs(clean.files) do
    made[place] = collection:add(resources.new_record(call, item))
    made[place].started = made[place].created
    made[place].translations = state.new_collection()
    add_defaults(made[place], call.knowledge_base)
  end
  local page = one_page(call, made)
  local as_array = call.state.options.kb_files_reply == "array"
  return 201, as_array and page.results or page
end)

route("POST " .. PATH .. "batch-delete/", "", function(call)
  local collection = files.collection(call)
  local ids = call:check(validation.schema "ids!:ids").ids
  resources.remove_all(collection, ids, function(file)
    drop_documents(call, file)
  end)
  return 204
end)

local function reparse(call, collection, item)
  local file = collection:get(item.id) or fail(404, "Not found.")
  for name, value in pairs(item) do
    file[name] = value
  end
  file.started = state.now()
  drop_documents(call, file)
  return file
end

route("PATCH " .. PATH .. "batch-reparse/", FILTERS .. " page pageSize",
  function(call)
    local collection = files.collection(call)
    local clean, errors = check_items(REPARSE, call:body(), call)
    if not clean then
      fail(400, type(errors) == "string"
        and { nonFieldErrors = state.array({ errors }) } or errors)
    end
    for place, item in ipairs(clean) do
      clean[place] = reparse(call, collection, item)
    end
    return 200, one_page(call, clean)
  end)

local function file_of(call)
  return call:find(files.collection(call), call.ids[2])
end

route("GET " .. PATH .. "{id}/latest-failed-reason/", "", function(call)
  local file = file_of(call)
  if status_of(call, file) ~= "failed" then
    fail(404, "Not found.")
  end
  return 200, { id = file.id, errorMessage = "The file could not be parsed: "
    .. file.filename, createdAt = state.timestamp(file.started) }
end)

route("GET " .. PATH .. "{id}/transcription/", "", function(call)
  return 200, resources.shown(files, file_of(call), call)
end)

local function text_of(call, file)
  local object = call.state.objects[file.file]
  local text = object and object.content
  if text and text ~= "" and not text:find("[^\t\r\n -~]") then
    return text
  end
  return "Text of " .. file.filename
end

-- A file that is done has one document.
local function with_documents(call)
  local sub = resources.knowledge_base(call).sub
  for _, file in ipairs(sub.files.order) do
    if not file.has_document and status_of(call, file) == "done" then
      file.has_document = true
      sub.documents:add(resources.new_record(call, { chatbotFile = file.id,
        fileName = file.filename, pageNumber = 1,
        text = text_of(call, file) }))
    end
  end
  return sub.documents
end

local documents = {
  path = "knowledge-bases/{id}/documents/", collection = with_documents,
  fields = validation.schema [[ fileName!:name pageNumber?:integer
    chatbotFile!:uuid excludedEmbedMetadataKeys?:any
    excludedLlmMetadataKeys?:any llamaIndexObjectJson?:any metadata?:any
    text!:text ]],
  query = "chatbotFileId knowledgeBaseFileId", unpaged = true,
  filters = { chatbotFileId = resources.equals("chatbotFile"),
    knowledgeBaseFileId = resources.equals("chatbotFile") },
}

function documents.decorate(result, record)
  result.updatedAt = state.timestamp(record.updated)
end

resources.declare(documents, "list replace update delete")

local translations = {
  path = PATH .. "{id}/translations/",
  collection = function(call) return file_of(call).translations end,
  fields = validation.schema [[ sourceLanguage?:string targetLanguage!:text
    customPrompt?:string largeLanguageModelId!:id ]],
}

local function translation_status(call, record)
  local stage = state.stage(call.state, record.created)
  if stage ~= "done" then
    return stage == "initial" and "pending" or "processing"
  end
  return record.targetLanguage:find("fail", 1, true) and "failed"
    or "completed"
end

local function completed_fields(result, record, call)
  local done = record.created + call.state.options.processing_time
  result.completedAt = state.timestamp(done)
  result.processingDurationSeconds = done - record.created
  if result.status == "failed" then
    result.errorMessage = "The language is not supported."
    return
  end
  result.translatedFileUrl = call.server:file_url(record.key)
  result.translatedFileSize = call.state.objects[record.key].size
end

function translations.decorate(result, record, call)
  result.largeLanguageModel = resources.id_name({
    id = record.largeLanguageModelId })
  result.largeLanguageModelId = nil
  result.chatbotFileId, result.chatbotFileFilename = call.ids[2],
    file_of(call).filename
  result.status = translation_status(call, record)
  for name in ("organization errorMessage translatedFileUrl bilingualFileUrl "
    .. "completedAt"):gmatch("%S+") do
    result[name] = null
  end
  result.startedAt = state.timestamp(record.created)
  result.createdAt, result.updatedAt = result.startedAt, result.startedAt
  if result.status == "completed" or result.status == "failed" then
    completed_fields(result, record, call)
  end
end

resources.declare(translations, "list get delete")

-- What is answered is what was sent: the id has to be found in the list.
route("POST " .. translations.path, "", function(call)
  local collection = translations.collection(call)
  local record = resources.new_record(call, call:check(translations.fields))
  local text = record.targetLanguage .. ": " .. text_of(call, file_of(call))
  record.key = "media/translations/" .. record.id .. ".txt"
  call.state.objects[record.key] = { size = #text, content = text }
  collection:add(record)
  local shown = resources.render(translations.fields, record)
  shown.id = nil
  return 201, shown
end)

route("GET " .. translations.path .. "{id}/download/", "", function(call)
  local record = call:find(translations.collection(call), call.ids[3])
  if translation_status(call, record) ~= "completed" then
    fail(404, "The translation is not completed.")
  end
  return 200, resources.shown(translations, record, call)
end)

return { file_of = file_of, files = files }
