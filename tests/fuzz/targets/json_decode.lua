-- Any bytes: a value or a message, and the same whether the text is short and
-- made into one tree or long and walked record by record.

local core = require("maiagent.core")
local support = require("support")

local WALKED = (" "):rep(16384)

local function decoded(text, keep, nesting)
  local value, problem = core.decode(text, keep, nesting)
  assert(problem == nil or type(problem) == "string" and value == nil)
  return value, problem
end

return function(input)
  for _, keep in ipairs({ false, true }) do
    local value, problem = decoded(input, keep)
    local again, also = decoded(input .. WALKED, keep)
    assert(not problem == not also, problem or also)
    assert(support.same(value, again), "the walk gives another value")
  end
  decoded(input, true, #input % 5)
end
