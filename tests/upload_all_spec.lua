-- Many files at once, against the stand-in.

local child = require("tests.support.child")
local core = require("maiagent.core")
local errors = require("maiagent.errors")
local pace = require("tests.support.pace")
local service = require("tests.support.service")
local socket = require("socket")

local seconds = pace.seconds

local FILES = "/knowledge%-bases/[^/]+/files/$"

local function sources_of(count)
  local sources = {}
  for i = 1, count do
    sources[i] = { content = "content " .. i, filename = i .. ".txt" }
  end
  return sources
end

local function requests(server, method, path)
  local count = 0
  for _, request in ipairs(server:log()) do
    if request.method == method and request.path:find(path) then
      count = count + 1
    end
  end
  return count
end

local function names_on(client, kb_id)
  local names = {}
  for file in client.knowledge_bases.files:each(kb_id, { pageSize = 100 }) do
    names[#names + 1] = file.filename
  end
  table.sort(names)
  return names
end

describe("knowledge_bases.files:upload_all", function()
  local server, client, files, kb

  before_each(function()
    server = service.start({ processing_time = 0.05 })
    client = service.client(server)
    files = client.knowledge_bases.files
    kb = service.knowledge_base(client)
  end)

  after_each(function()
    service.check()
  end)

  it("gives the files in the order of their sources", function()
    local label = assert(client.knowledge_bases.labels:create(kb,
      { name = "all" }))
    local started = core.now()
    local results, failures = files:upload_all(kb, sources_of(23),
      { labels = { { id = label.id } }, rawUserDefineMetadata = { a = 1 } })
    local took = core.now() - started
    assert.is_nil(failures)
    assert.equal(23, #results)
    for i, file in ipairs(results) do
      assert.equal(i .. ".txt", file.filename)
      assert.equal(#("content " .. i), file.size)
      assert.equal("all", file.labels[1].name)
      assert.same({ a = 1 }, file.rawUserDefineMetadata)
    end
    assert.equal(23, #names_on(client, kb))
    assert.is_true(pace.batched(requests(server, "POST", FILES), 1, took))
  end)

  -- It ended when the request that was given up would have been too late.
  it("ends at once where a callback raises while one is under way", function()
    local clock = socket.gettime
    local spawned = require("maiagent.testing").spawn()
    local own = require("maiagent").new({ api_key = spawned.api_key,
      base_url = spawned.base_url, timeout = { idle = seconds(3) } })
    local id, begun = service.knowledge_base(own), clock()
    repeat -- a timer of libcurl's for the new connection would end it, too
      assert(own.chatbots:list())
    until clock() > begun + 0.3
    spawned:fault({ kind = "hang", path = "/upload%-presigned%-url/" })
    local started = clock()
    local ok, raised = pcall(function()
      own.knowledge_bases.files:upload_all(id,
        { sources_of(1)[1], "no such file" }, nil, { concurrency = 2,
          on_file = function()
            error("enough", 0)
          end })
    end)
    local took = clock() - started
    own:close()
    spawned:stop()
    assert.is_false(ok)
    assert.equal("enough", raised)
    assert.is_true(took < seconds(1.5), tostring(took))
  end)

  it("registers up to fifty files in one request", function()
    local started = core.now()
    local results, failures = files:upload_all(kb, sources_of(120))
    local took = core.now() - started
    assert.is_nil(failures)
    assert.equal(120, #results)
    assert.is_true(pace.batched(requests(server, "POST", FILES), 3, took))
  end)

  -- One file went at an eighth of the speed.
  it("shares its speed among as many as there are", function()
    local started = socket.gettime()
    local _, failures = files:upload_all(kb, { { filename = "a.txt",
      content = ("x"):rep(200000) } }, nil,
      { max_speed = 400000 / pace.slowness })
    assert.is_nil(failures)
    local took = socket.gettime() - started
    assert.is_true(took > seconds(0.2) and took < seconds(2), tostring(took))
  end)

  it("does with no source at all nothing", function()
    local results, failures = files:upload_all(kb, {})
    assert.same({}, results)
    assert.is_nil(failures)
    assert.equal(0, requests(server, "POST", "/files/"))
  end)

  it("takes paths, contents and readers", function()
    local folder = child.folder()
    local path = folder .. "/常見問題.txt"
    local out = assert(io.open(path, "wb"))
    out:write("from a path")
    out:close()
    local given = { "from", " a ", "reader" }
    local results, failures = files:upload_all(kb, { path,
      { content = "", filename = "empty" },
      { reader = function()
        return table.remove(given, 1)
      end, filename = "read", size = 13 } })
    child.remove(folder)
    assert.is_nil(failures)
    assert.equal("常見問題.txt", results[1].filename)
    assert.same({ 11, 0, 13 },
      { results[1].size, results[2].size, results[3].size })
  end)

  it("goes on where some fail", function()
    server:fault({ kind = "status", status = 400, path = "/maiagent%-media/$",
      method = "POST", body = "<Error><Code>Broken</Code></Error>" })
    local sources = sources_of(5)
    sources[2] = "/nothing/here.txt"
    local seen = {}
    local results, failures = files:upload_all(kb, sources, nil, {
      concurrency = 1,
      on_file = function(index, file, err)
        seen[index] = file and file.id or err.kind
      end,
    })
    assert.equal("invalid", failures[1].kind)
    assert.equal("file", failures[2].kind)
    assert.is_nil(results[1])
    assert.is_nil(results[2])
    assert.same({ "invalid", "file", results[3].id, results[4].id,
      results[5].id }, seen)
    assert.same({ "3.txt", "4.txt", "5.txt" }, names_on(client, kb))
  end)

  it("finds the one that the service does not take", function()
    local sources = sources_of(20)
    sources[7].filename = ("x"):rep(300)
    local results, failures = files:upload_all(kb, sources)
    assert.equal("invalid", failures[7].kind)
    assert.is_nil(results[7])
    for i = 1, 20 do
      assert.equal(i == 7, failures[i] ~= nil)
    end
    assert.equal(19, #names_on(client, kb))
  end)

  it("does not try on with a key that is refused", function()
    local stranger = service.client(server, { api_key = "wrong" })
    local results, failures =
      stranger.knowledge_bases.files:upload_all(kb, sources_of(100))
    assert.same({}, results)
    for i = 1, 100 do
      assert.equal("authentication", failures[i].kind)
    end
    assert.is_true(requests(server, "POST", "/upload%-presigned") <= 8)
  end)

  it("counts files and bytes", function()
    local sources = sources_of(12)
    sources[3] = "/nothing"
    local last, calls = nil, 0
    files:upload_all(kb, sources, nil, { on_progress = function(progress)
      calls = calls + 1
      assert.is_true(not last or progress.done >= last.done)
      assert.is_true(progress.bytes_sent <= progress.bytes_total)
      last = progress
    end })
    assert.is_true(calls >= 12)
    assert.equal(last.bytes_total, last.bytes_sent)
    last.bytes_sent, last.bytes_total = nil, nil
    assert.same({ done = 11, failed = 1, total = 12 }, last)
  end)

  it("is ended by on_progress, with what was stored registered", function()
    local refused, later = false, 0
    local results, failures = files:upload_all(kb, sources_of(200), nil, {
      concurrency = 2,
      on_progress = function(progress)
        later = later + (refused and 1 or 0)
        refused = refused or progress.done >= 50
        return not refused
      end,
    })
    assert.equal(0, later)
    local done = 0
    for i = 1, 200 do
      assert.is_true((results[i] == nil) == (failures[i] ~= nil))
      done = done + (results[i] and 1 or 0)
      if failures[i] then
        assert.equal("cancelled", failures[i].kind)
        assert.matches("on_progress returned false", failures[i].message)
      end
    end
    assert.is_true(done >= 50 and done < 110, done .. " done")
    assert.equal(done, #names_on(client, kb))
  end)

  -- Eight at a time are under way: whether any of the others is stored.
  local function is_stored(progress)
    return progress.bytes_sent > 8 * #"content 130"
  end

  it("raises what a callback raised, with what was stored registered",
    function()
      for _, name in ipairs({ "on_progress", "on_file" }) do
        local stored = -requests(server, "POST", "/maiagent%-media/$")
        local here = -#names_on(client, kb)
        local raised, calls = { "mine" }, 0
        local ok, problem = pcall(function()
          files:upload_all(kb, sources_of(130), nil, { [name] = function(told)
            calls = calls + 1
            if calls >= 3 and (name == "on_file" or is_stored(told)) then
              error(raised, 0)
            end
          end })
        end)
        assert.is_false(ok)
        assert.equal(raised, problem)
        stored = stored + requests(server, "POST", "/maiagent%-media/$")
        here = here + #names_on(client, kb)
        -- Of those under way nobody knows whether they were stored.
        assert.is_true(here >= stored - 8, here .. " of " .. stored)
        assert.is_true(here > 0)
      end
    end)

  it("raises what is raised out of a wait, as by Ctrl-C", function()
    local turns, told = 0, {}
    local impatient = service.client(server, { wait = function(...)
      turns = turns + 1
      if turns == 25 then
        error("interrupted!", 0)
      end
      server.wait(...)
    end })
    local ok, problem = pcall(function()
      impatient.knowledge_bases.files:upload_all(kb, sources_of(100), nil,
        { on_file = function(index, file)
          told[index] = file
        end })
    end)
    assert.is_false(ok)
    assert.equal("interrupted!", problem)
    local count = 0
    for _ in pairs(told) do
      count = count + 1
    end
    local stored = requests(server, "POST", "/maiagent%-media/$")
    assert.is_true(count >= stored - 8, count .. " of " .. stored)
    assert.is_true(count > 0 and count < 100, count .. " told")
    assert.equal(count, #names_on(client, kb))
  end)

  it("does not let small files wait for a large one", function()
    local late = 1 + seconds(0.5) -- a stored file waits a second for others
    server:fault({ kind = "delay", seconds = late + 0.1, method = "POST",
      path = "/maiagent%-media/$" })
    local started, times = core.now(), {}
    local _, failures = files:upload_all(kb, sources_of(3), nil, {
      on_file = function(index)
        times[index] = core.now() - started
      end,
    })
    assert.is_nil(failures)
    table.sort(times)
    assert.is_true(times[1] < late, "after " .. times[1] .. " s")
    assert.is_true(times[3] > late)
  end)

  it("runs as a task beside others", function()
    local results
    client:go(function()
      results = files:upload_all(kb, sources_of(9))
    end)
    while client:step() do
      server:step(0.01, client)
    end
    assert.equal(9, #results)
  end)

  it("ends with its client", function()
    local results, failures
    server:fault({ kind = "hang", path = "/maiagent%-media/$", times = 99 })
    client:go(function()
      results, failures = files:upload_all(kb, sources_of(9))
    end)
    for _ = 1, 20 do
      client:step()
      server:step(0.01, client)
    end
    client:close()
    assert.same({}, results)
    for i = 1, 9 do
      assert.equal("cancelled", failures[i].kind)
    end
  end)

  it("ends with its task", function()
    local results, failures
    server:fault({ kind = "hang", path = "/maiagent%-media/$", times = 99 })
    local task = client:go(function()
      results, failures = files:upload_all(kb, sources_of(9))
    end)
    for _ = 1, 20 do
      client:step()
      server:step(0.01, client)
    end
    task:cancel()
    assert.is_true(task:done())
    assert.same({}, results)
    for i = 1, 9 do
      assert.equal("cancelled", failures[i].kind)
      assert.matches("the task was cancelled", failures[i].message)
    end
  end)

  it("is cancelled with what it runs in", function()
    server:fault({ kind = "hang", path = "/maiagent%-media/$", times = 99 })
    local ok = pcall(function()
      client:gather({
        function()
          files:upload_all(kb, sources_of(3))
        end,
        function()
          client.chatbots:list()
          error("over", 0)
        end,
      })
    end)
    assert.is_false(ok)
  end)

  it("tells misuse before anything is sent", function()
    local before = #server:log()
    local rows = {
      { "sources must be a list, got string", kb, "path" },
      { "files.upload_all: sources[2] must be a path or a table with path, "
        .. "content or reader, got number", kb, { "a", 5 } },
      { "files.upload_all: sources[2].filename must be a string, got number",
        kb, { "a", { path = "a", filename = 5 } } },
      { "sources[5] is not part of the list", kb, { "a", [5] = "b" } },
      { "sources[x] is not part of the list", kb, { x = "b" } },
      { "unknown params.label (did you mean 'labels'?)", kb, {},
        { label = {} } },
      { "unknown option 'concurency' (did you mean 'concurrency'?)", kb, {},
        {}, { concurency = 1 } },
      { "concurrency must be a whole number of 1 or more, got 0", kb, {}, {},
        { concurrency = 0 } },
      { "expected, got nil", nil, {} },
    }
    for _, row in ipairs(rows) do
      local ok, problem = pcall(function()
        files:upload_all(row[2], row[3], row[4], row[5])
      end)
      assert.is_false(ok)
      assert.is_false(errors.is(problem))
      assert.is_truthy(problem:find(row[1], 1, true), problem)
      assert.matches("upload_all_spec.lua:%d+: ", problem)
    end
    assert.equal(before, #server:log())
  end)
end)
