--- The documents that the benchmarks carry, the same in every run.

local payload = {}

--- One file of a knowledge base as the service shows it, 1.4 KB of JSON.
function payload.record(i)
  local id = ("%08x-5717-4562-b3fc-%012x"):format(i * 2654435761 % 2 ^ 32, i)
  return ('{"id":"' .. id .. '","filename":"年度報告 ' .. i .. ' report.pdf",'
    .. '"file":"https://storage.example.com/media/knowledge_bases/' .. id
    .. '/report.pdf?X-Amz-Signature=' .. ("0a1b2c3d"):rep(8) .. '",'
    .. '"fileType":"pdf","size":' .. i * 7919 .. ',"pages":' .. i % 300
    .. ',"score":0.' .. i * 7 % 1000 .. ',"status":"done","isActive":true,'
    .. '"parser":{"id":"' .. id .. '","name":"Default parser","provider":'
    .. '"maiagent","order":1},"vectorStorageSize":' .. i * 104729 .. ','
    .. '"labels":[{"id":"' .. id .. '","name":"finance"},{"id":"' .. id
    .. '","name":"2026"}],"rawUserDefineMetadata":{"department":"research",'
    .. '"year":2026,"confidential":false,"tags":["a","b","c"]},'
    .. '"knowledgeBase":{"id":"' .. id .. '","name":"Manuals"},'
    .. '"summary":"' .. ("Revenue grew in every region; see the notes. "):rep(8)
    .. '","error":null,"deletedAt":null,"createdAt":"1761523200","updatedAt":'
    .. '"2026-10-27T08:00:00.123456Z","createdBy":{"id":' .. i
    .. ',"name":"Ms. Lin \\"Lily\\" 林","email":"lin@example.com"}}')
end

--- A page of `count` records.
-- @tparam integer count
-- @tparam function|nil change takes a record's text and gives another
function payload.page(count, change)
  local records = {}
  for i = 1, count do
    local record = payload.record(i)
    records[i] = change and change(record) or record
  end
  return '{"count":' .. count .. ',"next":null,"previous":null,"results":['
    .. table.concat(records, ",") .. "]}"
end

local function list(count, item)
  local items = {}
  for i = 1, count do
    items[i] = item(i)
  end
  return "[" .. table.concat(items, ",") .. "]"
end

--- 20 texts of 100 KB.
function payload.long_texts()
  return list(20, function()
    return '"' .. ("The quick brown fox\\njumps. "):rep(3850) .. '"'
  end)
end

--- 20 embeddings: lists of 1536 doubles with 17 digits.
function payload.doubles()
  local seed = 42
  return list(20, function()
    return list(1536, function()
      seed = (seed * 16807) % 2147483647
      return ("%.17g"):format(seed / 2147483647 - 0.5)
    end)
  end)
end

--- 60 times 400 levels of objects and lists.
function payload.deep()
  local one = ('{"a":[1,'):rep(200) .. "2" .. ("]}"):rep(200)
  return list(60, function()
    return one
  end)
end

--- What most answers are: one small object.
function payload.tiny()
  return '{"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","name":"Manuals",'
    .. '"count":3,"isActive":true}'
end

return payload
