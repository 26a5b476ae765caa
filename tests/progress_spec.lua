local core = require("maiagent.core")
local progress = require("maiagent.progress")

describe("progress", function()
  -- name, a file, what it says
  local files = {
    { "done", { status = "done" }, "done" },
    { "failed", { status = "failed" }, "failed" },
    { "deleted", { status = "deleted" }, "failed" },
    { "not to be deleted", { status = "delete_failed" }, "failed" },
    { "processing", { status = "processing" }, nil },
    { "of an unknown status", { status = "indexing" }, nil },
    { "of a status in an object", { status = { code = "done" } }, "done" },
    { "of an empty object for a status", { status = {} }, nil },
    { "of no status", {}, nil },
    { "of null for a status", { status = core.null }, nil },
    { "no object", 5, nil },
    { "null", core.null, nil },
  }

  for _, row in ipairs(files) do
    it("of a file that is " .. row[1], function()
      assert.equal(row[3], progress.of_file(row[2]))
    end)
  end

  -- name, a translation, what it says
  local translations = {
    { "completed", { status = "completed" }, "done" },
    { "Done", { status = "Done" }, "done" },
    { "finished", { status = "finished" }, "done" },
    { "with a time of completion",
      { status = "x", completedAt = "2026-01-01T00:00:00Z" }, "done" },
    { "with milliseconds of completion", { completedAt = 1 }, "done" },
    { "with a file", { status = "x", translatedFileUrl = "http://a" }, "done" },
    { "failed", { status = "FAILED" }, "failed" },
    { "in error", { status = "error" }, "failed" },
    { "with a message", { status = "x", errorMessage = "bad" }, "failed" },
    { "done but with a message",
      { completedAt = "2026", errorMessage = "bad" }, "failed" },
    { "pending", { status = "pending", errorMessage = "", completedAt = "",
      translatedFileUrl = "" }, nil },
    { "pending, with nulls", { status = "pending", errorMessage = core.null,
      completedAt = core.null, translatedFileUrl = core.null }, nil },
    { "of an unknown status", { status = "translating" }, nil },
    { "no object", "x", nil },
  }

  for _, row in ipairs(translations) do
    it("of a translation that is " .. row[1], function()
      assert.equal(row[3], progress.of_translation(row[2]))
    end)
  end
end)
