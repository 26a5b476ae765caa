--- report.lua BUILD: how much of each file of src/ and lua/maiagent/ was
-- executed, and each line that was not and has no reason in tests/coverage.md.
--
-- There, a reason stands behind the text of its line, so that it stays with it:
--   ### src/loop.c
--   - `return false;` out of descriptors: …

local BUILD = arg[1]
local REASONS = "tests/coverage.md"

local function lines_of(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  pipe:close()
  return lines
end

local function text_lines(path)
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = line
  end
  return lines
end

-- file → line → whether it was executed

local found = {}

local function note(path, line, executed)
  found[path] = found[path] or {}
  found[path][line] = found[path][line] or executed
end

-- gcov -t prints the source, each line with its count before it. An inline
-- function of a header comes once for each file that includes it.
local function read_c()
  for _, object in ipairs(lines_of("ls " .. BUILD .. "/object/*.gcno")) do
    local path
    for _, line in ipairs(lines_of("gcov -t " .. object .. " 2>/dev/null")) do
      local count, number, text = line:match("^%s*(%S+):%s*(%d+):(.*)$")
      path = number == "0" and text:match("^Source:(.*)$") or path
      if number and number ~= "0" and path:find("^src/") and count ~= "-" then
        note(path, tonumber(number), not count:find("#####", 1, true))
      end
    end
  end
end

-- The compiler gives the end of a function a line of its own, which is not
-- reached behind a return.
local function is_code(text)
  return not text:find("^%s*end[%s%),;}]*$") and not text:find("^%s*[%]})]*$")
end

local function lua_files()
  return lines_of("find lua/maiagent -name '*.lua' ! -name types.lua | sort")
end

local function read_lua()
  for _, path in ipairs(lua_files()) do
    local text = text_lines(path)
    for _, line in ipairs(lines_of("luac5.4 -p -l " .. path)) do
      local number, code = line:match("^%s+%d+%s+%[(%d+)%]%s+(%S+)")
      number = tonumber(number)
      if number and code ~= "VARARGPREP" and is_code(text[number]) then
        note(path, number, false)
      end
    end
  end
  local noted = BUILD .. "/noted"
  for _, line in ipairs(lines_of("cat " .. noted .. "/*.lines | sort -u")) do
    local path, number = line:match("^(%S+) (%d+)$")
    path, number = "lua/" .. path, tonumber(number)
    if found[path] and found[path][number] ~= nil then
      found[path][number] = true
    end
  end
end

local function trimmed(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- path → text of a line → true
local function read_reasons()
  local reasons, of_file = {}, nil
  local file = io.open(REASONS)
  for line in file and file:lines() or function() end do
    local path = line:match("^### (%S+)$")
    if path then
      of_file = {}
      reasons[path] = of_file
    end
    for code in line:gmatch("``? ?(.-) ?``?[ ,]") do
      if of_file and line:find("^%- ") then
        of_file[code] = true
      end
    end
  end
  return reasons
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local totals = {}

local function add(name, covered, lines)
  local total = totals[name] or { covered = 0, lines = 0 }
  totals[name] = total
  total.covered, total.lines = total.covered + covered, total.lines + lines
end

local function percent(covered, lines)
  return lines == 0 and 100 or 100 * covered / lines
end

-- The lines of a file that were not executed, and how many have a reason.
local function report_file(path, reasons)
  local text, covered, lines = text_lines(path), 0, 0
  local open, reasoned = {}, 0
  for _, number in ipairs(sorted_keys(found[path])) do
    lines = lines + 1
    if found[path][number] then
      covered = covered + 1
    elseif reasons[trimmed(text[number])] then
      reasoned = reasoned + 1
    else
      open[#open + 1] = ("      %d: %s"):format(number, trimmed(text[number]))
    end
  end
  print(("%6.1f %%  %4d of %4d  %s%s"):format(percent(covered, lines), covered,
    lines, path, reasoned > 0 and ", " .. reasoned .. " with a reason" or ""))
  add(path:match("^[^/]+"), covered, lines)
  for _, line in ipairs(open) do
    print(line)
  end
  return #open
end

read_c()
read_lua()
local reasons, open = read_reasons(), 0
for _, path in ipairs(sorted_keys(found)) do
  open = open + report_file(path, reasons[path] or {})
end
local function told(name)
  local total = totals[name] or { covered = 0, lines = 0 }
  return ("%.1f %% (%d of %d lines)"):format(
    percent(total.covered, total.lines), total.covered, total.lines)
end
print("coverage: C " .. told("src") .. ", Lua " .. told("lua"))
print(open .. " lines that were not executed have no reason in " .. REASONS)
