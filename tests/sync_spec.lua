-- A folder and a knowledge base of the stand-in.

local child = require("tests.support.child")
local core = require("maiagent.core")
local disk = require("maiagent.disk")
local errors = require("maiagent.errors")
local journal = require("maiagent.journal")
local pace = require("tests.support.pace")
local service = require("tests.support.service")

local STORAGE = "/maiagent%-media/$"
local FILES = "/knowledge%-bases/[^/]+/files/$"

describe("knowledge_bases:sync", function()
  local server, client, kb, folder

  before_each(function()
    server = service.start({ processing_time = 0.05 })
    client = service.client(server)
    kb = service.knowledge_base(client)
    folder = child.folder()
  end)

  after_each(function()
    child.remove(folder)
    service.check()
  end)

  local function write(name, content)
    local path = folder .. "/" .. name
    os.execute("mkdir -p " .. child.quoted(path:match("^(.*)/")))
    local file = assert(io.open(path, "wb"))
    file:write(content)
    file:close()
  end

  local function shell(commands)
    local code, output = child.run(folder, commands)
    assert.equal(0, code, output)
  end

  local function sync(options)
    return assert(client.knowledge_bases:sync(kb, folder, options))
  end

  -- The lists that are not empty, by the names in them.
  local function names_of(summary)
    local result = {}
    for list, count in pairs(summary.counts) do
      assert.equal(count, #summary[list])
      for i, item in ipairs(summary[list]) do
        result[list] = result[list] or {}
        result[list][i] = item.name
      end
    end
    return result
  end

  local function remote()
    local files = {}
    for file in client.knowledge_bases.files:each(kb, { pageSize = 100 }) do
      assert.is_nil(files[file.filename], file.filename .. " is there twice")
      files[file.filename] = file
    end
    return files
  end

  local function content_of(file)
    local key = file.file:match("^%a+://[^/]+/(.*)$")
    return server.state.objects[key].content
  end

  -- As many files on the service as `expected` has, of these contents.
  local function assert_holds(expected)
    local found = {}
    for name, file in pairs(remote()) do
      found[name] = content_of(file)
    end
    assert.same(expected, found)
  end

  local function uploads()
    local count = 0
    for _, request in ipairs(server:log()) do
      if request.method == "POST" and request.path:find(STORAGE) then
        count = count + 1
      end
    end
    return count
  end

  local function wait_until_done()
    for file in client.knowledge_bases.files:each(kb, { pageSize = 100 }) do
      client.knowledge_bases.files:wait(kb, file.id, { interval = 0.01 })
    end
  end

  it("takes nothing of the list for a file that cannot be one", function()
    write("a.txt", "1")
    server:fault({ kind = "status", status = 200, path = FILES, method = "GET",
      json = { results = { 5, {}, { id = {}, filename = {}, file = 5 },
        { id = ".", filename = "b.txt" }, { id = "", filename = "c.txt" },
        { id = true, status = {} } } } })
    assert.same({ uploaded = { "a.txt" } }, names_of(sync({ delete = "all" })))
  end)

  for _, id in ipairs({ {}, ".", "", 5 }) do
    it("cannot delete what was registered without an id: "
      .. type(id) .. " " .. (type(id) == "table" and "" or id),
      function()
        write("a.txt", "1")
        server:fault({ kind = "status", status = 200, path = FILES,
          method = "POST", apply = true,
          json = { results = { { id = id, filename = "b.txt" } } } })
        local summary = sync()
        assert.equal(2, summary.counts.failed)
        assert.truthy(summary.failed[2].reason:find("the service gives no id "
          .. "to delete it by", 1, true), summary.failed[2].reason)
      end)
  end

  it("uploads what is new, and then finds nothing to do", function()
    local tree = { ["常見問題.txt"] = "一", ["說明/手冊.md"] = "二",
      ["說明/價目.csv"] = "三", empty = "", ["a/b/c/deep.txt"] = "deep" }
    local names = {}
    for name, content in pairs(tree) do
      write(name, content)
      names[#names + 1] = name
    end
    table.sort(names)
    local summary = sync()
    assert.same({ uploaded = names }, names_of(summary))
    assert.equal("5 uploaded, 0 replaced, 0 registered, 0 deleted, 0 kept, "
      .. "0 failed, 0 skipped", tostring(summary))
    assert.is_string(summary.uploaded[1].id)
    assert_holds(tree)
    assert.same({ kept = names }, names_of(sync()))
    assert.equal(5, uploads())
    shell('test "$(ls -A)" = "$(ls)"') -- the journal is gone
  end)

  it("keeps the hash beside the metadata of the user", function()
    write("a.txt", "abc")
    local label = assert(client.knowledge_bases.labels:create(kb,
      { name = "manual" }))
    sync({ labels = { { id = label.id } },
      rawUserDefineMetadata = { team = "x" } })
    local file = remote()["a.txt"]
    assert.same({ team = "x", maiagent_sha256 = "ba7816bf8f01cfea414140de5d"
      .. "ae2223b00361a396177a9cb410ff61f20015ad" },
      file.rawUserDefineMetadata)
    assert.equal("manual", file.labels[1].name)
  end)

  it("replaces what changed, and leaves what belongs to it", function()
    write("a.txt", "one")
    write("b.txt", "same")
    local label = assert(client.knowledge_bases.labels:create(kb,
      { name = "manual" }))
    sync({ labels = { { id = label.id } },
      rawUserDefineMetadata = { team = "x" } })
    local before = remote()["a.txt"]
    write("a.txt", "two")
    local summary = sync()
    assert.same({ replaced = { "a.txt" }, kept = { "b.txt" },
      deleted = { "a.txt" } }, names_of(summary))
    assert.equal(before.id, summary.deleted[1].id)
    assert_holds({ ["a.txt"] = "two", ["b.txt"] = "same" })
    local after = remote()["a.txt"]
    assert.equal("x", after.rawUserDefineMetadata.team)
    assert.equal("manual", after.labels[1].name)
    assert.not_equal(before.rawUserDefineMetadata.maiagent_sha256,
      after.rawUserDefineMetadata.maiagent_sha256)
  end)

  it("leaves the parser of what it replaces", function()
    local parser = "00000000-0000-4000-8000-000000000001"
    write("a.txt", "one")
    sync({ parser = parser })
    write("a.txt", "two")
    assert.same({ "a.txt" }, names_of(sync()).replaced)
    assert.equal(parser, remote()["a.txt"].parser.id)
  end)

  it("registers the new version before the old one goes", function()
    write("a.txt", "one")
    sync()
    write("a.txt", "two")
    local posted, deleted
    sync()
    for place, request in ipairs(server:log()) do
      if request.method == "POST" and request.path:find(FILES) then
        posted = place
      elseif request.method == "DELETE" then
        deleted = place
      end
    end
    assert.is_true(posted < deleted)
  end)

  it("keeps the old version while the new one is not processed", function()
    write("a.txt", "one")
    sync()
    wait_until_done()
    server.state.options.processing_time = 3600
    write("a.txt", "two")
    local summary = sync({ processing_timeout = 0 })
    assert.same({ replaced = { "a.txt" }, kept = { "a.txt" } },
      names_of(summary))
    assert.matches("older version stays", summary.kept[1].reason)
    server.state.options.processing_time = 0.01
    wait_until_done()
    assert.same({ kept = { "a.txt" }, deleted = { "a.txt" } },
      names_of(sync()))
    assert_holds({ ["a.txt"] = "two" })
  end)

  -- "table index is nil", after everything was uploaded
  it("keeps the old version where the service gives the new one no id",
    function()
      write("a.txt", "one")
      sync()
      write("a.txt", "two")
      server:fault({ kind = "status", status = 201, method = "POST",
        apply = true, path = FILES, json = { { filename = "a.txt" } } })
      local summary = sync()
      assert.same({ failed = { "a.txt" }, kept = { "a.txt" } },
        names_of(summary))
      assert.matches("^maiagent: decode: .*no id", summary.failed[1].reason)
      assert.matches("older version stays.*no id", summary.kept[1].reason)
      wait_until_done()
      assert.same({ kept = { "a.txt" }, deleted = { "a.txt" } },
        names_of(sync()))
    end)

  it("keeps the old version where the new one fails", function()
    write("a.txt", "one")
    sync()
    wait_until_done()
    local first = remote()["a.txt"].id
    write("a.txt", "two")
    server:fault({ kind = "status", status = 200, method = "GET",
      path = "/files/[^/]+/$", json = { status = "failed" } })
    server:fault({ kind = "status", status = 200,
      path = "/latest%-failed%-reason/$",
      json = { errorMessage = "could not be parsed" } })
    local summary = sync()
    assert.same({ failed = { "a.txt" }, kept = { "a.txt" } },
      names_of(summary))
    assert.matches("could not be parsed", summary.failed[1].reason)
    assert.equal("file", summary.failed[1].error.kind)
    assert.equal(first, summary.kept[1].id)
    assert.matches("older version stays", summary.kept[1].reason)
    local ids = { [summary.failed[1].id] = true, [first] = true }
    for _, file in ipairs(client.knowledge_bases.files:all(kb)) do
      assert.is_true(ids[file.id])
      ids[file.id] = nil
    end
    assert.is_nil(next(ids))
  end)

  it("tells what failed on the service, and retries it if asked", function()
    -- Longer than it takes to look at the new copy once.
    server.state.options.processing_time = pace.seconds(0.4)
    write("fail.txt", "one")
    sync()
    wait_until_done()
    local first = remote()["fail.txt"].id
    local summary = sync()
    assert.same({ failed = { "fail.txt" } }, names_of(summary))
    assert.equal(first, summary.failed[1].id)
    assert.matches("could not be parsed: fail.txt", summary.failed[1].reason)
    summary = sync({ retry_failed = true, processing_timeout = 0 })
    assert.same({ "fail.txt" }, names_of(summary).replaced)
    assert.not_equal(first, summary.replaced[1].id)
  end)

  -- One copy more by each run, each counted as replaced and as failed.
  it("has one copy of what fails again and again", function()
    write("fail.txt", "one")
    sync()
    wait_until_done()
    local id = remote()["fail.txt"].id
    for _ = 1, 2 do
      local summary = sync({ retry_failed = true })
      assert.same({ failed = { "fail.txt" }, deleted = { "fail.txt" } },
        names_of(summary))
      assert.matches("could not be parsed: fail.txt", summary.failed[1].reason)
      assert.equal(id, summary.deleted[1].id)
      id = remote()["fail.txt"].id
      assert.equal(id, summary.failed[1].id)
    end
    assert.same({ failed = { "fail.txt" } }, names_of(sync({ delete = true })))
  end)

  it("keeps the newest alone of several that failed", function()
    write("fail.txt", "one")
    sync()
    local file = remote()["fail.txt"]
    for _ = 1, 2 do
      assert(client.knowledge_bases.files:create(kb, { files = { {
        file = file.file:match("^%a+://[^/]+/(.*)$"), filename = "fail.txt",
        rawUserDefineMetadata = file.rawUserDefineMetadata } } }))
    end
    wait_until_done()
    assert.same({ failed = { "fail.txt" },
      deleted = { "fail.txt", "fail.txt" } }, names_of(sync()))
    assert.same({ failed = { "fail.txt" } }, names_of(sync()))
    assert.truthy(remote()["fail.txt"])
  end)

  it("tells once that what several wait for has failed", function()
    write("fail.txt", "one")
    server.state.options.processing_time = 3600
    sync()
    local first = remote()["fail.txt"]
    local function as(id, status, created)
      return { id = id, filename = "fail.txt", status = status, size = 3,
        createdAt = created,
        rawUserDefineMetadata = first.rawUserDefineMetadata }
    end
    server.state.options.processing_time = 0.01
    server:fault({ kind = "status", status = 200, method = "GET", path = FILES,
      json = { count = 3, results = { as(first.id, "processing", "1"),
        as("b", "done", "2"), as("c", "done", "3") } } })
    local summary = sync()
    assert.same({ failed = { "fail.txt" }, kept = { "fail.txt", "fail.txt" } },
      names_of(summary))
    assert.equal(first.id, summary.failed[1].id)
  end)

  it("keeps what is done until a retry is done, too", function()
    write("fail.txt", "one")
    server.state.options.processing_time = 3600
    sync()
    local first = remote()["fail.txt"].id
    write("fail.txt", "two")
    server.state.options.processing_time = 0.01
    server:fault({ kind = "status", status = 200, method = "GET", times = 9,
      path = FILES, json = { count = 1, results = { { id = first,
        filename = "fail.txt", status = "done", size = 3,
        rawUserDefineMetadata = { maiagent_sha256 = "other" } } } } })
    local summary = sync()
    assert.same({ failed = { "fail.txt" }, kept = { "fail.txt" } },
      names_of(summary))
    assert.equal(first, summary.kept[1].id)
  end)

  it("deletes what is gone only if told so, and only its own", function()
    write("a.txt", "a")
    write("b.txt", "b")
    sync()
    assert(client.knowledge_bases.files:upload(kb,
      { content = "c", filename = "c.txt" }))
    wait_until_done()
    os.remove(folder .. "/a.txt")
    assert.same({ kept = { "a.txt", "b.txt", "c.txt" } }, names_of(sync()))
    assert.same({ kept = { "b.txt", "c.txt" }, deleted = { "a.txt" } },
      names_of(sync({ delete = true })))
    assert.same({ kept = { "b.txt" }, deleted = { "c.txt" } },
      names_of(sync({ delete = "all" })))
    assert_holds({ ["b.txt"] = "b" })
  end)

  -- The old name went although the new one was refused: nothing was left.
  it("keeps what was moved until it is there under its new name", function()
    write("a.txt", "a")
    write("b.txt", "b")
    sync()
    wait_until_done()
    shell("mkdir c && mv a.txt c/a.txt")
    server:fault({ kind = "status", status = 403, path = STORAGE,
      body = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>" })
    local summary = sync({ delete = true })
    assert.same({ failed = { "c/a.txt" }, kept = { "a.txt", "b.txt" } },
      names_of(summary))
    assert.matches("another name, which failed", summary.kept[1].reason)
    server.state.options.processing_time = 3600
    summary = sync({ delete = true, processing_timeout = 0 })
    assert.same({ uploaded = { "c/a.txt" }, kept = { "a.txt", "b.txt" } },
      names_of(summary))
    assert.same({ kept = { "a.txt", "b.txt", "c/a.txt" } },
      names_of(sync({ delete = true, processing_timeout = 0 })))
    server.state.options.processing_time = 0.01
    assert.same({ deleted = { "a.txt" }, kept = { "b.txt", "c/a.txt" } },
      names_of(sync({ delete = true })))
    assert_holds({ ["b.txt"] = "b", ["c/a.txt"] = "a" })
  end)

  it("keeps what was moved where its new name cannot be processed", function()
    write("a.txt", "a")
    sync()
    wait_until_done()
    shell("mv a.txt fail.txt")
    local summary = sync({ delete = true })
    assert.same({ failed = { "fail.txt" }, kept = { "a.txt" } },
      names_of(summary))
    assert.matches("older version stays", summary.kept[1].reason)
    assert.same({ failed = { "fail.txt" }, kept = { "a.txt" } },
      names_of(sync({ delete = true })))
    assert_holds({ ["a.txt"] = "a", ["fail.txt"] = "a" })
  end)

  -- A disk that isn't mounted is an empty folder: everything was deleted.
  it("deletes nothing where the folder has no file at all", function()
    write("a.txt", "a")
    write("b/c.txt", "c")
    sync()
    wait_until_done()
    shell("rm a.txt b/c.txt")
    for _, delete in ipairs({ true, "all" }) do
      local summary = sync({ delete = delete, shard = "1/1" })
      assert.same({ kept = { "a.txt", "b/c.txt" } }, names_of(summary))
      assert.matches("no file at all", summary.kept[1].reason)
    end
    write("new.txt", "n")
    assert.same({ deleted = { "a.txt", "b/c.txt" }, uploaded = { "new.txt" } },
      names_of(sync({ delete = true })))
  end)

  -- Names with a dot went, as if the folder didn't have them.
  it("does not delete what the folder has and it skips", function()
    write(".hidden", "h")
    write(".git/config", "c")
    write("a.txt", "a")
    assert.equal(3, sync({ hidden = true }).counts.uploaded)
    wait_until_done()
    shell("rm -r .git/config")
    local summary = sync({ delete = "all" })
    assert.same({ kept = { ".git/config", ".hidden", "a.txt" },
      skipped = { ".git", ".hidden" } }, names_of(summary))
    assert.equal("in the folder, but skipped", summary.kept[1].reason)
  end)

  -- Each run left one more of it.
  it("leaves no file under a name that the service made up", function()
    write("a.txt", "a")
    server:fault({ kind = "status", status = 201, method = "POST", apply = true,
      path = FILES, json = { { id = "other", filename = "A.txt" } } })
    local deleted
    server:fault({ kind = "status", status = 204, method = "DELETE",
      path = "files/other/$" })
    server:fault({ kind = "status", status = 200, path = "files/other/$",
      json = { id = "other", status = "done" } })
    local summary = sync()
    assert.same({ failed = { "a.txt" }, deleted = { "A.txt" } },
      names_of(summary))
    assert.matches("under another name, A.txt", summary.failed[1].reason)
    for _, request in ipairs(server:log()) do
      deleted = deleted or request.method == "DELETE" and request.path
    end
    assert.matches("/files/other/$", deleted)
  end)

  -- "table index is nil"
  it("passes over what the list has that is no file", function()
    write("a.txt", "a")
    server:fault({ kind = "status", status = 200, method = "GET", path = FILES,
      json = { count = 2, results = { 5, { filename = "a.txt" } } } })
    assert.same({ uploaded = { "a.txt" } }, names_of(sync()))
  end)

  it("takes a registration's answer without a name", function()
    write("a.txt", "a")
    server:fault({ kind = "status", status = 201, method = "POST", apply = true,
      path = FILES, json = { { id = "other" } } })
    assert.same({ uploaded = { "a.txt" } }, names_of(sync()))
    assert_holds({ ["a.txt"] = "a" })
  end)

  -- It was one of the files: "cache/uploads.journal: it changes".
  it("does not take its journal for a file, wherever that is", function()
    write("a.txt", "a")
    for _, cache in ipairs({ folder .. "/cache", folder }) do
      server:fault({ kind = "status", status = 403, path = FILES,
        method = "POST", json = { detail = "The plan is used up." } })
      assert.equal(1, sync({ cache = cache, hidden = true }).counts.failed)
      assert.same({ registered = { "a.txt" } },
        names_of(sync({ cache = cache, hidden = true })))
      assert.is_true(client.knowledge_bases.files:batch_delete(kb,
        { ids = { remote()["a.txt"].id } }))
    end
  end)

  -- Both uploaded what was left, and the second registered once more what the
  -- first had stored: one object under two files.
  it("runs once at a time for each part of a folder", function()
    for i = 1, 20 do
      write(i .. ".txt", tostring(i))
    end
    local function run(shard)
      return function()
        return client.knowledge_bases:sync(kb, folder, { shard = shard })
      end
    end
    local results, failures = client:gather({ run(nil), run("1/1") })
    assert.equal(20, results[1].counts.uploaded)
    assert.equal("file", failures[2].kind)
    assert.matches("another sync of it .* is under way", failures[2].message)
    results, failures = client:gather({ run("1/2"), run("2/2"), run("1/1") })
    assert.is_nil(failures)
    assert.equal(20, results[1].counts.kept + results[2].counts.kept)
    assert.equal(20, results[3].counts.kept)
    shell("test ! -e .maiagent")
  end)

  it("can be run again at once after an error ended it", function()
    write("a.txt", "a")
    assert.has_error(function()
      sync({ on_progress = function() error("mine", 0) end })
    end, "mine")
    assert.equal(1, sync().counts.uploaded)
    shell("test ! -e .maiagent")
  end)

  it("waits where the service is busy with what is to be deleted", function()
    write("a.txt", "a")
    write("b.txt", "b")
    sync()
    os.remove(folder .. "/a.txt")
    server:fault({ kind = "status", status = 409, method = "DELETE",
      json = { detail = "file is being processed, cannot delete" } })
    assert.same({ deleted = { "a.txt" }, kept = { "b.txt" } },
      names_of(sync({ delete = true })))
    assert_holds({ ["b.txt"] = "b" })
  end)

  -- What the service says to each DELETE, and the reason in the summary.
  local refusals = {
    { "is not allowed", 403, "You may not" },
    { "stays busy", 409, "still being processed" },
  }

  for _, row in ipairs(refusals) do
    it("tells what it could not delete because the service " .. row[1],
      function()
        write("a.txt", "a")
        write("b.txt", "b")
        sync()
        wait_until_done()
        os.remove(folder .. "/a.txt")
        server:fault({ kind = "status", status = row[2], method = "DELETE",
          json = { detail = "You may not." }, times = 9 })
        local summary = sync({ delete = true, processing_timeout = 0.6 })
        assert.same({ failed = { "a.txt" }, kept = { "b.txt" } },
          names_of(summary))
        assert.matches(row[3], summary.failed[1].reason)
        assert_holds({ ["a.txt"] = "a", ["b.txt"] = "b" })
      end)
  end

  it("does not touch what it did not make", function()
    for name, content in pairs({ same = "12", other = "123" }) do
      assert(client.knowledge_bases.files:upload(kb,
        { content = content, filename = name }))
    end
    write("same", "ab")
    write("other", "ab")
    local summary = sync({ delete = true })
    assert.same({ uploaded = { "other" }, kept = { "other", "same" } },
      names_of(summary))
    assert.matches("its content is not known", summary.kept[2].reason)
    assert.equal(3, #client.knowledge_bases.files:all(kb))
    wait_until_done()
    summary = sync({ delete = "all" })
    assert.same({ "other" }, names_of(summary).deleted)
    assert_holds({ same = "12", other = "ab" })
  end)

  it("removes duplicates of its own", function()
    write("a.txt", "a")
    sync()
    local file = remote()["a.txt"]
    assert(client.knowledge_bases.files:create(kb, { files = { {
      file = file.file:match("^%a+://[^/]+/(.*)$"), filename = "a.txt",
      rawUserDefineMetadata = file.rawUserDefineMetadata } } }))
    wait_until_done()
    local summary = sync()
    assert.same({ kept = { "a.txt" }, deleted = { "a.txt" } },
      names_of(summary))
    assert.equal(file.id, summary.kept[1].id)
    assert.equal(file.id, remote()["a.txt"].id)
  end)

  it("tells a plan and changes nothing", function()
    write("new", "1")
    write("changed", "1")
    write("gone", "1")
    os.remove(folder .. "/new")
    sync()
    write("new", "1")
    write("changed", "2")
    os.remove(folder .. "/gone")
    wait_until_done()
    local before = #server:log()
    local summary = sync({ dry_run = true, delete = true })
    assert.is_true(summary.dry_run)
    assert.same({ uploaded = { "new" }, replaced = { "changed" },
      deleted = { "changed", "gone" } }, names_of(summary))
    assert.matches("^would be: 1 uploaded, 1 replaced, ", tostring(summary))
    for place = before + 1, #server:log() do
      assert.equal("GET", server:log()[place].method)
    end
  end)

  it("splits the work by name", function()
    local all = {}
    for i = 1, 40 do
      all[i] = ("file-%02d"):format(i)
      write(all[i], tostring(i))
    end
    local uploaded = {}
    for index = 1, 3 do
      local summary = sync({ shard = index .. "/3", delete = true })
      assert.equal(0, summary.counts.deleted)
      for _, item in ipairs(summary.uploaded) do
        uploaded[#uploaded + 1] = item.name
      end
      assert.is_true(#summary.uploaded > 0)
    end
    table.sort(uploaded)
    assert.same(all, uploaded)
    assert.equal(40, sync().counts.kept)
  end)

  it("says what happened to each kind of file", function()
    write("good.txt", "1")
    write(".hidden", "1")
    write("dir/x", "1")
    write(("n"):rep(200) .. "/" .. ("m"):rep(60), "1")
    write("bad\255name", "1")
    shell("ln -s nowhere dangling && mkfifo pipe && ln -s .. dir/up "
      .. "&& ln -s dir other")
    local summary = sync()
    local names = names_of(summary)
    assert.same({ "dir/x", "good.txt", "other/x" }, names.uploaded)
    assert.same({ ".hidden", "dir/up", "other/up", "pipe" }, names.skipped)
    assert.same({ "bad\255name", "dangling",
      ("n"):rep(200) .. "/" .. ("m"):rep(60) }, names.failed)
    assert.matches("not valid UTF%-8", summary.failed[1].reason)
    assert.matches("leads nowhere", summary.failed[2].reason)
    assert.matches("255 characters", summary.failed[3].reason)
    assert.same({ ".hidden" },
      names_of(sync({ hidden = true })).uploaded)
  end)

  it("sends names of 255 characters, and none of one more", function()
    local long = ("n"):rep(200) .. "/"
    local longest = { long .. ("m"):rep(54),
      ("ä"):rep(127) .. "/" .. ("ö"):rep(127) }
    for _, name in ipairs(longest) do
      write(name, "1")
    end
    write(long .. ("m"):rep(55), "1")
    local names = names_of(sync())
    assert.same(longest, names.uploaded)
    assert.same({ long .. ("m"):rep(55) }, names.failed)
  end)

  it("says which names cannot be sent, in a dry run too", function()
    for name in pairs({ ["a\1b"] = 1, ["a\27[2J"] = 1, ["a\127"] = 1,
      ["tab\there"] = 1, ["folder\1/inside"] = 1 })
    do
      write(name, "1")
    end
    for _, dry in ipairs({ true, false }) do
      local summary = sync({ dry_run = dry })
      assert.same({ "a\1b", "a\27[2J", "a\127" }, names_of(summary).failed)
      for _, item in ipairs(summary.failed) do
        assert.equal("its name has a control character", item.reason)
      end
      assert.same({ "folder\1/inside", "tab\there" },
        names_of(summary).uploaded)
    end
    assert_holds({ ["folder\1/inside"] = "1", ["tab\there"] = "1" })
  end)

  it("does not take for gone what cannot be read", function()
    write("a.txt", "1")
    sync()
    shell("rm a.txt && ln -s nowhere a.txt")
    local summary = sync({ delete = "all" })
    assert.same({ failed = { "a.txt" }, kept = { "a.txt" } },
      names_of(summary))
    assert_holds({ ["a.txt"] = "1" })
  end)

  -- What becomes of a file once the list was read, and what the run says.
  local changes = {
    { "is removed", "rm b.txt", "No such file" },
    { "becomes a folder", "rm b.txt && mkdir b.txt", "s a directory" },
    { "cannot be read any more", "ln -sf /proc/self/mem b.txt", "." },
    { "is another size than its bytes", "ln -sf /proc/version b.txt", "." },
  }

  -- A client that runs commands once, at the first answer of an operation.
  local function disturbed(operation, commands)
    local left = 1
    return service.client(server, { on_event = function(event)
      if event.type == "response" and event.operation == operation then
        left = left - 1
        if left == 0 then
          shell(commands)
        end
      end
    end })
  end

  for _, row in ipairs(changes) do
    it("takes for neither new nor gone what " .. row[1], function()
      write("a.txt", "one")
      write("b.txt", "one")
      sync()
      wait_until_done()
      for _, had in ipairs({ true, false }) do
        write("b.txt", "two")
        local busy = disturbed("knowledge_bases.files.list", row[2])
        local summary =
          assert(busy.knowledge_bases:sync(kb, folder, { delete = "all" }))
        assert.same({ failed = { "b.txt" },
          kept = { "a.txt", had and "b.txt" or nil } }, names_of(summary))
        assert.matches(row[3], summary.failed[1].reason)
        assert_holds({ ["a.txt"] = "one", ["b.txt"] = had and "one" or nil })
        shell("rm -rf b.txt")
        sync({ delete = true })
      end
    end)
  end

  -- What becomes of a file while another one is uploaded.
  local meanwhile = {
    { "grows", "printf longer >b.txt", "it changes; the next run takes it" },
    { "goes", "rm b.txt", "No such file" },
  }

  for _, row in ipairs(meanwhile) do
    it("keeps the old version of what " .. row[1] .. " before its turn",
      function()
        write("a.txt", "one")
        write("b.txt", "one")
        sync()
        write("a.txt", "two")
        write("b.txt", "two")
        local summary = assert(disturbed("uploads.presign", row[2])
          .knowledge_bases:sync(kb, folder, { concurrency = 1 }))
        assert.same({ replaced = { "a.txt" }, deleted = { "a.txt" },
          failed = { "b.txt" } }, names_of(summary))
        assert.matches(row[3], summary.failed[1].reason)
        assert_holds({ ["a.txt"] = "two", ["b.txt"] = "one" })
      end)
  end

  it("never registers a file with another one's hash", function()
    write("a.txt", "one")
    server:fault({ kind = "delay", seconds = 0.05, path = STORAGE })
    local summary
    client:go(function()
      summary = sync()
    end)
    while client:step() do
      server:step(0.01, client)
      if uploads() == 1 and not summary then
        write("a.txt", "two")
      end
    end
    assert.same({ failed = { "a.txt" } }, names_of(summary))
    assert.matches("changed while it was uploaded", summary.failed[1].reason)
    assert_holds({})
    assert.same({ uploaded = { "a.txt" } }, names_of(sync()))
    assert_holds({ ["a.txt"] = "two" })
  end)

  -- As a run that was killed leaves them: stored, not registered.
  local function store(name, content)
    write(name, content)
    local key = assert(client.uploads:put(folder .. "/" .. name,
      "chatbot-file"))
    local entry = { name = name, size = #content, hash = disk.sha256(content) }
    shell("mkdir -p .maiagent")
    local file = assert(io.open(folder .. "/.maiagent/uploads.journal", "ab"))
    file:write(journal.stored(kb, entry, key, os.time()))
    file:close()
    return key
  end

  it("registers what an earlier run had stored", function()
    store("a.txt", "a")
    store("b.txt", "b")
    write("b.txt", "changed")
    write("c.txt", "c")
    for _, dry_run in ipairs({ true, false }) do
      assert.same({ registered = { "a.txt" }, uploaded = { "b.txt", "c.txt" } },
        names_of(sync({ dry_run = dry_run })))
    end
    assert.equal(4, uploads())
    assert_holds({ ["a.txt"] = "a", ["b.txt"] = "changed", ["c.txt"] = "c" })
    shell("rm -r .maiagent")
  end)

  it("uploads nothing twice where the service refused the files", function()
    write("a.txt", "abc")
    write("b.txt", "")
    server:fault({ kind = "status", status = 403, path = FILES,
      method = "POST", json = { detail = "The plan is used up." } })
    local summary = sync()
    assert.same({ failed = { "a.txt", "b.txt" } }, names_of(summary))
    assert.matches("The plan is used up", summary.failed[1].reason)
    assert.same({ registered = { "a.txt", "b.txt" } }, names_of(sync()))
    assert.equal(2, uploads())
    assert_holds({ ["a.txt"] = "abc", ["b.txt"] = "" })
    shell("test ! -e .maiagent")
  end)

  it("uploads again where a stored object is of no use", function()
    local key = store("a.txt", "abc")
    store("b.txt", "b")
    server:fault({ kind = "status", status = 400, path = FILES, times = 2,
      method = "POST", json = { files = { "No." } } })
    assert.same({ uploaded = { "a.txt" }, registered = { "b.txt" } },
      names_of(sync()))
    assert_holds({ ["a.txt"] = "abc", ["b.txt"] = "b" })
    assert.not_equal(key, remote()["a.txt"].file:match("^%a+://[^/]+/(.*)$"))
    shell("test ! -e .maiagent")
  end)

  it("does not trust its journal", function()
    write("a.txt", "abc")
    shell("mkdir .maiagent && printf '1\\tstored\\t" .. kb .. "\\tba7816bf8f01"
      .. "cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\\t3\\t"
      .. os.time() .. "\\tmedia/chatbots/chatbot-file/none.txt\\ta.txt\\n"
      .. "garbage' >.maiagent/uploads.journal")
    local summary = sync()
    assert.same({ "a.txt" }, names_of(summary).uploaded)
    assert_holds({ ["a.txt"] = "abc" })
    shell("test ! -e .maiagent")
  end)

  it("goes without a journal where none can be written", function()
    write("a.txt", "abc")
    local summary = sync({ cache = folder .. "/a.txt/cache" })
    assert.same({ "a.txt" }, names_of(summary).uploaded)
    assert.same({ "the journal" }, names_of(summary).skipped)
  end)

  it("goes on where some fail, and finishes the next time", function()
    for i = 1, 5 do
      write(i .. ".txt", tostring(i))
    end
    server:fault({ kind = "status", status = 403, path = STORAGE, times = 2,
      body = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>" })
    local summary = sync()
    assert.equal(2, summary.counts.failed)
    assert.equal(3, summary.counts.uploaded)
    assert.is_true(errors.is(summary.failed[1].error))
    assert.equal(2, sync().counts.uploaded)
  end)

  it("is ended by on_progress", function()
    for i = 1, 30 do
      write(i .. ".txt", tostring(i))
    end
    local started = core.now()
    local summary = sync({ concurrency = 1, on_progress = function(progress)
      assert.equal(30, progress.total)
      return false
    end })
    -- nothing waits for nothing
    assert.is_true(core.now() - started < pace.seconds(10))
    assert.is_true(summary.cancelled)
    assert.is_true(summary.counts.failed > 0)
    local again = sync()
    assert.equal(30, again.counts.kept + again.counts.uploaded
      + again.counts.registered)
    assert.equal(30, sync().counts.kept)
  end)

  it("reads the list again where its last page goes meanwhile", function()
    write("a.txt", "a")
    sync()
    server:fault({ kind = "status", status = 200, path = FILES, method = "GET",
      json = { count = 101, next = "http://x/?page=2", results = {
        { id = "gone", filename = "gone.txt" } } } })
    server:fault({ kind = "status", status = 404, path = FILES, method = "GET",
      json = { detail = "Invalid page." } })
    assert.same({ kept = { "a.txt", "gone.txt" } }, names_of(sync()))
  end)

  it("finds every file although the list grows meanwhile", function()
    for i = 1, 150 do
      write(("%03d"):format(i), tostring(i))
    end
    sync()
    local added = 0
    local busy = service.client(server, { wait = function(...)
      server.wait(...)
    end, on_event = function(event)
      if event.type == "response" and event.operation
        == "knowledge_bases.files.list" and added < 2 then
        added = added + 1
        local list = server.state.children["knowledge-bases"][1].children.files
        local copy = {}
        for name, value in pairs(list[1]) do
          copy[name] = value
        end
        copy.id = "added-" .. added
        copy.filename = copy.id
        table.insert(list, 1, copy)
      end
    end })
    local summary = assert(busy.knowledge_bases:sync(kb, folder))
    assert.equal(0, summary.counts.uploaded)
    assert.is_true(summary.counts.kept >= 150)
  end)

  it("lets everything else go on while it hashes", function()
    shell("truncate -s 300M large.bin")
    local key = assert(client.uploads:put({ content = "", filename = "x" },
      "chatbot-file"))
    assert(client.knowledge_bases.files:create(kb, { files = { { file = key,
      filename = "large.bin",
      rawUserDefineMetadata = { maiagent_sha256 = "other" } } } }))
    local summary, turns, over = nil, 0, false
    client:go(function()
      summary = sync({ dry_run = true })
      over = true
    end)
    client:go(function()
      while not over do
        turns = turns + 1
        coroutine.yield()
      end
    end)
    while client:step() do
      server:step(0.001, client)
    end
    assert.same({ "large.bin" }, names_of(summary).replaced)
    assert.is_true(turns > 8, turns .. " turns")
  end)

  it("returns what is wrong with the folder or the service", function()
    write("file", "")
    for path, expected in pairs({
      [folder .. "/none"] = "No such file",
      [folder .. "/file"] = "not a folder",
    }) do
      local summary, err = client.knowledge_bases:sync(kb, path)
      assert.is_nil(summary)
      assert.equal("file", err.kind)
      assert.matches(expected, err.message)
    end
    local summary, err = client.knowledge_bases:sync(
      "00000000-0000-4000-8000-000000000000", folder)
    assert.is_nil(summary)
    assert.equal("not_found", err.kind)
  end)

  it("tells misuse before anything is sent", function()
    local before = #server:log()
    local rows = {
      { "folder must be a path, got nil", kb, nil },
      { "folder must be a path, got table", kb, {} },
      { "folder must be a path, got an empty", kb, "" },
      { "shard must be 'INDEX/COUNT', such as '2/8'", kb, folder,
        { shard = "9/8" } },
      { "cache must be a path, got ''", kb, folder, { cache = "" } },
      { "cache must be a path, got boolean", kb, folder, { cache = true } },
      { "cache must be a path, which has no zero bytes", kb, folder,
        { cache = "a\0b" } },
      { "knowledge_bases.sync: params.labels[1]: JSON has no function", kb,
        folder, { labels = { print } } },
      { "delete must be true or false or 'all'", kb, folder,
        { delete = "everything" } },
      { "unknown option 'dryrun' (did you mean 'dry_run'?)", kb, folder,
        { dryrun = true } },
      { "expected, got nil", nil, folder },
    }
    for _, row in ipairs(rows) do
      local ok, problem = pcall(function()
        client.knowledge_bases:sync(row[2], row[3], row[4])
      end)
      assert.is_false(ok)
      assert.is_truthy(tostring(problem):find(row[1], 1, true), problem)
      assert.matches("sync_spec.lua:%d+: ", problem)
    end
    assert.equal(before, #server:log())
  end)
end)
