local child = require("tests.support.child")
local disk = require("maiagent.disk")
local read = require("tests.support.files").read

local folder

before_each(function()
  folder = child.folder()
end)

after_each(function()
  child.remove(folder)
  collectgarbage()
end)

local function write(name, content)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  return path
end

-- Runs a shell command with a path below the folder as its last argument.
local function shell(command, name)
  local path = folder .. "/" .. name
  child.output_of(command .. " " .. child.quoted(path))
  return path
end

-- How many descriptors of this process are in the folder.
local function open_files()
  return tonumber(child.output_of("ls -l /proc/$PPID/fd | grep -cF -- '-> "
    .. folder .. "'"))
end

local function hashed(path, bytes)
  local hasher = assert(disk.hasher(path))
  local steps = 0
  while true do
    local digest, size = hasher:step(bytes)
    steps = steps + 1
    if digest ~= false then
      return digest, size, steps
    end
  end
end

-- FIPS 180-4 and RFC 6234, 8.5.
local MILLION = ("a"):rep(1000000)
local DIGESTS = {
  { "",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
  { "abc",
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
  { MILLION,
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
  { ("01234567"):rep(80),
    "594847328451bdfa85056225462cc1d867d877fb388df0ce35f25ab5562bfbb5" },
  { "\25",
    "68aa2e2ee5dff96e3355e6c7ee373e3d6a4e17f75f9518d843709c0c9bc3e3d4" },
}

local function bytes(hexadecimal)
  return (hexadecimal:gsub("%x%x", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

-- RFC 4231.
local LONG_KEY = ("\170"):rep(131)
local CODES = {
  { ("\11"):rep(20), "Hi There",
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
  { "Jefe", "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
  { ("\170"):rep(20), ("\221"):rep(50),
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
  { bytes("0102030405060708090a0b0c0d0e0f10111213141516171819"),
    ("\205"):rep(50),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
  { LONG_KEY, "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
  { LONG_KEY, "This is a test using a larger than block-size key and a larger "
    .. "than block-size data. The key needs to be hashed before being used by "
    .. "the HMAC algorithm.",
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
  { "", "",
    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
}

describe("sha256", function()
  it("gives the known answers", function()
    for _, row in ipairs(DIGESTS) do
      assert.equal(row[2], disk.sha256(row[1]))
    end
  end)

  it("of a file gives the known answers, whatever the steps", function()
    for i, row in ipairs(DIGESTS) do
      local path = write(tostring(i), row[1])
      for _, step in ipairs({ 1000, 262144, 2 ^ 30, math.huge }) do
        local digest, size = hashed(path, step)
        assert.equal(row[2], digest)
        assert.equal(#row[1], size)
      end
    end
  end)
end)

describe("hmac_sha256", function()
  it("gives the known answers", function()
    for _, row in ipairs(CODES) do
      assert.equal(bytes(row[3]), disk.hmac_sha256(row[1], row[2]))
    end
  end)
end)

describe("a hasher", function()
  it("reads no more in a step than it is told", function()
    local path = write("million", MILLION)
    assert.equal(11, select(3, hashed(path, 100000)))
    assert.equal(2, select(3, hashed(path, 600000)))
    assert.equal(1, select(3, hashed(path, 1000001)))
  end)

  it("is closed by its end, by close and by the collector", function()
    local path = write("file", "content")
    local before = open_files()
    assert.equal(0, before)
    local hasher = assert(disk.hasher(path))
    assert.equal(1, open_files())
    assert.is_string((hasher:step(100)))
    assert.equal(before, open_files())
    assert.same({ nil, "the hasher is closed" }, { hasher:step(1) })
    hasher = assert(disk.hasher(path))
    hasher:close()
    hasher:close()
    assert.equal(before, open_files())
    assert.same({ nil, "the hasher is closed" }, { hasher:step(1) })
    hasher = assert(disk.hasher(path))
    assert.is_false(hasher:step(1))
    hasher = nil
    collectgarbage()
    collectgarbage()
    assert.is_nil(hasher)
    assert.equal(before, open_files())
  end)

  it("follows a link", function()
    write("target", "abc")
    local path = shell("ln -s target", "link")
    assert.equal(DIGESTS[2][2], (hashed(path, 100)))
  end)

  it("wants a regular file", function()
    local rows = {
      { folder, "Is a directory" },
      { folder .. "/nothing", "No such file or directory" },
      { (shell("mkfifo", "pipe")), "Illegal seek" },
      { "/dev/zero", "Illegal seek" },
    }
    local before = open_files()
    for _, row in ipairs(rows) do
      assert.same({ nil, row[1] .. ": " .. row[2] }, { disk.hasher(row[1]) })
    end
    assert.equal(before, open_files())
  end)
end)

describe("list", function()
  it("gives the names in a folder", function()
    assert.same({}, disk.list(folder))
    local expected = { "...", ".hidden", "a b", "sub", "報告.pdf" }
    for _, name in ipairs({ "...", ".hidden", "a b", "報告.pdf" }) do
      write(name, "")
    end
    shell("mkdir", "sub")
    local names = disk.list(folder)
    table.sort(names)
    assert.same(expected, names)
  end)

  it("says why there is none", function()
    local path = write("file", "")
    local before = open_files()
    assert.same({ nil, path .. ": Not a directory" }, { disk.list(path) })
    assert.same({ nil, "/nonexistent: No such file or directory" },
      { disk.list("/nonexistent") })
    assert.equal(before, open_files())
  end)
end)

describe("stat", function()
  it("tells kind, size and time", function()
    local path = write("file", "12345")
    shell("touch -d @1700000000.25", "file")
    local found = assert(disk.stat(path))
    local device, inode =
      child.output_of("stat -c '%d %i' " .. path):match("(%d+) (%d+)")
    assert.same({
      kind = "file",
      size = 5,
      mtime = 1700000000.25,
      device = tonumber(device),
      inode = tonumber(inode),
    }, found)
    assert.equal("5", tostring(found.size))
  end)

  it("knows folders, links and others", function()
    shell("ln -s nowhere", "broken")
    shell("ln -s .", "loop")
    shell("mkfifo", "pipe")
    local rows = {
      { "loop", false, "link" },
      { "loop", true, "folder" },
      { "broken", false, "link" },
      { "pipe", true, "other" },
      { ".", false, "folder" },
    }
    for _, row in ipairs(rows) do
      local found = assert(disk.stat(folder .. "/" .. row[1], row[2]))
      assert.equal(row[3], found.kind)
    end
    assert.same({ nil, folder .. "/broken: No such file or directory" },
      { disk.stat(folder .. "/broken", true) })
  end)

  it("knows sizes beyond 4 GiB", function()
    local path = shell("truncate -s 5G", "large")
    local size = disk.stat(path).size
    assert.equal(5 * 2 ^ 30, size)
    assert.equal("5368709120", ("%d"):format(size))
  end)
end)

describe("make_folder", function()
  it("makes one, or finds it there", function()
    local path = folder .. "/new"
    assert.is_true(disk.make_folder(path))
    assert.equal("folder", disk.stat(path).kind)
    assert.is_true(disk.make_folder(path))
  end)

  it("says why it cannot", function()
    local path = write("file", "")
    assert.same({ nil, path .. ": File exists" }, { disk.make_folder(path) })
    path = folder .. "/a/b"
    assert.same({ nil, path .. ": No such file or directory" },
      { disk.make_folder(path) })
  end)
end)

describe("append", function()
  it("makes a file that is only ours, and adds to it", function()
    local path = folder .. "/journal"
    assert.is_true(disk.append(path, "one\n"))
    assert.is_true(disk.append(path, "t\0o\n"))
    assert.is_true(disk.append(path, ""))
    assert.equal("one\nt\0o\n", read(path))
    assert.equal("600", child.output_of("stat -c %a " .. path))
  end)

  it("follows no link", function()
    write("target", "kept")
    local path = shell("ln -s target", "link")
    assert.is_nil((disk.append(path, "more")))
    assert.equal("kept", read(folder .. "/target"))
  end)

  it("says why it cannot", function()
    assert.same({ nil, folder .. ": Is a directory" },
      { disk.append(folder, "x") })
    assert.same({ nil, "/dev/full: No space left on device" },
      { disk.append("/dev/full", "x") })
  end)
end)

describe("create", function()
  it("makes a file that is only ours", function()
    local path = folder .. "/new"
    assert.is_true(disk.create(path, "one\n"))
    assert.equal("one\n", read(path))
    assert.equal("600", child.output_of("stat -c %a " .. child.quoted(path)))
  end)

  it("writes into nothing that is there", function()
    local path = write("victim", "precious")
    assert.same({ nil, path .. ": File exists" }, { disk.create(path, "x") })
    shell("ln -s victim", "link")
    assert.is_nil((disk.create(folder .. "/link", "x")))
    shell("ln -s nowhere", "dangling")
    assert.is_nil((disk.create(folder .. "/dangling", "x")))
    assert.equal("precious", read(path))
  end)
end)

describe("read", function()
  it("gives how a file begins", function()
    assert.equal("a\0b\n", disk.read(write("file", "a\0b\n")))
    assert.equal("", disk.read(write("empty", "")))
    assert.equal(("x"):rep(8192), disk.read(write("large", ("x"):rep(9000))))
  end)

  it("follows no link and waits for no pipe", function()
    shell("ln -s /dev/zero", "link")
    shell("mkfifo", "pipe")
    for name, problem in pairs({
      link = "Too many levels of symbolic links",
      pipe = "Illegal seek",
      none = "No such file or directory",
    }) do
      local path = folder .. "/" .. name
      assert.same({ nil, path .. ": " .. problem }, { disk.read(path) })
    end
    assert.same({ nil, folder .. ": Is a directory" }, { disk.read(folder) })
  end)
end)

describe("read of another user's file", function()
  it("is refused", function()
    local path = write("file", "x")
    if child.output_of("id -u") == "0" then
      shell("chown 12345", "file")
    else
      path = "/etc/passwd"
    end
    assert.same({ nil, path .. ": Operation not permitted" },
      { disk.read(path) })
  end)
end)

describe("lock", function()
  it("is one owner's at a time, and leaves nothing", function()
    local path, before = folder .. "/lock", open_files()
    local lock = assert(disk.lock(path))
    assert.is_false(disk.lock(path))
    lock:close()
    lock:close()
    assert.is_nil(disk.stat(path))
    assert(disk.lock(path))
    collectgarbage()
    collectgarbage()
    assert(disk.lock(path)):close()
    assert.equal(before, open_files())
  end)

  it("is not had where its file was removed meanwhile", function()
    local path = folder .. "/lock"
    local removed = assert(disk.lock(path))
    os.remove(path)
    local lock = assert(disk.lock(path))
    removed:close()
    assert.is_false(disk.lock(path))
    lock:close()
    assert.is_nil(disk.stat(path))
  end)

  it("gives the reason where none can be had", function()
    assert.same({ nil, folder .. "/no/lock: No such file or directory" },
      { disk.lock(folder .. "/no/lock") })
    os.execute("ln -s target " .. folder .. "/link")
    assert.same({ nil, folder .. "/link: Too many levels of symbolic links" },
      { disk.lock(folder .. "/link") })
    assert.is_nil(disk.stat(folder .. "/target"))
  end)
end)

describe("a disk that is broken", function()
  local function ends(what, order)
    local path = folder .. "/broken"
    if not what:find("download") then
      write("broken", "content")
    end
    local code, output = child.run(child.root, child.command({
      LD_PRELOAD = child.preload("broken_disk"),
      BROKEN = order,
    }, "tests/support/broken_disk.lua", { what, path }))
    assert.equal(0, code, output)
    return output
  end

  local NO_ROOM, IO, FORBIDDEN = "No space left", "Input/output error",
    "Operation not permitted"

  -- what, the call that fails, its errno and which one it is, the end of it
  local rows = {
    { "a small download", "write:28:1", NO_ROOM },
    { "a large download", "write:28:1", NO_ROOM },
    { "a large download", "write:28:3", NO_ROOM },
    { "a large download", "write:4:2", "done" },
    { "a large download", "write:0:2", "done" },
    { "a small download", "fchmod:1:1", FORBIDDEN },
    { "a small download", "fchmod:1:2", FORBIDDEN },
    { "a small download", "close:28:1", NO_ROOM },
    { "a download into a folder", "renameat2:22:1", "done" },
    { "an upload", "pread:5:1", IO },
    { "an upload", "pread:4:1", "done" },
    { "an upload", "fstat:5:1", IO },
    { "an upload", "fstat:5:2", "changed while it was sent" },
    { "a hash", "read:5:1", IO },
    { "a hash", "read:4:1", "done" },
    { "a line appended", "write:5:1", IO },
    { "a line appended", "write:0:1", NO_ROOM },
    { "a line appended", "close:5:1", IO },
    { "a text read", "fstat:5:1", IO },
    { "a text read", "read:5:1", IO },
    { "a lock", "fstat:5:1", "done" },
  }

  for _, row in ipairs(rows) do
    it("ends " .. row[1] .. " with " .. row[3] .. " (" .. row[2] .. ")",
      function()
        local output = ends(row[1], row[2])
        assert.truthy(output:find(row[3], 1, true), output)
      end)
  end

  it("leaves nothing of a download that it has no room for", function()
    ends("a large download", "write:28:1")
    assert.equal("", child.output_of("ls -A " .. child.quoted(folder)))
  end)
end)

describe("misuse", function()
  it("raises", function()
    for _, name in ipairs({ "list", "stat", "hasher", "make_folder" }) do
      assert.has_error(function() disk[name]() end)
      assert.error_matches(function() disk[name]("a\0b") end, "zero byte")
    end
    assert.has_error(function() disk.append("/tmp/x") end)
    assert.has_error(function() disk.sha256({}) end)
    assert.has_error(function() disk.hmac_sha256("key") end)
  end)
end)

describe("libcrypto", function()
  -- A Lua of its own, in which nothing has been loaded yet.
  local function run(prefix, script)
    write("script.lua", script)
    local command = child.command({}, folder .. "/script.lua")
    return child.output_of(prefix .. " " .. command .. " 2>&1")
  end

  it("is loaded with the first digest", function()
    local output = run("", [[
      local disk = require("maiagent.disk")
      local function loaded()
        local maps = assert(io.open("/proc/self/maps"))
        local text = maps:read("*a")
        maps:close()
        return text:find("libcrypto", 1, true) ~= nil
      end
      disk.list("/")
      print(loaded(), #disk.sha256(""), loaded())
    ]])
    assert.equal("false\t64\ttrue", output)
  end)

  it("is named where there is none", function()
    -- Something of its name that cannot be loaded is found first.
    for _, name in ipairs({ "libcrypto.so.3", "libcrypto.so.1.1",
      "libcrypto.so" }) do
      write(name, "no library")
    end
    local output = run("LD_LIBRARY_PATH=" .. child.quoted(folder), [[
      local disk = require("maiagent.disk")
      for _, call in ipairs({
        function() return disk.sha256("") end,
        function() return disk.hmac_sha256("", "") end,
        function() return disk.hasher(arg[0]) end,
      }) do
        local ok, message = pcall(call)
        print(ok, message:match("hashing.*"))
      end
    ]])
    local line = "false\thashing needs OpenSSL's libcrypto (1.1 or 3), and "
      .. "none could be loaded: install it (Debian, Ubuntu: libssl3)"
    assert.equal(line .. "\n" .. line .. "\n" .. line, output)
  end)
end)
