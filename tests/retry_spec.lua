local retry = require("maiagent.retry")

local function policy(max_retries, random)
  return {
    max_retries = max_retries or 2,
    random = function()
      return random or 0
    end,
  }
end

local refused = { kind = "connection", sent = false }
local cut = { kind = "connection", sent = true }
local timeout = { kind = "timeout", sent = true }
local tls = { kind = "tls", sent = false }

local function status(number, retry_after)
  return { status = number, retry_after = retry_after }
end

describe("retry.delay", function()
  -- name, method, attempt, outcome, expected delay (nil: do not repeat)
  local rows = {
    { "GET, refused", "GET", 1, refused, 0.375 },
    { "GET, cut", "GET", 1, cut, 0.375 },
    { "GET, timed out", "GET", 1, timeout, 0.375 },
    { "GET, 408", "GET", 1, status(408), 0.375 },
    { "GET, 429", "GET", 1, status(429), 0.375 },
    { "GET, 500", "GET", 1, status(500), 0.375 },
    { "GET, 503", "GET", 1, status(503), 0.375 },
    { "second retry waits longer", "GET", 2, status(500), 0.75 },
    { "no third retry", "GET", 3, status(500), nil },
    { "PUT, cut", "PUT", 1, cut, 0.375 },
    { "DELETE, 500", "DELETE", 1, status(500), 0.375 },
    { "POST, refused", "POST", 1, refused, 0.375 },
    { "POST, cut", "POST", 1, cut, nil },
    { "POST, timed out", "POST", 1, timeout, nil },
    { "POST, 408", "POST", 1, status(408), nil },
    { "POST, 429", "POST", 1, status(429), 0.375 },
    { "POST, 500", "POST", 1, status(500), nil },
    { "POST, 503", "POST", 1, status(503), nil },
    { "POST, 503 with Retry-After", "POST", 1, status(503, 2), 2 },
    { "POST, 500 with Retry-After", "POST", 1, status(500, 2), nil },
    { "PATCH, 429", "PATCH", 1, status(429), 0.375 },
    { "PATCH, cut", "PATCH", 1, cut, nil },
    { "TLS never", "GET", 1, tls, nil },
    { "cancelled never", "GET", 1, { kind = "cancelled" }, nil },
    { "decode never", "GET", 1, { kind = "decode", sent = true }, nil },
    { "file never", "POST", 1, { kind = "file", sent = false }, nil },
    { "success never", "GET", 1, status(200), nil },
    { "404 never", "GET", 1, status(404), nil },
    { "409 never", "DELETE", 1, status(409), nil },
    { "Retry-After is honoured", "GET", 1, status(429, 119), 119 },
    { "Retry-After 0 repeats at once", "GET", 1, status(429, 0), 0 },
    { "Retry-After up to 120 s", "GET", 1, status(429, 120), 120 },
    { "a longer Retry-After ends it", "GET", 1, status(429, 121), nil },
  }

  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.equal(row[5], retry.delay(policy(), row[2], row[3], row[4]))
    end)
  end

  it("grows to 8 s and no further", function()
    local seen = {}
    for attempt = 1, 7 do
      seen[attempt] = retry.delay(policy(9, 1), "GET", attempt, status(500))
    end
    assert.same({ 0.5, 1, 2, 4, 8, 8, 8 }, seen)
  end)

  it("never repeats with max_retries = 0", function()
    assert.is_nil(retry.delay(policy(0), "GET", 1, refused))
  end)
end)

describe("retry.retry_after", function()
  local NOW = 1445412420 -- Wed, 21 Oct 2015 07:27:00 GMT
  local rows = {
    { "seconds", "7", 7 },
    { "a fraction", "0.5", 0.5 },
    { "with spaces", " 3 ", 3 },
    { "a date", "Wed, 21 Oct 2015 07:28:00 GMT", 60 },
    { "a date of RFC 850", "Wednesday, 21-Oct-15 07:28:00 GMT", 60 },
    { "a leap day", "Mon, 29 Feb 2016 07:27:00 GMT", 131 * 86400 },
    { "a date gone by", "Wed, 21 Oct 2015 07:00:00 GMT", 0 },
    { "nonsense", "soon", nil },
    { "a negative number", "-1", nil },
    { "an unknown month", "Wed, 21 Foo 2015 07:28:00 GMT", nil },
    { "absent", nil, nil },
  }

  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.equal(row[3], retry.retry_after(row[2], NOW))
    end)
  end
end)

describe("retry.unclear", function()
  local rows = {
    { "500", status(500), true },
    { "408", status(408), true },
    { "429", status(429), false },
    { "404", status(404), false },
    { "cut after it was sent", cut, true },
    { "never connected", refused, false },
  }

  for _, row in ipairs(rows) do
    it(row[1], function()
      assert.equal(row[3], retry.unclear(row[2]))
    end)
  end
end)

describe("retry.generator", function()
  it("stays within 0 and 1 and differs by seed", function()
    local one, other = retry.generator(12345.678), retry.generator(98765.4)
    local same = 0
    for _ = 1, 1000 do
      local a, b = one(), other()
      assert.is_true(a >= 0 and a < 1)
      same = same + (a == b and 1 or 0)
    end
    assert.is_true(same < 10)
  end)
end)
