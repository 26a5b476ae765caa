-- Busted on the interpreter that runs this, wherever busted came from: the
-- command `busted` names an interpreter of its own.
--
-- With SLOW set (make valgrind, make collect) what timed.lua names is left out;
-- with COLLECTOR set collector.lua drives the collector.

if os.getenv("SLOW") then
  table.insert(arg, "--lazy") -- no setup of what is left out
  for _, row in ipairs(require("tests.support.timed")) do
    table.insert(arg, "--filter-out=" .. row[1]:gsub("%p", "%%%0"))
  end
end
if os.getenv("COLLECTOR") then
  require("tests.support.collector")
end
require("busted.runner")({ standalone = false })
