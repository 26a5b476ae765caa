--- What one server remembers: records, ids, times, and how far work has come.
local socket = require "socket"

local MODELS = {
  ["embedding-models"] = { "text-embedding-3-large", "multilingual-e5-large" },
  ["reranker-models"] = { "bge-reranker-v2", "cohere-rerank-v3" },
}

--- A fresh UUID.
local function new_id(state)
  state.ids = state.ids + 1
  return ("%08x-%04x-4000-8000-%012x"):format(state.born % 2 ^ 32,
    math.floor(state.ids * 40503 % 65536), state.ids)
end

--- Puts a record at the end of a list.
local function append(list, record)
  list[#list + 1], list.by_id[record.id] = record, record
end

--- Takes a record out of its list, and marks it for those who refer to it.
local function remove(list, record)
  local place = 1
  while list[place] ~= record do
    place = place + 1
  end
  table.remove(list, place)
  record.removed, list.by_id[record.id] = true, nil
end

--- The records of a kind that belong to another: an array, to be changed by
-- append and remove alone, and by_id.
local function children(record, kind)
  record.children[kind] = record.children[kind] or { by_id = {} }
  return record.children[kind]
end

--- An ISO 8601 time with milliseconds.
local function timestamp(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds))
    .. (".%03dZ"):format(math.floor(seconds % 1 * 1000))
end

--- Puts an object into storage, in place of one with that key. Its content is
-- a string, or has the size and the sub() of one.
local function store(state, key, content, kind)
  state.objects[key] = { content = content, size = content.size or #content,
    type = kind or "application/octet-stream",
    etag = '"' .. new_id(state) .. '"',
    modified = os.date("!%a, %d %b %Y %H:%M:%S GMT") }
  return state.objects[key]
end

--- Where work begun at `started` stands: "initial", "processing" or "done".
local function stage(state, started)
  local progress = (socket.gettime() - started) / state.options.processing_time
  return progress >= 1 and "done" or progress < 0.5 and "initial"
    or "processing"
end

--- Everything of a server at its beginning. The models are there already;
-- objects are what storage holds.
local function new(options)
  local state = { options = options, children = {}, objects = {},
    born = math.floor(socket.gettime()), ids = 0 }
  for kind, names in pairs(MODELS) do
    for place, name in ipairs(names) do
      append(children(state, kind), { id = new_id(state), name = name,
        isDefault = place == 1 })
    end
  end
  return state
end

return { append = append, children = children, new = new, new_id = new_id,
  now = socket.gettime, remove = remove, stage = stage, store = store,
  timestamp = timestamp }
