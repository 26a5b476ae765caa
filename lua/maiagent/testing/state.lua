--- What the stand-in remembers: records, ids, times, and files' lifecycle.
local json = require "dkjson"
local socket = require "socket"

local LANGUAGE_MODEL = "5e1f0000-0000-4000-8000-000000000001"
local MODELS = {
  embedding = { "text-embedding-3-large", "multilingual-e5-large" },
  reranker = { "bge-reranker-v2", "cohere-rerank-v3" },
}

local function array(list)
  return setmetatable(list or {}, { __jsontype = "array" })
end

local function object(fields)
  return setmetatable(fields or {}, { __jsontype = "object" })
end

local Collection = { __name = "maiagent.testing.collection" }
local collection_index = {}
Collection.__index = collection_index

--- An ordered set of records with an id each.
local function new_collection()
  return setmetatable({ order = {}, by_id = {} }, Collection)
end

function collection_index:add(record)
  self.order[#self.order + 1] = record
  self.by_id[record.id] = record
  return record
end

function collection_index:get(id)
  return self.by_id[tostring(id):lower()]
end

function collection_index:remove(record)
  self.by_id[record.id], record.removed = nil, true
  for position, other in ipairs(self.order) do
    if other == record then
      return table.remove(self.order, position)
    end
  end
end

--- The records that `accepts(record)`, or all.
function collection_index:filter(accepts)
  local found = array()
  for _, record in ipairs(self.order) do
    if not accepts or accepts(record) then
      found[#found + 1] = record
    end
  end
  return found
end

-- A generator of its own (Park-Miller), so that the program's math.random
-- is left alone; every product is exact in a double.
local function random16(state)
  state.seed = state.seed * 16807 % 2147483647
  return state.seed % 65536
end

--- A fresh random UUID.
local function new_id(state)
  local n = {}
  for index = 1, 8 do
    n[index] = random16(state)
  end
  return ("%04x%04x-%04x-4%03x-8%03x-%04x%04x%04x"):format(n[1], n[2], n[3],
    n[4] % 4096, n[5] % 4096, n[6], n[7], n[8])
end

--- An ISO 8601 time with milliseconds.
local function timestamp(seconds)
  local whole = math.floor(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S", whole)
    .. (".%03dZ"):format(math.floor((seconds - whole) * 1000))
end

local function add_models(state, kind)
  local list = new_collection()
  for index, name in ipairs(MODELS[kind]) do
    list:add({ id = new_id(state), name = name, isDefault = index == 1,
      icon = json.null })
  end
  return list
end

--- Everything of one server; fixed ids for the models where a test needs them.
local function new(options)
  local state = { seed = math.floor(socket.gettime() * 1000) % 2147483646 + 1,
    options = options, objects = {}, grants = {},
    chatbots = new_collection(), knowledge_bases = new_collection(),
    attachments = new_collection() }
  state.embedding_models = add_models(state, "embedding")
  state.reranker_models = add_models(state, "reranker")
  return state
end

--- Where work begun at `started` stands: "initial", "processing" or "done".
local function stage(state, started)
  local age = socket.gettime() - started
  local whole = state.options.processing_time
  if age >= whole then
    return "done"
  end
  return age * 2 < whole and "initial" or "processing"
end

local function file_status(state, file)
  local status = stage(state, file.started)
  if status == "done" and file.filename:lower():find("fail", 1, true) then
    return "failed"
  end
  return status
end

return {
  LANGUAGE_MODEL = LANGUAGE_MODEL,
  array = array,
  file_status = file_status,
  new = new,
  new_collection = new_collection,
  new_id = new_id,
  now = socket.gettime,
  null = json.null,
  object = object,
  stage = stage,
  timestamp = timestamp,
}
