--- report.lua BUILD [part]: how much of each file of src/ and lua/maiagent/ was
-- executed, and each line that was not and has no reason in tests/coverage.md.
-- Fails where there is one, or a reason that nothing needs; with "part", for
-- a run of some specs, it only tells.
--
-- There, a reason stands behind the function that it is for, and the text of
-- the line if it is not all of it, so that it stays with them:
--   ### src/loop.c
--   - `forget` in the child of a fork, …
--   - `settle`: `return false;` `break;` out of descriptors: …

local BUILD = arg[1]
local PART = arg[2] == "part"
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
  -- A process that was killed, or could write no more, ends amid a line.
  local noted = BUILD .. "/noted"
  for _, line in ipairs(lines_of("cat " .. noted .. "/*.lines | sort -u")) do
    local path, number = line:match("^(%S+) (%d+)$")
    local file = path and found["lua/" .. path]
    if file and file[tonumber(number)] ~= nil then
      file[tonumber(number)] = true
    end
  end
end

local function trimmed(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- The functions of a file: line → the name of the outermost one around it.
local function functions_of(path, text)
  local names, name = {}, ""
  local is_lua = path:find("%.lua$")
  for number, line in ipairs(text) do
    local begins = is_lua
      and (line:match("^local function ([%w_]+)")
        or line:match("^function ([%w_.:]+)"))
      or not is_lua and line:match("^%a[%w_ *]-([%w_]+)%(.*[^;]$")
    name = begins or name
    names[number] = name
    if line:find(is_lua and "^end" or "^}") then
      name = ""
    end
  end
  return names
end

-- path → list of { name, texts (set of lines; empty: all of it), item }
local function read_reasons()
  local reasons, of_file = {}, nil
  for line in io.lines(REASONS) do
    local path = line:match("^### (%S+)$")
    if path then
      of_file = {}
      reasons[path] = of_file
    end
    local name, rest = line:match("^%- `([%w_.:]*)`(.*)$")
    if of_file and name then
      local reason = { name = name, texts = {}, item = line }
      local code, after = rest:match("^ `([^`]*)`()")
      while code do
        reason.texts[code] = true
        code, after = rest:match("^ `([^`]*)`()", after)
      end
      of_file[#of_file + 1] = reason
    end
  end
  return reasons
end

local function is_meant(reason, name, text)
  return reason.name == name
    and (next(reason.texts) == nil or reason.texts[text] ~= nil)
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

-- Marks what a reason is used for; one of a whole function is for one of which
-- no line was executed.
local function has_reason(reasons, name, text)
  local any = false
  for _, reason in ipairs(reasons) do
    if is_meant(reason, name, text) then
      reason.used, any = true, true
      if next(reason.texts) then
        reason.texts[text] = "used"
      end
    end
  end
  return any
end

-- The lines of a file that were not executed, and how many have a reason.
local function report_file(path, reasons)
  local text, covered, lines = text_lines(path), 0, 0
  local names = functions_of(path, text)
  local open, reasoned = {}, 0
  for _, number in ipairs(sorted_keys(found[path])) do
    lines = lines + 1
    if found[path][number] then
      covered = covered + 1
    elseif has_reason(reasons, names[number], trimmed(text[number])) then
      reasoned = reasoned + 1
    else
      open[#open + 1] = ("      %d: %s: %s"):format(number, names[number],
        trimmed(text[number]))
    end
  end
  print(("%6.1f %%  %4d of %4d  %s%s"):format(percent(covered, lines), covered,
    lines, path, reasoned > 0 and ", " .. reasoned .. " with a reason" or ""))
  add(path:match("^[^/]+"), covered, lines)
  for _, line in ipairs(open) do
    print(line)
  end
  return #open, reasoned
end

-- What a reason says of lines that are executed, or are no more.
local function unused(reasons)
  local count = 0
  for _, path in ipairs(sorted_keys(reasons)) do
    for _, reason in ipairs(reasons[path]) do
      local idle = not reason.used
      for _, state in pairs(reason.texts) do
        idle = idle or state ~= "used"
      end
      if idle then
        count = count + 1
        print("      not needed, " .. path .. ": " .. reason.item)
      end
    end
  end
  return count
end

read_c()
read_lua()
local reasons, open, reasoned = read_reasons(), 0, 0
for _, path in ipairs(sorted_keys(found)) do
  local left, explained = report_file(path, reasons[path] or {})
  open, reasoned = open + left, reasoned + explained
end
local function told(name)
  local total = totals[name] or { covered = 0, lines = 0 }
  return ("%.1f %% (%d of %d lines)"):format(
    percent(total.covered, total.lines), total.covered, total.lines)
end
print("coverage: C " .. told("src") .. ", Lua " .. told("lua"))
print(("not executed: %d lines with a reason, %d without"):format(reasoned,
  open))
if not PART and open + unused(reasons) > 0 then
  print("each line is executed, or has its reason in " .. REASONS)
  os.exit(1)
end
