-- Busted on the interpreter that runs this, wherever busted came from: the
-- command `busted` names an interpreter of its own.
require "busted.runner" { standalone = false }
