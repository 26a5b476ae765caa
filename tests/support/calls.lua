-- What the operations specs share: a client whose answers are written down,
-- short checks of what a call gave, and records to call it on.

local assert = require "luassert"
local maiagent = require "maiagent"
local pace = require "tests.support.pace"
local service = require "tests.support.service"

local LANGUAGE_MODEL = "5e1f0000-0000-4000-8000-000000000001"
local PATIENCE = pace.seconds(30) -- for what the service does on its own

-- The event of each answer: { operation, method, path, status }.
local responses = {}

--- A client of the service under judgement.
local function connect()
  return service.judged():with {
    on_event = function(event)
      if event.type == "response" then
        responses[#responses + 1] = event
      end
    end,
  }
end

local run, names = tostring({}):match("(%x+)$") .. os.time(), 0

--- A name that nothing else has, in this run and in those before.
local function unique(text)
  names = names + 1
  return text .. " " .. run .. "-" .. names
end

local function must(value, err)
  if value == nil then
    error(tostring(err), 2)
  end
  return value
end

local temporaries = {}

--- The name of an empty file, which `clean` removes.
local function temporary()
  local path = os.tmpname()
  temporaries[#temporaries + 1] = path
  return path
end

--- Removes the files of a spec, and checks that it left nothing else.
local function clean()
  for i = #temporaries, 1, -1 do
    os.remove(temporaries[i])
    temporaries[i] = nil
  end
  service.check()
end

--- The value of a call that succeeded with this status.
local function answer(status, value, err, response)
  must(value, err)
  assert.equal(status, response.status)
  assert.is_nil(err)
  return value
end

--- Checks that a call failed because what it names is not there.
local function gone(value, err, response)
  assert.is_nil(value)
  assert.is_true(maiagent.is_error(err))
  assert.equal("not_found", err.kind)
  assert.equal(404, err.status)
  assert.equal(404, response.status)
end

--- Checks that the service kept these fields; null stands for absence.
local function assert_fields(expected, actual)
  for name, value in pairs(expected) do
    if value == maiagent.null then
      value = nil
    end
    assert.same(value, actual[name], name)
  end
end

local function ids(list)
  local found = {}
  for i, item in ipairs(list) do
    found[i] = item.id
  end
  return found
end

local function with_id(list, id)
  for _, item in ipairs(list) do
    if item.id == id then
      return item
    end
  end
end

--- The ids of what an iterator gives; `items` are those of one value of it.
local function collected(iterator, items)
  local found = {}
  for value in iterator do
    for _, item in ipairs(items and items(value) or { value }) do
      found[#found + 1] = item.id
    end
  end
  return found
end

local function results(page)
  return page.results
end

--- Checks every way of listing five items in pages of two.
-- `first` are the arguments before params; `query` singles the five out.
local function assert_pages(resource, first, expected, query)
  local function arguments(page, options)
    local list, n = {}, #first
    for i = 1, n do
      list[i] = first[i]
    end
    list[n + 1] = { pageSize = 2, page = page, query = query }
    list[n + 2] = options
    return (table.unpack or unpack)(list)
  end
  local page = answer(200, resource:list(arguments()))
  assert.equal("5", tostring(page.count))
  assert.is_nil(page.previous)
  assert.is_string(page.next)
  assert.same({ expected[1], expected[2] }, ids(page.results))
  local last = answer(200, resource:list(arguments(3)))
  assert.is_nil(last.next)
  assert.is_string(last.previous)
  assert.same({ expected[5] }, ids(last.results))
  assert.same(expected, collected(resource:each(arguments())))
  assert.same(expected,
    collected(resource:each(arguments(nil, { prefetch = 2 }))))
  assert.same({ expected[3], expected[4], expected[5] },
    collected(resource:pages(arguments(2)), results))
  assert.same(expected, ids(must(resource:all(arguments()))))
end

--- The ids of five records that create(1), …, create(5) make.
local function five(create)
  local list = {}
  for i = 1, 5 do
    list[i] = create(i).id
  end
  return list
end

--- A knowledge base of its own for a spec, and the fields sent for it.
local function new_knowledge_base(client, fields)
  local all = {
    name = unique("知識庫"),
    embeddingModel = must(client.embedding_models:list())[1].id,
    rerankerModel = must(client.reranker_models:list())[1].id,
  }
  for name, value in pairs(fields or {}) do
    all[name] = value
  end
  return answer(201, client.knowledge_bases:create(all)), all
end

local function upload(client, kb, filename, content, params)
  local source = { content = content or "text", filename = filename }
  local files = client.knowledge_bases.files
  return answer(201, files:upload(kb.id, source, params))
end

--- The file once it is done.
local function processed(client, kb, file)
  local files = client.knowledge_bases.files
  local options = { interval = 0.02, timeout = PATIENCE }
  return must(files:wait(kb.id, file.id, options))
end

--- The first value that look() gives, called again and again.
local function eventually(look)
  local deadline = os.time() + PATIENCE
  repeat
    local value = look()
    if value then
      return value
    end
  until os.time() > deadline
  error("not within " .. PATIENCE .. " s", 2)
end

return {
  LANGUAGE_MODEL = LANGUAGE_MODEL,
  answer = answer,
  assert_fields = assert_fields,
  assert_pages = assert_pages,
  clean = clean,
  collected = collected,
  connect = connect,
  eventually = eventually,
  five = five,
  gone = gone,
  ids = ids,
  must = must,
  new_knowledge_base = new_knowledge_base,
  processed = processed,
  responses = responses,
  temporary = temporary,
  unique = unique,
  upload = upload,
  with_id = with_id,
}
