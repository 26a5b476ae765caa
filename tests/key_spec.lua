-- A key is planted and everything is searched for it: only the Authorization
-- header to the API's origin may hold it, and of the client's tables only the
-- closure `settings.authorization` (options.lua, authorization_of).

local child = require("tests.support.child")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local raw_server = require("tests.support.raw_server")
local service = require("tests.support.service")
local testing = require("maiagent.testing")

local SHORT = pace.seconds(0.3) -- no time to look again for what is unclear
local KEY = "planted.0123456789abcdefKEYfedcba9876543210"

local function holds(text)
  return tostring(text):find(KEY, 1, true) ~= nil
end

-- Walks tables, metatables, upvalues and environments from a value; calls
-- found(path) for each string that holds the key.
local function walk(value, path, seen, found)
  if type(value) == "string" then
    if holds(value) then
      found(path)
    end
    return
  elseif seen[value] or value == nil then
    return
  end
  seen[value] = true
  if type(value) == "table" then
    for key, item in next, value do
      local name = path .. "." .. tostring(key):gsub(KEY, "KEY")
      walk(key, name .. " (as key)", seen, found)
      walk(item, name, seen, found)
    end
  elseif type(value) == "function" then
    local index, name, item = 1, debug.getupvalue(value, 1)
    while name do
      walk(item, path .. "^" .. name, seen, found)
      index = index + 1
      name, item = debug.getupvalue(value, index)
    end
  end
  walk(debug.getmetatable(value), path .. "<meta>", seen, found)
  if type(value) == "userdata" and debug.getuservalue then
    walk((debug.getuservalue(value)), path .. "<user>", seen, found)
  end
end

