--- A knowledge base's files, and what is made from them: documents,
-- translations.
local api = require "maiagent.testing.api"
local http = require "maiagent.testing.http"
local json = require "maiagent.testing.json"
local resources = require "maiagent.testing.resources"
local state = require "maiagent.testing.state"
local validation = require "maiagent.testing.validation"

local fail, route, null = api.fail, api.route, json.null
local SCHEMA = [[ filename!:name file!:text parser?:uuid labels:[{labels}]
  rawUserDefineMetadata?:object ]]
local LIST_QUERY = "query status fileType knowledgeBase page pageSize"

-- "initial", "processing", "done" or, for a file called so, "failed".
local function status_of(call, file)
  local status = state.stage(call.state, file.started)
  local fails = file.filename:lower():find("fail", 1, true)
  return status == "done" and fails and "failed" or status
end

local function type_of(_, file)
  return (file.filename:match("%.(%w+)$") or ""):lower()
end

local function owner_of(call)
  return resources.id_name(call.records[1])
end

local files = resources.declare { path = "knowledge-bases/{id}/files/",
  verbs = "list get replace update", schema = SCHEMA, times = "createdAt",
  derived = { status = status_of, fileType = type_of,
    knowledgeBase = owner_of },
  filters = "query~filename status=status fileType=fileType"
    .. " knowledgeBase=knowledgeBase" }

function files.decorate(call, file, shown)
  local object = call.state.objects[file.file]
  shown.file = call.server:file_url(file.file)
  shown.size = object and object.size or 0
  shown.chunksCount = shown.status == "done" and 1 or 0
  shown.vectorStorageSize = shown.chunksCount * 4096
  shown.parser = shown.parser ~= null and { id = file.parser, order = 1,
    name = "Parser", provider = "maiagent" } or null
end

route(files, "DELETE {id}/", function(call)
  if status_of(call, call.record) == "processing" then
    fail(409, "file is being processed, cannot delete")
  end
  return resources.verbs.delete(call)
end)

local function one_page(call, list, bare)
  call.query = { pageSize = #list }
  return resources.page_of(call, list, bare)
end

local NEW_FILES = validation.schema "files!:any"
NEW_FILES.files.check = validation.list_of(validation.schema(SCHEMA))

route(files, "POST ", function(call)
  local made = call:check(NEW_FILES).files
  if #made < 1 or #made > 50 then
    fail(400, { files = { "Ensure this field has from 1 to 50 elements." } })
  end
  for place, item in ipairs(made) do
    item.started = state.now()
    made[place] = resources.add(call, call.list, item)
    local object = call.state.objects[item.file]
    if object then
      object.name = item.filename
    end
  end
  return 201, one_page(call, made,
    call.state.options.kb_files_reply == "array")
end, LIST_QUERY)

route(files, "POST batch-delete/", resources.batch_delete)

local check_reparse =
  validation.list_of(validation.schema(SCHEMA:gsub("!", "") .. " id!:id"))

route(files, "PATCH batch-reparse/", function(call)
  local items, errors = check_reparse(call:body(), call)
  for place, item in ipairs(items or fail(400, errors)) do
    local file = call.list.by_id[item.id] or fail(404, "Not found.")
    item.started = state.now()
    items[place] = resources.change(file, item)
  end
  return 200, one_page(call, items)
end, LIST_QUERY)

route(files, "GET {id}/latest-failed-reason/", function(call)
  local file = call.record
  if status_of(call, file) ~= "failed" then
    fail(404, "Not found.")
  end
  return 200, { id = file.id, errorMessage = "The file could not be parsed: "
    .. file.filename, createdAt = state.timestamp(file.started) }
end)

route(files, "GET {id}/transcription/", resources.verbs.get)

local function text_of(call, file)
  local object = call.state.objects[file.file]
  local text = object and object.content:sub(1, 65536) or ""
  return text:find("^[\t\r\n -~]+$") and text or "Text of " .. file.filename
end

local documents = resources.declare {
  path = "knowledge-bases/{id}/documents/", unpaged = true,
  verbs = "list replace update delete", times = "updatedAt",
  filters = "chatbotFileId=chatbotFile knowledgeBaseFileId=chatbotFile",
  schema = [[ fileName!:name pageNumber?:natural chatbotFile!:uuid
    excludedEmbedMetadataKeys?:any excludedLlmMetadataKeys?:any
    llamaIndexObjectJson?:any metadata?:any text!:text ]] }

-- A file that is done gets one document; it goes when the file is deleted or
-- parsed anew.
function documents.prepare(call)
  for place = #call.list, 1, -1 do
    local document = call.list[place]
    local source = document.source
    if source.removed or source.started ~= document.parsed then
      state.remove(call.list, document)
    end
  end
  for _, file in ipairs(state.children(call.records[1], "files")) do
    if file.parsed ~= file.started and status_of(call, file) == "done" then
      file.parsed = file.started
      resources.add(call, call.list, { chatbotFile = file.id, source = file,
        parsed = file.started, fileName = file.filename, pageNumber = 1,
        text = text_of(call, file) })
    end
  end
end

local translations = resources.declare {
  path = "knowledge-bases/{id}/files/{id}/translations/",
  verbs = "list get delete", times = "createdAt updatedAt",
  schema = [[ sourceLanguage?:string targetLanguage!:text customPrompt?:string
    largeLanguageModelId!:id ]] }

local STATUSES = { initial = "pending", processing = "processing",
  done = "completed" }

function translations.decorate(call, record, shown)
  local file = call.records[2]
  shown.largeLanguageModel = resources.id_name({
    id = record.largeLanguageModelId })
  shown.largeLanguageModelId = nil
  shown.chatbotFileId, shown.chatbotFileFilename = file.id, file.filename
  shown.status = STATUSES[state.stage(call.state, record.createdAt)]
  shown.completedAt, shown.translatedFileUrl = null, null
  if shown.status == "completed" then
    shown.completedAt = state.timestamp(record.createdAt
      + call.state.options.processing_time)
    shown.translatedFileUrl = call.server:file_url(record.key)
  end
end

-- What is answered is what was sent: the id has to be found in the list.
route(translations, "POST ", function(call)
  local sent = call:check(translations.fields)
  local text = sent.targetLanguage .. ": " .. text_of(call, call.records[2])
  local record = resources.add(call, call.list, sent)
  record.key = "media/translations/" .. record.id .. ".txt"
  state.store(call.state, record.key, text, "text/plain; charset=utf-8").name =
    sent.targetLanguage .. "_" .. call.records[2].filename .. ".txt"
  return 201, sent
end)

route(translations, "GET {id}/download/", function(call)
  local shown = resources.show(call, call.record)
  if shown.status ~= "completed" then
    fail(404, "The translation is not completed.")
  end
  local reply = call.state.options.translation_reply
  if reply == "redirect" then
    return 302, "", { Location = shown.translatedFileUrl }
  elseif reply == "bytes" then
    local object = call.state.objects[call.record.key]
    return 200, object.content, { ["Content-Type"] = object.type,
      ["Content-Disposition"] = http.attachment(object.name) }
  end
  return 200, shown
end)
