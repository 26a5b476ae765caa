local journal = require("maiagent.journal")

local NOW = 1700000000
local ENTRY = { hash = ("a"):rep(64), size = 12, name = "a\tb%/一\n.txt" }

local function line(changes)
  local entry = {}
  for name, value in pairs(ENTRY) do
    entry[name] = value
  end
  for name, value in pairs(changes or {}) do
    entry[name] = value
  end
  return journal.stored("kb", entry, entry.key or "media/k", NOW)
end

local function key_in(text, now, kb_id)
  return journal.key_of(journal.read(text, now or NOW), kb_id or "kb", ENTRY)
end

describe("journal", function()
  it("remembers the key of what was stored, whatever its name", function()
    assert.equal("media/k", key_in(line()))
    assert.equal("a\tb%c", key_in(line({ key = "a\tb%c" })))
    local large = { hash = "b", size = 2 ^ 40, name = "large" }
    local text = journal.stored("kb", large, "k", NOW)
    assert.equal("k", journal.key_of(journal.read(text, NOW), "kb", large))
  end)

  it("forgets what does not match or is too old", function()
    local rows = {
      ["another file"] = { line({ name = "other" }) },
      ["other bytes"] = { line({ hash = "b" }) },
      ["another size"] = { line({ size = 13 }) },
      ["another knowledge base"] = { line(), NOW, "kb2" },
      ["too old"] = { line(), NOW + journal.REUSE_WINDOW },
      ["from the future"] = { line(), NOW - 1 },
      ["used"] = { line() .. journal.used("media/k") },
    }
    for name, row in pairs(rows) do
      assert.is_nil(key_in(row[1], row[2], row[3]), name)
    end
    assert.equal("media/k", key_in(line(), NOW + journal.REUSE_WINDOW - 1))
    assert.equal("media/k",
      key_in(line() .. journal.used("media/other")))
  end)

  it("reads on past anything that is not of it", function()
    local good = line()
    for name, text in pairs({
      ["nothing"] = "",
      ["garbage"] = "\0\255\n\n\t\t\nstored\n1\n1\tstored\n1\tregistered\n",
      ["another version"] = "2\tstored\tkb\n2\tregistered\tmedia/k\n",
      ["an unknown word"] = "1\tdeleted\tmedia/k\n",
      ["a field too many"] = good:gsub("\n", "\tx\n"),
      ["no time"] = (good:gsub(tostring(NOW), "soon")),
    }) do
      assert.is_nil(key_in(text), name)
      assert.equal("media/k", key_in(text .. good), name)
    end
    assert.is_nil(journal.key_of(journal.read(nil, NOW), "kb", ENTRY))
  end)

  it("believes no line that was torn, wherever that was", function()
    local good = line()
    for length = 0, #good - 1 do
      local torn = good:sub(1, length)
      assert.is_nil(key_in(torn), torn)
      local key = key_in(torn .. good)
      assert.is_true(key == nil or key == "media/k", tostring(key))
      key = key_in(torn .. journal.used("media/x"))
      assert.is_nil(key, tostring(key))
    end
  end)
end)