local function places_of(value)
  local places = {}
  walk(value, "client", { [_G] = true, [package.loaded] = true },
    function(path)
      places[#places + 1] = path
    end)
  return places
end

describe("a planted key", function()
  after_each(service.check)

  -- What goes wrong, and repeats the key.
  local FAULTS = {
    { kind = "reset" },
    { kind = "status", status = 500, body = "the key is " .. KEY },
    { kind = "status", status = 400, json = { name = { KEY } } },
    { kind = "status", status = 400, json = { [KEY] = { "odd" } } },
    { kind = "status", status = 401, json = { detail = KEY } },
    { kind = "status", status = 404, body = KEY,
      headers = { ["X-Request-Id"] = KEY, ["Content-Type"] = KEY } },
    { kind = "status", status = 200, body = "[" .. KEY },
    { kind = "status", status = 429, headers = { ["Retry-After"] = KEY } },
    { kind = "raw", bytes = "Api-Key " .. KEY .. "\r\n\r\n" },
    { kind = "redirect", location = "http://127.0.0.1:1/" .. KEY },
    { kind = "redirect", location = "ftp://" .. KEY .. "/" },
  }

  -- Successes of which nothing can be made, whatever they answer.
  local ECHOES = {
    { kind = "status", status = 200, json = { id = KEY, status = "failed",
      filename = KEY, errorMessage = KEY, file = "http://" .. KEY .. "/",
      url = "http://" .. KEY .. "/", fields = { key = "k" }, success = false,
      translatedFileUrl = "http://" .. KEY .. "/",
      errors = { { row = 2, error = KEY, file_id = KEY } },
      results = {}, next = "https://" .. KEY .. "/?page=" .. KEY } },
    { kind = "status", status = 200, json = { id = KEY, status = KEY,
      url = "ftp://" .. KEY .. "/", fields = { key = KEY }, file = KEY } },
    { kind = "status", status = 200, json = { status = "done",
      url = "http://127.0.0.1:1/" .. KEY .. "/", fields = { key = KEY },
      file = "http://127.0.0.1:1/" .. KEY .. "/",
      translatedFileUrl = "http://127.0.0.1:1/" .. KEY } },
    { kind = "status", status = 200, json = { status = "done",
      url = "https://" .. KEY .. ".localhost:1/", fields = { key = KEY },
      file = "https://" .. KEY .. ".localhost:1/",
      translatedFileUrl = "https://" .. KEY .. ".localhost:1/" } },
  }

  local function synchronise(client, its)
    local summary, err = client.knowledge_bases:sync(its.kb, its.data)
    return nil, summary and summary.failed or err
  end

  -- name, the requests that fail, a call (client, its things), retries
  local FLOWS = {
    { "a list", nil, function(client)
      return client.chatbots:list()
    end, 1 },
    { "pages", nil, function(client)
      return pcall(function()
        local each = client.chatbots:each() -- as Lua 5.1 can wait in a pcall
        while each() do end
      end)
    end },
    { "a create", nil, function(client, its)
      return client.knowledge_bases.labels:create(its.kb, { name = "x" })
    end },
    { "a delete", nil, function(client, its)
      return client.knowledge_bases.labels:delete(its.kb, its.label)
    end },
    { "a call of a path", nil, function(client)
      return client:request("POST", "/chatbots/", { name = "x" })
    end },
    { "an import", nil, function(client, its)
      return client.knowledge_bases:import_labels_excel(its.kb, its.source)
    end },
    { "an upload", nil, function(client, its)
      return client.knowledge_bases.files:upload(its.kb, its.source)
    end },
    { "an upload's storage", "^/maiagent%-media", function(client, its)
      return client.knowledge_bases.files:upload(its.kb, its.source)
    end },
    { "an upload's registration", "/files/$", function(client, its)
      return client.knowledge_bases.files:upload(its.kb, its.source, nil,
        { timeout = SHORT })
    end },
    { "an attachment", nil, function(client, its)
      return client.uploads:put(its.source, "attachment")
    end },
    { "a download", nil, function(client, its)
      return client:download(its.url, its.download)
    end },
    { "a file's download", nil, function(client, its)
      return client.knowledge_bases.files:download(its.kb, its.file,
        its.download)
    end },
    { "a translation's download", nil, function(client, its)
      return client.knowledge_bases.files.translations:download(its.kb,
        its.file, its.translation, its.download)
    end },
    { "a wait", nil, function(client, its)
      return client.knowledge_bases.files:wait(its.kb, its.file,
        { timeout = SHORT, interval = 0.01 })
    end },
    { "a wait for a translation", nil, function(client, its)
      return client.knowledge_bases.files.translations:wait(its.kb, its.file,
        its.translation, { timeout = SHORT, interval = 0.01 })
    end },
    { "many uploads", nil, function(client, its)
      return client.knowledge_bases.files:upload_all(its.kb, { its.source })
    end },
    { "a synchronised folder", nil, synchronise },
    { "a synchronised folder's uploads", "presigned", synchronise },
    { "a synchronised folder's failures", "/latest%-failed%-reason/",
      synchronise },
  }

  local function things(server)
    local client = service.client(server)
    local kb, folder = service.knowledge_base(client), child.folder()
    local source = { content = "x", filename = "x.txt" }
    local file = assert(client.knowledge_bases.files:upload(kb, source))
    local translations = client.knowledge_bases.files.translations
    assert(translations:create(kb, file.id, { targetLanguage = "en",
      largeLanguageModelId = "00000000-0000-0000-0000-000000000001" }))
    assert(client.knowledge_bases.files:upload(kb,
      { content = "x\n", filename = "fail.txt" }))
    assert(os.execute(("mkdir %s/data; cd %s/data; echo x >x.txt; "
      .. "echo x >fail.txt"):format(folder, folder)))
    return { kb = kb, source = source, file = file.id, url = file.file,
      folder = folder, data = folder .. "/data", download = folder .. "/a",
      label = assert(client.knowledge_bases.labels:create(kb,
        { name = "l" })).id,
      translation = assert(translations:list(kb, file.id)).results[1].id }
  end

  -- Everything that a client tells while the requests of a flow go wrong; what
  -- the service gives as a value is the caller's. Counts the errors, too.
  local function hear(server, its, flow, faults, told)
    local function listen(info)
      told[#told + 1] = info
    end
    local client, count = service.client(server, { on_event = listen,
      on_retry = listen, max_retries = flow[4] or 0 }), 0
    told[#told + 1] = tostring(client)
    for _, row in ipairs(faults) do
      local fault = { times = 2, path = flow[2] }
      for name, value in pairs(row) do
        fault[name] = value
      end
      server:faults_clear()
      server:fault(fault)
      local _, err = flow[3](client, its)
      count = count + (err and 1 or 0)
      told[#told + 1], told[#told + 2] = err, tostring(err)
      os.remove(its.download) -- the service's own bytes
    end
    server:faults_clear()
    return count
  end

  for _, flow in ipairs(FLOWS) do
    it("is in no error, event, retry or file of " .. flow[1], function()
      local server = service.start({ api_key = KEY, processing_time = 0 })
      local its, told = things(server), {}
      local failed = hear(server, its, flow, FAULTS, told)
      hear(server, its, flow, ECHOES, told)
      local code, found = child.run(its.folder, "grep -rlF " .. KEY .. " .")
      child.remove(its.folder)
      assert.is_true(failed > #FAULTS / 2, failed)
      assert.same({}, places_of(told))
      assert.equal(1, code, found)
    end)
  end

  it("is in one closure of the client alone", function()
    local server = testing.spawn({ api_key = KEY })
    local client = maiagent.new({ api_key = KEY, base_url = server.base_url })
    assert(client.chatbots:list())
    local copy = client:with({ timeout = 5 })
    local places = {}
    for _, path in ipairs(places_of({ client, copy })) do
      places[#places + 1] = path:match("%.authorization%^%a+$") or path
    end
    client:close()
    server:stop()
    table.sort(places)
    -- the header's value and the key that messages are searched for
    assert.same({ ".authorization^key", ".authorization^value" }, places)
  end)

  -- Leaves a journal in the folder.
  local function sync_without_answer(client, server, folder)
    local kb = assert(client.knowledge_bases:create({ name = "x",
      embeddingModel = client.embedding_models:list()[1].id,
      rerankerModel = client.reranker_models:list()[1].id })).id
    server:fault({ method = "POST", path = "/files/$", kind = "status",
      status = 500, times = 9 })
    local summary = assert(client.knowledge_bases:sync(kb, folder))
    assert.equal(2, #summary.failed)
    server:faults_clear()
  end

  it("goes to the API's origin alone, in its header alone", function()
    local other = raw_server.start(raw_server.reply("{}"))
    local server = service.start({ api_key = KEY })
    local client = service.client(server, { max_retries = 0,
      wait = function(waiting, milliseconds)
        other:step()
        server.wait(waiting, math.min(milliseconds, 5))
      end })
    local folder = child.folder()
    server:fault({ kind = "redirect", location = other.url .. "/r" })
    client.chatbots:list()
    server:fault({ kind = "redirect", location = other.url .. "/w" })
    client.chatbots:create({ name = "x" })
    assert(client:download(other.url .. "/d", folder .. "/d"))
    server:fault({ kind = "redirect", location = other.url .. "/e" })
    assert(client:download("/api/chatbots/", folder .. "/e"))
    sync_without_answer(client, server, folder)
    server:fault({ kind = "status", status = 200, json = {
      url = other.url .. "/s", fields = { key = "k" } } })
    client.uploads:put({ content = "x", filename = "x.txt" }, "attachment")
    assert.equal(3, #other.requests)
    for _, request in ipairs(other.requests) do
      assert.is_false(holds(request.head .. request.body))
    end
    for _, request in ipairs(server:log()) do
      local body, path = request.body or "", request.path .. request.query
      assert.is_false(holds(body .. path))
      for name, value in pairs(request.headers) do
        assert.equal(name == "authorization", holds(name .. value), name)
      end
    end
    other:stop()
    local code, text = child.run(folder, "grep -rlF " .. KEY .. " .")
    assert.equal(1, code, text)
    child.remove(folder)
  end)

  it("is in no file of a download that breaks off", function()
    local server = service.start({ api_key = KEY })
    local client = service.client(server, { max_retries = 0 })
    local folder = child.folder()
    server:fault({ kind = "raw", bytes = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n"
      .. "Content-Length: 99\r\n\r\nhalf" })
    assert.is_nil(client:download("/api/chatbots/", folder .. "/x"))
    local code = child.run(folder, "test -f x.part.etag && grep -rlF " .. KEY
      .. " .")
    assert.equal(1, code)
    assert.equal("x.part\nx.part.etag", child.remove(folder))
  end)
end)

describe("a short key", function()
  after_each(service.check)

  -- key, a text of the service, what is told of it
  local rows = {
    { "a", "check base_url and api_key", "check base_url and api_key" },
    { "a", "not a, but b", "not [redacted], but b" },
    { "abc", "abc abcd x_abc (abc) abc", "[redacted] abcd x_abc ([redacted]) "
      .. "[redacted]" },
    { "k.1", "k.1; k.12; ak.1; kx1", "[redacted]; k.12; ak.1; kx1" },
    { "+a+", "x+a+y", "x[redacted]y" },
    { "1234567", "12345678", "12345678" },
    { "12345678", "123456789", "[redacted]9" },
  }

  for _, row in ipairs(rows) do
    it(row[1] .. " is taken out of: " .. row[2], function()
      local server = service.start({ api_key = row[1] })
      local client = service.client(server)
      server:fault({ kind = "status", status = 400,
        headers = { ["Content-Type"] = "application/json" },
        body = '{"detail":"' .. row[2] .. '"}' })
      local _, err = client.chatbots:list()
      assert.equal(row[3], err.message)
    end)
  end
end)

describe("a key", function()
  local LONG = ("k"):rep(70000)

  after_each(service.check)

  for _, row in ipairs({
    { "with CR", "ab\rcd", "line break" },
    { "with LF at its end", "abcd\n", "line break" },
    { "with CR LF and a header", "ab\r\nX-Odd: 1", "line break" },
    { "with NUL", "ab\0cd", "no key has" },
    { "with a space", "ab cd", "no key has" },
    { "beyond ASCII", "ab\195\164", "no key has" },
  }) do
    it(row[1] .. " is refused, and not shown", function()
      local ok, problem = pcall(maiagent.new, { api_key = row[2] })
      assert.is_false(ok)
      assert.truthy(problem:find(row[3], 1, true), problem)
      assert.is_nil(problem:find(row[2], 1, true))
    end)
  end

  it("of 70,000 bytes is refused, and not shown", function()
    local server = service.start({ api_key = LONG })
    local client = service.client(server, { max_retries = 0 })
    local ok, value, err = pcall(client.chatbots.list, client.chatbots)
    local problem = ok and tostring(err) or tostring(value)
    assert.is_true(not ok or value == nil)
    assert.is_nil(problem:find(("k"):rep(100), 1, true))
  end)
end)

describe("the heap of a program", function()
  local SCRIPT = [[
local maiagent = require("maiagent")
local testing = require("maiagent.testing")
local server = testing.spawn({ api_key = "other" })
do
  local key = string.reverse(arg[1])
  local client = maiagent.new({ api_key = key, base_url = server.base_url,
    max_retries = 0 })
  for _ = 1, 3 do client.chatbots:list() end
  if arg[2] == "close" then client:close() else open = client end
end
collectgarbage() collectgarbage()
io.stdout:write("ready\n") io.stdout:flush()
io.read("*l")
if open then open:close() end
server:stop()
]]


  local function found(mode)
    local folder = child.folder()
    local file = assert(io.open(folder .. "/program.lua", "w"))
    file:write(SCRIPT)
    file:close()
    local command = child.command({ LD_PRELOAD = "" },
      folder .. "/program.lua", { KEY:reverse(), mode })
    local _, text = child.run(folder, ([[mkfifo in out
      cd %s; %s <%s/in >%s/out & program=$!
      cd %s; exec 7>in 8<out; read word <&8
      gcore -o core $program >gcore.log 2>&1
      count() { LC_ALL=C grep -aoP "$1" core.* | wc -l; }
      header='Authorization: Api-Key %s'
      echo $word all $(count '%s') ours $(count "$header\x00") \
        sent $(count "$header\r")
      echo >&7; exec 7>&- 8<&-; wait $program]]):format(
      child.quoted(child.root), command, folder, folder, folder, KEY, KEY))
    child.remove(folder)
    local all, ours, sent = text:match("ready all (%d+) ours (%d+) sent (%d+)")
    return tonumber(all), tonumber(ours), tonumber(sent), text
  end

  -- A sanitizer's heap is not the program's: it keeps what was freed.
  local sanitized = (os.getenv("LD_PRELOAD") or "") ~= ""
  for _, mode in ipairs(sanitized and {} or { "open", "close" }) do
    -- What is left is what libcurl sent and freed, and Lua's own strings: the
    -- key and the header's value, of which one is freed after `close`.
    it("has no header left with the key, the client " .. mode, function()
      local all, ours, sent, said = found(mode)
      assert.truthy(all, said)
      assert.is_true(mode == "close" or all > 0, said)
      assert.equal(0, ours)
      assert.is_true(all - sent <= 2, said)
    end)
  end
end)
