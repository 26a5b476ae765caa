-- What was read is written so that it is read as the same again: values, kinds
-- of numbers, marks of arrays and bytes of strings.

local core = require("maiagent.core")
local support = require("support")

return function(input)
  local value, problem = core.decode(input, true)
  if problem then
    return
  end
  local text, refused = core.encode(value)
  if not text then
    -- the decoder hands such strings on, the encoder refuses to send them
    assert(refused:find("UTF-8", 1, true) or refused:find("nest"), refused)
    return
  end
  local again, unread = core.decode(text, true)
  assert(not unread, unread)
  assert(support.same(value, again), text)
  assert(support.same(core.decode(text), core.decode(input)))
end
