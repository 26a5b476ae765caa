local service = require("tests.support.service")

describe("client:warm_up", function()
  after_each(service.check)

  it("connects for the calls that follow, without the key", function()
    local server = service.start()
    local events = 0
    local client = service.client(server, {
      headers = { ["X-Own"] = "secret" },
      on_event = function()
        events = events + 1
      end,
    })
    assert.is_true(client:warm_up())
    assert.equal(0, events)
    assert(client.chatbots:list())
    local first, second = server:log()[1], server:log()[2]
    assert.equal("HEAD", first.method)
    assert.equal("/", first.path)
    assert.is_nil(first.headers.authorization)
    assert.is_nil(first.headers["x-own"])
    assert.truthy(second.headers.authorization)
    assert.equal("secret", second.headers["x-own"])
    assert.equal(first.connection, second.connection)
  end)

  -- what the host may answer
  for _, status in ipairs({ 200, 401, 404, 429, 503 }) do
    it("is true for an answer of " .. status, function()
      local server = service.start()
      server:fault({ kind = "status", status = status, method = "HEAD" })
      local client = service.client(server)
      assert.is_true(client:warm_up())
      assert.equal(1, #server:log())
    end)
  end

  it("tells why there is no connection", function()
    local server = service.start()
    server:stop()
    local client = service.client(server, { wait = function() end })
    local value, err = client:warm_up()
    assert.is_nil(value)
    assert.equal("connection", err.kind)
    assert.equal(1, err.attempts)
  end)

  it("parks in a task, and can be cancelled", function()
    local server = service.start()
    server:fault({ kind = "hang", after = 1 })
    local client = service.client(server)
    local warm, failed, done
    local task = client:go(function()
      warm = client:warm_up()
      done, failed = client:warm_up()
    end)
    while #server:log() < 2 do
      client:step()
      server:step(0.002, client)
    end
    assert.is_true(warm)
    task:cancel()
    assert.is_nil(done)
    assert.equal("cancelled", failed.kind)
  end)

  it("after close is cancelled", function()
    local client = service.client(service.start())
    client:close()
    assert.equal("cancelled", select(2, client:warm_up()).kind)
  end)
end)
