-- Busted's plain report, and then one last line that a script can check:
-- "12 passed, 0 failed, 1 skipped". Busted's own exit code is 0 when nothing
-- ran, so whoever runs the specs demands this line with a number above zero.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.plainTerminal"(options)

  local function closing_line()
    local failed = handler.failuresCount + handler.errorsCount
    io.write(string.format("\n%d passed, %d failed",
                           handler.successesCount, failed))
    if handler.pendingsCount > 0 then
      io.write(string.format(", %d skipped", handler.pendingsCount))
    end
    io.write("\n")
    io.flush()
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, closing_line)
  return handler
end
