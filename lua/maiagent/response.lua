--- The response of a call: its third value. A leaf.

local LONGEST_LOCATION = 500 -- bytes that a message repeats

-- A response reads its headers and timings from the exchange only when it is
-- asked for them: most calls never ask.
local Response = { __name = "maiagent.response" }

local Headers = { __name = "maiagent.headers" }

function Headers.__index(headers, name)
  if type(name) == "string" then
    return rawget(headers, name:lower())
  end
end

local LAZY = {
  headers = function(exchange)
    return setmetatable(exchange:headers(), Headers)
  end,
  timings = function(exchange)
    return exchange:timings()
  end,
  request_id = function(exchange)
    return exchange:header("x-request-id")
      or exchange:header("x-amzn-requestid")
      or exchange:header("x-amz-request-id")
      or exchange:header("cf-ray")
  end,
}

function Response.__index(response, name)
  local read = LAZY[name]
  if not read then
    return nil
  end
  local value = read(response.exchange)
  rawset(response, name, value)
  return value
end

function Response.__tostring(response)
  return "maiagent.response: " .. response.status
end

--- Makes the response of an exchange that has ended.
-- @tparam integer status
-- @tparam integer attempts how many times the request was sent
-- @tparam userdata exchange
-- @treturn table status, attempts, headers, timings, request_id
local function new(status, attempts, exchange)
  return setmetatable({
    status = status,
    attempts = attempts,
    exchange = exchange,
  }, Response)
end

-- The reason comes after it, and would be lost behind a very long one. What is
-- left out ends at a slash: half a secret could not be told from other text.
local function shown(location)
  if #location <= LONGEST_LOCATION then
    return location
  end
  return (location:match("^%a+://[^/]*") or "") .. "/…"
end

--- What an answer was that redirects to where a call did not go.
-- @tparam string method of the request
-- @tparam table outcome location; problem, or refused: why it was not
--   followed; elsewhere: base_url has nothing to do with it
-- @treturn string
local function not_followed(method, outcome)
  if outcome.problem then
    return outcome.problem .. " (the last to " .. shown(outcome.location) .. ")"
  end
  local why = outcome.refused or "another origin never gets the key"
  if method ~= "GET" then
    why = "a write is never redirected"
  end
  return "redirected to " .. shown(outcome.location)
    .. ", which was not followed (" .. why .. ")"
    .. ((outcome.refused or outcome.elsewhere) and "" or ": check base_url")
end

return { new = new, not_followed = not_followed }
