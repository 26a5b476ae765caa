local service = require("tests.support.service")
local socket = require("socket")

local function knowledge_base(client)
  return assert(client.knowledge_bases:create({
    name = "Files",
    embeddingModel = assert(client.embedding_models:list())[1].id,
    rerankerModel = assert(client.reranker_models:list())[1].id,
  })).id
end

local function temporary(content)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  file:close()
  return path
end

local function with_file(content, run)
  local path = temporary(content)
  local ok, problem = pcall(run, path)
  os.remove(path)
  if not ok then
    error(problem, 0)
  end
end

-- Times a request of this method to a path of this pattern was made.
local function count(server, method, path)
  local n = 0
  for _, entry in ipairs(server:log()) do
    if entry.method == method and entry.path:find(path) then
      n = n + 1
    end
  end
  return n
end

describe("knowledge_bases.files:upload", function()
  after_each(service.check)

  for _, reply in ipairs({ "page", "array" }) do
    it("presigns, stores and registers; the answer is a " .. reply, function()
      local server = service.start({ kb_files_reply = reply })
      local client = service.client(server)
      local kb = knowledge_base(client)
      with_file("# 手冊\n", function(path)
        local file, err, response = client.knowledge_bases.files:upload(kb,
          { path = path, filename = "手冊.md" },
          { rawUserDefineMetadata = { source = "spec" }, labels = {} })
        assert.is_nil(err)
        assert.equal("手冊.md", file.filename)
        assert.equal(9, file.size)
        assert.equal(201, response.status)
      end)
      local log, storage = server:log(), nil
      for _, entry in ipairs(log) do
        if entry.path:find("maiagent-media", 1, true) then
          storage = entry
        end
      end
      assert.equal(204, storage.status)
      assert.is_nil(storage.headers.authorization)
      assert.truthy(storage.headers["content-length"])
      assert.is_nil(storage.headers["transfer-encoding"])
    end)
  end

  it("takes content in place of a path, empty as well", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    for _, content in ipairs({ "", "x", ("\0\255\r\n"):rep(1000) }) do
      local file = assert(client.knowledge_bases.files:upload(kb,
        { content = content, filename = "a.bin" }))
      assert.equal(#content, file.size)
    end
  end)

  it("names the file by the end of its path", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    with_file("x", function(path)
      local file = assert(client.knowledge_bases.files:upload(kb, path))
      assert.equal(path:match("[^/]+$"), file.filename)
    end)
  end)

  local unreadable = {
    { "a file that isn't there", "/no/such/file.pdf", "No such file" },
    { "a folder", "/tmp", "directory" },
  }

  for _, row in ipairs(unreadable) do
    it("gives kind 'file' for " .. row[1] .. ", and sends nothing", function()
      local server = service.start()
      local client = service.client(server)
      local file, err = client.knowledge_bases.files:upload("kb", row[2])
      assert.is_nil(file)
      assert.equal("file", err.kind)
      assert.truthy(err.message:find(row[3], 1, true), err.message)
      assert.equal(0, #server:log())
    end)
  end

  it("reports progress, and stops when told to", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    local content, last = ("x"):rep(3000000), 0
    local options = {
      on_progress = function(sent, total)
        assert.is_true(sent >= last)
        assert.is_true(total == 0 or total >= #content)
        last = sent
      end,
    }
    local source = { content = content, filename = "x.bin" }
    assert(client.knowledge_bases.files:upload(kb, source, nil, options))
    assert.is_true(last >= #content)
    local file, err = client.knowledge_bases.files:upload(kb, source, nil, {
      on_progress = function()
        return false
      end,
    })
    assert.is_nil(file)
    assert.equal("cancelled", err.kind)
  end)

  it("gives the storage's refusal with its code", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    server:fault({ kind = "status", status = 403, path = "maiagent%-media",
      body = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
      headers = { ["Content-Type"] = "application/xml" } })
    local file, err = client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" })
    assert.is_nil(file)
    assert.equal("permission", err.kind)
    assert.equal("AccessDenied", err.code)
    assert.equal("AccessDenied: No.", err.message)
    assert.equal(1, count(server, "POST", "maiagent%-media"))
  end)

  -- name, path of the step, status
  local steps = {
    { "presigning", "presigned", 500 },
    { "storing", "maiagent%-media", 403 },
    { "registering", "files/$", 409 },
  }

  for _, row in ipairs(steps) do
    it("gives the response where it fails: " .. row[1], function()
      local server = service.start()
      local client = service.client(server, { max_retries = 0 })
      local kb = knowledge_base(client)
      server:fault({ kind = "status", path = row[2], status = row[3] })
      local file, err, response = client.knowledge_bases.files:upload(kb,
        { content = "x", filename = "x.txt" })
      assert.is_nil(file)
      assert.equal(row[3], err.status)
      assert.equal(row[3], response.status)
    end)
  end

  it("presigns again where the answer was lost", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    for _, fault in ipairs({ { kind = "reset" },
      { kind = "status", status = 502, apply = true } })
    do
      fault.path = "presigned"
      server:fault(fault)
      assert(client.knowledge_bases.files:upload(kb,
        { content = "x", filename = "x.txt" }))
    end
  end)

  for _, body in ipairs({ "5", "null", "[]", '{"url":"https://a/"}' }) do
    it("refuses " .. body .. " for a presigned URL", function()
      local server = service.start()
      local client = service.client(server)
      server:fault({ kind = "status", status = 200, path = "presigned",
        body = body, headers = { ["Content-Type"] = "application/json" } })
      local file, err = client.knowledge_bases.files:upload("kb",
        { content = "x", filename = "x.txt" })
      assert.is_nil(file)
      assert.equal("decode", err.kind)
    end)
  end

  -- name, what goes wrong with the registration
  local lost_answers = {
    { "a reset", { kind = "reset", apply = true } },
    { "502", { kind = "status", status = 502, apply = true } },
    { "500", { kind = "status", status = 500, apply = true } },
    { "503", { kind = "status", status = 503, apply = true } },
    { "504", { kind = "status", status = 504, apply = true } },
    { "half an answer", { kind = "cut", bytes = 20 } },
    { "no JSON", { kind = "status", status = 201, body = "<", apply = true } },
    { "an empty page", { kind = "status", status = 201, apply = true,
      json = { results = {} } } },
  }

  for _, row in ipairs(lost_answers) do
    it("finds what was registered after " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      local kb = knowledge_base(client)
      row[2].path, row[2].method = "/files/$", "POST"
      server:fault(row[2])
      local file, err, response = client.knowledge_bases.files:upload(kb,
        { content = "x", filename = "說明 \"1\".txt" })
      assert.is_nil(err)
      assert.equal("說明 \"1\".txt", file.filename)
      assert.equal(200, response.status)
      assert.equal(1, assert(client.knowledge_bases.files:list(kb)).count)
      assert.equal(1, count(server, "POST", "/files/$"))
    end)
  end

  it("may take longer than timeout.total of other calls, unless told so",
    function()
      local server = service.start()
      local client = service.client(server, { timeout = { idle = 20 } })
      local kb = knowledge_base(client)
      server:fault({ kind = "delay", seconds = 0.4, path = "maiagent%-media" })
      local source = { content = "x", filename = "x.txt" }
      assert(client.knowledge_bases.files:upload(kb, source))
      server:fault({ kind = "delay", seconds = 0.4, path = "maiagent%-media" })
      local file, err = client.knowledge_bases.files:upload(kb, source, nil,
        { timeout = 0.2, max_retries = 0 })
      assert.is_nil(file)
      assert.equal("timeout", err.kind)
    end)

  it("streams: memory does not grow with the file", function()
    if not io.open("/proc/self/status") then
      return
    end
    local function resident()
      local file = assert(io.open("/proc/self/status"))
      local peak = file:read("*a"):match("VmHWM:%s*(%d+) kB")
      file:close()
      return tonumber(peak)
    end
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    assert(client.knowledge_bases.files:upload(kb,
      { content = ("x"):rep(100000), filename = "warm.bin" }))
    with_file("", function(path)
      local size = 200 * 1024 * 1024
      local file = assert(io.open(path, "wb"))
      file:seek("set", size - 1)
      file:write("x")
      file:close()
      local before = resident()
      local uploaded = assert(client.knowledge_bases.files:upload(kb, path))
      assert.equal(size, uploaded.size)
      assert.is_true(resident() - before < 20000, resident() - before)
    end)
  end)
end)

describe("knowledge_bases.files:wait", function()
  after_each(service.check)

  it("waits until the file is done, telling the way", function()
    local server = service.start({ processing_time = 0.3 })
    local client = service.client(server)
    local kb = knowledge_base(client)
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
    local kb = knowledge_base(client)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "will-fail.txt" }))
    local done, err = client.knowledge_bases.files:wait(kb, file.id,
      { interval = 0.02 })
    assert.is_nil(done)
    assert.equal("file", err.kind)
    assert.truthy(err.message:find("^will%-fail%.txt: failed: ."), err.message)
  end)

  -- name, the file as the service tells it, its reason, the error
  local failures = {
    { "no reason", '{"status":"failed","filename":"a.txt"}',
      '{"errorMessage":null}', "a.txt: failed: the service gives no reason" },
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
    local kb = knowledge_base(client)
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }))
    local started = socket.gettime()
    local done, err = client.knowledge_bases.files:wait(kb, file.id,
      { interval = 0.05, timeout = 0.3 })
    assert.is_nil(done)
    assert.equal("timeout", err.kind)
    assert.is_true(socket.gettime() - started < 1)
  end)

  it("gives the service's error", function()
    local server = service.start()
    local client = service.client(server)
    local done, err, response = client.knowledge_bases.files:wait(
      knowledge_base(client), "nowhere")
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
    local kb = knowledge_base(client)
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
    assert.truthy(failures[3].message:find("^fail%.txt: failed: The file "))
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
    local kb = knowledge_base(client)
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
    local kb = knowledge_base(client)
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
    local kb = knowledge_base(client)
    local ids = register(client, kb, { "a", "b", "c" })
    local started = socket.gettime()
    local files, failures = client.knowledge_bases.files:wait(kb, ids,
      { interval = 0.05, timeout = 0.2 })
    assert.is_true(socket.gettime() - started < 1)
    assert.same({}, files)
    for i = 1, 3 do
      assert.equal("timeout", failures[i].kind)
      assert.equal("file " .. ids[i] .. " was not processed within 0.2 s "
        .. "(3 are left)", failures[i].message)
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
      assert.is_true(socket.gettime() - started < 3)
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
    { "an empty id", { "" }, "ids[1] must be a string" },
    { "a file for a list", { id = "a" }, "a list of ids expected" },
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
    local kb = knowledge_base(client)
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

describe("Excel", function()
  after_each(service.check)

  it("is exported to a file, or as a string", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    assert(client.knowledge_bases.labels:create(kb, { name = "中文" }))
    local path = os.tmpname()
    os.remove(path)
    local saved = assert(client.knowledge_bases:export_labels_excel(kb, path))
    assert.equal(path, saved)
    local file = assert(io.open(path, "rb"))
    local bytes = file:read("*a")
    file:close()
    os.remove(path)
    assert.equal("PK", bytes:sub(1, 2))
    assert.is_nil(io.open(path .. ".part"))
    local log = server:log()
    assert.equal("*/*", log[#log].headers.accept)
    local text = assert(client.knowledge_bases:export_labels_excel(kb))
    assert.equal("PK", text:sub(1, 2))
  end)

  it("leaves no file where the service refuses", function()
    local server = service.start()
    local client = service.client(server)
    local path = os.tmpname()
    os.remove(path)
    local saved, err = client.knowledge_bases:export_labels_excel("no", path)
    assert.is_nil(saved)
    assert.equal("not_found", err.kind)
    assert.is_nil(io.open(path))
    assert.is_nil(io.open(path .. ".part"))
  end)

  it("leaves no half file where the line breaks", function()
    local server = service.start()
    local client = service.client(server, { max_retries = 0 })
    local kb = knowledge_base(client)
    local path = os.tmpname()
    os.remove(path)
    server:fault({ kind = "cut", bytes = 100, path = "export" })
    local saved, err = client.knowledge_bases:export_labels_excel(kb, path)
    assert.is_nil(saved)
    assert.equal("connection", err.kind)
    assert.is_nil(io.open(path))
    assert.is_nil(io.open(path .. ".part"))
  end)

  it("into a folder that isn't there is kind 'file'", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    local saved, err =
      client.knowledge_bases:export_labels_excel(kb, "/no/such/labels.xlsx")
    assert.is_nil(saved)
    assert.equal("file", err.kind)
    assert.truthy(err.message:find("/no/such/labels.xlsx", 1, true))
  end)

  it("is imported from a file or from content", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }))
    local bytes = assert(client.knowledge_bases:export_labels_excel(kb))
    with_file(bytes, function(path)
      for _, source in ipairs({ path, { content = bytes,
        filename = "labels.xlsx" } })
      do
        local result =
          assert(client.knowledge_bases:import_labels_excel(kb, source))
        assert.is_true(result.success)
      end
    end)
  end)

  it("tells which rows of an import failed, and gives the result", function()
    local server = service.start()
    local client = service.client(server)
    local kb = knowledge_base(client)
    assert(client.knowledge_bases.labels:create(kb, { name = "known" }))
    local file = assert(client.knowledge_bases.files:upload(kb,
      { content = "x", filename = "x.txt" }, { labels = {
        assert(client.knowledge_bases.labels:list(kb)).results[1] } }))
    local bytes = assert(client.knowledge_bases:export_labels_excel(kb))
    assert(client.knowledge_bases.labels:delete(kb,
      assert(client.knowledge_bases.labels:list(kb)).results[1].id))
    local result, err, response = client.knowledge_bases:import_labels_excel(
      kb, { content = bytes, filename = "labels.xlsx" })
    assert.is_false(result.success)
    assert.equal(file.id, result.errors[1].file_id)
    assert.equal("invalid", err.kind)
    assert.same({ ["rows.2"] = { "Label not found: known" } }, err.fields)
    assert.equal("POST", err.method)
    assert.equal(200, response.status)
  end)
end)
