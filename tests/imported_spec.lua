local core = require("maiagent.core")
local errors = require("maiagent.errors")
local imported = require("maiagent.imported")

local CALL = { method = "POST", path = "/api/x/", status = 200, attempts = 1 }

local function as_it_is(text)
  return text
end

describe("imported.failure", function()
  local MANY = {}
  for i = 1, 10 do
    MANY[i] = { row = i + 1, file_id = "f" .. i, error = "no" }
  end

  -- name, the answer, message, fields
  local failures = {
    { "a row",
      { success = false, updated_count = 1, total_rows = 2,
        errors = { { row = 3, file_id = "f", error = "Label not found: x" } } },
      "1 error in 2 rows: row 3: Label not found: x (file f)",
      { ["rows.3"] = { "Label not found: x" } } },
    { "two of one row, and success all the same",
      { success = true, errors = { { row = 2, error = "a" },
        { row = 2, error = "b" } } },
      "2 errors: row 2: a; row 2: b", { ["rows.2"] = { "a", "b" } } },
    { "many", { success = false, total_rows = 12, errors = MANY },
      "10 errors in 12 rows: row 2: no (file f1); row 3: no (file f2); "
        .. "row 4: no (file f3); …", nil },
    { "none", { success = false, errors = {} },
      "the import failed; the service gives no reason", nil },
    { "nothing", { success = false },
      "the import failed; the service gives no reason", nil },
    { "texts", { success = false, errors = { "bad sheet" } },
      "1 error: bad sheet", { nonFieldErrors = { "bad sheet" } } },
    { "nulls", { success = core.null, total_rows = core.null, errors =
      { core.null, { row = core.null, file_id = core.null,
        error = core.null } } },
      "2 errors: no reason given; no reason given",
      { nonFieldErrors = { "no reason given", "no reason given" } } },
    { "floats for numbers",
      { success = false, total_rows = 2.0, errors = { { row = 3.0,
        error = "x" } } },
      "1 error in 2 rows: row 3: x", { ["rows.3"] = { "x" } } },
  }

  for _, row in ipairs(failures) do
    it("tells " .. row[1], function()
      local err = imported.failure(row[2], CALL, as_it_is)
      assert.is_true(errors.is(err))
      assert.equal("invalid", err.kind)
      assert.equal(200, err.status)
      assert.equal(row[3], err.message)
      if row[4] then
        assert.same(row[4], err.fields)
      end
    end)
  end

  -- name, the answer
  local successes = {
    { "success", { success = true, errors = {}, updated_count = 1 } },
    { "no errors at all", { success = true } },
    { "null for errors", { success = true, errors = core.null } },
    { "an unknown shape", { updated = 5 } },
    { "true", true },
    { "null", core.null },
  }

  for _, row in ipairs(successes) do
    it("has nothing to tell of " .. row[1], function()
      assert.is_nil(imported.failure(row[2], CALL, as_it_is))
    end)
  end
end)
