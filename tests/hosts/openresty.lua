-- examples/openresty in a real nginx: the very files, with another port and a
-- cache that is soon out of date.

local maiagent = require("maiagent")
local nginx = require("tests.support.nginx")
local socket = require("socket")
local http = require("socket.http")
local ltn12 = require("ltn12")
local testing = require("maiagent.testing")
local read = require("tests.support.files").read

local ROOT = io.popen("pwd"):read("*l")
local LANGUAGE_MODEL = "5e1f0000-0000-4000-8000-000000000001"

local CACHED = 2 -- seconds

local function memory(pid)
  return tonumber(read("/proc/" .. pid .. "/status"):match("VmHWM:%s*(%d+)"))
end

local function workers(place)
  local pids = {}
  local list = io.popen("pgrep -P " .. place.pid)
  for pid in list:lines() do
    pids[#pids + 1] = pid
  end
  list:close()
  return pids
end

describe("examples/openresty", function()
  local server, client, place

  setup(function()
    server = testing.spawn({ processing_time = 0.05, strict = true })
    client = maiagent.new({ api_key = server.api_key,
      base_url = server.base_url, timeout = 20 })
    -- As deep as the example, for its relative paths.
    place = nginx.new(ROOT .. "/build")
    for _, name in ipairs({ "nginx.conf", "debian.conf", "app.lua" }) do
      local text = read("examples/openresty/" .. name)
      nginx.write(place, name, (text:gsub("127%.0%.0%.1:8080",
        "127.0.0.1:" .. place.port):gsub("CACHED = 30", "CACHED = " .. CACHED)))
    end
    nginx.launch(place,
      nginx.is_openresty() and "nginx.conf" or "debian.conf",
      ("MAIAGENT_API_KEY=%s MAIAGENT_BASE_URL=%s"):format(server.api_key,
        server.base_url))
  end)

  teardown(function()
    client:close()
    nginx.stop(place)
    server:stop()
  end)

  local function ask(path, method, source, size)
    local parts = {}
    local _, status, headers = http.request({
      url = "http://127.0.0.1:" .. place.port .. path,
      method = method,
      source = source,
      headers = size and { ["Content-Length"] = tostring(size) },
      sink = ltn12.sink.table(parts),
    })
    return status, table.concat(parts), headers
  end

  local function knowledge_base()
    return maiagent.assert(client.knowledge_bases:create({
      name = "Manuals",
      embeddingModel = maiagent.assert(client.embedding_models:list())[1].id,
      rerankerModel = maiagent.assert(client.reranker_models:list())[1].id,
    }))
  end

  it("says whether the service is reached", function()
    local status, body = ask("/health")
    assert.equal(200, status)
    assert.truthy(body:find('"ok"', 1, true))
    server:fault({ kind = "status", status = 500, json = {} })
    status, body = ask("/health")
    assert.equal(503, status)
    assert.truthy(body:find('"server"', 1, true))
  end)

  it("tells a list of nothing as a list", function()
    local status, body = ask("/assistants")
    assert.equal(200, status)
    assert.truthy(body:find('"assistants":[]', 1, true), body)
  end)

  it("answers from the API", function()
    local assistant = maiagent.assert(client.chatbots:create({
      name = "Support", largeLanguageModel = LANGUAGE_MODEL }))
    local status, body = ask("/assistants/" .. assistant.id)
    assert.equal(200, status)
    assert.truthy(body:find('"Support"', 1, true))
  end)

  it("tells what the service refused", function()
    local status, body =
      ask("/assistants/00000000-0000-4000-8000-000000000000")
    assert.equal(404, status)
    assert.truthy(body:find('"not_found"', 1, true))
  end)

  -- The list, once it is asked for anew.
  local function renewed_list()
    local deadline, status, body, headers = socket.gettime() + 3 * CACHED
    repeat
      status, body, headers = ask("/assistants")
    until headers["x-cache"] ~= "hit" or socket.gettime() > deadline
    assert.equal(200, status)
    return body, headers["x-cache"]
  end

  it("caches the list for all workers", function()
    local before = #server:log()
    local body, cache = renewed_list()
    assert.equal("miss", cache)
    assert.truthy(body:find('"name":"Support"', 1, true), body)
    assert.truthy(body:find('"count":1', 1, true), body)
    for _ = 1, 5 do
      local _, again, seen = ask("/assistants")
      assert.equal("hit", seen["x-cache"])
      assert.equal(body, again)
    end
    assert.equal(before + 1, #server:log())
  end)

  it("keeps the last list while the service fails", function()
    server:fault({ kind = "status", status = 500, json = {}, times = 3 })
    local body, cache = renewed_list()
    assert.equal("stale", cache)
    assert.truthy(body:find('"name":"Support"', 1, true), body)
    server:faults_clear()
  end)

  it("passes an upload on without holding it in memory", function()
    local kb, size, sent = knowledge_base(), 200 * 1024 * 1024, 0
    local chunk = ("0123456789abcdef"):rep(4096)
    local status, body = ask("/knowledge-bases/" .. kb.id
      .. "/files/router%20manual.txt", "PUT", function()
      sent = sent + #chunk
      return sent <= size and chunk or nil
    end, size)
    assert.equal(201, status, body .. nginx.read(place, "start.log"))
    local file = maiagent.assert(client.knowledge_bases.files:get(kb.id,
      body:match('"id":"(.-)"')))
    assert.equal("router manual.txt", file.filename)
    for _, pid in ipairs(workers(place)) do
      assert.is_true(memory(pid) < 100 * 1024, memory(pid) .. " KiB")
    end
    local deadline = socket.gettime() + 5
    local left
    repeat
      left = io.popen("ls -A " .. place.folder .. "/temp"):read("*a")
    until left == "" or socket.gettime() > deadline
    assert.equal("", left)
  end)

  for _, row in ipairs({
    { "an upload without a body", "PUT", nil, 400, "empty" },
    { "an empty upload", "PUT", 0, 400, "empty" },
    { "another method", "POST", 5, 405, "method" },
  }) do
    it("refuses " .. row[1], function()
      local status, body = ask("/knowledge-bases/00000000-0000-4000-8000-"
        .. "000000000000/files/a.txt", row[2],
        row[3] and ltn12.source.string(("x"):rep(row[3])), row[3])
      assert.equal(row[4], status)
      assert.truthy(body:find(row[5], 1, true))
    end)
  end

  it("does nothing that the service did not expect", function()
    assert.same({}, server:violations())
  end)
end)
