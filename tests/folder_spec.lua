local folder = require("maiagent.folder")

-- A disk made of a table: name → size of a file, table of a folder, or a
-- string: "fifo", "dangling", "locked", or the path that a link leads to.
local function disk_of(tree)
  local numbers, last = {}, 0
  local function inode(node)
    if not numbers[node] then
      last = last + 1
      numbers[node] = last
    end
    return numbers[node]
  end
  local function resolve(path, follow)
    local node = tree
    for name in path:gmatch("[^/]+") do
      if type(node) == "string" and node:sub(1, 1) == "/" then
        node = resolve(node, true)
      end
      node = type(node) == "table" and node[name] or nil
    end
    if follow and type(node) == "string" and node:sub(1, 1) == "/" then
      return resolve(node, true)
    end
    return node
  end
  local function stat(path, follow)
    local node = resolve(path, follow)
    if node == nil or (follow and node == "dangling") then
      return nil, path .. ": No such file or directory"
    elseif type(node) == "table" or node == "locked" then
      return { kind = "folder", device = 1, inode = inode(node) }
    elseif type(node) == "number" then
      return { kind = "file", size = node, mtime = 7.5, device = 1, inode = 0 }
    end
    return { kind = node == "fifo" and "other" or "link" }
  end
  return {
    stat = stat,
    list = function(path)
      local node = resolve(path, true)
      if type(node) ~= "table" then
        return nil, path .. ": Permission denied"
      end
      local names = {}
      for name in pairs(node) do
        names[#names + 1] = name
      end
      return names
    end,
  }
end

local function names_of(list)
  local names = {}
  for i, item in ipairs(list) do
    names[i] = item.name
  end
  return names
end

describe("folder.walk", function()
  it("gives every file, sorted by the bytes of its name", function()
    local found = folder.walk(disk_of({ top = {
      ["b.txt"] = 2,
      B = { ["z.txt"] = 0, deep = { ["一.txt"] = 9 } },
      ["a-b"] = 1,
      a = { c = 3 },
    } }), "/top/")
    assert.same({ "B/deep/一.txt", "B/z.txt", "a-b", "a/c", "b.txt" },
      names_of(found.files))
    assert.same({ name = "B/deep/一.txt", path = "/top/B/deep/一.txt",
      size = 9, mtime = 7.5 }, found.files[1])
    assert.same({}, found.skipped)
    assert.same({}, found.unreadable)
  end)

  it("leaves hidden names out and says so, unless they are wanted", function()
    local disk = disk_of({ top = { [".git"] = { x = 1 }, [".env"] = 1,
      [".maiagent"] = { journal = 1 }, a = { [".b"] = 1 } } })
    local found = folder.walk(disk, "/top")
    assert.same({}, found.files)
    assert.same({ ".env", ".git", "a/.b" }, names_of(found.skipped))
    assert.equal("hidden: its name begins with a dot", found.skipped[1].reason)
    found = folder.walk(disk, "/top", { hidden = true })
    assert.same({ ".env", ".git/x", "a/.b" }, names_of(found.files))
    assert.same({}, found.skipped)
  end)

  it("follows links, but not round and round", function()
    local found = folder.walk(disk_of({
      top = {
        loop = "/top",
        one = { back = "/top/one", up = "/top", f = 1 },
        two = "/top/one",
        outside = "/other",
        file = "/other/g",
      },
      other = { g = 4 },
    }), "/top")
    assert.same({ "file", "one/f", "outside/g", "two/f" },
      names_of(found.files))
    assert.same({ "loop", "one/back", "one/up", "two/back", "two/up" },
      names_of(found.skipped))
    assert.equal("a symbolic link to a folder that it is in",
      found.skipped[1].reason)
  end)

  it("tells what is no file and what cannot be read", function()
    local found = folder.walk(disk_of({ top = { pipe = "fifo",
      gone = "dangling", secret = "locked" } }), "/top")
    assert.same({ { name = "pipe", reason = "neither a file nor a folder" } },
      found.skipped)
    assert.same({ "gone", "secret/" }, names_of(found.unreadable))
    assert.matches("leads nowhere", found.unreadable[1].reason)
    assert.matches("Permission denied", found.unreadable[2].reason)
  end)

  it("tells what is wrong with the folder itself", function()
    local disk = disk_of({ file = 1, locked = "locked" })
    for path, expected in pairs({
      ["/nothing"] = "/nothing: No such file or directory",
      ["/file"] = "/file: not a folder",
      ["/locked/"] = "/locked/: Permission denied",
    }) do
      local found, problem = folder.walk(disk, path)
      assert.is_nil(found)
      assert.equal(expected, problem)
    end
  end)
end)
