-- The scenario of torture.c: small, and touching each part of the library that
-- allocates. A piece returns nothing where it went as it should, raises or
-- returns nothing after a proper error, and returns a text where its result is
-- wrong. An error whose text has "attempt to" in it counts as a fault.

local BASE_URL = assert(os.getenv "MAIAGENT_TEST_URL", "MAIAGENT_TEST_URL")
local KEY = os.getenv "MAIAGENT_TEST_KEY" or "test-key"
local SAVED = assert(os.getenv "MAIAGENT_TEST_SAVED", "MAIAGENT_TEST_SAVED")

local COMPILED = assert(os.getenv "MAIAGENT_COMPILED", "MAIAGENT_COMPILED")
local RESUMED, BROKEN = SAVED .. ".resumed", SAVED .. ".broken"

local maiagent, client, kb, label, stored, broken, descriptors
local uploaded -- whether files have to be removed after the attempt
local happened = {} -- what has to happen now and then, lest a piece do nothing

local function connect(lib)
  return lib.new {
    api_key = KEY,
    base_url = BASE_URL,
    max_retries = 1,
    timeout = { connect = 5, idle = 5, total = 10 },
  }
end

-- Reads the library's files now, so that what is tortured is the library and
-- not Lua's compiler; compiled ones, because every state reads them.
local function prepare()
  for path in os.getenv "MAIAGENT_LUA_FILES":gmatch "%S+" do
    local name = path:match "^lua/(.*)%.lua$":gsub("/init$", ""):gsub("/", ".")
    package.preload[name] = assert(loadfile(COMPILED .. "/" .. path))
  end
end

-- A repetition is what is tested, the pause before it is not.
local function take_out_pauses()
  local wait = require "maiagent.wait"
  local sleep = wait.sleep
  wait.sleep = function(hub)
    return sleep(hub, 0)
  end
end

local function content_of(path)
  local file = io.open(path, "rb")
  local content = file and file:read("*a")
  if file then
    file:close()
  end
  return content
end

