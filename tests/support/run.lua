-- Busted on the interpreter that runs this, wherever busted came from: the
-- command `busted` names an interpreter of its own.
--
-- With COLLECTOR set (make collect) collector.lua drives the collector.

if os.getenv("COLLECTOR") then
  require("tests.support.collector")
end
require("busted.runner")({ standalone = false })
