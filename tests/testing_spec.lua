-- The stand-in service, driven with plain sockets: nothing of maiagent but
-- maiagent.testing is loaded, so that judge and judged stay apart.

local form = require("tests.support.form")
local http = require("socket.http")
local json = require("dkjson")
local ltn12 = require("ltn12")
local multipart = require("maiagent.testing.multipart")
local pace = require("tests.support.pace")
local in_pieces = require("tests.support.files").pieces
local read = require("tests.support.files").read
local socket = require("socket")
local testing = require("maiagent.testing")
local xlsx = require("maiagent.testing.xlsx")
local has_zlib, zlib = pcall(require, "zlib")
local has_tls, ssl = pcall(require, "ssl")

local KEY = "Api-Key test-key"
local UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
local PROCESSING = pace.seconds(0.4)

local server

-- A request to a spawned server: status, value (decoded if JSON), headers.
local function call(method, path, body, options)
  options = options or {}
  local headers = { Authorization = KEY }
  if type(body) == "table" then
    body = json.encode(body)
  end
  if body then
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = #body
  end
  for name, value in pairs(options.headers or {}) do
    headers[name] = value or nil
  end
  local pieces = {}
  local url = path:find("^http") and path or server.base_url .. path
  local ok, status, answer = http.request({
    method = method,
    url = url,
    headers = headers,
    redirect = false,
    source = body and ltn12.source.string(body) or nil,
    sink = ltn12.sink.table(pieces),
  })
  local text = table.concat(pieces)
  if not ok then
    return nil, status, text
  end
  local is_json = (answer["content-type"] or ""):find("json", 1, true)
  return status, is_json and json.decode(text) or text, answer
end

local function created(path, body)
  local status, value = call("POST", path, body)
  assert.equal(201, status, json.encode(value))
  return value
end

local function knowledge_base(name)
  local base = created("/api/knowledge-bases/", {
    name = name or "Manuals",
    embeddingModel = UUID,
    rerankerModel = UUID,
  })
  return base, "/api/knowledge-bases/" .. base.id .. "/"
end

local function chatbot(fields)
  local body = { name = "Bot", largeLanguageModel = UUID }
  for name, value in pairs(fields or {}) do
    body[name] = value
  end
  return created("/api/chatbots/", body)
end

local function add_files(path, ...)
  local files = {}
  for place, name in ipairs({ ... }) do
    files[place] = { filename = name, file = "media/" .. name }
  end
  return created(path .. "files/", { files = files }).results
end

