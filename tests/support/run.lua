-- Busted on the interpreter that runs this, wherever busted came from: the
-- command `busted` names an interpreter of its own.
--
-- With COLLECTOR set (make collect) collector.lua drives the collector.

if os.getenv("COLLECTOR") then
  require("tests.support.collector")
end
-- Lua's own knows /tmp alone; specs.sh looks whether this one's files are left.
rawset(os, "tmpname", function()
  local pipe = assert(io.popen("mktemp"))
  local path = pipe:read("*l")
  pipe:close()
  return path
end)
require("busted.runner")({ standalone = false })
