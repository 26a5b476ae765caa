-- Functions of at most 50 lines, files of at most 500, lines of at most 80
-- columns, no goto: sizes.lua FILE... says what is over and exits with 1.
-- It trusts the formatter: a function's end stands in its first line's column.

local FUNCTION_LINES, FILE_LINES, COLUMNS = 50, 500, 80

local found = 0
local function report(path, line, text)
  found = found + 1
  print(string.format("%s:%d: %s", path, line, text))
end

-- Characters, not bytes: continuation bytes of UTF-8 have no width.
local function columns(line)
  local continuation = select(2, line:gsub("[\128-\191]", ""))
  return #line - continuation
end

-- What ends the function that `line` begins, or nil where it begins none.
local function closing(path, line, previous)
  if path:find("%.lua$") then
    local opens = line:find("function%s*[%w_.:]*%s*%b()%s*$")
      or line:find("function%s*[%w_.:]*%s*%([^)]*$")
    if opens then
      return "^" .. line:match("^%s*") .. "end"
    end
  elseif line:find("^[%a_].*%)%s*{$")
      or (line:find("%)%s*{$") and previous:find("^[%a_].*[,(]$")) then
    return "^}"
  end
end

-- types.lua holds definitions for the language server, one long list, where an
-- annotation is one line.
local function is_list(path)
  return path:find("maiagent/types%.lua$") ~= nil
end

local function check(path)
  local number, previous, open = 0, "", {}
  for line in io.lines(path) do
    number = number + 1
    if columns(line) > COLUMNS and not is_list(path) then
      report(path, number, columns(line) .. " columns")
    end
    if line:find("^%s*goto%s") then
      report(path, number, "goto")
    end
    local last = open[#open]
    if last and line:find(last.pattern) then
      local lines = number - last.line + 1
      if lines > FUNCTION_LINES then
        report(path, last.line, "a function of " .. lines .. " lines")
      end
      open[#open] = nil
    end
    local pattern = closing(path, line, previous)
    if pattern then
      open[#open + 1] = { line = number, pattern = pattern }
    end
    previous = line
  end
  if number > FILE_LINES and not is_list(path) then
    report(path, number, number .. " lines")
  end
end

for _, path in ipairs(arg) do
  check(path)
end
os.exit(found == 0 and 0 or 1)
