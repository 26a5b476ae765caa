local filename = require("maiagent.filename")

local LONG = ("x"):rep(300)
local CHINESE = ("中"):rep(100)

-- what was given, what is kept of it (nil: nothing)
local NAMES = {
  { "report.pdf", "report.pdf" },
  { "年度報告 (2).pdf", "年度報告 (2).pdf" },
  { "Q1: 100% <ready>?*|.pdf", "Q1: 100% <ready>?*|.pdf" },
  { "a;b='c'.txt", "a;b='c'.txt" },
  { "-rf", "-rf" },
  { "~", "~" },
  { "", nil },
  { " ", nil },
  { ".", nil },
  { "..", nil },
  { "...", nil },
  { ". . .", nil },
  { "/", nil },
  { "\\", nil },
  { "\0", nil },
  { "../", nil },
  { "a/..", nil },
  { "a\\..", nil },
  { "..\0", nil },
  { ".\1.", nil },
  { "../../etc/passwd", "passwd" },
  { "..\\..\\boot.ini", "boot.ini" },
  { "/etc/passwd", "passwd" },
  { "C:\\Users\\a\\b.txt", "b.txt" },
  { "C:/b.txt", "b.txt" },
  { "\\\\host\\share\\b.txt", "b.txt" },
  { "a/b\\c/d.txt", "d.txt" },
  { "folder/", "folder" },
  { "folder\\", "folder" },
  { "a\0.txt", "a.txt" },
  { "a.txt\0.exe", "a.txt.exe" },
  { "a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt" },
  { "a\27[2Jb", "a[2Jb" },
  { "a\127b", "ab" },
  { "a\194\133b", "ab" },
  { "\226\128\174fdp.exe", "fdp.exe" },
  { "a\226\129\166b\226\128\142c", "abc" },
  { ".bashrc", "_bashrc" },
  { "..hidden", "_hidden" },
  { "...x", "_x" },
  { "a.", "a" },
  { "a. . ", "a" },
  { "  a  ", "a" },
  { "CON", "_CON" },
  { "con.txt", "_con.txt" },
  { "Nul.tar.gz", "_Nul.tar.gz" },
  { "COM1", "_COM1" },
  { "lpt9.log", "_lpt9.log" },
  { "aux .txt", "_aux .txt" },
  { "console.txt", "console.txt" },
  { "com10", "com10" },
  { "\255\254.txt", "__.txt" },
  { "caf\233.txt", "caf_.txt" },
  { "\192\175etc", "__etc" },
  { "\237\160\128", "___" },
  { "\244\144\128\128", "____" },
  { "\228\184", "__" },
  { "a\216\156b", "ab" },
  { "report.pdf.part", "report.pdf.part_" },
  { "report.pdf.Part.ETag", "report.pdf.Part.ETag_" },
  { "part", "part" },
  { "a.part.", "a.part_" },
  { LONG .. ".part", LONG:sub(1, 250) .. ".par_" },
  { ("x"):rep(254) .. "." .. LONG, ("x"):rep(254) },
  { LONG, LONG:sub(1, 255) },
  { "con" .. (" "):rep(300) .. "x", "_con" },
  { LONG .. ".pdf", LONG:sub(1, 251) .. ".pdf" },
  { LONG .. "." .. LONG, LONG:sub(1, 255) },
  { CHINESE .. ".pdf", ("中"):rep(83) .. ".pdf" },
  { CHINESE, ("中"):rep(85) },
  { ("a"):rep(254) .. "中", ("a"):rep(254) },
  { "." .. LONG, "_" .. LONG:sub(1, 254) },
  { nil, nil },
}

describe("a harmless name", function()
  for i = 1, #NAMES do
    local given, expected = NAMES[i][1], NAMES[i][2]

    it(("of %q is %q"):format(tostring(given):sub(1, 40),
      tostring(expected):sub(1, 40)), function()
      assert.equal(expected, filename.harmless(given))
    end)
  end

  it("may be shorter", function()
    assert.equal(("x"):rep(16) .. ".txt",
      filename.harmless(LONG .. ".txt", 20))
  end)
end)

local DISPOSITIONS = {
  { 'attachment; filename="a.pdf"', "a.pdf" },
  { "attachment; filename=a.pdf", "a.pdf" },
  { "attachment;filename=a.pdf;size=3", "a.pdf" },
  { "attachment; FileName = a.pdf ; x=y", "a.pdf" },
  { 'inline; filename="a b;c.pdf"', "a b;c.pdf" },
  { 'attachment; filename="a \\"b\\".pdf"', 'a "b".pdf' },
  { 'attachment; filename="a\\\\b"', "a\\b" },
  { 'attachment; filename="C:\\dir\\b.txt"', "C:\\dir\\b.txt" },
  { 'attachment; filename="open', "open" },
  { 'attachment; filename="中.txt"', "中.txt" },
  { "attachment; filename*=UTF-8''%E4%B8%AD%20a.txt", "中 a.txt" },
  { "attachment; filename*=utf-8'zh'%E4%B8%AD.txt", "中.txt" },
  { "attachment; filename*=ISO-8859-1''caf%E9.txt", "café.txt" },
  { "attachment; filename=x.txt; filename*=UTF-8''y.txt", "y.txt" },
  { "attachment; filename*=UTF-8''y.txt; filename=x.txt", "y.txt" },
  { "attachment; filename=x.txt; filename*=EBCDIC''y.txt", "x.txt" },
  { "attachment; filename=x.txt; filename*=broken", "x.txt" },
  { "attachment; filename*=UTF-8''a%2Fb%00.txt", "a/b\0.txt" },
  { "attachment; filename*=UTF-8''100%.txt", "100%.txt" },
  { 'attachment; name="; filename=evil"; filename=good', "good" },
  { "attachment; filename=", "" },
  { 'attachment; filename=""', "" },
  { "attachment", nil },
  { "", nil },
  { ";;;", nil },
  { 'filename="a.pdf"', nil },
  { nil, nil },
}

describe("the name in a Content-Disposition", function()
  for i = 1, #DISPOSITIONS do
    local header, expected = DISPOSITIONS[i][1], DISPOSITIONS[i][2]

    it("of " .. tostring(header), function()
      assert.equal(expected, filename.of_disposition(header))
    end)
  end
end)

local URLS = {
  { "https://h/a/b.pdf", "b.pdf" },
  { "https://h/a/b.pdf?X-Signature=c/d#e/f", "b.pdf" },
  { "https://h/a/%E4%B8%AD.pdf", "中.pdf" },
  { "https://h/a/..%2F..%2Fb", "../../b" },
  { "https://h/a/b/", "b" },
  { "https://h/", nil },
  { "https://h", nil },
  { "https://h?x=/y", nil },
}

describe("the name in a URL", function()
  for _, row in ipairs(URLS) do
    it("of " .. row[1], function()
      assert.equal(row[2], filename.of_url(row[1]))
    end)
  end
end)
