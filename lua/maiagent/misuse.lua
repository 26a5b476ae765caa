--- A caller's mistake, raised at the caller's own line. A leaf.

-- Absent in some hosts, and there a program may refuse unknown globals.
local debug = rawget(_G, "debug")

-- The directory of this library's own sources, as the debug library names it.
local LIBRARY = debug
  and debug.getinfo(1, "S").source:match("^(.-)[^/\\]*$")

-- A tail call leaves no frame of who made it. Lua 5.2 and later say of a frame
-- that it was called so; PUC 5.1 has a frame without a line in its place; on
-- LuaJIT only the name that the frame below has for the function can tell.
local TELLS_TAIL_CALLS = debug and pcall(debug.getinfo, 1, "t")
local BY_NAME = rawget(_G, "jit") ~= nil and not TELLS_TAIL_CALLS
local WHAT = TELLS_TAIL_CALLS and "Slt" or BY_NAME and "Slnf" or "Sl"

-- LuaJIT's hint may be wrong: the function may have another name there.
local NEAR = BY_NAME and "near " or "in a tail call near "

local LONGEST_SHOWN = 80 -- bytes of a string in a message

-- The last message without a place, for who knows what was running.
local placeless

-- What a program calls → the name that it has there.
local names = setmetatable({}, { __mode = "k" })

local function is_ours(info)
  if info.source:sub(1, #LIBRARY) ~= LIBRARY then
    return false
  end
  return not info.source:find("/", #LIBRARY + 1, true)
end

-- Whether a frame of ours was called by a tail call, for what can be told.
local function is_tail_called(info)
  if BY_NAME then
    local name = names[info.func]
    return name and info.name and info.name ~= name
  end
  return info.istailcall
end

-- Public functions differ in how many of our frames lie above the user's, so
-- the level is found by whose source it is rather than counted.
local function user_frame()
  local level, is_lost = 4, false
  local info = debug.getinfo(level, WHAT)
  while info do
    if info.what == "tail" then
      is_lost = true
    elseif is_ours(info) then
      is_lost = is_tail_called(info)
    elseif info.what ~= "C" then
      return info, is_lost
    end
    level = level + 1
    info = debug.getinfo(level, WHAT)
  end
end

-- What stands before the message: the caller's line, or what is near it.
local function position()
  if not LIBRARY or LIBRARY == "" then
    return ""
  end
  local info, is_lost = user_frame()
  if not info or info.currentline < 0 then
    return ""
  end
  local place = info.short_src .. ":" .. info.currentline .. ": "
  return is_lost and NEAR .. place or place
end

--- Raises a caller's mistake at the caller's line. Never returns. Where the
-- caller made a tail call its line is gone: then the nearest one is named as
-- that.
-- @tparam string message what is wrong and what to do instead
local function misuse(message)
  local place = position()
  placeless = place == "" and message or nil
  error(place .. message, 0)
end

--- Tells what a function raised, with the place of the function where `misuse`
-- found none: one that makes a tail call has no line in a coroutine.
-- @param problem what was raised
-- @tparam function fn
-- @return the same, or the text with a place
local function placed(problem, fn)
  if problem == nil or problem ~= placeless or not debug then
    return problem
  end
  placeless = nil
  local info = debug.getinfo(fn, "S")
  return ("in the function of %s:%d: %s"):format(info.short_src,
    info.linedefined, problem)
end

--- Remembers under which name a program calls a function of ours.
-- @tparam string name
-- @tparam function fn
-- @treturn function fn
local function named(name, fn)
  if BY_NAME then
    names[fn] = name
  end
  return fn
end

local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:sub(i, i) == b:sub(j, j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

local function nearest(written, known, form)
  local best, found
  for candidate in pairs(known) do
    local d = distance(written, form(tostring(candidate)))
    local closer = not best or d < best or (d == best and candidate < found)
    if closer then
      best, found = d, candidate
    end
  end
  return found, best
end

--- The nearest known name to a misspelt one.
-- @param name what was written
-- @tparam table known a table whose string keys are the known names
-- @treturn string " (did you mean …?)", or "" when nothing is near
local function did_you_mean(name, known)
  local written = tostring(name):lower()
  local found, d = nearest(written, known, string.lower)
  if not found or d > math.max(2, math.floor(#written / 3)) then
    return ""
  end
  return " (did you mean '" .. found .. "'?)"
end

--- What to write in the place of an unknown name.
-- @param name what was written
-- @tparam table known a table whose string keys are the known names
-- @tparam string|nil what what these are ("fields")
-- @treturn string " (did you mean …?)", or all of them when nothing is near
local function instead(name, known, what)
  local near = did_you_mean(name, known)
  if near ~= "" then
    return near
  end
  local all = {}
  for candidate in pairs(known) do
    all[#all + 1] = candidate
  end
  table.sort(all)
  return (" (its %s are %s)"):format(what or "fields",
    table.concat(all, ", "))
end

local function folded(name)
  return (name:lower():gsub("[_-]", ""))
end

--- The known name that another one surely is meant to be: in other case, with
-- words joined otherwise, or one or two letters off (one of a short name).
-- @tparam string name
-- @tparam table known a table whose string keys are the known names
-- @treturn string|nil
local function misspelt(name, known)
  local written = folded(name)
  local found, d = nearest(written, known, folded)
  if found and d <= (math.min(#written, #found) < 5 and 1 or 2) then
    return found
  end
  return nil
end

--- How a value is told in a message: what it is, and its type where that could
-- be mistaken.
-- @param value
-- @treturn string
local function shown(value)
  if type(value) == "string" then
    local start = value:sub(1, LONGEST_SHOWN)
    return ("%q"):format(start):gsub("\\\n", "\\n")
      .. (#value > #start and "…" or "") .. " (a string)"
  elseif value ~= value then
    return "NaN" -- printf's word for it has a sign on some machines
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return type(value)
end

return {
  did_you_mean = did_you_mean,
  instead = instead,
  misspelt = misspelt,
  misuse = misuse,
  named = named,
  placed = placed,
  shown = shown,
}
