-- Lua value <-> JSON: exact both ways, and what JSON cannot hold is refused
-- with its place. Rows are { name, input, expected } (and what is said of them
-- above each list).
local core = require "maiagent.core"
local null, array, object = core.null, core.array, core.object

-- Lua 5.3 and later tell integers from floats.
local has_integers = math.type ~= nil
local math_type = math.type or function() return nil end

local ZERO = string.char(0)
local HUGE_DIGITS = "123456789012345678901234567890"

local function is_negative_zero(value)
  return value == 0 and 1 / value < 0
end

-- What an integer beyond 2^53 comes as: itself or its digits.
local function integer(digits)
  return has_integers and assert(math.tointeger(tonumber(digits))) or digits
end

local function nested(depth)
  return ("["):rep(depth) .. ("]"):rep(depth)
end

-- Long texts are decoded record by record, short ones at once.
local LONG = (" "):rep(20000)

describe("json.decode", function()
  local rows = {
    { "null", "null", null },
    { "true", "true", true },
    { "false", " false ", false },
    { "a string", [["a"]], "a" },
    { "an empty string", [[""]], "" },
    { "escapes", [["\"\\\/\b\f\n\r\t"]], "\"\\/\b\f\n\r\t" },
    { "escaped characters", [["\u0041\u00e9\u6587"]], "Aé文" },
    { "a surrogate pair", [["\ud83d\uDE00"]], "😀" },
    { "UTF-8 as it is", [["é文😀"]], "é文😀" },
    { "bytes that are not UTF-8 as they are", "\"\255\"", "\255" },
    { "an escaped zero byte", [["a\u0000b"]], "a" .. ZERO .. "b" },
    { "only zero bytes", [["\u0000\u0000"]], ZERO .. ZERO },
    { "an escaped backslash before u0000", [["\\u0000"]], [[\u0000]] },
    { "zero byte among other escapes", [["\n\u00e9\ud83d\ude00\u0000\\\""]],
      "\né😀" .. ZERO .. "\\\"" },
    { "zero bytes in keys and values",
      [[{"a\u0000":"\u0000b","a":["c",9007199254740993,"\u0000"],"d":"e"}]],
      { ["a" .. ZERO] = ZERO .. "b",
        a = { "c", integer "9007199254740993", ZERO }, d = "e" } },
    { "0", "0", 0 },
    { "a negative integer", "-12", -12 },
    { "a float", "1.5", 1.5 },
    { "an exponent", "25e-1", 2.5 },
    { "an integral float", "10.0", 10 },
    { "2^53 - 1", "9007199254740991", 9007199254740991 },
    { "2^53", "9007199254740992", 9007199254740992 },
    { "2^53 + 1", "9007199254740993", integer "9007199254740993" },
    { "-2^53 - 1", "-9007199254740993", integer "-9007199254740993" },
    { "the largest int64", "9223372036854775807",
      integer "9223372036854775807" },
    { "the smallest int64", "-9223372036854775808",
      has_integers and math.mininteger or "-9223372036854775808" },
    { "2^63", "9223372036854775808", "9223372036854775808" },
    { "-2^63 - 1", "-9223372036854775809", "-9223372036854775809" },
    { "30 digits", HUGE_DIGITS, HUGE_DIGITS },
    { "400 digits", ("9"):rep(400), ("9"):rep(400) },
    { "a large float", "1e22", 1e22 },
    { "the largest double", "1.7976931348623157e308",
      1.7976931348623157e308 },
    { "the smallest double", "5e-324", 5e-324 },
    { "the k-th large integer",
      [=[{"7":"-1 \"2","a":[3,4.5,-6e1],"b":9007199254740993,"c":{"8":true,]=]
        .. [=["d":[1,9007199254740995]}}]=],
      { ["7"] = "-1 \"2", a = { 3, 4.5, -60 }, b = integer "9007199254740993",
        c = { ["8"] = true, d = { 1, integer "9007199254740995" } } } },
    { "a large integer behind strings that end or hold escapes",
      [=[["","\\","1\\\"2","\"",9007199254740993]]=],
      { "", "\\", "1\\\"2", "\"", integer "9007199254740993" } },
    { "an empty array", "[]", {} },
    { "an empty object", "{}", {} },
    { "null in an object is absent", [[{"a":null,"b":1}]], { b = 1 } },
    { "null in an array has its place", "[null,1,null]", { null, 1, null } },
    { "the last of two fields wins", [[{"a":1,"a":2}]], { a = 2 } },
    { "the last of two fields wins, null", [[{"a":1,"a":null}]], {} },
    { "names are case-sensitive", [[{"a":1,"A":2}]], { a = 1, A = 2 } },
    { "an empty name", [[{"":1}]], { [""] = 1 } },
    { "white space", " \t\r\n[ 1 , { \"a\" : 2 } ] \n", { 1, { a = 2 } } },
    { "a byte order mark", "\239\187\191[1]", { 1 } },
    { "lists in lists", [=[[[[1,[2]],[]],[[],[{"a":[{}]}]]]]=],
      { { { 1, { 2 } }, {} }, { {}, { { a = { {} } } } } } },
    { "a page", [=[{"count":2,"next":null,"results":[{"id":1,"a":null},]=]
        .. [=[{"id":9007199254740993,"a":"\u0000"}]}]=],
      { count = 2, results = { { id = 1 },
        { id = integer "9007199254740993", a = ZERO } } } },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.are.same({ row[3] }, { core.decode(row[2]) })
      assert.are.same({ row[3] }, { core.decode(row[2] .. LONG) })
    end)
  end

  local refused = {
    { "no text", "", "no JSON: the text is empty" },
    { "white space alone", "   ", "invalid JSON at byte 3 of 3" },
    { "text after the document", "[1] x",
      "text after the document at byte 5 of 5" },
    { "two documents", "{}{}", "text after the document at byte 3 of 4" },
    { "an array cut off", "[1,", "invalid JSON at byte 3 of 3" },
    { "an object cut off", [[{"a":1]], "invalid JSON at byte 6 of 6" },
    { "a string cut off", '["ab', "invalid JSON at byte 3 of 4" },
    { "a missing item", "[1,,2]", "invalid JSON at byte 4 of 6" },
    { "a comma at the end", "[1,]", "invalid JSON at byte 4 of 4" },
    { "a missing value", [[{"a":}]], "invalid JSON at byte 6 of 6" },
    { "single quotes", "['a']", "invalid JSON at byte 2 of 5" },
    { "not JSON", "<html>", "invalid JSON at byte 1 of 6" },
    { "a byte order mark inside", "[\239\187\191[1]]",
      "invalid JSON at byte 2 of 8" },
    { "a missing colon", [[{"a" 1}]], "invalid JSON at byte 6 of 7" },
    { "a comma at the end of an object", [[{"a":1,}]],
      "invalid JSON at byte 8 of 8" },
    { "an array closed as an object", "[1}", "invalid JSON at byte 3 of 3" },
    { "an object closed as an array", [[{"a":1] ]],
      "invalid JSON at byte 7 of 8" },
    { "a list in a list cut off", [=[{"a":[[1]]=],
      "invalid JSON at byte 9 of 9" },
    { "a fault behind brackets that are closed", '[{"a":[1]},{"b":x}]',
      "invalid JSON at byte 17 of 19" },
    { "a wrong escape in a name", [[{"a\q":1}]],
      "invalid JSON at byte 4 of 9" },
    { "half a word", "tru", "invalid JSON at byte 1 of 3" },
    { "NaN", "[NaN]", "invalid JSON at byte 2 of 5" },
    { "a zero byte", "[\"a" .. ZERO .. "\"]", "zero byte at byte 4 of 6" },
    { "a zero byte at the end", "[]" .. ZERO, "zero byte at byte 3 of 3" },
    { "an escape that is not one", [["\x"]], "invalid JSON at byte 2 of 4" },
    { "an escape that is not hexadecimal", [["\u00g0"]],
      "invalid escape at byte 2 of 8" },
    { "an escape cut off", [["\u00]], "invalid escape at byte 2 of 5" },
    { "a backslash at the end", "\"\\", "invalid JSON at byte 2 of 2" },
    { "half a surrogate pair", [["a\ud800b"]],
      "lone surrogate at byte 3 of 10" },
    { "the second half alone", [["\udc00"]], "lone surrogate at byte 2 of 8" },
    { "two first halves", [["\ud800\ud800"]],
      "lone surrogate at byte 2 of 14" },
    { "infinite", "[1,1e400]", "number out of range at byte 4 of 9" },
    { "negative infinite", "-1.0e999", "number out of range at byte 1 of 8" },
    { "513 levels", nested(513), "nested more than 512 deep" },
    { "100,000 levels", nested(100000), "nested more than 512 deep" },
    { "100,000 levels unclosed", ("[{\"a\":"):rep(100000),
      "nested more than 512 deep" },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      assert.are.same({ n = 2, nil, row[3] },
        { n = select("#", core.decode(row[2])), core.decode(row[2]) })
      if row[2] == "" then return end
      local moved = row[3]:gsub("%d+ of %d+$", function(numbers)
        local at, of = numbers:match "(%d+) of (%d+)"
        return ("%d of %d"):format(at + #LONG, of + #LONG)
      end)
      assert.are.same({ nil, moved }, { core.decode(LONG .. row[2]) })
    end)
  end

  it("refuses a name that is no string", function()
    -- cJSON is one byte off here
    assert.are.same({ nil, "invalid JSON at byte 3 of 5" },
      { core.decode "{1:2}" })
    assert.are.same({ nil, "invalid JSON at byte 2 of 20005" },
      { core.decode("{1:2}" .. LONG) })
  end)

  it("refuses what is no text", function()
    assert.are.same({ nil, "decode: text expected, got number" },
      { core.decode(1) })
    assert.are.same({ nil, "decode: text expected, got no value" },
      { core.decode() })
  end)

  it("nests as deep as told", function()
    assert.is_table(core.decode(nested(512)))
    assert.is_table(core.decode(nested(1000), false, 1000))
    assert.is_table(core.decode(nested(2), false, 2))
    assert.are.equal("nested more than 2 deep",
      select(2, core.decode(nested(3), false, 2)))
    assert.are.equal("nested more than 1000 deep",
      select(2, core.decode(nested(1001), false, 5000)))
    assert.are.equal("nested more than 3 deep",
      select(2, core.decode('[{"a":{"b":{}}}]', false, 3)))
    assert.are.equal(1, core.decode("1", false, 0))
    assert.are.equal("nested more than 0 deep",
      select(2, core.decode("[]" .. LONG, false, 0)))
    assert.is_table(core.decode(nested(3) .. LONG, false, 3))
    assert.are.equal("nested more than 3 deep",
      select(2, core.decode(nested(4) .. LONG, false, 3)))
  end)

  it("keeps null if told", function()
    for _, padding in ipairs { "", LONG } do
      local text = [[{"a":null,"b":[null]}]] .. padding
      assert.are.same({ a = null, b = { null } }, core.decode(text, true))
      assert.are.same({ b = { null } }, core.decode(text, false))
    end
  end)

  it("marks arrays, not objects", function()
    local mark = getmetatable(array {})
    for _, padding in ipairs { "", LONG } do
      local value = core.decode([=[{"a":[],"b":{},"c":[[1]]}]=] .. padding)
      assert.are.equal(mark, getmetatable(value.a))
      assert.are.equal(mark, getmetatable(value.c))
      assert.are.equal(mark, getmetatable(value.c[1]))
      assert.is_nil(getmetatable(value.b))
      assert.is_nil(getmetatable(value))
    end
  end)

  it("keeps the sign of -0", function()
    assert.is_true(is_negative_zero(core.decode "-0"))
    assert.is_true(is_negative_zero(core.decode "-0.0"))
    assert.is_false(is_negative_zero(core.decode "0"))
  end)

  it("gives integers where the VM has them", function()
    if not has_integers then
      return assert.are.equal("number", type(core.decode "1"))
    end
    local types = {
      { "1", "integer" }, { "-9007199254740993", "integer" },
      { "1.0", "integer" }, { "1e3", "integer" }, { "1.5", "float" },
      { "-0", "float" }, { "9007199254740992.0", "float" },
      { "1e22", "float" },
    }
    for _, row in ipairs(types) do
      assert.are.equal(row[2], math_type(core.decode(row[1])), row[1])
    end
  end)

  it("takes hundreds of names, each several times", function()
    local fields, expected = {}, {}
    for i = 1, 2000 do
      fields[i] = ('"key %d":%d'):format(i % 700, i)
      expected["key " .. i % 700] = i
    end
    local text = "{" .. table.concat(fields, ",") .. "}"
    assert.are.same(expected, core.decode(text))
    assert.are.same({ a = { { expected } } },
      core.decode([=[{"a":[[]=] .. text .. "]]}"))
  end)
end)

-- As JSON, and a function that gives the same in a table which the VM made at
-- that size: a list of n ones; the fields of an object, n ones.
local function ones(n)
  local list = {}
  for i = 1, n do list[i] = 1 end
  return "[" .. table.concat(list, ",") .. "]",
    function() return { (table.unpack or unpack)(list, 1, n) } end
end

local function named_ones(n)
  local fields, code = {}, {}
  for i = 1, n do
    fields[i], code[i] = ('"k%d":1'):format(i), ("k%d=1"):format(i)
  end
  return table.concat(fields, ","),
    (loadstring or load)("return {" .. table.concat(code, ",") .. "}")
end

describe("the tables of json.decode", function()
  local function memory()
    collectgarbage()
    collectgarbage()
    return collectgarbage "count"
  end

  -- What 100 results of make(...) take, in KiB: so much is free without them.
  local function size(make, ...)
    local values = {}
    for i = 1, 100 do values[i] = make(...) end
    local before = memory()
    for i = 1, 100 do values[i] = true end
    return before - memory(), values
  end

  local rows = {}
  for _, count in ipairs { 129, 385, 1025, 4097 } do
    local list, make = ones(count)
    rows[#rows + 1] = { "a list of " .. count, list, make }
    rows[#rows + 1] = { "a list of " .. count .. " in an object",
      '{"a":' .. list .. "}", function() return { a = make() } end }
    rows[#rows + 1] = { "a list of " .. count .. " in a list",
      "[" .. list .. "]", function() return { make() } end }
  end
  local fields, make = named_ones(65)
  local nulls = (',' .. fields):gsub("k", "null"):gsub(":1", ":null")
  rows[#rows + 1] = { "an object", "{" .. fields .. "}", make }
  rows[#rows + 1] = { "an object that is half null",
    "{" .. fields .. nulls .. "}", make }
  rows[#rows + 1] = { "a record that is half null", "[{" .. fields .. nulls
    .. "}]", function() return { make() } end }

  for _, row in ipairs(rows) do
    it("are as large as they have to be: " .. row[1], function()
      local limit = size(row[3]) * 1.1 + 8 -- what else became free meanwhile
      for _, padding in ipairs { "", LONG } do
        local text = row[2] .. padding
        assert.are.same(row[3](), core.decode(text))
        local taken = size(core.decode, text)
        assert(taken < limit, ("%.1f KiB, not %.1f"):format(taken, limit))
      end
    end)
  end

  -- Long texts are collected in pieces.
  it("have every item and field, however many", function()
    for _, count in ipairs { 0, 1, 127, 128, 129, 255, 256, 257, 20000 } do
      local items, pairs_of, numbers, named = {}, {}, {}, {}
      for i = 1, count do
        items[i], pairs_of[i] = tostring(i), ('"%d":%d'):format(i, i)
        numbers[i], named[tostring(i)] = i, i
      end
      local list = "[" .. table.concat(items, ",") .. "]"
      local opened = "{" .. table.concat(pairs_of, ",")
      assert.are.same(numbers, core.decode(list .. LONG))
      assert.are.same({ named, { a = numbers } }, core.decode(
        ('[%s},{"a":%s}]'):format(opened, list) .. LONG))
      named.list = numbers
      assert.are.same(named, core.decode(opened
        .. (count > 0 and "," or "") .. '"list":' .. list .. "}" .. LONG))
    end
  end)

  it("are refused wherever the text goes wrong", function()
    for _, count in ipairs { 1, 127, 128, 129, 256, 1000 } do
      for _, opening in ipairs { "[", '{"a":[' } do
        local text = LONG .. opening .. ("[1],"):rep(count) .. "}"
        assert.are.same({ nil, ("invalid JSON at byte %d of %d"):format(#text,
          #text) }, { core.decode(text) })
      end
    end
  end)
end)

describe("json.encode", function()
  local shared = { 1 }
  local function reach()
    return shared
  end
  local rows = {
    { "null", null, "null" },
    { "true", true, "true" },
    { "false", false, "false" },
    { "a string", "a", [["a"]] },
    { "escapes", "\"\\/\b\f\n\r\t\1\31", [["\"\\/\b\f\n\r\t\u0001\u001f"]] },
    { "UTF-8", "é文😀\127", "\"é文😀\127\"" },
    { "the ends of UTF-8's ranges",
      "\194\128\223\191\224\160\128\237\159\191\238\128\128\239\191\191"
        .. "\240\144\128\128\244\143\191\191",
      "\"\194\128\223\191\224\160\128\237\159\191\238\128\128\239\191\191"
        .. "\240\144\128\128\244\143\191\191\"" },
    { "a zero byte", "a" .. ZERO .. "b", [["a\u0000b"]] },
    { "only zero bytes", ZERO .. ZERO, [["\u0000\u0000"]] },
    { "zero bytes in keys",
      { ["a" .. ZERO] = 1, ["a" .. ZERO .. "b"] = ZERO, a = "\"" },
      [[{"a":"\"","a\u0000":1,"a\u0000b":"\u0000"}]] },
    { "0", 0, "0" },
    { "10, not 10.0", 10, "10" },
    { "an integral float", 20 / 2, "10" },
    { "a fraction", 0.1, "0.1" },
    { "a fraction of 17 digits", 0.1 + 0.2, "0.30000000000000004" },
    { "a million billion", 1e15, "1000000000000000" },
    { "2^53 - 1", 2 ^ 53 - 1, "9007199254740991" },
    { "2^53, a float that is read as one", 2 ^ 53, "9007199254740992.0" },
    { "a float beyond 2^53", 2 ^ 53 + 2, "9007199254740994.0" },
    { "a large float", 1e22, "1e+22" },
    { "a small float", -2.5e-7, "-2.5e-07" },
    { "an array", { 1, "a", true, null }, [=[[1,"a",true,null]]=] },
    { "an object, sorted by name", { b = 1, a = 2, ["A"] = 3, ["é"] = 4,
      [""] = 5, ab = 6, ["1"] = 7 },
      [[{"":5,"1":7,"A":3,"a":2,"ab":6,"b":1,"é":4}]] },
    { "arrays and objects", { { a = { { b = {} } } } },
      [=[[{"a":[{"b":{}}]}]]=] },
    { "an empty table", {}, "{}" },
    { "an empty array", array {}, "[]" },
    { "an empty object", object {}, "{}" },
    { "a marked array", array { 1, 2 }, "[1,2]" },
    { "a marked object", object { a = 1 }, [[{"a":1}]] },
    { "another library's mark for an array",
      setmetatable({}, { __jsontype = "array" }), "[]" },
    { "another library's mark for an object",
      setmetatable({}, { __jsontype = "object" }), "{}" },
    { "the same table twice", { shared, shared, { a = shared } },
      [=[[[1],[1],{"a":[1]}]]=] },
    { "a long array", (function()
      local t = {}
      for i = 1, 1000 do t[i] = 0 end
      return t
    end)(), "[" .. ("0,"):rep(999) .. "0]" },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.are.same({ row[3] }, { core.encode(row[2]) })
    end)
  end

  it("keeps the sign of -0", function()
    assert.are.equal("-0", core.encode(-1 / math.huge))
  end)

  it("writes every digit of an integer", function()
    if has_integers then
      assert.are.equal("9223372036854775807", core.encode(math.maxinteger))
      assert.are.equal("-9223372036854775808", core.encode(math.mininteger))
      assert.are.equal("9007199254740993",
        core.encode(math.tointeger(9007199254740993)))
    else
      assert.are.equal("-9007199254740991", core.encode(-9007199254740991))
    end
  end)

  local cycle = { name = "x" }
  cycle.list = { 1, { back = cycle } }
  local knot = {}
  knot[1] = knot
  local deep = {}
  for _ = 1, 600 do deep = { a = deep } end

  local HOLE = " (maiagent.null would fill it; a number that is a name is "
    .. "written as a string)"

  local refused = {
    { "nil", nil, "params: JSON has no nil" },
    { "NaN", 0 / 0, "params: NaN" },
    { "infinity", { a = math.huge }, "params.a: infinite number" },
    { "negative infinity", { -math.huge }, "params[1]: infinite number" },
    { "a function", { a = print }, "params.a: JSON has no function" },
    { "userdata", { a = io.stdout }, "params.a: JSON has no userdata" },
    { "light userdata that is no null",
      { a = debug.upvalueid and debug.upvalueid(reach, 1) or io.stdout },
      "params.a: JSON has no userdata" },
    { "a thread", coroutine.create(function() end),
      "params: JSON has no thread" },
    { "a cycle", cycle,
      "params.list[2].back: a cycle, the same table as params" },
    { "a table that holds itself", { a = knot },
      "params.a[1]: a cycle, the same table as params.a" },
    { "600 levels", deep, "params.a.a.a.a: nested more than 512 deep" },
    { "names and indexes", { a = { 1, 2, n = 2 } },
      "params.a: names and indexes mixed in one table" },
    { "a hole", { 1, nil, 3 }, "params: array with a hole at [2]" .. HOLE },
    { "a late start", { a = { [3] = 1 } },
      "params.a: array with a hole at [1]" .. HOLE },
    { "a hole in a marked array", array { 1, 2, nil, 4 },
      "params: array with a hole at [3]" .. HOLE },
    { "a marked array with names", { a = array { b = 1 } },
      "params.a: array with names" },
    { "a marked object with indexes", object { 1 },
      "params: object with indexes" },
    { "the key 0", { [0] = 1 },
      "params: the key 0 is neither a name nor an index" },
    { "a negative key", { [-1] = 1 },
      "params: the key -1 is neither a name nor an index" },
    { "a key with a fraction", { 1, [1.5] = 1 },
      "params: the key 1.5 is neither a name nor an index" },
    { "a boolean key", { [true] = 1 }, "params: a key is a boolean" },
    { "a table as a key", { a = { [{}] = 1 } }, "params.a: a key is a table" },
    { "invalid UTF-8",
      { files = { { filename = "a" }, { filename = "ab\255" } } },
      "params.files[2].filename: invalid UTF-8 at byte 3" },
    { "a byte alone", "\128", "params: invalid UTF-8 at byte 1" },
    { "a sequence cut off", "a\228\184", "params: invalid UTF-8 at byte 2" },
    { "a sequence broken off", "\228\184a", "params: invalid UTF-8 at byte 1" },
    { "a broken fourth byte", "\240\159\152a",
      "params: invalid UTF-8 at byte 1" },
    { "an overlong zero", "\192\128", "params: invalid UTF-8 at byte 1" },
    { "an overlong slash", "\193\175", "params: invalid UTF-8 at byte 1" },
    { "an overlong form of three bytes", "\224\159\191",
      "params: invalid UTF-8 at byte 1" },
    { "an overlong form of four bytes", "\240\143\191\191",
      "params: invalid UTF-8 at byte 1" },
    { "a surrogate", "\237\160\128", "params: invalid UTF-8 at byte 1" },
    { "above U+10FFFF", "\244\144\128\128", "params: invalid UTF-8 at byte 1" },
    { "above U+13FFFF", "\245\128\128\128", "params: invalid UTF-8 at byte 1" },
    { "invalid UTF-8 in a key", { ["a\255"] = 1 },
      [[params["a\255"]: invalid UTF-8 at byte 2 of the key]] },
    { "a value under a key that is no identifier", { ["a \"b\"\n"] = print },
      [[params["a \"b\"\010"]: JSON has no function]] },
    { "a value under a key in UTF-8", { ["名"] = print },
      [[params["名"]: JSON has no function]] },
    { "a value under an empty key", { [""] = print },
      [[params[""]: JSON has no function]] },
    { "a value under a key that begins with a digit", { ["1a"] = print },
      [[params["1a"]: JSON has no function]] },
    { "a value under a long key", { [("k"):rep(300)] = print },
      "params." .. ("k"):rep(300) .. ": JSON has no function" },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      assert.are.same({ n = 2, nil, row[3] },
        { n = select("#", core.encode(row[2])), core.encode(row[2]) })
    end)
  end

  -- { name, { value, array paths }, expected }
  local paths = {
    { "fields", { { a = {}, b = {}, ab = {} }, "a b" },
      [[{"a":[],"ab":{},"b":[]}]] },
    { "fields of items", { { files = { { labels = {}, other = {} } } },
      "files files[].labels" },
      [[{"files":[{"labels":[],"other":{}}]}]] },
    { "fields of fields", { { a = { b = {} } }, "a.b" }, [[{"a":{"b":[]}}]] },
    { "the root", { {}, "[]" }, "[]" },
    { "not the items of a root array", { { {}, {} }, "[]" }, "[{},{}]" },
    { "fields of items of a root array", { { { labels = {} } },
      "[] [].labels" }, [=[[{"labels":[]}]]=] },
    { "a marked object stays one", { { a = object {} }, "a" }, [[{"a":{}}]] },
    { "no path", { { a = {} }, "" }, [[{"a":{}}]] },
    { "spaces", { { a = {} }, "  b  a  " }, [[{"a":[]}]] },
    { "an empty name", { { [""] = {} }, "a" }, [[{"":{}}]] },
  }
  for _, row in ipairs(paths) do
    it("knows arrays by path: " .. row[1], function()
      assert.are.same({ row[3] }, { core.encode(row[2][1], row[2][2]) })
    end)
  end

  it("never runs metamethods and never writes", function()
    local function never() error "a metamethod ran" end
    local metatable = {
      __index = never, __newindex = never, __len = never, __pairs = never,
      __ipairs = never, __tostring = never, __eq = never, __lt = never,
    }
    setmetatable(metatable, { __index = never })
    local list = setmetatable({ 1, 2 }, metatable)
    local value = setmetatable({ list = list, b = "c" }, metatable)
    assert.are.equal([[{"b":"c","list":[1,2]}]], core.encode(value))
    assert.are.equal(metatable, getmetatable(value))
    assert.are.equal(metatable, getmetatable(list))
  end)
end)

describe("marks", function()
  it("are set on the table itself", function()
    local t = {}
    assert.are.equal(t, array(t))
    assert.are.equal(t, object(t))
    assert.are.equal("maiagent.object", getmetatable(t).__name)
    assert.are.equal("maiagent.array", getmetatable(array(t)).__name)
    assert.are.equal("array", getmetatable(t).__jsontype)
  end)

  it("need a table", function()
    assert.are.same({ nil, "array: table expected, got nil" }, { array(nil) })
    assert.are.same({ nil, "object: table expected, got string" },
      { object "a" })
  end)

  it("don't replace a metatable of another kind", function()
    local metatable = {}
    local t = setmetatable({}, metatable)
    assert.are.same({ nil, "array: the table has another metatable" },
      { array(t) })
    assert.are.equal(metatable, getmetatable(t))
  end)

  it("has null as other libraries have it", function()
    assert.are.equal("userdata", type(null))
    assert.are.equal(require("cjson").null, null)
  end)
end)

describe("round trips", function()
  math.randomseed(20240229)

  -- Fifty texts, each long enough to be decoded record by record. One text
  -- would take a sanitizer minutes, which looks at its rest for each number.
  local function often(fn)
    for _ = 1, 50 do fn(2000) end
  end

  local function random_digits()
    local digits = { tostring(math.random(1, 9)) }
    for i = 2, math.random(1, 24) do digits[i] = math.random(0, 9) end
    return (math.random(2) == 1 and "-" or "") .. table.concat(digits)
  end

  local function keep_digits(count)
    local tokens, sent = {}, {}
    for i = 1, count do tokens[i] = random_digits() end
    local text = "[" .. table.concat(tokens, ",") .. "]"
    local values = assert(core.decode(text))
    for i, token in ipairs(tokens) do
      local value = values[i]
      if type(value) == "number" then
        assert(math_type(value) ~= "float", token)
        value = string.format(has_integers and "%d" or "%.0f", value)
      else
        sent[i] = true
      end
      if value ~= token then error(token .. " came as " .. value) end
    end
    for i in pairs(sent) do tokens[i] = '"' .. tokens[i] .. '"' end
    assert(core.encode(values) == "[" .. table.concat(tokens, ",") .. "]")
  end

  it("keeps every digit of 100,000 integers of 1 to 24 digits", function()
    often(keep_digits)
  end)

  local function keep_int64(count)
    local values = {}
    for i = 1, count do
      local n = 0
      for _ = 1, 4 do n = n * 65536 + math.random(0, 65535) end
      values[i] = n
    end
    local back = assert(core.decode(assert(core.encode(values))))
    for i, value in ipairs(values) do
      if back[i] ~= value or math_type(back[i]) ~= "integer" then
        error(("%d came as %s"):format(value, tostring(back[i])))
      end
    end
  end

  it("keeps 100,000 int64", function()
    if not has_integers then return end -- the digits above are all it has
    often(keep_int64)
  end)

  local function random_double()
    local mantissa = math.random(0, 2 ^ 26) * 2 ^ 27 + math.random(0, 2 ^ 27)
    local sign = math.random(2) == 1 and -1 or 1
    return sign * mantissa * 2.0 ^ math.random(-1074, 970)
  end

  local function keep_doubles(count)
    local values = {}
    for i = 1, count do values[i] = random_double() end
    local back = assert(core.decode(assert(core.encode(values))))
    for i, value in ipairs(values) do
      if back[i] ~= value then
        error(("%.17g came as %s"):format(value, tostring(back[i])))
      end
    end
  end

  it("keeps 100,000 doubles", function() often(keep_doubles) end)

  it("keeps doubles near and beyond 2^53 numbers", function()
    for exponent = 50, 64 do
      for step = -3, 3 do
        local value = 2.0 ^ exponent + step * 2.0 ^ math.max(0, exponent - 52)
        local back = assert(core.decode(assert(core.encode(value))))
        assert.are.equal(value, back)
        assert.are.equal(-value, core.decode(assert(core.encode(-value))))
      end
    end
  end)

  it("reads doubles as the C library does", function()
    local tokens, values = {}, {}
    for i = 1, 10000 do
      values[i] = random_double()
      tokens[i] = ("%.16e"):format(values[i])
    end
    local back = assert(core.decode("[" .. table.concat(tokens, ",") .. "]"))
    for i, value in ipairs(values) do assert(back[i] == value, tokens[i]) end
  end)

  it("keeps every string of bytes in UTF-8", function()
    local alphabet = { ZERO, "\"", "\\", "/", "\n", "\31", "\127", "a", "é",
      "文", "😀", "\\u0000", "0", "-1", ZERO }
    for _ = 1, 2000 do
      local parts, keys = {}, {}
      for i = 1, math.random(0, 12) do
        parts[i] = alphabet[math.random(#alphabet)]
      end
      local text = table.concat(parts)
      keys[text] = { text, 9007199254740991, text .. text }
      local value = { text, keys, 2 ^ 60, text }
      assert.are.same(value,
        assert(core.decode(assert(core.encode(value)))))
    end
  end)
end)

describe("beside other libraries", function()
  local words = { "a", "name", "文件", "\"quoted\"", "line\nbreak", "", "0",
    "-1e5", "tab\t", "/path", "\\back", "😀" }
  local random_value

  local function random_table(depth)
    local t, count = {}, math.random(0, 5)
    if math.random(2) == 1 then
      for i = 1, count do t[i] = random_value(depth + 1) end
      return array(t)
    end
    for _ = 1, count do
      t[words[math.random(#words)]] = random_value(depth + 1)
    end
    return object(t)
  end

  function random_value(depth)
    local kind = math.random(depth > 5 and 4 or 7)
    if kind == 1 then return math.random(-1000000, 1000000) end
    if kind == 2 then return math.random(-8000, 8000) / 16 end
    if kind == 3 then return math.random(2) == 1 end
    if kind == 4 then return words[math.random(#words)] end
    return random_table(depth)
  end

  for _, name in ipairs { "cjson", "dkjson" } do
    it("agrees with " .. name .. " on random documents", function()
      local other = require(name)
      for _ = 1, 1000 do
        local value = random_table(1)
        local text = assert(core.encode(value))
        assert.are.same(value, (other.decode(text)))
        assert.are.same(value, core.decode(text))
        assert.are.same(value, core.decode((other.encode(value))))
      end
    end)
  end

  -- The decimal point of the process must not get into the text.
  it("writes and reads a point where the locale has a comma", function()
    local before = os.setlocale(nil, "numeric")
    finally(function() os.setlocale(before, "numeric") end)
    assert(os.setlocale("de_DE.UTF-8", "numeric"),
      "no locale with a decimal comma: tests/support/specs.sh makes one")
    for _, value in ipairs { 0.5, -1234.25, 1e-7, 2.5e300, 0.1 + 0.2,
      2 ^ 53 + 2, 1e22 } do
      local text = assert(core.encode { value })
      assert.is_nil(text:find(",", 1, true), text)
      assert.are.equal(value, core.decode(text)[1])
    end
  end)
end)