describe("the stand-in", function()
  lazy_setup(function()
    server = testing.spawn({ processing_time = PROCESSING })
  end)

  lazy_teardown(function()
    server:stop()
  end)

  before_each(function()
    server:reset()
  end)

  describe("key check", function()
    local rows = {
      { "no key", false, "Authentication credentials were not provided." },
      { "a wrong key", "Api-Key no", "Incorrect authentication credentials." },
      { "Bearer", "Bearer test-key", "Invalid API key format." },
    }
    for _, row in ipairs(rows) do
      it("answers 401 to " .. row[1], function()
        local status, value = call("GET", "/api/chatbots/", nil, {
          headers = { Authorization = row[2] },
        })
        assert.equal(401, status)
        assert.equal(row[3], value.detail)
      end)
    end
  end)

  describe("state", function()
    it("keeps a chatbot from creation to deletion", function()
      local bot = chatbot({ instructions = "Be brief." })
      local path = "/api/chatbots/" .. bot.id .. "/"
      assert.equal("Be brief.", select(2, call("GET", path)).instructions)
      call("PATCH", path, { name = "New" })
      local _, value = call("PUT", path, {
        name = "Newer",
        largeLanguageModel = UUID,
      })
      assert.equal("Newer", value.name)
      assert.equal("Be brief.", value.instructions)
      assert.equal(1, select(2, call("GET", "/api/v1/chatbots/")).count)
      assert.equal(204, (call("DELETE", path)))
      local status, gone = call("GET", path)
      assert.equal(404, status)
      assert.equal("Not found.", gone.detail)
    end)

    it("keeps labels inside their knowledge base", function()
      local _, path = knowledge_base()
      local _, other = knowledge_base("Other")
      local label = created(path .. "labels/", { name = "red" })
      created(other .. "labels/", { name = "red" })
      local _, base = call("GET", path)
      assert.same({ { id = label.id, name = "red" } }, base.labels)
      assert.equal(404, (call("GET", other .. "labels/" .. label.id .. "/")))
    end)

    it("deletes every FAQ when no ids are given", function()
      local _, path = knowledge_base()
      local first = created(path .. "faqs/", { question = "q", answer = "a" })
      created(path .. "faqs/", { question = "r", answer = "a" })
      created(path .. "faqs/", { question = "s", answer = "a" })
      local batch = path .. "faqs/batch-delete/"
      call("POST", batch, { ids = { first.id } })
      assert.equal(2, select(2, call("GET", path .. "faqs/")).count)
      assert.equal(204, (call("POST", batch, "{}")))
      assert.equal(0, select(2, call("GET", path .. "faqs/")).count)
    end)

    it("answers the models as plain arrays", function()
      for _, kind in ipairs({ "embedding", "reranker" }) do
        local _, list = call("GET", "/api/" .. kind .. "-models/")
        assert.equal(2, #list)
        assert.is_true(list[1].isDefault)
      end
    end)

    it("forgets everything when it is reset", function()
      chatbot()
      server:reset()
      assert.equal(0, select(2, call("GET", "/api/chatbots/")).count)
      assert.equal(1, #server:log())
    end)
  end)

  describe("lists", function()
    before_each(function()
      chatbot({ name = "Alpha", replyMode = "agent" })
      chatbot({ name = "Beta" })
      chatbot({ name = "Gamma" })
    end)

    it("have pages with absolute neighbours", function()
      local _, page = call("GET", "/api/chatbots/?pageSize=1&page=2")
      assert.equal(3, page.count)
      assert.equal("Beta", page.results[1].name)
      local url = server.base_url .. "/api/chatbots/"
      assert.equal(url .. "?page=3&pageSize=1", page.next)
      assert.equal(url .. "?page=1&pageSize=1", page.previous)
      local _, last = call("GET", page.next)
      assert.equal("Gamma", last.results[1].name)
      assert.is_nil(last.next)
    end)

    local rows = {
      { "replyMode=agent", { "Alpha" } },
      { "query=ETA", { "Beta" } },
      { "largeLanguageModel=" .. UUID, { "Alpha", "Beta", "Gamma" } },
      { "largeLanguageModel=other", {} },
      { "page_size=2&page=2", { "Gamma" } },
    }
    for _, row in ipairs(rows) do
      it("are filtered by " .. row[1], function()
        local _, page = call("GET", "/api/chatbots/?" .. row[1])
        local names = {}
        for place, bot in ipairs(page.results) do
          names[place] = bot.name
        end
        assert.same(row[2], names)
      end)
    end

    it("are bare with pagination=false", function()
      local _, list = call("GET", "/api/chatbots/?pagination=false")
      assert.equal(3, #list)
    end)

    it("keep their order when one goes", function()
      local _, list = call("GET", "/api/chatbots/?pagination=false")
      local path = "/api/chatbots/" .. list[2].id .. "/"
      assert.equal(204, (call("DELETE", path)))
      assert.equal(404, (call("GET", path)))
      local _, left = call("GET", "/api/chatbots/?pagination=false")
      assert.same({ list[1].id, list[3].id }, { left[1].id, left[2].id })
      assert.equal(2, #left)
    end)

    it("end with 404", function()
      local status, value = call("GET", "/api/chatbots/?page=2")
      assert.equal(404, status)
      assert.equal("Invalid page.", value.detail)
    end)
  end)

  describe("field errors", function()
    local rows = {
      { "required", "{}", "name", "This field is required." },
      { "null", "{\"name\":null}", "name", "This field may not be null." },
      { "blank", "{\"name\":\"\"}", "name", "This field may not be blank." },
      { "string", "{\"name\":[]}", "name", "Not a valid string." },
      {
        "uuid",
        "{\"largeLanguageModel\":\"x\"}",
        "largeLanguageModel",
        "“x” is not a valid UUID.",
      },
      {
        "choice",
        "{\"replyMode\":\"x\"}",
        "replyMode",
        "\"x\" is not a valid choice.",
      },
      {
        "integer",
        "{\"numberOfRetrievedChunks\":1.5}",
        "numberOfRetrievedChunks",
        "A valid integer is required.",
      },
      {
        "boolean",
        "{\"enableEvaluation\":\"x\"}",
        "enableEvaluation",
        "Must be a valid boolean.",
      },
    }
    for _, row in ipairs(rows) do
      it("name what is wrong: " .. row[1], function()
        local status, value = call("POST", "/api/chatbots/", row[2])
        assert.equal(400, status)
        assert.same({ row[4] }, value[row[3]])
      end)
    end

    it("are nested as the body is", function()
      local _, path = knowledge_base()
      local status, value = call("POST", path .. "files/", {
        files = { { filename = "a", file = "b" }, { filename = "c" } },
      })
      assert.equal(400, status)
      assert.same({
        files = { {}, { file = { "This field is required." } } },
      }, value)
    end)

    -- path below the knowledge base, body, the error
    local shapes = {
      { "files/", "[]", { nonFieldErrors =
        { "Invalid data. Expected a dictionary, but got array." } } },
      { "labels/", "5", { nonFieldErrors =
        { "Invalid data. Expected a dictionary, but got number." } } },
      { "files/", '{"files":"x"}', { files =
        { "Expected a list of items." } } },
      { "labels/", nil, { name = { "This field is required." } } },
    }

    for _, row in ipairs(shapes) do
      it("refuse " .. (row[2] or "no body") .. " for " .. row[1], function()
        local _, path = knowledge_base()
        local status, value = call("POST", path .. row[1], row[2])
        assert.equal(400, status)
        assert.same(row[3], value)
      end)
    end

    it("refuse a second label of a name, but not the same again", function()
      local _, path = knowledge_base()
      local _, label = call("POST", path .. "labels/", { name = "one" })
      local status, value = call("POST", path .. "labels/", { name = "one" })
      assert.equal(400, status)
      assert.same({ name = { "This name exists already." } }, value)
      status = call("PUT", path .. "labels/" .. label.id .. "/",
        { name = "one" })
      assert.equal(200, status)
    end)

    it("refuse what is not there", function()
      local _, path = knowledge_base()
      local _, value = call("POST", path .. "faqs/", {
        question = "q",
        answer = "a",
        labels = { { id = UUID } },
      })
      assert.same({
        labels = {
          {
            id = { "Invalid pk \"" .. UUID .. "\" - object does not exist." },
          },
        },
      }, value)
    end)
  end)

  describe("protocol", function()
    local broken = { "{", "{\"a\":}", "[1", "{}x", "\"\255\"", "a" }
    for _, text in ipairs(broken) do
      it("answers 400 to the body " .. ("%q"):format(text), function()
        local status, value = call("POST", "/api/chatbots/", text)
        assert.equal(400, status)
        assert.matches("^JSON parse error %- ", value.detail)
      end)
    end

    it("answers 415 to another type", function()
      local status = call("POST", "/api/chatbots/", "a", {
        headers = { ["Content-Type"] = "text/plain" },
      })
      assert.equal(415, status)
    end)

    it("answers 405 where there is no such method", function()
      local status, value = call("PUT", "/api/embedding-models/", "{}")
      assert.equal(405, status)
      assert.equal("Method \"PUT\" not allowed.", value.detail)
    end)

    it("redirects to the path with its slash", function()
      local status, _, headers = call("POST", "/api/chatbots?a=b", "{}")
      assert.equal(301, status)
      assert.equal("/api/chatbots/?a=b", headers.location)
    end)

    it("answers 404 to paths that are not there", function()
      for _, path in ipairs({ "/", "/api/none/", "/api//chatbots/" }) do
        assert.equal(404, (call("GET", path)))
      end
    end)

    it("answers HEAD without a body", function()
      local status, body, headers = call("HEAD", "/api/chatbots/")
      assert.equal(200, status)
      assert.equal(true, tonumber(headers["content-length"]) > 0)
      assert.equal("", body or "")
    end)
  end)

  describe("files", function()
    it("go from initial to processing to done", function()
      local _, path = knowledge_base()
      local file = add_files(path, "a.pdf")[1]
      local url = path .. "files/" .. file.id .. "/"
      assert.equal("initial", file.status)
      socket.sleep(PROCESSING * 0.6)
      assert.equal("processing", select(2, call("GET", url)).status)
      local status, value = call("DELETE", url)
      assert.equal(409, status)
      assert.equal("file is being processed, cannot delete", value.detail)
      socket.sleep(PROCESSING * 0.5)
      assert.equal("done", select(2, call("GET", url)).status)
      assert.equal(1, select(2, call("GET", path)).chunksCount)
      assert.equal(204, (call("DELETE", url)))
    end)

    it("fail with a reason", function()
      local _, path = knowledge_base()
      local file = add_files(path, "fail.pdf")[1]
      local url = path .. "files/" .. file.id .. "/latest-failed-reason/"
      assert.equal(404, (call("GET", url)))
      socket.sleep(PROCESSING)
      local status, value = call("GET", url)
      assert.equal(200, status)
      assert.matches("fail.pdf", value.errorMessage, 1, true)
    end)

    it("keep metadata as it was sent", function()
      local _, path = knowledge_base()
      local file = add_files(path, "a.pdf")[1]
      local url = server.base_url .. path .. "files/" .. file.id .. "/"
      for _, text in ipairs({ "{\"n\":2}", "{}", "{\"1\":[{\"n\":0}]}" }) do
        local body = "{\"rawUserDefineMetadata\":" .. text .. "}"
        local pieces = {}
        http.request({ method = "PATCH", url = url,
          source = ltn12.source.string(body), sink = ltn12.sink.table(pieces),
          headers = { Authorization = KEY, ["Content-Length"] = #body,
            ["Content-Type"] = "application/json" } })
        assert.matches("\"rawUserDefineMetadata\":" .. text,
          table.concat(pieces), 1, true)
      end
    end)

    it("are filtered", function()
      local base, path = knowledge_base()
      add_files(path, "a.pdf", "fail.txt", "c.txt")
      socket.sleep(PROCESSING)
      local rows = {
        { "status=done", 2 },
        { "status=failed", 1 },
        { "fileType=txt", 2 },
        { "query=C", 1 },
        { "knowledgeBase=" .. base.id, 3 },
        { "knowledgeBase=" .. UUID, 0 },
      }
      for _, row in ipairs(rows) do
        local _, page = call("GET", path .. "files/?" .. row[1])
        assert.equal(row[2], page.count, row[1])
      end
    end)

    it("become documents, anew after reparsing", function()
      local _, path = knowledge_base()
      local files = add_files(path, "a.pdf", "b.pdf")
      assert.same({}, (select(2, call("GET", path .. "documents/"))))
      socket.sleep(PROCESSING)
      local filter = "documents/?chatbotFileId=" .. files[2].id
      local _, list = call("GET", path .. filter)
      assert.equal(1, #list)
      assert.equal("Text of b.pdf", list[1].text)
      call("PATCH", path .. "files/batch-reparse/", { { id = files[2].id } })
      assert.equal(0, #select(2, call("GET", path .. filter)))
      call("POST", path .. "files/batch-delete/", { ids = { files[1].id } })
      assert.equal(1, select(2, call("GET", path .. "files/")).count)
    end)

    it("are translated", function()
      local _, path = knowledge_base()
      local file = add_files(path, "a.pdf")[1]
      local url = path .. "files/" .. file.id .. "/translations/"
      local body = { targetLanguage = "ja", largeLanguageModelId = UUID }
      local told = created(url, body)
      assert.is_nil(told.id)
      local item = select(2, call("GET", url)).results[1]
      assert.equal("pending", item.status)
      assert.equal(404, (call("GET", url .. item.id .. "/download/")))
      socket.sleep(PROCESSING)
      local _, done = call("GET", url .. item.id .. "/download/")
      assert.equal("completed", done.status)
      local _, text = call("GET", done.translatedFileUrl, nil, {
        headers = { Authorization = false },
      })
      assert.equal("ja: Text of a.pdf", text)
    end)

    for _, reply in ipairs({ "redirect", "bytes" }) do
      it("are translated, answered with " .. reply, function()
        local child = testing.spawn({ processing_time = 0.01,
          translation_reply = reply })
        server, child = child, server
        finally(function()
          server:stop()
          server = child
        end)
        local _, path = knowledge_base()
        local file = add_files(path, "a.pdf")[1]
        local url = path .. "files/" .. file.id .. "/translations/"
        created(url, { targetLanguage = "ja", largeLanguageModelId = UUID })
        local item = select(2, call("GET", url)).results[1]
        socket.sleep(0.02)
        local status, text, headers =
          call("GET", url .. item.id .. "/download/")
        if reply == "redirect" then
          assert.equal(302, status)
          assert.matches("/media/translations/[%x-]+%.txt$",
            headers.location)
          status, text, headers = call("GET", headers.location, nil,
            { headers = { Authorization = false } })
        end
        assert.equal(200, status)
        assert.equal("ja: Text of a.pdf", text)
        assert.matches("''ja_a%%2epdf%%2etxt$", headers["content-disposition"])
      end)
    end
  end)

  describe("Excel", function()
    local function import(path, content)
      local body = form.body({ { "excelFile", content, "a.xlsx" } })
      return call("POST", path, body, { headers = form.HEADERS })
    end

    it("reads back the labels that it wrote", function()
      local _, path = knowledge_base("Ünits")
      local label = created(path .. "labels/", { name = "r&d <1>" })
      local file = add_files(path, "a.pdf", "b.pdf")[1]
      local url = path .. "files/" .. file.id .. "/"
      call("PATCH", url, { labels = { { id = label.id } } })
      local _, sheet, headers = call("GET", path .. "export-labels-excel/")
      assert.equal("attachment; filename*=utf-8''%c3%9cnits_labels%2exlsx",
        headers["content-disposition"])
      call("PATCH", url, { labels = {} })
      local _, result = import(path .. "import-labels-excel/", sheet)
      assert.same({
        success = true,
        updated_count = 2,
        total_rows = 2,
        errors = {},
      }, result)
      local labels = select(2, call("GET", url)).labels
      assert.equal("r&d <1>", labels[1].name)
    end)

    local function bytes(number, size)
      local text = ""
      for _ = 1, size do
        text = text .. string.char(number % 256)
        number = math.floor(number / 256)
      end
      return text
    end

    -- The same archive, compressed as spreadsheet programs do.
    local function deflated(archive)
      local bodies, list, place = "", "", 1
      while archive:sub(place, place + 3) == "PK\3\4" do
        local size, name_size = archive:byte(place + 22)
          + 256 * archive:byte(place + 23), archive:byte(place + 26)
        local name = archive:sub(place + 30, place + 29 + name_size)
        local first = place + 30 + name_size
        local data = archive:sub(first, first + size - 1)
        local packed = zlib.deflate(6, -15)(data, "finish")
        local fields = archive:sub(place + 4, place + 7) .. "\8\0"
          .. archive:sub(place + 10, place + 17) .. bytes(#packed, 4)
          .. archive:sub(place + 22, place + 29)
        list = list .. "PK\1\2\20\0" .. fields .. ("\0"):rep(10)
          .. bytes(#bodies, 4) .. name
        bodies = bodies .. "PK\3\4" .. fields .. name .. packed
        place = first + size
      end
      return bodies .. list .. "PK\5\6" .. ("\0"):rep(8) .. bytes(#list, 4)
        .. bytes(#bodies, 4) .. "\0\0"
    end

    it("reads a compressed sheet", function()
      if not has_zlib then
        return pending("lua-zlib is not installed")
      end
      local _, path = knowledge_base()
      created(path .. "metadata-keys/", { keyName = "author" })
      local file = add_files(path, "a.pdf")[1]
      local url = path .. "files/" .. file.id .. "/"
      call("PATCH", url, { rawUserDefineMetadata = { author = "王 & <b>" } })
      local _, sheet = call("GET", path .. "export-metadata-excel/")
      call("PATCH", url, { rawUserDefineMetadata = { other = 1 } })
      local packed = deflated(sheet)
      assert.is_true(#packed < #sheet)
      local _, result = import(path .. "import-metadata-excel/", packed)
      assert.equal(1, result.updated_count)
      local _, now = call("GET", url)
      assert.same({ author = "王 & <b>", other = 1 }, now.rawUserDefineMetadata)
    end)

    local function stored(files)
      local bodies, list = "", ""
      for _, file in ipairs(files) do
        local fields = "\20\0" .. ("\0"):rep(12) .. bytes(#file[2], 4):rep(2)
          .. bytes(#file[1], 2) .. "\0\0"
        list = list .. "PK\1\2\20\0" .. fields .. ("\0"):rep(10)
          .. bytes(#bodies, 4) .. file[1]
        bodies = bodies .. "PK\3\4" .. fields .. file[1] .. file[2]
      end
      return bodies .. list .. "PK\5\6" .. ("\0"):rep(8) .. bytes(#list, 4)
        .. bytes(#bodies, 4) .. "\0\0"
    end

    -- As spreadsheet programs write it: texts by number, cells left out.
    it("reads shared texts, cells by their names, entities", function()
      assert.same({ { [2] = "shared", [27] = "A&#233;<" } },
        xlsx.read(stored({
          { "xl/sharedStrings.xml", "<sst><si><t>no</t></si>"
            .. "<si><r><t>sha</t></r><r><t>red</t></r></si></sst>" },
          { "xl/worksheets/sheet1.xml", '<sheetData><row r="1">'
            .. '<c r="B1" t="s"><v>1</v></c><c r="AA1" t="inlineStr"><is>'
            .. "<t>&#65;&#233;&lt;</t></is></c></row></sheetData>" },
        })))
    end)

    it("names the rows that it could not use", function()
      local _, path = knowledge_base()
      local file = add_files(path, "a.pdf")[1]
      created(path .. "metadata-keys/", { keyName = "author" })
      local _, sheet = call("GET", path .. "export-metadata-excel/")
      call("DELETE", path .. "files/" .. file.id .. "/")
      local _, result = import(path .. "import-metadata-excel/", sheet)
      assert.same({
        success = false,
        updated_count = 0,
        total_rows = 1,
        errors = {
          { row = 2, file_id = file.id, error = "File not found." },
        },
      }, result)
    end)

    it("refuses what is no workbook", function()
      local _, path = knowledge_base()
      local url = path .. "import-labels-excel/"
      local status, value = import(url, "text")
      assert.equal(400, status)
      assert.same({ "Not an Excel workbook." }, value.excelFile)
      status, value = call("POST", url, form.body({}),
        { headers = form.HEADERS })
      assert.equal(400, status)
      assert.same({ "No file was submitted." }, value.excelFile)
    end)
  end)

  describe("faults", function()
    local function get()
      return call("GET", "/api/chatbots/")
    end

    it("come as often as asked, after as many as asked", function()
      server:fault({ kind = "status", status = 503, times = 2, after = 1,
        path = "/chatbots/$", method = "GET",
        headers = { ["Retry-After"] = "1" } })
      local seen = {}
      for place = 1, 4 do
        seen[place] = get()
      end
      assert.same({ 200, 503, 503, 200 }, seen)
    end)

    it("may come although the work was done", function()
      local bot = chatbot()
      server:fault({ kind = "status", status = 500, method = "DELETE",
        apply = true })
      local path = "/api/chatbots/" .. bot.id .. "/"
      assert.equal(500, (call("DELETE", path)))
      assert.equal(404, (call("DELETE", path)))
    end)

    it("may come by chance, the same in every run", function()
      local function pattern(seed)
        server:fault({ kind = "status", status = 503, chance = 0.1,
          seed = seed })
        local seen = {}
        for place = 1, 300 do
          seen[place] = get() == 503 and "x" or "."
        end
        server:faults_clear()
        return table.concat(seen)
      end
      local first = pattern()
      local _, count = first:gsub("x", "")
      assert.is_true(count > 15 and count < 50, first)
      assert.equal(first, pattern())
      assert.not_equal(first, pattern(2))
    end)

    it("slow takes its time for each piece of a body", function()
      local _, path = knowledge_base()
      server:fault({ kind = "slow", seconds = 0.02, path = "files/$" })
      local began = socket.gettime()
      local status = call("POST", path .. "files/", {
        files = { { filename = "a", file = ("x"):rep(400000) } },
      })
      assert.equal(201, status)
      assert.is_true(socket.gettime() - began > 0.04)
    end)

    it("reset may come amid a body", function()
      server:fault({ kind = "reset", bytes = 100000 })
      local client = assert(socket.connect("127.0.0.1", server.port))
      client:settimeout(5)
      client:send("POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n")
      client:send(("x"):rep(99999))
      client:settimeout(0.1)
      assert.equal("timeout", select(2, client:receive()))
      client:settimeout(5)
      client:send("xx")
      assert.equal("closed", select(2, client:receive()))
      client:close()
      local bytes = server:log()[1].body_bytes
      assert.is_true(bytes >= 100000 and bytes < 200000, tostring(bytes))
    end)

    local rows = {
      { "reset", {}, nil, "closed" },
      { "empty", {}, 200, "" },
      { "status", { status = 429, json = { a = 1 } }, 429, { a = 1 } },
      { "redirect", { location = "/x" }, 302, "" },
      { "large", { bytes = 100000 }, 200, ("x"):rep(99998) },
      {
        "status",
        { status = 200, body = ("y"):rep(400000) },
        200,
        ("y"):rep(400000),
      },
    }
    for _, row in ipairs(rows) do
      it(row[1] .. " is what it says", function()
        local fault = row[2]
        fault.kind = row[1]
        server:fault(fault)
        local status, value = get()
        assert.equal(row[3], status)
        assert.same(row[4], value)
        assert.equal(200, (get()))
      end)
    end

    -- What arrives, byte for byte, until the server closes.
    local function raw_answer()
      local client = assert(socket.connect("127.0.0.1", server.port))
      client:settimeout(5)
      client:send("GET /api/chatbots/ HTTP/1.1\r\nAuthorization: " .. KEY
        .. "\r\n\r\n")
      local text, reason, partial = client:receive("*a")
      client:close()
      return text or partial, reason
    end

    it("raw need not be HTTP", function()
      server:fault({ kind = "raw", bytes = "\0\255\r\n" })
      assert.equal("\0\255\r\n", (raw_answer()))
    end)

    it("cut sends less than it announced", function()
      server:fault({ kind = "cut", bytes = 3 })
      local text = raw_answer()
      assert.matches("Content%-Length: %d%d", text)
      assert.matches("\r\n\r\n{..$", text)
    end)

    it("cut may end with a reset", function()
      server:fault({ kind = "cut", bytes = 3, reset = true })
      assert.equal("closed", select(2, raw_answer()))
    end)

    it("close ends a connection without a word", function()
      server:fault({ kind = "close" })
      local text = raw_answer()
      assert.matches("^HTTP/1.1 200", text)
      assert.is_nil(text:find("Connection: close", 1, true))
    end)

    it("headers adds as many as asked", function()
      server:fault({ kind = "headers", count = 3, bytes = 2000 })
      local _, _, headers = get()
      assert.equal(2000, #headers["x-filler-3"])
    end)

    it("delay and drip take their time", function()
      local rest = { delay = { seconds = 0.1 },
        drip = { seconds = 0.01, bytes = 40 } }
      for kind, fault in pairs(rest) do
        fault.kind = kind
        server:fault(fault)
        local began = socket.gettime()
        assert.equal(200, (get()))
        assert.is_true(socket.gettime() - began > 0.04, kind)
      end
    end)

    for _, kind in ipairs({ "hang", "delay", "drip" }) do
      it(kind .. " ends when the client gives up", function()
        server:fault({ kind = kind, seconds = 60 })
        local client = assert(socket.connect("127.0.0.1", server.port))
        client:send("GET / HTTP/1.1\r\n\r\n")
        client:settimeout(0.05)
        assert.equal("timeout", select(2, client:receive()))
        assert.equal(1, server:connections())
        client:close()
        socket.sleep(0.05)
        assert.equal(0, server:connections())
      end)
    end

    if has_zlib then
      it("gzip compresses", function()
        server:fault({ kind = "gzip" })
        local pieces = {}
        local _, _, headers = http.request({
          url = server.base_url .. "/api/chatbots/",
          headers = { Authorization = KEY },
          sink = ltn12.sink.table(pieces),
        })
        assert.equal("gzip", headers["content-encoding"])
        local plain = zlib.inflate(31)(table.concat(pieces))
        assert.matches('"count":0', plain)
      end)
    end

    it("raise for an unknown kind or field, and are cleared", function()
      assert.error_matches(function()
        server:fault({ kind = "flood" })
      end, "unknown kind of fault \"flood\"")
      assert.error_matches(function()
        server:fault({ kind = "delay", second = 1 })
      end, "unknown field of a fault \"second\"")
      server:fault({ kind = "reset", times = math.huge })
      server:faults_clear()
      assert.equal(200, (get()))
    end)
  end)

  describe("record", function()
    it("keeps each request", function()
      call("POST", "/api/chatbots/?a=1", "{\"name\":\"x\"}")
      local entry = server:log()[1]
      assert.equal("POST", entry.method)
      assert.equal("/api/chatbots/", entry.path)
      assert.equal("a=1", entry.query)
      assert.equal(12, entry.body_bytes)
      assert.equal("{\"name\":\"x\"}", entry.body)
      assert.equal(400, entry.status)
      assert.equal(KEY, entry.headers.authorization)
      assert.is_true(entry.authorization_ok)
    end)

    it("notes names that the service does not know", function()
      call("POST", "/api/chatbots/?a=1", "{\"colour\":\"x\"}")
      assert.same({
        "POST /api/chatbots/: unknown query name a",
        "POST /api/chatbots/: unknown body field colour",
      }, server:violations())
    end)
  end)
end)

describe("the stand-in in this process", function()
  local local_server

  before_each(function()
    local_server = testing.start({ kb_files_reply = "array", strict = true })
  end)

  after_each(function()
    local_server:stop()
  end)

  local function exchange(text)
    local client = assert(socket.connect("127.0.0.1", local_server.port))
    client:send(text)
    client:settimeout(0)
    local got = ""
    for _ = 1, 200 do
      local_server.wait(client, 10)
      local data, reason, partial = client:receive("*a")
      got = got .. (data or partial)
      if reason ~= "timeout" then
        break
      end
    end
    client:close()
    return got
  end

  it("does its work in step", function()
    local text = exchange("GET /api/chatbots/ HTTP/1.1\r\nAuthorization: "
      .. KEY .. "\r\nConnection: close\r\n\r\n")
    assert.matches("^HTTP/1.1 200 OK", text)
    assert.equal(0, local_server:connections())
  end)

  it("serves requests that come in one piece", function()
    local text = exchange("POST /api/chatbots/ HTTP/1.1\r\nAuthorization: "
      .. KEY .. "\r\nContent-Type: application/json\r\n"
      .. "Content-Length: 2\r\n\r\n{}GET /api/chatbots/ HTTP/1.0\r\n\r\n")
    assert.matches("^HTTP/1.1 400 .*HTTP/1.1 401 ", text)
  end)

  -- LuaJIT's sub() took 2^31 for a negative number, so that nothing was ever
  -- taken out of the buffer.
  it("reads what is to be more than 2 GiB", function()
    local client = assert(socket.connect("127.0.0.1", local_server.port))
    client:send("POST / HTTP/1.1\r\nContent-Length: 3000000000\r\n\r\nabc")
    local entry
    for _ = 1, 200 do
      local_server:step(0.01)
      entry = local_server:log()[1]
      if entry and entry.body_bytes >= 3 then
        break
      end
    end
    client:close()
    assert.equal(3, entry.body_bytes)
    local_server:step(0.1)
    assert.equal(0, local_server:connections())
  end)

  it("takes no body whose length is not told", function()
    assert.equal("HTTP/1.1 411 Error\r\nContent-Length: 0\r\n\r\n",
      exchange("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"))
  end)

  it("waits for a client that reads slowly", function()
    local_server:fault({ kind = "large", bytes = 2 ^ 24 })
    local client = assert(socket.connect("127.0.0.1", local_server.port))
    client:setoption("tcp-nodelay", true)
    client:send("GET /api/chatbots/ HTTP/1.1\r\n\r\n")
    client:settimeout(0)
    for _ = 1, 5 do
      local_server:step(0.01)
    end
    local got, deadline = 0, socket.gettime() + pace.seconds(10)
    while got <= 2 ^ 24 and socket.gettime() < deadline do
      local_server:step(0)
      local data, _, partial = client:receive(65536)
      got = got + #(data or partial)
    end
    client:close()
    assert.is_true(got > 2 ^ 24)
  end)

  -- An answer that is no answer, and a state that is none.
  it("tells what is wrong with itself", function()
    local_server:fault({ kind = "status", status = "broken" })
    assert.equal("", exchange("GET / HTTP/1.0\r\n\r\n"))
    local children = local_server.state.children
    local_server.state.children = nil
    assert.matches("^HTTP/1.1 500 .*Server error", exchange("GET "
      .. "/api/chatbots/ HTTP/1.0\r\nAuthorization: " .. KEY .. "\r\n\r\n"))
    local_server.state.children = children
    local violations = local_server:violations()
    assert.equal(2, #violations)
    for _, violation in ipairs(violations) do
      assert.matches("error in the stand%-in: .*%.lua:%d+: ", violation)
    end
  end)

  it("notes a wrong key if it is strict", function()
    exchange("GET /api/chatbots/ HTTP/1.0\r\n\r\n")
    assert.equal(1, #local_server:violations())
  end)

  it("returns at once when a client is ready", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local client = socket.connect("127.0.0.1",
      (select(2, listener:getsockname())))
    local began = socket.gettime()
    local_server:step(5, listener)
    assert.is_true(socket.gettime() - began < 2)
    client:close()
    listener:close()
  end)

  it("leaves no socket behind", function()
    local other = testing.start({})
    local port, storage = other.port, other.storage_url:match("%d+$")
    other:stop()
    assert.is_nil((socket.connect("127.0.0.1", port)))
    assert.is_nil((socket.connect("127.0.0.1", tonumber(storage))))
  end)

  it("refuses options that it does not know", function()
    assert.error_matches(function()
      testing.start({ procesing_time = 1 })
    end, "unknown option procesing_time")
  end)

end)

describe("a part of the stand-in", function()
  -- A module as it is where another one is not installed.
  local function without(missing, name)
    local modules = { [missing] = package.loaded[missing],
      [name] = package.loaded[name] }
    local before = package.preload[missing]
    package.loaded[missing], package.loaded[name] = nil, nil
    package.preload[missing] = function()
      error("no " .. missing .. " here", 0)
    end
    local ok, module = pcall(require, name)
    package.preload[missing] = before
    for loaded, value in pairs(modules) do
      package.loaded[loaded] = value
    end
    return ok, module
  end

  it("writes the same workbooks without lua-zlib", function()
    local _, plain = without("zlib", "maiagent.testing.xlsx")
    local rows = { { "a", "王 & <b>" }, { "", ("x"):rep(3000) } }
    assert.equal(xlsx.write(rows), plain.write(rows))
    assert.same(rows, plain.read(plain.write(rows)))
  end)

  it("says what the gzip fault needs", function()
    local _, faults = without("zlib", "maiagent.testing.faults")
    assert.error_matches(function()
      faults.add({}, { kind = "gzip" })
    end, "the gzip fault needs lua%-zlib")
  end)

  it("says what it needs", function()
    local ok, message = without("dkjson", "maiagent.testing")
    assert.is_false(ok)
    assert.matches("needs LuaSocket and dkjson; dkjson is not installed: "
      .. ".*no dkjson here", message)
  end)

  -- One part, as it stands on the wire in pieces of so many bytes.
  for _, size in ipairs({ 1, 2, 7, 1000 }) do
    it("reads a form that comes " .. size .. " bytes at a time", function()
      local body = form.body({ { "file", "a\r\n--b", "x.txt" } })
      local kind = form.HEADERS["Content-Type"]
      local parts = multipart.parse(in_pieces(body, size), kind)
      assert.equal(1, #parts)
      assert.equal("a\r\n--b", parts[1].content)
      assert.is_nil(multipart.parse(in_pieces(body:sub(1, -5), size), kind))
    end)
  end
end)

describe("TLS", function()
  -- The names of a certificate and its key, which end with the spec.
  local function new_certificate()
    local names = { os.tmpname(), os.tmpname() }
    finally(function()
      os.remove(names[1])
      os.remove(names[2])
    end)
    os.execute("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj "
      .. "/CN=localhost -keyout " .. names[2] .. " -out " .. names[1]
      .. " 2>/dev/null")
    return { certificate = names[1], key = names[2] }
  end

  local function secure_get(child)
    local client = assert(socket.connect("127.0.0.1", child.port))
    client = assert(ssl.wrap(client, { mode = "client", protocol = "any",
      verify = "none", options = "all" }))
    assert(client:dohandshake())
    client:send("GET /api/chatbots/ HTTP/1.0\r\nAuthorization: " .. KEY
      .. "\r\n\r\n")
    local text, reason, partial = client:receive("*a")
    client:close()
    return text or partial, reason
  end

  it("is served where LuaSec is", function()
    if not has_tls then
      return pending("LuaSec is not installed")
    end
    local child = testing.spawn({ tls = new_certificate() })
    assert.matches("^https://", child.base_url)
    assert.matches("^HTTP/1.1 200 ", (secure_get(child)))
    child:fault({ kind = "reset" })
    assert.equal("", (secure_get(child)))
    assert.matches("^HTTP/1.1 200 ", (secure_get(child)))
    assert.equal(0, child:connections())
    child:stop()
  end)
end)

describe("spawn", function()
  local function alive(pid)
    local status = io.open("/proc/" .. pid .. "/stat")
    return status and status:close() and true or false
  end

  it("starts in well under a tenth of a second", function()
    local began = socket.gettime()
    local child = testing.spawn({})
    local taken = socket.gettime() - began
    child:stop()
    assert.is_true(taken < pace.seconds(1), taken .. " s")
  end)

  it("leaves neither process nor port", function()
    local child = testing.spawn({})
    local pid, port = child.pid, child.port
    assert.is_true(alive(pid))
    child:stop()
    child:stop()
    assert.is_false(alive(pid))
    assert.is_nil((socket.connect("127.0.0.1", port)))
    assert.error_matches(function()
      child:log()
    end, "the server was stopped")
  end)

  it("ends with the program's interest in it", function()
    local child = testing.spawn({})
    local pid = child.pid
    child = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.is_false(alive(pid))
  end)

  it("is not in the session that Ctrl-C interrupts", function()
    local function session(pid)
      return read("/proc/" .. pid .. "/stat")
        :match("%) %S %d+ %d+ (%d+)")
    end
    local known = io.popen("command -v setsid")
    local has_setsid = known:read("*a") ~= ""
    known:close()
    if not has_setsid then
      return pending("setsid is not installed")
    end
    local child = testing.spawn({})
    local own, its = session("self"), session(child.pid)
    child:stop()
    assert.not_equal(own, its)
    assert.equal(tostring(child.pid), its)
  end)

  it("does not keep this process's sockets", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local child = testing.spawn({})
    listener:close()
    assert.is_nil((socket.connect("127.0.0.1", port)))
    child:stop()
  end)

  it("is killed where it does not go by itself", function()
    local child = testing.spawn({})
    os.execute("kill -STOP " .. child.pid)
    child:stop()
    assert.is_false(alive(child.pid))
  end)

  it("says why the server did not start", function()
    local taken = testing.start({})
    assert.error_matches(function()
      testing.spawn({ port = taken.port })
    end, "address already in use")
    taken:stop()
  end)

  it("says what to do when it cannot start", function()
    assert.error_matches(function()
      testing.spawn({ lua = "/nonexistent/lua" })
    end, "options.lua")
  end)
end)