-- The value of a call, or nil after a proper error.
local function value_of(value, err)
  if value == nil then
    assert(maiagent.is_error(err), "attempt to fail without an error object")
    assert(#tostring(err) > 0, "attempt to fail without a text")
  end
  return value
end

local function cold()
  local lib = require "maiagent"
  take_out_pauses()
  local fresh = connect(lib)
  local page, err = fresh.chatbots:list()
  fresh:close()
  if not page and not lib.is_error(err) then
    return "no error but " .. tostring(err)
  end
end

-- What failed in `cold` must work in the same state afterwards.
local function cold_again()
  local fresh = connect(require "maiagent")
  assert(fresh.chatbots:list())
  fresh:close()
end

local function create()
  local name = "caf\195\169 \0 \"quoted\""
  local labels = client.knowledge_bases.labels
  local made = value_of(labels:create(kb.id, { name = name }))
  if made and made.name ~= name then
    return "name " .. tostring(made.name)
  end
  if made then
    value_of(labels:delete(kb.id, made.id))
  end
end

-- More than two are an answer too: short of memory, libcurl 7.88 leaves out a
-- URL's query without a word.
local function list()
  local page =
    value_of(client.knowledge_bases.labels:list(kb.id, { pageSize = 2 }))
  if page and #page.results < 2 then
    return "not two results"
  end
end

-- Each page is a request, and the next one is asked for ahead.
local function each()
  local seen = 0
  for item in client.knowledge_bases.labels:each(kb.id, { pageSize = 2 }) do
    assert(type(item.id) == "string", "attempt to read an item without id")
    seen = seen + 1
    if seen == 5 then
      return
    end
  end
  return "only " .. seen .. " labels"
end

-- A call that fails with `kind` where memory suffices, and in any case fails.
local function failing(id, kind)
  return function()
    local value, err = client.chatbots:get(id)
    if value ~= nil then
      return "a value"
    end
    value_of(value, err)
    if err.kind ~= kind then
      error(err, 0) -- out of memory, in one way or another
    end
  end
end

local function upload()
  local files = client.knowledge_bases.files
  uploaded = true
  local file = value_of(files:upload(kb.id, "LICENSE", { labels = { label } }))
  if file and file.filename ~= "LICENSE" then
    return "filename " .. tostring(file.filename)
  end
end

local function download()
  local knowledge_bases = client.knowledge_bases
  if value_of(knowledge_bases:export_labels_excel(kb.id, SAVED)) then
    assert(content_of(SAVED), "attempt to keep nothing")
  end
end

-- To the path with its slash.
local function redirected()
  local page = value_of(client:request("GET", "chatbots"))
  if page and type(page.results) ~= "table" then
    return "no page"
  end
end

-- What JSON cannot hold is misuse, however little memory there is.
local function refused()
  local ok, message = pcall(client.chatbots.create, client.chatbots,
    { ["a name"] = { print } })
  local told = tostring(message):find("JSON has no function", 1, true)
  if ok or not (told or tostring(message):find("not enough memory")) then
    return "no misuse but " .. tostring(message)
  end
  if not told then
    error(message, 0)
  end
end

-- Presigned, then stored: from memory, or fed bit by bit.
local function put(source)
  return function()
    local key = value_of(client.uploads:put(source(), "attachment"))
    if key and type(key) ~= "string" then
      return "a key that is a " .. type(key)
    end
  end
end

local function content()
  return { content = "a\0b", filename = "content.bin" }
end

-- Between two pieces it has nothing yet: the request waits for the program.
local function reader()
  local left, rested = 3, false
  return {
    filename = "reader.bin",
    size = 3 * 1000,
    reader = function()
      rested = not rested
      if rested then
        return ""
      end
      left = left - 1
      return left >= 0 and ("x"):rep(1000) or nil
    end,
  }
end

-- The first half of a file is there, and `check` puts it there again.
local function lay_out()
  local part = require "maiagent.download"
  local file = assert(io.open(part.partial(RESUMED), "wb"))
  file:write(stored.text:sub(1, stored.half))
  file:close()
  part.remember(part.partial(RESUMED), stored.url:gsub("%?.*$", ""),
                stored.etag, #stored.text, require("maiagent.disk"))
end

local function resume()
  local path, _, response = client:download(stored.url, RESUMED)
  if path and content_of(path) ~= stored.text then
    return "other bytes"
  elseif path and response.status == 206 then
    happened.resumed = true
  end
end

-- Each answer breaks off; each call goes on where the one before stopped.
local function break_off()
  local path
  for _ = 1, 2 do
    path = path or value_of(client:download(broken.url, BROKEN))
  end
  if path and content_of(path) ~= broken.text then
    return "other bytes"
  end
  happened.broken = happened.broken or path
end

-- Without the flows above it: the answer bit by bit, as it comes.
local function stream()
  local core = require "maiagent.core"
  local native = require "maiagent.http".client()
  local request = assert(core.request("GET", stored.url))
  local exchange = assert(native:start(request, { stream = true }))
  local pieces = {}
  repeat
    native:step()
    native:poll(100)
    pieces[#pieces + 1] = exchange:read()
  until exchange:done()
  pieces[#pieces + 1] = exchange:read()
  local failure, text = exchange:failure(), table.concat(pieces)
  native:close()
  if not failure and text ~= stored.text then
    return "other bytes"
  end
end

-- What sync reads of the disk.
local function disk()
  local native = require "maiagent.disk"
  local digest = native.sha256(stored.text)
  local hasher = assert(native.hasher "LICENSE")
  local found, size = hasher:step(#stored.text + 1)
  if found ~= digest or size ~= native.stat("LICENSE").size then
    return "digest " .. tostring(found)
  elseif #native.list "." == 0 or #native.hmac_sha256("", "") ~= 32 then
    return "an empty folder or code"
  end
end

local function one_chatbot()
  return client.chatbots:list({ pageSize = 1 })
end

local function gather()
  local results, failed = client:gather({ one_chatbot, one_chatbot })
  if not failed and #results ~= 2 then
    return #results .. " results"
  end
end

local function map()
  local results, failed = client:map({ 1, 2, 3 }, function(i)
    local page, err = one_chatbot()
    return page and i, err
  end, { concurrency = 2 })
  if not failed and table.concat(results) ~= "123" then
    return table.concat(results) .. " in place of 123"
  end
end

-- Several at once, driven by `step`; what one of them raises, `step` raises.
local function tasks()
  local ended, started = 0, {}
  for i = 1, 3 do
    started[i] = client:go(function(id)
      value_of(client.knowledge_bases:get(id))
      ended = ended + 1
    end, kb.id)
  end
  while client:step() do
    client:step({ max_ms = 1 })
  end
  for _, task in ipairs(started) do
    if not task:done() then
      return "a task that has not ended"
    end
  end
  if ended ~= 3 then
    return ended .. " of three tasks"
  end
end

-- One of two is cancelled while its call is under way. Where there was no
-- memory to do so, that call ends by itself.
local function cancel()
  local err
  local task = client:go(function()
    err = select(2, client.chatbots:get("silent", nil,
      { timeout = 0.2 }))
  end)
  local other = client:go(one_chatbot)
  client:step()
  task:cancel()
  while client:step() do end
  value_of(nil, err)
  if not task:done() or not other:done() then
    return "a task that has not ended"
  end
  happened.cancelled = happened.cancelled or err.kind == "cancelled"
end

-- Long enough to be decoded record by record, with a list of which a part is
-- put aside meanwhile.
local LONG = '{"next":null,"results":[' .. ("0,"):rep(140) .. '{"id":1}]}'
  .. (" "):rep(20000)

local function long_text()
  local page = require "maiagent.core".decode(LONG)
  if page.next or #page.results ~= 141 or page.results[141].id ~= 1 then
    return "not what the text said"
  end
end

-- A request that is given up half-way, and the next one on another connection.
local function abandon()
  client:go(function()
    client.chatbots:list()
  end)
  client:step()
  client:step()
end

-- An iterator that is left while the pages after it are under way.
local function prefetch()
  local labels = client.knowledge_bases.labels
  local pages = labels:pages(kb.id, { pageSize = 1 }, { prefetch = 2 })
  if #assert(pages()).results == 0 then
    return "an empty page"
  end
end

-- All in one request, two at a time, one of which comes bit by bit.
local function upload_all()
  uploaded = true
  local sources = { "LICENSE", content(), reader() }
  local results, failed = client.knowledge_bases.files:upload_all(kb.id,
    sources, nil, { concurrency = 2 })
  for i = 1, 3 do
    value_of(results[i], failed and failed[i])
  end
end

local pieces = {
  { name = "create", run = create },
  { name = "list", run = list },
  { name = "each", run = each },
  { name = "not found", run = failing("nothing", "not_found") },
  { name = "invalid", run = failing("invalid", "invalid") },
  { name = "retry", run = failing("busy", "server") },
  { name = "cut", run = failing("cut", "connection") },
  { name = "garbage", run = failing("garbage", "decode") },
  { name = "long text", run = long_text },
  { name = "redirected", run = redirected },
  { name = "refused", run = refused },
  { name = "upload", run = upload },
  { name = "download", run = download },
  { name = "put content", run = put(content) },
  { name = "put reader", run = put(reader) },
  { name = "upload all", run = upload_all },
  { name = "resume", run = resume },
  { name = "break off", run = break_off },
  { name = "stream", run = stream },
  { name = "disk", run = disk },
  { name = "gather", run = gather },
  { name = "map", run = map },
  { name = "tasks", run = tasks },
  { name = "cancel", run = cancel },
  { name = "abandon", run = abandon },
  { name = "prefetch", run = prefetch },
}

local function first_id(resource)
  local page = assert(client[resource]:list())
  return (page.results or page)[1].id
end

-- A file that the service holds, and what a download of it needs to be resumed.
local function store(source)
  local files = client.knowledge_bases.files
  local file = assert(files:upload(kb.id, source))
  return { id = file.id, url = file.file, text = content_of("LICENSE") }
end

local function count_descriptors()
  return #require("maiagent.disk").list("/proc/self/fd")
end

-- The one client of all pieces, and what they work on.
local function open()
  maiagent = require "maiagent"
  take_out_pauses()
  descriptors = count_descriptors()
  client = connect(maiagent)
  kb = assert(client.knowledge_bases:create {
    name = "torture",
    embeddingModel = first_id "embedding_models",
    rerankerModel = first_id "reranker_models",
  })
  for i = 1, 5 do
    label = assert(client.knowledge_bases.labels:create(kb.id,
                                                        { name = "l" .. i }))
  end
  stored = store("LICENSE")
  broken = store({ path = "LICENSE", filename = "LICENSE.cut" })
  local response = select(3, assert(client:download(stored.url, RESUMED)))
  stored.half = math.floor(#stored.text / 2)
  stored.etag = response.headers.etag
  lay_out()
end

-- Steps until no task is left; an error of a task is the attempt's.
local function finish_tasks()
  local now = require "maiagent.core".now
  local running, deadline = true, now() + 5
  while running do
    assert(now() < deadline, "a task does not end")
    local ok, more = pcall(client.step, client)
    running = not ok or more
  end
end

-- A registration without an answer is looked for among all files: few, lest
-- each attempt take longer than the one before.
local function remove_uploads()
  local files = client.knowledge_bases.files
  local ids = {}
  for file in files:each(kb.id) do
    if file.id ~= stored.id and file.id ~= broken.id then
      ids[#ids + 1] = file.id
    end
  end
  if #ids > 0 then
    assert(files:batch_delete(kb.id, { ids = ids }))
  end
  uploaded = false
end

-- What has its final name is whole.
local function check_files()
  local texts = { [RESUMED] = stored.text, [BROKEN] = broken.text }
  for path, text in pairs(texts) do
    assert((content_of(path) or text) == text, path .. " is not whole")
  end
  local archive = content_of(SAVED)
  assert(not archive or archive:sub(-22, -19) == "PK\5\6",
         "a ZIP file without an end")
end

local function remove_files()
  for _, path in ipairs({ SAVED, RESUMED, BROKEN }) do
    for _, ending in ipairs({ "", ".part", ".part.etag" }) do
      os.remove(path .. ending)
    end
  end
end

-- With memory again, the same client must work; and nothing is left of the
-- attempt once the collector has run.
local function check()
  finish_tasks()
  assert(assert(client.knowledge_bases:get(kb.id)).id == kb.id)
  if uploaded then
    remove_uploads()
  end
  check_files()
  remove_files()
  lay_out()
  collectgarbage()
  collectgarbage()
  local clients, exchanges = require "maiagent.http".live()
  assert(clients == 1, clients .. " clients in place of one")
  assert(exchanges == 0, exchanges .. " exchanges are left")
end

-- What each piece is there for did happen.
local function check_happened()
  for _, name in ipairs({ "resumed", "broken", "cancelled" }) do
    assert(happened[name], name .. ": never happened")
  end
end

local function close()
  client:close()
  remove_files()
  check_happened()
  local left = count_descriptors() - descriptors
  assert(left == 0, left .. " descriptors are left")
  client, maiagent, kb, label, stored, broken = nil, nil, nil, nil, nil, nil
end

return {
  prepare = prepare,
  cold = cold,
  cold_again = cold_again,
  open = open,
  pieces = pieces,
  check = check,
  close = close,
}
