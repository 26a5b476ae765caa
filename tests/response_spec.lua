-- The third value of a call, of an answer that came.

local service = require("tests.support.service")

-- headers of the answer, the id that is told
local IDS = {
  { {}, nil },
  { { ["X-Request-Id"] = "a" }, "a" },
  { { ["x-amzn-RequestId"] = "b" }, "b" },
  { { ["x-amz-request-id"] = "c" }, "c" },
  { { ["CF-Ray"] = "d" }, "d" },
  { { ["CF-Ray"] = "d", ["x-amz-request-id"] = "c" }, "c" },
  { { ["x-amz-request-id"] = "c", ["x-amzn-RequestId"] = "b" }, "b" },
  { { ["x-amzn-RequestId"] = "b", ["X-Request-Id"] = "a" }, "a" },
}

describe("a response", function()
  after_each(service.check)

  -- value or nil, error, response
  local function answered(status, headers)
    local server = service.start()
    server:fault({ kind = "status", status = status, json = {},
      headers = headers })
    return service.client(server):request("GET", "/x")
  end

  local function response_of(headers)
    return select(3, answered(200, headers))
  end

  for i, row in ipairs(IDS) do
    it("has the request's id, as an error has it, " .. i, function()
      assert.equal(row[2], response_of(row[1]).request_id)
      assert.equal(row[2], select(2, answered(404, row[1])).request_id)
    end)
  end

  it("has headers, whatever the case of their names", function()
    local headers = response_of({ ["X-Own"] = "1" }).headers
    for _, name in ipairs({ "X-Own", "x-own", "X-OWN" }) do
      assert.equal("1", headers[name])
    end
    assert.is_nil(headers["X-Other"])
    assert.is_nil(headers[1])
  end)

  it("has no field that is misspelt", function()
    assert.is_nil(response_of({}).statu)
  end)

  it("prints its status", function()
    assert.equal("maiagent.response: 200", tostring(response_of({})))
  end)
end)
