local pace = require("tests.support.pace")
local service = require("tests.support.service")
local socket = require("socket")

local seconds = pace.seconds

describe("knowledge_bases.files:wait", function()
  after_each(service.check)

  it("waits until the file is done, telling the way", function()
    local server = service.start({ processing_time = seconds(0.3) })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }))
    local seen = {}
    local done, _, response = client.knowledge_bases.files:wait(kb, file.id, {
      interval = 0.02,
      on_status = function(status)
        seen[#seen + 1] = status
      end,
    })
    assert.equal("done", done.status)
    assert.equal(200, response.status)
    assert.equal("done", seen[#seen])
    assert.is_true(#seen >= 2)
  end)

  it("gives the reason where processing failed", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "will-fail.txt" }))
    local done, err = client.knowledge_bases.files:wait(kb, file.id,
      { interval = 0.02 })
    assert.is_nil(done)
    assert.equal("file", err.kind)
    assert.equal(file.id, err.id)
    local start = "will-fail.txt (" .. file.id .. "): failed: The file"
    assert.equal(start, err.message:sub(1, #start))
  end)

  -- name, the file as the service tells it, its reason, the error
  local failures = {
    { "no reason", '{"status":"failed","filename":"a.txt"}',
      '{"errorMessage":null}',
      "a.txt (the-id): failed: the service gives no reason" },
    { "no name and no id", '{"status":"failed","filename":null}',
      '{"errorMessage":"bad"}', "the-id: failed: bad" },
    { "a null for a reason", '{"status":"deleted"}', "null",
      "the-id: deleted: the service gives no reason" },
  }

  local function json(server, path, body)
    server:fault({ kind = "status", status = 200, body = body, path = path,
      headers = { ["Content-Type"] = "application/json" } })
  end

  for _, row in ipairs(failures) do
    it("gives an error where there is " .. row[1], function()
      for _, null in ipairs({ "drop", "keep" }) do
        local server = service.start()
        local client = service.client(server, { null = null })
        json(server, "files/the%-id/$", row[2])
        json(server, "reason", row[3])
        local file, err = client.knowledge_bases.files:wait("kb", "the-id")
        assert.is_nil(file)
        assert.equal("file", err.kind)
        assert.equal(row[4], err.message)
      end
    end)
  end

  for _, body in ipairs({ "5", "null", "[]" }) do
    it("takes " .. body .. " for a file still at work", function()
      local server = service.start()
      json(server, "files", body)
      local file, err = service.client(server).knowledge_bases.files:wait(
        "kb", "id", { timeout = 0 })
      assert.is_nil(file)
      assert.equal("timeout", err.kind)
    end)
  end

  it("ends with its time", function()
    local server = service.start({ processing_time = 60 })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }))
    local started = socket.gettime()
    local done, err = client.knowledge_bases.files:wait(kb, file.id,
      { interval = 0.05, timeout = seconds(0.3) })
    assert.is_nil(done)
    assert.equal("timeout", err.kind)
    assert.is_true(socket.gettime() - started < seconds(1))
  end)

  it("ends with its time although the last look hangs", function()
    local server = service.start()
    server:fault({ kind = "hang", times = 9 })
    local done, err = service.client(server).knowledge_bases.files:wait("kb",
      "the-id", { timeout = 0.2, max_retries = 0 })
    assert.is_nil(done)
    assert.equal("timeout", err.kind)
    assert.matches("^file the%-id was not processed within 0.2 s",
      err.message)
  end)

  -- All that had not been seen yet was "not found".
  it("asks for each where the last page of the list goes", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local files, ids = client.knowledge_bases.files, {}
    for i = 1, 3 do
      ids[i] = assert(files:upload(kb,
        { content = "x", filename = "x.txt" })).id
    end
    server:fault({ kind = "status", status = 200, path = "/files/$",
      json = { count = 101, next = "http://x/?page=2",
        results = { { id = "other" } } } })
    server:fault({ kind = "status", status = 404, path = "/files/$",
      json = { detail = "Invalid page." } })
    local done, failed = files:wait(kb, ids, { interval = 0.05 })
    assert.is_nil(failed)
    assert.equal(3, #done)
  end)

  -- A burst of 503 longer than the retries of one look ended the wait.
  it("outlasts a service that is out of order for a while", function()
    local server = service.start()
    local client = service.client(server, { max_retries = 0 })
    local kb = service.knowledge_base(client)
    local files = client.knowledge_bases.files
    local ids = {}
    for i = 1, 2 do
      ids[i] = assert(files:upload(kb,
        { content = "x", filename = "x.txt" })).id
    end
    for _, wanted in ipairs({ ids[1], ids }) do
      server:fault({ kind = "status", status = 503, times = 5,
        method = "GET", path = "/files/" })
      local _, err = files:wait(kb, wanted, { interval = 0.01 })
      assert.is_nil(err)
      server:fault({ kind = "status", status = 503, times = 6,
        method = "GET", path = "/files/" })
      _, err = files:wait(kb, wanted, { interval = 0.01 })
      assert.equal("server", (err[2] or err).kind)
    end
  end)

  it("tells at the deadline what the last look said", function()
    local server = service.start()
    local client = service.client(server, { max_retries = 0 })
    server:fault({ kind = "status", status = 503, times = 9 })
    local _, err = client.knowledge_bases.files:wait("kb", "id",
      { timeout = 0 })
    assert.equal("timeout", err.kind)
    assert.matches("the last look failed: maiagent: server 503", err.message)
  end)

  it("tells a status that it cannot read only once", function()
    local server = service.start()
    local client = service.client(server)
    local told = {}
    for _, status in ipairs({ '{"name":"new"}', '{"name":"new"}',
      '{"code":"done"}' }) do
      server:fault({ kind = "status", status = 200, method = "GET",
        headers = { ["Content-Type"] = "application/json" },
        body = '{"id":"id","status":' .. status .. "}" })
    end
    assert(client.knowledge_bases.files:wait("kb", "id", { interval = 0.01,
      on_status = function(status) told[#told + 1] = tostring(status) end }))
    assert.same({ "done" }, told)
  end)

  it("gives the service's error", function()
    local server = service.start()
    local client = service.client(server)
    local done, err, response = client.knowledge_bases.files:wait(
      service.knowledge_base(client), "nowhere")
    assert.is_nil(done)
    assert.equal("not_found", err.kind)
    assert.equal(404, response.status)
  end)
end)

describe("knowledge_bases.files:wait for many", function()
  after_each(service.check)

  -- Registers files of these names; gives their ids.
  local function register(client, kb, names)
    local ids = {}
    for first = 1, #names, 50 do
      local files = {}
      for i = first, math.min(first + 49, #names) do
        files[#files + 1] = { file = "media/" .. i, filename = names[i] }
      end
      local page = assert(client.knowledge_bases.files:create(kb,
        { files = files }))
      for _, file in ipairs(page.results) do
        ids[#ids + 1] = file.id
      end
    end
    return ids
  end

  local function numbered(n)
    local names = {}
    for i = 1, n do
      names[i] = i .. ".txt"
    end
    return names
  end

  it("gives files and errors in the order of the ids", function()
    local server = service.start({ processing_time = 0.3 })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local ids = register(client, kb, { "a.txt", "fail.txt", "c.txt" })
    local wanted = { ids[3], "nowhere", ids[2], ids[1], ids[3] }
    local told = {}
    local files, failures, response = client.knowledge_bases.files:wait(kb,
      wanted, { interval = 0.05, on_status = function(status, file)
        local list = told[file.id] or {}
        list[#list + 1], told[file.id] = status, list
      end })
    assert.equal("c.txt", files[1].filename)
    assert.equal("not_found", failures[2].kind)
    assert.equal("file", failures[3].kind)
    assert.truthy(failures[3].message:find("^fail%.txt %(.-%): failed: The "))
    assert.equal(ids[2], failures[3].id)
    assert.equal("a.txt", files[4].filename)
    assert.equal("c.txt", files[5].filename)
    assert.is_nil(files[2])
    assert.is_nil(files[3])
    assert.is_nil(failures[1])
    assert.is_nil(failures[4])
    assert.equal(200, response.status)
    for i = 1, 3 do
      assert.equal(i == 2 and "failed" or "done", table.remove(told[ids[i]]))
      assert.is_true(#told[ids[i]] <= 2)
    end
  end)

  it("reads pages rather than one file after the other", function()
    local server = service.start({ processing_time = 0 })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local ids = register(client, kb, numbered(230))
    local before = #server:log()
    local files, failures = client.knowledge_bases.files:wait(kb, ids)
    assert.is_nil(failures)
    assert.equal(230, #files)
    assert.equal(ids[230], files[230].id)
    assert.equal(before + 3, #server:log())
  end)

  it("asks singly where that is less than all pages", function()
    local server = service.start({ processing_time = 0 })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local ids = register(client, kb, numbered(450))
    local before = #server:log()
    local files = client.knowledge_bases.files:wait(kb, { ids[449], ids[450] })
    assert.equal(2, #files)
    assert.is_true(#server:log() - before <= 4)
  end)

  it("gives nothing for no ids, and asks nothing", function()
    local server = service.start()
    local client = service.client(server)
    local files, failures = client.knowledge_bases.files:wait("kb", {})
    assert.same({}, files)
    assert.is_nil(failures)
    assert.equal(0, #server:log())
  end)

  it("tells at the deadline how many are left", function()
    local server = service.start({ processing_time = 60 })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local ids = register(client, kb, { "a", "b", "c" })
    local started = socket.gettime()
    local files, failures = client.knowledge_bases.files:wait(kb, ids,
      { interval = 0.05, timeout = seconds(0.2) })
    assert.is_true(socket.gettime() - started < seconds(1))
    assert.same({}, files)
    for i = 1, 3 do
      assert.equal("timeout", failures[i].kind)
      assert.equal(("file %s was not processed within %g s (3 are left)")
        :format(ids[i], seconds(0.2)), failures[i].message)
    end
  end)

  it("ends with its time where the service does not answer", function()
    local server = service.start()
    local client = service.client(server)
    for _, wanted in ipairs({ "id", { "id", "id2" } }) do
      server:fault({ kind = "hang" })
      local started = socket.gettime()
      local _, err = client.knowledge_bases.files:wait("kb", wanted,
        { timeout = 0.2 })
      err = err.kind and err or err[2]
      assert.equal("timeout", err.kind)
      assert.truthy(err.message:find("was not processed within 0.2 s"))
      assert.is_true(socket.gettime() - started < seconds(3))
    end
  end)

  it("gives every id the error of the list", function()
    local server = service.start()
    local client = service.client(server)
    local files, failures =
      client.knowledge_bases.files:wait("nowhere", { "a", "b" })
    assert.same({}, files)
    assert.equal("not_found", failures[1].kind)
    assert.equal("not_found", failures[2].kind)
  end)

  -- name, ids, what is said
  local mistakes = {
    { "an id that is none", { "a", 5 }, "ids[2] must be a string" },
    { "an empty id", { "" },
      'ids[1] must be a string that is not empty, got "" (a string)' },
    { "a file for an id", { "a", { id = "a" } },
      "got table (did you mean obj.id?)" },
    { "a file for a list", { id = "a" },
      "a list of ids expected, got a table with 'id' (did you mean obj.id?)" },
    { "a list with a hole", { nil, "a" },
      "a list of ids expected, got a table with '2'" },
    { "a list with a name", { "a", name = "b" },
      "a list of ids expected, got a table with 'name'" },
    { "a way out of the path", { "a", ".." }, "id must not be . or .." },
    { "nothing", nil, "id" },
  }

  for _, row in ipairs(mistakes) do
    it("raises for " .. row[1], function()
      local server = service.start()
      local files = service.client(server).knowledge_bases.files
      local ok, message = pcall(files.wait, files, "kb", row[2])
      assert.is_false(ok)
      assert.truthy(message:find(row[3], 1, true), message)
      assert.equal(0, #server:log())
    end)
  end
end)

describe("knowledge_bases.files.translations:wait", function()
  after_each(service.check)

  it("waits for one and for many", function()
    local server = service.start({ processing_time = 0.1 })
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }))
    local translations = client.knowledge_bases.files.translations
    for _, language in ipairs({ "en", "ja" }) do
      assert(translations:create(kb, file.id, { targetLanguage = language,
        largeLanguageModelId = "5e1f0000-0000-4000-8000-000000000001" }))
    end
    local ids = {}
    for i, item in ipairs(assert(translations:all(kb, file.id))) do
      ids[i] = item.id
    end
    local options = { interval = 0.02 }
    local one = assert(translations:wait(kb, file.id, ids[1], options))
    assert.equal("completed", one.status)
    local all, failures = translations:wait(kb, file.id, ids, options)
    assert.is_nil(failures)
    assert.equal(ids[1], all[1].id)
    assert.equal(ids[2], all[2].id)
  end)

  it("gives the reason of one that failed", function()
    local server = service.start()
    server:fault({ kind = "status", status = 200, path = "translations/t/$",
      json = { status = "error", errorMessage = "too long" } })
    local found, err = service.client(server).knowledge_bases.files.translations
      :wait("kb", "file", "t")
    assert.is_nil(found)
    assert.equal("file", err.kind)
    assert.equal("translation t: error: too long", err.message)
  end)
end)
