local child = require("tests.support.child")
local errors = require("maiagent.errors")
local upload = require("maiagent.upload")

local function reader() end

local function temporary(content)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  file:close()
  return path
end

describe("upload.source", function()
  -- name, what is given, what comes of it
  local sources = {
    { "content", { content = "abc", filename = "a" },
      { content = "abc", filename = "a", size = 3 } },
    { "nothing as content", { content = "", filename = "a" },
      { content = "", filename = "a", size = 0 } },
    { "a reader", { reader = reader, filename = "a", size = 5 },
      { feed = reader, filename = "a", size = 5 } },
    { "a reader of nothing", { reader = reader, filename = "a", size = 0 },
      { feed = reader, filename = "a", size = 0 } },
    { "Chinese", { content = "", filename = "常見問題 \"1\".txt" },
      { content = "", filename = "常見問題 \"1\".txt", size = 0 } },
  }

  for _, row in ipairs(sources) do
    it("takes " .. row[1], function()
      assert.same(row[3], upload.source(row[2]))
    end)
  end

  it("takes a path, and its end for the name", function()
    for _, content in ipairs({ "", "abc" }) do
      local path = temporary(content)
      local from = upload.source(path)
      local named = upload.source({ path = path, filename = "b.txt" })
      os.remove(path)
      assert.same({ path = path, filename = path:match("[^/]+$"),
        size = #content }, from)
      assert.equal("b.txt", named.filename)
    end
  end)

  -- name, what is given, what is said
  local mistakes = {
    { "nothing", nil, "source must be a path or a table" },
    { "a number", 5, "source must be a path or a table" },
    { "an empty table", {}, "must have one of path or content" },
    { "two at once", { path = "a", content = "b" }, "must have one of" },
    { "a path and a number", { path = "a", content = 5 }, "must have one of" },
    { "a file for a reader", { reader = io.stdout, filename = "a", size = 1 },
      "must have one of" },
    { "an empty path", "", "source.path is empty" },
    { "a zero byte in a path", "a\0b", "source.path is empty or has a zero "
      .. "byte (for the bytes themselves write { content = …, filename" },
    { "content without a name", { content = "x" }, "filename must be given" },
    { "an empty name", { path = "a", filename = "" }, "not be empty" },
    { "a number for a name", { path = "a", filename = 5 },
      "source.filename must be a string, got number" },
    { "a misspelt name", { content = "x", file_name = "a" },
      "source has no 'file_name' (did you mean 'filename'?)" },
    { "a reader without a size", { reader = reader, filename = "a" },
      "source.size must be given with reader" },
    { "half a byte", { reader = reader, filename = "a", size = 0.5 },
      "source.size must be given" },
    { "less than nothing", { reader = reader, filename = "a", size = -1 },
      "source.size must be given" },
    { "no number", { reader = reader, filename = "a", size = "5" },
      "source.size must be given" },
    { "no end", { reader = reader, filename = "a", size = math.huge },
      "source.size must be given" },
    { "a size of content", { content = "x", filename = "a", size = 1 },
      "source.size is for a reader" },
  }

  for _, row in ipairs(mistakes) do
    it("raises for " .. row[1], function()
      local ok, message = pcall(upload.source, row[2])
      assert.is_false(ok)
      assert.truthy(message:find(row[3], 1, true), message)
    end)
  end

  -- A FIFO was opened, which waits for a writer for ever.
  it("does not wait for a FIFO", function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    -- Somebody writes to it: this ends even where it is opened.
    os.execute("(echo x >" .. path .. ") 2>/dev/null & sleep 0.05; echo $! >"
      .. path .. ".pid")
    local from, err = upload.source(path)
    os.execute("kill $(cat " .. path .. ".pid) 2>/dev/null; rm " .. path .. " "
      .. path .. ".pid")
    assert.is_nil(from)
    assert.equal(path .. ": not a regular file", err.message)
  end)

  -- name, what is given, what is said
  local unreadable = {
    -- Zero bytes of it were uploaded, without a word.
    { "what has no size", "/proc/self/status", "its size is not known" },
    { "what cannot be read", "/proc/self/mem", "/proc/self/mem: " },
    { "a device", "/dev/zero", "not a regular file" },
    { "a file that is not there", "/no/such/file", "No such file" },
    { "a folder", "/tmp", "directory" },
    { "a line break", { content = "", filename = "a\nb" }, "line break" },
    { "a carriage return", { content = "", filename = "a\r" }, "line break" },
    { "a zero byte", { content = "", filename = "a\0" }, "zero byte" },
    { "an escape for a terminal", { content = "", filename = "a\27[2J" },
      '"a\\27[2J": a file\'s name must not have' },
    { "a control character", { content = "", filename = "a\1b.txt" },
      "control character" },
    { "a delete", { content = "", filename = "a\127b" }, '"a\\127b": ' },
    { "a line break at a path's end", "/tmp/a\nb", "line break" },
    { "lines in the place of a path", ("name,label\n"):rep(100),
      "character (for the bytes themselves write { content = …" },
    { "a text in the place of a path", ("text "):rep(5000),
      "…: File name too long (for the bytes themselves write { content = …" },
  }

  for _, row in ipairs(unreadable) do
    it("gives an error of kind 'file' for " .. row[1], function()
      local from, err = upload.source(row[2])
      assert.is_nil(from)
      assert.is_true(errors.is(err))
      assert.equal("file", err.kind)
      assert.truthy(err.message:find(row[3], 1, true), err.message)
      assert.is_true(#err.message < 300)
    end)
  end
end)

describe("a file that cannot be opened", function()
  it("is told, as where too many are open", function()
    local folder = child.folder()
    local script = folder .. "/source.lua"
    local file = assert(io.open(script, "w"))
    file:write([[
      require("maiagent.disk")
      local upload = require("maiagent.upload")
      local open = {}
      repeat
        local file = io.open("/dev/null")
        open[#open + 1] = file
      until not file
      local from, err = upload.source(arg[0])
      print(from, err.kind, err.message)
    ]])
    file:close()
    local _, output = child.run(child.root,
      "ulimit -n 32; " .. child.command({}, script))
    child.remove(folder)
    assert.matches("^nil%s+file%s.*source.lua: Too many open files", output)
  end)
end)

describe("upload.expired", function()
  -- status, code, message, whether it is
  local rows = {
    { 403, "AccessDenied", "AccessDenied: Request has expired", true },
    { 403, "AccessDenied", "AccessDenied: Policy Expired.", true },
    { 403, "AccessDenied", "AccessDenied: Access Denied.", false },
    { 403, "SignatureDoesNotMatch", "it expired", false },
    { 403, nil, "expired", false },
    { 400, "ExpiredToken", "ExpiredToken", true },
    { 403, "RequestExpired", "RequestExpired", true },
    { 500, "ExpiredToken", "ExpiredToken", false },
    { nil, nil, "expired", false },
  }

  for _, row in ipairs(rows) do
    it(tostring(row[1]) .. " " .. row[3], function()
      assert.equal(row[4], upload.expired({ status = row[1], code = row[2],
        message = row[3] }))
    end)
  end
end)
