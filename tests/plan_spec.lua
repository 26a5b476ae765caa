local plan = require("maiagent.plan")

-- Remote files by short notes: "ID HASH STATUS SIZE", "-" for no hash.
local function remote(name, note)
  local id, hash, status, size =
    note:match("^(%S+) (%S+) ?(%S*) ?(%S*)$")
  return {
    id = id,
    filename = name,
    createdAt = "2024-01-0" .. id:match("%d"),
    size = tonumber(size) or 1,
    status = status ~= "" and status or "done",
    rawUserDefineMetadata = hash ~= "-" and { maiagent_sha256 = hash } or nil,
  }
end

local function remotes_of(notes)
  local files = {}
  for name, list in pairs(notes) do
    for _, note in ipairs(list) do
      files[#files + 1] = remote(name, note)
    end
  end
  return plan.by_name(files)
end

-- An action as a text: what it does, to which id, and which go after it.
local function shown(action)
  local words = { action.action, action.name }
  words[3] = action.file and action.file.id
  if action.by then
    words[#words + 1] = "after " .. action.by.id
  end
  if action.old then
    for _, file in ipairs(action.old) do
      words[#words + 1] = "-" .. file.id
    end
  end
  return table.concat(words, " ")
end

local function compared(names, notes, options, protected)
  local entries = {}
  for i, name in ipairs(names) do
    entries[i] = { name = name, size = 1, hash = "H" }
  end
  local actions =
    plan.compare(entries, remotes_of(notes), protected or {}, options or {})
  local texts = {}
  for i, action in ipairs(actions) do
    texts[i] = shown(action)
    assert.is_string(action.reason)
  end
  return texts
end

local ALL = { delete = "all" }

describe("plan.compare decides for a file here that the service", function()
  local rows = {
    { "has not", {}, nil, { "upload a" } },
    { "has", { "1 H" }, nil, { "keep a 1" } },
    { "is working at", { "1 H processing" }, nil, { "keep a 1" } },
    { "deletes just now", { "1 H deleting", "2 H deleted" }, nil,
      { "upload a" } },
    { "has with other bytes", { "1 G" }, nil, { "replace a -1" } },
    { "has several times", { "2 H", "1 H", "3 H" }, nil,
      { "keep a 1", "delete a 2", "delete a 3" } },
    { "has twice, of one moment", { "1b H", "1a H" }, nil,
      { "keep a 1a", "delete a 1b" } },
    { "has several times, unprocessed", { "1 H initial", "2 H" }, nil,
      { "keep a 1", "delete a 2 after 1" } },
    { "has twice, once failed", { "1 H failed", "2 H" }, nil,
      { "keep a 2", "delete a 1" } },
    { "has in two versions", { "1 G", "2 H" }, nil,
      { "keep a 2", "delete a 1" } },
    { "has in two versions, unprocessed", { "1 G", "2 H initial" }, nil,
      { "keep a 2", "delete a 1 after 2" } },
    { "failed at", { "1 H failed", "2 G" }, nil,
      { "failed a 1", "keep a 2" } },
    { "failed at several times", { "2 H failed", "1 H failed", "3 H failed" },
      nil, { "failed a 3", "delete a 1", "delete a 2" } },
    { "failed at in several versions", { "1 G failed", "2 H failed", "3 G" },
      nil, { "failed a 2", "delete a 1", "keep a 3" } },
    { "failed at several times, to be retried", { "1 H failed", "2 H failed" },
      { retry_failed = true }, { "retry a -1 -2" } },
    { "is working at, having failed", { "1 H failed", "2 H processing" }, nil,
      { "keep a 2", "delete a 1" } },
    { "failed at, from elsewhere, several times",
      { "1 - failed 1", "2 - failed 1" }, nil, { "failed a 1", "keep a 2" } },
    { "failed at, to be retried", { "1 H failed", "2 G" },
      { retry_failed = true }, { "retry a -1 -2" } },
    { "could not delete", { "1 H delete_failed" }, nil, { "failed a 1" } },
    { "failed at in another version", { "1 G failed" }, nil,
      { "replace a -1" } },
    { "has from elsewhere, of the same size", { "1 - done 1" }, nil,
      { "keep a 1" } },
    { "has from elsewhere, of another size", { "1 - done 2" },
      { delete = true }, { "upload a", "keep a 1" } },
    { "has from elsewhere and shall not", { "1 - done 2" }, ALL,
      { "replace a -1" } },
    { "has from elsewhere twice", { "1 - done 2", "2 - done 1" }, nil,
      { "keep a 2", "keep a 1" } },
    { "has from elsewhere twice and shall not", { "1 - done 2", "2 - done 1" },
      ALL, { "keep a 2", "delete a 1" } },
    { "failed at, from elsewhere", { "1 - failed 1" }, nil, { "failed a 1" } },
    { "failed at, from elsewhere, to be retried", { "1 - failed 1" },
      { retry_failed = true }, { "retry a", "keep a 1" } },
    { "has beside one from elsewhere", { "1 H", "2 - done 2" }, nil,
      { "keep a 1", "keep a 2" } },
    { "has beside one from elsewhere that shall go", { "1 H", "2 - done 2" },
      ALL, { "keep a 1", "delete a 2" } },
    { "has changed beside one from elsewhere", { "1 G", "2 - done 1" }, nil,
      { "replace a -1", "keep a 2" } },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.same(row[4], compared({ "a" }, { a = row[2] }, row[3]))
    end)
  end
end)

describe("plan.compare decides for files that are here no more:", function()
  local gone = { ["d/b"] = { "1 G" }, c = { "2 - done 1" } }

  it("they stay, unless told otherwise", function()
    assert.same({ "keep c 2", "keep d/b 1" }, compared({}, gone))
    assert.same({ "keep c 2", "delete d/b 1" },
      compared({}, gone, { delete = true }))
    assert.same({ "delete c 2", "delete d/b 1" }, compared({}, gone, ALL))
  end)

  it("what cannot be read is not gone", function()
    assert.same({ "keep c 2", "keep d/b 1" },
      compared({}, gone, ALL, { ["d/"] = "so", c = "so" }))
    assert.same({ "delete c 2", "keep d/b 1" },
      compared({}, gone, ALL, { ["d/b"] = "so", ["c/"] = "so" }))
  end)

  it("only those of the shard", function()
    local kept, deleted = {}, {}
    for number = 1, 40 do
      kept["file-" .. number] = { "1 H" }
    end
    for index = 1, 4 do
      local shard = plan.shard(index .. "/4")
      for _, text in ipairs(compared({}, kept,
        { delete = true, shard = shard })) do
        deleted[#deleted + 1] = text
      end
    end
    assert.equal(40, #deleted)
  end)
end)

describe("plan", function()
  it("reads shards", function()
    assert.same({ index = 2, count = 8 }, plan.shard("2/8"))
    assert.same({ index = 1, count = 1 }, plan.shard("1/1"))
    for _, text in ipairs({ "", "0/8", "9/8", "2", "2/", "a/b", "-1/8",
      "1/0", "1.5/2", " 1/2" }) do
      assert.is_nil(plan.shard(text), text)
    end
  end)

  it("puts every name into one shard, and some into each", function()
    local counts = { 0, 0, 0, 0, 0, 0, 0, 0 }
    for number = 1, 800 do
      local name = "folder/" .. number .. "/文件.pdf"
      for index = 1, 8 do
        if plan.in_shard(name, { index = index, count = 8 }) then
          counts[index] = counts[index] + 1
        end
      end
    end
    local sum = 0
    for _, count in ipairs(counts) do
      sum = sum + count
      assert.is_true(count > 60 and count < 140, count .. " of 800")
    end
    assert.equal(800, sum)
    -- Other machines, other versions of Lua: the same shard.
    assert.is_true(plan.in_shard("README.md", { index = 6, count = 8 }))
  end)

  it("finds its hash in metadata, whatever became of the key", function()
    for _, key in ipairs({ "maiagent_sha256", "maiagentSha256",
      "maiagent_sha_256" }) do
      assert.equal("x",
        plan.hash_of({ rawUserDefineMetadata = { [key] = "x", other = 1 } }))
    end
    assert.is_nil(plan.hash_of({}))
    assert.is_nil(plan.hash_of({ rawUserDefineMetadata = "text" }))
    assert.is_nil(plan.hash_of({ rawUserDefineMetadata = { sha256 = "x",
      maiagent_sha256 = 5 } }))
  end)

  it("keeps the user's own metadata", function()
    local before = { team = "a", maiagentSha256 = "old", year = 1 }
    local given = { year = 2 }
    assert.same({ team = "a", year = 2, maiagent_sha256 = "new" },
      plan.metadata(before, given, "new"))
    assert.same({ maiagent_sha256 = "new" }, plan.metadata(nil, nil, "new"))
    assert.same({ year = 2 }, given)
  end)

  it("knows when a hash decides anything", function()
    assert.is_false(plan.needs_hash(nil))
    assert.is_false(plan.needs_hash({ remote("a", "1 -") }))
    assert.is_true(plan.needs_hash({ remote("a", "1 -"), remote("a", "2 G") }))
  end)

  it("understands a status that is an object", function()
    local file = remote("a", "1 H")
    file.status = { code = "failed" }
    local actions = plan.compare({ { name = "a", size = 1, hash = "H" } },
      plan.by_name({ file }), {}, {})
    assert.equal("failed a 1", shown(actions[1]))
  end)
end)
