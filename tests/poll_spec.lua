local poll = require("maiagent.poll")

local function clock()
  local time, naps = 0, {}
  return {
    now = function()
      return time
    end,
    sleep = function(seconds)
      naps[#naps + 1] = seconds
      time = time + seconds
    end,
  }, naps
end

local function after(n, value, err)
  local asked = 0
  return function()
    asked = asked + 1
    if asked > n then
      return value, err
    end
  end
end

describe("poll.until_known", function()
  it("gives what it was told, without a wait at first", function()
    local time, naps = clock()
    local value = poll.until_known(after(0, "x"), time, { timeout = 10 })
    assert.equal("x", value)
    assert.same({}, naps)
  end)

  it("gives the error", function()
    local time = clock()
    local value, err =
      poll.until_known(after(1, nil, "bad"), time, { timeout = 10 })
    assert.is_nil(value)
    assert.equal("bad", err)
  end)

  it("waits longer each time, from 1 s to 10 s", function()
    local time, naps = clock()
    poll.until_known(after(9, "x"), time, { timeout = 1000 })
    assert.equal(1, naps[1])
    assert.equal(1.5, naps[2])
    for i = 2, #naps do
      assert.is_true(naps[i] >= naps[i - 1])
    end
    assert.equal(10, naps[#naps])
  end)

  it("ends with the time, asking once more at its end", function()
    local time, naps = clock()
    local value, err =
      poll.until_known(after(1000, "x"), time, { timeout = 7 })
    assert.is_nil(value)
    assert.is_nil(err)
    assert.equal(7, time.now())
    assert.equal(4, #naps)
  end)
end)
