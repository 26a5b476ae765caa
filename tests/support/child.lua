--- Programs of this repository as processes of their own, in an empty folder.

local child = {}

-- The interpreter that runs this, as it was called.
local function interpreter()
  local place = 0
  while arg and arg[place - 1] do
    place = place - 1
  end
  return place < 0 and arg[place] or "lua"
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("\n$", ""))
end

--- The folder in which the specs were started.
child.root = output_of("pwd")
child.quoted = quoted
child.interpreter = interpreter
child.output_of = output_of

--- Makes an empty folder.
-- @treturn string its path
function child.folder()
  local path = output_of("mktemp -d")
  assert(path ~= "", "mktemp -d gave nothing")
  return path
end

--- Removes a folder that `folder` made.
-- @tparam string path
-- @treturn string what was in it, a name per line
function child.remove(path)
  return output_of("ls -A " .. quoted(path) .. "; rm -rf " .. quoted(path))
end

--- The command that runs a Lua file, for a shell.
-- @tparam table environment name → value
-- @tparam string script path
-- @tparam table|nil arguments
-- @treturn string
function child.command(environment, script, arguments)
  local words = { "env" }
  for name, value in pairs(environment) do
    words[#words + 1] = name .. "=" .. quoted(value)
  end
  words[#words + 1] = quoted(interpreter())
  words[#words + 1] = quoted(script)
  for _, argument in ipairs(arguments or {}) do
    words[#words + 1] = quoted(argument)
  end
  return table.concat(words, " ")
end

--- What LD_PRELOAD has to be for a program that one of our modules is to be
-- loaded into before all others, beside what this one was started with.
-- @tparam string module as for require
-- @treturn string
function child.preload(module)
  for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", module)
    local file = io.open(path)
    if file then
      file:close()
      return (os.getenv("LD_PRELOAD") or "") .. " " .. path
    end
  end
  error(module .. " is not in package.cpath")
end

--- Starts shell commands in a folder.
-- @tparam string folder
-- @tparam string commands
-- @treturn function waits for them; gives the exit code and what they wrote,
--   errors too
function child.start(folder, commands)
  local pipe = assert(io.popen(("cd %s && { %s; } 2>&1; echo \"exit $?\"")
    :format(quoted(folder), commands)))
  return function()
    local text = pipe:read("*a"):gsub("\n$", "")
    pipe:close()
    local output, code = text:match("^(.-)\n?exit (%d+)$")
    return tonumber(code), output
  end
end

--- Runs shell commands in a folder and waits for them.
-- @tparam string folder
-- @tparam string commands
-- @treturn number exit code
-- @treturn string what they wrote, errors too
function child.run(folder, commands)
  return child.start(folder, commands)()
end

return child
