-- Any Retry-After: nothing, or seconds that make a delay within bounds.

local retry = require("maiagent.retry")

local LONGEST = 120
local POLICY = { max_retries = 3, random = function() return 0.5 end }

return function(input)
  for _, now in ipairs({ 0, 1790000000, 4e9 }) do
    local after = retry.retry_after(input, now)
    assert(after == nil or after >= 0, after)
    for _, method in ipairs({ "GET", "POST" }) do
      local delay = retry.delay(POLICY, method, 1,
        { status = 429, retry_after = after })
      assert(delay == nil or delay >= 0 and delay <= LONGEST, delay)
    end
  end
end
