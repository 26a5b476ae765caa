local pace = require("tests.support.pace")
local service = require("tests.support.service")
local pieces = require("tests.support.files").pieces
local read = require("tests.support.files").read

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
      local kb = service.knowledge_base(client)
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
    local kb = service.knowledge_base(client)
    for _, content in ipairs({ "", "x", ("\0\255\r\n"):rep(1000) }) do
      local file = assert(client.knowledge_bases.files:upload(kb,
        { content = content, filename = "a.bin" }))
      assert.equal(#content, file.size)
    end
  end)

  it("names the file by the end of its path", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
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
    local kb = service.knowledge_base(client)
    local content, last = ("x"):rep(3000000), 0
    local options = {
      on_progress = function(sent, total)
        assert.is_true(sent >= last)
        assert.equal(#content, total)
        last = sent
      end,
    }
    local source = { content = content, filename = "x.bin" }
    assert(client.knowledge_bases.files:upload(kb, source, nil, options))
    assert.equal(#content, last)
    local file, err = client.knowledge_bases.files:upload(kb, source, nil, {
      on_progress = function()
        return false
      end,
    })
    assert.is_nil(file)
    assert.equal("cancelled", err.kind)
  end)

  -- It was registered all the same.
  it("stops when the last report of progress says so", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local file, err = client.knowledge_bases.files:upload(kb,
      { content = "abc", filename = "x" }, nil, {
        on_progress = function(sent, total)
          return sent < total
        end,
      })
    assert.is_nil(file)
    assert.equal("cancelled", err.kind)
    assert.same({}, client.knowledge_bases.files:all(kb))
  end)

  it("gives the storage's refusal with its code", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
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
      local kb = service.knowledge_base(client)
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
    local kb = service.knowledge_base(client)
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
      local kb = service.knowledge_base(client)
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
      local client =
        service.client(server, { timeout = { idle = pace.seconds(20) } })
      local kb = service.knowledge_base(client)
      server:fault({ kind = "delay", seconds = 0.4, path = "maiagent%-media" })
      local source = { content = "x", filename = "x.txt" }
      assert(client.knowledge_bases.files:upload(kb, source))
      server:fault({ kind = "delay", seconds = 0.4, path = "maiagent%-media" })
      local file, err = client.knowledge_bases.files:upload(kb, source, nil,
        { timeout = 0.2, max_retries = 0 })
      assert.is_nil(file)
      assert.equal("timeout", err.kind)
    end)

  -- operation, how it is called
  local uploads = {
    { "files:upload", function(client, kb, source)
      return client.knowledge_bases.files:upload(kb, source)
    end },
    { "files:upload_all", function(client, kb, source)
      local files, errs =
        client.knowledge_bases.files:upload_all(kb, { source })
      return files[1], errs and errs[1]
    end },
    { "import_labels_excel", function(client, kb, source)
      return client.knowledge_bases:import_labels_excel(kb, source)
    end },
    { "uploads:put", function(client, _, source)
      return client.uploads:put(source, "attachment")
    end },
  }
  for _, row in ipairs(uploads) do
    it("sends nothing of a name with control characters: " .. row[1],
      function()
        local server = service.start()
        local client = service.client(server)
        local kb = service.knowledge_base(client)
        local before = #server:log()
        for _, name in ipairs({ "a\1b.txt", "a\27[2J", "a\127b", "a\nb" }) do
          local value, err =
            row[2](client, kb, { content = "x", filename = name })
          assert.is_falsy(value)
          assert.equal("file", err.kind)
          assert.truthy(err.message:find("control character", 1, true))
        end
        assert.equal(before, #server:log())
      end)
  end

  it("streams: memory does not grow with the file", function()
    if not io.open("/proc/self/status") then
      return
    end
    local function resident()
      return tonumber(read("/proc/self/status"):match("VmHWM:%s*(%d+) kB"))
    end
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
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

describe("an upload's source", function()
  after_each(service.check)

  local content = ("中文\0\r\n"):rep(50000)

  -- name, bytes, size of a piece
  local readers = {
    { "nothing", "", 1 },
    { "a byte", "x", 1 },
    { "many pieces", content, 7001 },
    { "one piece", content, #content },
  }

  for _, row in ipairs(readers) do
    it("may be a reader: " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      local file = assert(client.knowledge_bases.files:upload(kb, {
        reader = pieces(row[2], row[3]), filename = "說明.bin",
        size = #row[2] }))
      assert.equal(#row[2], file.size)
      assert.equal("說明.bin", file.filename)
    end)
  end

  -- name, reader, size, a part of the message
  local wrong = {
    { "a number", function() return 5 end, 5, "a string or nil expected" },
    { "an error", function() return nil, "disk gone" end, 5, "disk gone" },
    { "too little", pieces("abc", 2), 5, "" },
    { "too much", pieces("abcdef", 2), 5, "" },
  }

  for _, row in ipairs(wrong) do
    it("gives kind 'file' where a reader gives " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      local file, err = client.knowledge_bases.files:upload(kb,
        { reader = row[2], filename = "x", size = row[3] })
      assert.is_nil(file)
      assert.equal("file", err.kind)
      assert.truthy(err.message:find(row[4], 1, true), err.message)
      assert.equal(0, assert(client.knowledge_bases.files:list(kb)).count)
    end)
  end

  it("is not read twice where it is a reader", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    for _, fault in ipairs({ { kind = "status", status = 503 },
      { kind = "status", status = 403, body =
        "<Error><Code>AccessDenied</Code><Message>Policy expired.</Message>"
        .. "</Error>" } })
    do
      fault.path = "maiagent%-media"
      server:fault(fault)
      local file, err = client.knowledge_bases.files:upload(kb,
        { reader = pieces("x", 1), filename = "x", size = 1 })
      assert.is_nil(file)
      assert.equal(fault.status, err.status)
    end
    assert.equal(2, count(server, "POST", "maiagent%-media"))
  end)

  it("may be a reader that an import takes", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    local bytes = assert(client.knowledge_bases:export_labels_excel(kb))
    local result = assert(client.knowledge_bases:import_labels_excel(kb,
      { reader = pieces(bytes, 1000), filename = "a.xlsx", size = #bytes }))
    assert.is_true(result.success)
  end)

  local NAMES = { "手冊 (1).md", 'a "b" c.txt', "it's; a=b&c%20.txt", "a\\b.txt",
    " .txt", "😀", ("長"):rep(80) .. ".txt" }

  for _, name in ipairs(NAMES) do
    it("keeps its name: " .. name, function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      local file = assert(client.knowledge_bases.files:upload(kb,
        { content = "x", filename = name }))
      assert.equal(name, file.filename)
    end)
  end

  it("is refused with a name that is no UTF-8, and nothing is sent", function()
    local server = service.start()
    local client = service.client(server)
    local file, err = client.knowledge_bases.files:upload("kb",
      { content = "x", filename = "caf\233" })
    assert.is_nil(file)
    assert.equal("file", err.kind)
    assert.truthy(err.message:find("invalid UTF-8", 1, true), err.message)
    assert.equal(0, #server:log())
  end)

  -- name, params, options, what is said
  local mistakes = {
    { "a misspelt parameter", { label = {} }, nil,
      "unknown params.label (did you mean 'labels'?)" },
    { "params that are none", 5, nil, "params must be a table" },
    { "a misspelt option", nil, { max_retry = 1 },
      "unknown option 'max_retry' (did you mean 'max_retries'?)" },
    { "a parser that is a function", { parser = print }, nil, "parser" },
  }

  for _, row in ipairs(mistakes) do
    it("is not sent with " .. row[1], function()
      local server = service.start()
      local files = service.client(server).knowledge_bases.files
      local ok, message = pcall(files.upload, files, "kb",
        { content = "x", filename = "x" }, row[2], row[3])
      assert.is_false(ok)
      assert.truthy(message:find(row[4], 1, true), message)
      assert.equal(0, #server:log())
    end)
  end
end)

describe("Excel", function()
  after_each(service.check)

  it("is exported to a file, or as a string", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
    assert(client.knowledge_bases.labels:create(kb, { name = "中文" }))
    local path = os.tmpname()
    os.remove(path)
    local saved = assert(client.knowledge_bases:export_labels_excel(kb, path))
    assert.equal(path, saved)
    local bytes = read(path)
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
    local kb = service.knowledge_base(client)
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
    local kb = service.knowledge_base(client)
    local saved, err =
      client.knowledge_bases:export_labels_excel(kb, "/no/such/labels.xlsx")
    assert.is_nil(saved)
    assert.equal("file", err.kind)
    assert.equal("the folder /no/such does not exist", err.message)
    assert.equal(3, #server:log()) -- those of the knowledge base
  end)

  for _, status in ipairs({ 202, 204 }) do
    it("is an error where " .. status .. " comes without it", function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      server:fault({ path = "export", kind = "status", status = status })
      local bytes, err = client.knowledge_bases:export_labels_excel(kb)
      assert.is_nil(bytes)
      assert.equal("http", err.kind)
      assert.equal(status, err.status)
      assert.truthy(err.message:find("no file comes", 1, true), err.message)
    end)
  end

  it("is imported from a file or from content", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
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

  -- The form around it is not of the file.
  for _, import in ipairs({ "import_labels_excel", "import_metadata_excel" }) do
    it("tells how many of its bytes were sent: " .. import, function()
      local server = service.start()
      local client = service.client(server)
      local kb = service.knowledge_base(client)
      local export = import:gsub("import", "export")
      local bytes = assert(client.knowledge_bases[export](
        client.knowledge_bases, kb))
      for _, source in ipairs({
        { content = bytes, filename = "a.xlsx" },
        { reader = pieces(bytes, 700), filename = "a.xlsx", size = #bytes },
      }) do
        local last = 0
        assert(client.knowledge_bases[import](client.knowledge_bases, kb,
          source, { on_progress = function(sent, total)
            assert.equal(#bytes, total)
            assert.is_true(sent >= last)
            last = sent
          end }))
        assert.equal(#bytes, last)
      end
    end)
  end

  it("is not imported from a file that is not there", function()
    local server = service.start()
    local client = service.client(server)
    local result, err = client.knowledge_bases:import_labels_excel(
      service.knowledge_base(client), "/no/such/labels.xlsx")
    assert.is_nil(result)
    assert.equal("file", err.kind)
    assert.truthy(err.message:find("/no/such/labels.xlsx", 1, true))
  end)

  it("tells which rows of an import failed, and gives the result", function()
    local server = service.start()
    local client = service.client(server)
    local kb = service.knowledge_base(client)
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
