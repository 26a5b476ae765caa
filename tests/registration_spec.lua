local core = require("maiagent.core")
local errors = require("maiagent.errors")
local registration = require("maiagent.registration")

local UUID = "0b9c4a52-8fef-4000-8000-000000000009"
local KEY = "media/chatbots/chatbot-file/" .. UUID .. ".txt"

describe("registration.is_of_key", function()
  -- name, the file's `file`, key, whether it is
  local rows = {
    { "the key", KEY, KEY, true },
    { "a URL", "https://h/" .. KEY, KEY, true },
    { "a URL without media/", "https://h/chatbots/chatbot-file/" .. UUID
      .. ".txt", KEY, true },
    { "a signed URL", "https://h/b/" .. KEY .. "?X-Amz-Signature=a/b#c", KEY,
      true },
    { "another folder", "https://h/final/" .. UUID .. ".txt", KEY, true },
    { "an escaped URL", "https://h/media/" .. UUID .. ".%E6%AA%94",
      "media/" .. UUID .. ".檔", true },
    { "another file", "http://h/media/0b9c4a52-8fef-4000-8000-00000000000a.txt",
      KEY, false },
    { "another type", "https://h/media/" .. UUID .. ".md", KEY, false },
    { "the same name elsewhere", "https://h/media/2/a.txt", "media/1/a.txt",
      false },
    { "the same name there", "https://h/x/1/a.txt", "media/1/a.txt", true },
    { "a longer name", "https://h/ba.txt", "media/a.txt", false },
    { "nothing", nil, KEY, false },
    { "null", core.null, KEY, false },
    { "an object", {}, KEY, false },
  }

  for _, row in ipairs(rows) do
    it("knows " .. row[1], function()
      assert.equal(row[4], registration.is_of_key({ file = row[2] }, row[3]))
    end)
  end

  it("knows no file in what is none", function()
    assert.is_false(registration.is_of_key("x", KEY))
    assert.is_false(registration.is_of_key(core.null, KEY))
  end)
end)

describe("registration.read_answer", function()
  local LIST = { { file = "a/1" }, { file = "a/2" }, { file = "a/3" } }
  local ONE, TWO, THREE = { id = 1, file = "http://h/a/1" },
    { id = 2, file = "http://h/a/2" }, { id = 3, file = "http://h/a/3" }
  local X, Y, Z = { id = 4 }, { id = 5 }, { id = 6 }

  -- name, the answer, the files that are found, whether that is all
  local rows = {
    { "a page", { results = { ONE, TWO, THREE } }, { ONE, TWO, THREE }, true },
    { "an array", { ONE, TWO, THREE }, { ONE, TWO, THREE }, true },
    { "another order", { THREE, ONE, TWO }, { ONE, TWO, THREE }, true },
    { "files without keys", { X, Y, Z }, { X, Y, Z }, true },
    { "other files among them", { X, THREE, Y, TWO, ONE }, { ONE, TWO, THREE },
      true },
    { "the first page", { results = { ONE, TWO } }, { ONE, TWO }, false },
    { "other files only", { results = { X, Y } }, {}, false },
    { "an empty page", { results = {} }, {}, false },
    { "null", { results = core.null }, {}, false },
    { "a text", "x", {}, false },
    { "nulls", { core.null, core.null, core.null }, {}, false },
  }

  for _, row in ipairs(rows) do
    it("reads " .. row[1], function()
      local found = {}
      local all =
        registration.read_answer(LIST, found, { 1, 2, 3 }, row[2])
      assert.same(row[3], found)
      assert.equal(row[4], all)
    end)
  end

  it("reads one file that is not in a list", function()
    local found = {}
    assert.is_true(registration.read_answer({ LIST[1] }, found, { 1 }, X))
    assert.same({ X }, found)
  end)

  -- Sync took each for another one, and deleted them all.
  it("tells files by their names where keys say nothing", function()
    local list = { { file = "a/1", filename = "a" }, { file = "a/2",
      filename = "b" }, { file = "a/3", filename = "a" } }
    local a, b, again = { id = 1, filename = "a" }, { id = 2, filename = "b" },
      { id = 3, filename = "a" }
    local found = {}
    assert.is_true(registration.read_answer(list, found, { 1, 2, 3 },
      { b, a, again }))
    assert.same({ a, b, again }, found)
    found = {}
    assert.is_true(registration.read_answer(list, found, { 1, 2, 3 },
      { b, X, again }))
    assert.same({ b, X, again }, found)
  end)

  it("keeps what was found before", function()
    local found = { [2] = TWO }
    assert.is_true(registration.read_answer(LIST, found, { 1, 3 }, { X, Y }))
    assert.same({ X, TWO, Y }, found)
  end)
end)

describe("registration.may_be_done", function()
  -- kind, status, sent, retry_after, whether it may
  local rows = {
    { "server", 500, nil, nil, true },
    { "server", 502, nil, nil, true },
    { "server", 503, nil, nil, true },
    { "server", 503, nil, 5, false },
    { "timeout", 408, nil, nil, true },
    { "timeout", nil, true, nil, true },
    { "timeout", nil, false, nil, false },
    { "connection", nil, true, nil, true },
    { "connection", nil, false, nil, false },
    { "decode", 201, nil, nil, true },
    { "rate_limit", 429, nil, nil, false },
    { "invalid", 400, nil, nil, false },
    { "http", 302, nil, nil, false },
    { "cancelled", nil, true, nil, false },
    { "tls", nil, false, nil, false },
  }

  for _, row in ipairs(rows) do
    it(table.concat({ row[1], tostring(row[2]), tostring(row[3]) }, " "),
      function()
        assert.equal(row[5], registration.may_be_done({ kind = row[1],
          status = row[2], sent = row[3], retry_after = row[4] }))
      end)
  end
end)

describe("registration.unclear", function()
  it("keeps what the error says, but never asks to try again", function()
    local before = errors.new({ kind = "server", status = 502, path = "/x",
      message = "bad gateway" })
    local err = registration.unclear(before, "a.txt", true)
    assert.equal("server", err.kind)
    assert.equal(502, err.status)
    assert.equal("/x", err.path)
    assert.is_false(err.retryable)
    assert.is_true(before.retryable)
    assert.equal("a.txt was stored, but whether it was registered is unclear: "
      .. "bad gateway; the list of files doesn't show it", err.message)
    assert.truthy(registration.unclear(before, "a", false).message
      :find("could not be read", 1, true))
  end)
end)
