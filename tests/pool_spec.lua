local child = require("tests.support.child")
local core = require("maiagent.core")
local http = require("maiagent.http")
local pace = require("tests.support.pace")
local raw_server = require("tests.support.raw_server")

local reply, run = raw_server.reply, raw_server.run

local client, servers

local function open(options)
  client:close()
  client = http.client(options)
  return client
end

before_each(function()
  client, servers = http.client(), {}
end)

after_each(function()
  client:close()
  client = nil
  for _, server in ipairs(servers) do
    server:stop()
  end
  collectgarbage()
  collectgarbage()
  local clients, exchanges = http.live()
  assert.equal(0, clients)
  assert.equal(0, exchanges)
end)

local function serve(answer, tls)
  local server = raw_server.start(answer, tls)
  servers[#servers + 1] = server
  return server
end

-- A server that answers when it is told to.
local function silent()
  local server = serve(function(connection, request)
    request.answer = function(body)
      connection:send(reply(body))
    end
  end)
  function server.answer_all(body)
    for _, request in ipairs(server.requests) do
      request.answer(body)
    end
    server:step()
  end
  return server
end

local function start(server, settings, method)
  local request = assert(core.request(method or "GET", server.url .. "/"))
  return assert(client:start(request, settings))
end

local function arrived(server, count)
  return function()
    return #server.requests == count
  end
end

-- Whether the client's descriptor is readable now.
local function readable()
  return client:poll(0)
end

-- Steps until there is nothing to do, for a while.
local function settle(seconds)
  local until_when = core.now() + pace.seconds(0.05) + (seconds or 0)
  while core.now() < until_when do
    if client:poll(1) then
      client:step()
    end
  end
end

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("a client", function()
  it("keeps its connection", function()
    local server = serve(reply("ok"))
    for _ = 1, 5 do
      run(client, start(server), server)
    end
    assert.equal(5, #server.requests)
    assert.equal(1, server.accepted)
  end)

  it("has many exchanges under way at once", function()
    local server = silent()
    local exchanges = {}
    for i = 1, 10 do
      exchanges[i] = start(server)
    end
    assert.equal(10, select(2, http.live()))
    run(client, arrived(server, 10), server)
    assert.equal(10, (client:step()))
    server.answer_all("ok")
    for _, x in ipairs(exchanges) do
      run(client, x, server)
      assert.equal("ok", x:body())
    end
    local running, finished = client:step()
    assert.same({ 0, 10 }, { running, finished })
    assert.equal(10, server.accepted)
  end)

  it("opens no more connections than it may", function()
    open({ max_connections = 2 })
    local server = serve(reply("ok"))
    local exchanges = {}
    for i = 1, 6 do
      exchanges[i] = start(server)
    end
    for _, x in ipairs(exchanges) do
      run(client, x, server)
      assert.is_nil(x:failure())
    end
    assert.is_true(server.accepted <= 2)
    assert.equal(6, #server.requests)
  end)

  it("lets none wait for a connection that a cancelled one had", function()
    open({ max_connections = 1 })
    local server = silent()
    local first = start(server)
    run(client, arrived(server, 1), server)
    local second = start(server)
    settle()
    first:close()
    assert.is_true(client:poll(1000))
    run(client, arrived(server, 2), server)
    server.requests[2].answer("ok")
    run(client, second, server)
    assert.equal("ok", second:body())
  end)

  it("counts what finished, however it did", function()
    local server = serve(reply("ok"))
    assert.same({ 0, 0 }, { client:step() })
    run(client, start(server), server)
    assert.same({ 0, 1 }, { client:step() })
    local x = start(server)
    assert.equal(1, (client:step()))
    x:close()
    assert.same({ 0, 2 }, { client:step() })
  end)

  it("ends what is under way when it is closed", function()
    local server = silent()
    local x, y = start(server), start(server)
    run(client, arrived(server, 2), server)
    client:close()
    client:close()
    for _, exchange in ipairs({ x, y }) do
      assert.is_true(exchange:done())
      assert.same({ "cancelled", "the client was closed", 0 },
        { exchange:failure() })
      assert.is_nil(exchange:status())
      assert.equal("", exchange:body())
      exchange:close()
    end
    run(client, function() return #server.connections == 0 end, server)
  end)

  it("does nothing once it is closed", function()
    assert.is_false(client:is_closed())
    client:close()
    assert.is_true(client:is_closed())
    assert.is_nil(client:fd())
    assert.is_false(client:poll(1000))
    assert.same({ 0, 0 }, { client:step() })
    local request = assert(core.request("GET", "http://127.0.0.1:1/"))
    assert.same({ n = 3, nil, "cancelled", "the client is closed" },
      { n = 3, client:start(request) })
  end)

  it("has exchanges that outlive it", function()
    local server = serve(reply("hello"))
    local x = start(server)
    run(client, x, server)
    client:close()
    assert.equal("hello", x:body())
    assert.equal(200, x:status())
    assert.is_nil(x:failure())
  end)

  it("refuses nonsense", function()
    assert.has_error(function()
      http.client({ max_connections = "many" })
    end)
    assert.has_error(function() client:poll() end)
    assert.has_error(function() client.step({}) end)
  end)

  it("says what it is made of", function()
    assert.matches("^%d+%.%d+", http.versions().curl)
    assert.is_string(http.versions().ssl)
  end)
end)

describe("maiagent.http", function()
  -- what a program does, what it is told
  local rows = {
    { "pcall(require, 'maiagent.http')",
      "maiagent.http: maiagent.core has to be loaded before" },
    { "(function() require('maiagent.core'); debug.getregistry()"
      .. "['maiagent.request'].version = '0.1'; "
      .. "return pcall(require, 'maiagent.http') end)()",
      "maiagent.core is 0.1" },
  }

  for _, row in ipairs(rows) do
    it("says so: " .. row[2], function()
      local folder = child.folder()
      local file = assert(io.open(folder .. "/load.lua", "w"))
      file:write("print(", row[1], ")\n")
      file:close()
      local _, output = child.run(child.root,
        child.command({}, folder .. "/load.lua"))
      child.remove(folder)
      assert.truthy(output:find("^false"), output)
      assert.truthy(output:find(row[2], 1, true), output)
    end)
  end
end)

describe("the descriptor", function()
  -- Without epoll there is none, and it stays so.
  it("is one for the client's life, or none", function()
    local fd = client:fd()
    local server = serve(reply("ok"))
    run(client, start(server), server)
    assert.equal(fd, client:fd())
  end)

  it("is quiet while nothing happens", function()
    local server = silent()
    local x = start(server)
    run(client, arrived(server, 1), server)
    settle(0.3) -- until libcurl's timer for a new connection is over
    assert.is_false(readable())
    local begin = core.now()
    assert.is_false(client:poll(50))
    assert.is_true(core.now() - begin > 0.04)
    x:close()
  end)

  it("tells when bytes come", function()
    local server = silent()
    local x = start(server)
    run(client, arrived(server, 1), server)
    settle()
    server.answer_all("ok")
    assert.is_true(client:poll(1000))
    client:step()
    assert.is_true(x:done())
  end)

  it("tells when time is up", function()
    local listener = assert(require("socket").bind("127.0.0.1", 0, 0))
    local port = select(2, listener:getsockname())
    local fillers = {}
    for i = 1, 4 do
      fillers[i] = require("socket").tcp()
      fillers[i]:settimeout(0)
      fillers[i]:connect("127.0.0.1", port)
    end
    local server = { url = "http://127.0.0.1:" .. port }
    local x = start(server, { connect = 0.1 })
    local begin = core.now()
    while not x:done() and core.now() - begin < pace.seconds(5) do
      assert.is_true(client:poll(5000))
      client:step()
    end
    assert.equal("timeout", (x:failure()))
    assert.is_true(core.now() - begin < pace.seconds(2))
    for _, filler in ipairs(fillers) do
      filler:close()
    end
    listener:close()
  end)

  -- A lost wake-up: B looks and waits, A's step finishes B's exchange.
  local function finished_by_another()
    local server = silent()
    local x = start(server)
    run(client, arrived(server, 1), server)
    settle()
    assert.is_false(x:done())
    server.answer_all("ok")
    assert.is_true(client:poll(1000))
    while client:step() > 0 do
      client:poll(10)
    end
    return x
  end

  it("tells of an end that someone waits for, until it is claimed", function()
    local x = finished_by_another()
    for _ = 1, 3 do
      assert.is_true(readable())
      client:step()
    end
    assert.is_true(x:done())
    settle()
    assert.is_false(readable())
  end)

  it("forgets that end when the exchange is closed", function()
    local x = finished_by_another()
    assert.is_true(readable())
    x:close()
    settle()
    assert.is_false(readable())
  end)

  it("forgets that end when the exchange is collected", function()
    local x = finished_by_another() -- luacheck: ignore 231
    assert.is_true(readable())
    x = nil
    collect()
    settle()
    assert.is_false(readable())
  end)

  it("does not tell of an end that nobody waits for", function()
    local server = serve(reply("ok"))
    local x = start(server)
    run(client, function() return client:step() == 0 end, server)
    settle()
    assert.is_false(readable())
    assert.is_true(x:done())
  end)

  it("tells of bytes that the reader of a stream waits for", function()
    local connection
    local server = serve(function(from)
      connection = from
      from:send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
    end)
    local x = start(server, { stream = true })
    run(client, function() return x:status() end, server)
    settle()
    assert.is_nil(x:read())
    assert.is_false(x:done())
    connection:send("abc")
    server:step()
    client:poll(1000)
    client:step()
    for _ = 1, 3 do
      assert.is_true(readable())
      client:step()
    end
    assert.equal("abc", x:read())
    settle()
    assert.is_false(readable())
    x:close()
  end)
end)

describe("the collector", function()
  it("cancels an exchange that the program dropped", function()
    local server = silent()
    do
      local x = start(server)
      run(client, arrived(server, 1), server)
      assert.equal(1, select(2, http.live()))
      assert.is_false(x:done())
      x = nil -- luacheck: ignore
    end
    collect()
    assert.equal(0, select(2, http.live()))
    assert.equal(0, (client:step()))
    run(client, function() return #server.connections == 0 end, server)
  end)

  it("leaves a client alone whose exchange is still there", function()
    local server = silent()
    local x = start(server)
    client = http.client()
    collect()
    assert.equal(2, (http.live()))
    assert.is_false(x:done())
    x:close()
    x = nil -- luacheck: ignore
    collect()
    assert.equal(1, (http.live()))
  end)

  it("takes clients and exchanges in any order", function()
    local server = silent()
    for round = 1, 20 do
      local others = {}
      for i = 1, 5 do
        others[i] = http.client()
        local request = assert(core.request("POST", server.url, { body = "x" }))
        others[-i] = assert(others[i]:start(request))
        others[i]:step()
        if round % 3 == 0 then
          others[i]:close()
        elseif round % 3 == 1 then
          others[-i]:close()
        end
      end
      server:step()
    end
    collect()
    assert.same({ 1, 0 }, { http.live() })
  end)
end)

describe("a fork", function()
  local process = require("fork") -- tests/support/fork.c

  -- Runs a function in a child, while the parent steps its server.
  local function in_child(server, fn)
    local pid = process.fork()
    if pid == 0 then
      local ok, problem = pcall(fn)
      if not ok then
        io.stderr:write("child: ", tostring(problem), "\n")
      end
      process.exit(ok and 0 or 1)
    end
    local code
    repeat
      server:step()
      code = process.status(pid)
    until code
    assert.equal(0, code)
  end

  local function alone(x)
    local deadline = core.now() + pace.seconds(5)
    while not x:done() do
      assert(core.now() < deadline, "nothing came")
      client:poll(10)
      client:step()
    end
  end

  it("gives the child connections of its own", function()
    local server = serve(reply("ok"))
    run(client, start(server), server)
    local idle = server.accepted
    local fd = client:fd()
    in_child(server, function()
      local x = start(server)
      alone(x)
      assert.equal("ok", x:body())
      client:close()
    end)
    assert.equal(idle + 1, server.accepted)
    run(client, start(server), server)
    assert.equal(idle + 1, server.accepted)
    assert.equal(fd, client:fd())
  end)

  -- Its descriptor was silent of what had ended before it was there.
  it("tells in the child, too, of ends that someone waits for", function()
    local server = silent()
    local x = start(server)
    run(client, arrived(server, 1), server)
    assert.is_false(x:done())
    in_child(server, function()
      client:step()
      local other = start(server)
      for _ = 1, 20 do -- whatever libcurl itself has to tell meanwhile
        client:step()
        assert(readable(), "nobody told")
      end
      other:close()
      assert.is_true(x:done())
    end)
    server.answer_all("there")
    run(client, x, server)
  end)

  it("ends in the child what the parent waits for", function()
    local server = silent()
    local x, dropped = start(server), start(server)
    run(client, arrived(server, 2), server)
    assert.is_false(x:done())
    in_child(server, function()
      assert.is_true(x:done())
      local kind, message = x:failure()
      assert.equal("cancelled", kind)
      assert.matches("forked", message)
      assert.same({ 0, 2 }, { client:step() })
      dropped = nil
      collect()
      x:close()
      client:close()
    end)
    server.answer_all("still there")
    run(client, x, server)
    run(client, dropped, server)
    assert.equal("still there", x:body())
    assert.equal("still there", dropped:body())
  end)
end)

describe("TLS", function()
  local directory, tls

  local function certificate(name, subject)
    assert(os.execute(string.format("openssl req -x509 -newkey ec -nodes "
      .. "-pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=test "
      .. "-addext subjectAltName=%s -keyout %s/%s.key -out %s/%s.pem "
      .. "2>/dev/null", subject, directory, name, directory, name)))
    return {
      mode = "server",
      protocol = "any",
      certificate = directory .. "/" .. name .. ".pem",
      key = directory .. "/" .. name .. ".key",
    }
  end

  setup(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    tls = {
      right = certificate("right", "IP:127.0.0.1"),
      wrong = certificate("wrong", "DNS:elsewhere.example"),
    }
  end)

  teardown(function()
    os.execute("rm -r " .. directory)
  end)

  local function failure_of(server, settings)
    settings = settings or {}
    settings.connect = pace.seconds(10)
    local x = start(server, settings)
    run(client, x, server)
    return x, x:failure()
  end

  it("is refused to a server that nobody vouches for", function()
    local server = serve(reply("ok"), tls.right)
    local x, kind, message = failure_of(server)
    assert.equal("tls", kind)
    assert.matches("the certificate of " .. server.host .. " is not trusted",
      message, 1, true)
    assert.matches("ca_file", message)
    assert.is_false(x:sent())
    assert.equal(0, #server.requests)
  end)

  it("trusts a private authority that is named", function()
    local server = serve(reply("ok"), tls.right)
    local ca_file = tls.right.certificate
    for _ = 1, 2 do
      local x, kind, message = failure_of(server, { ca_file = ca_file })
      assert.same({}, { kind, message })
      assert.equal("ok", x:body())
    end
    assert.equal(1, server.accepted)
  end)

  it("is refused to another name", function()
    local server = serve(reply("ok"), tls.wrong)
    local _, kind, message =
      failure_of(server, { ca_file = tls.wrong.certificate })
    assert.equal("tls", kind)
    assert.matches("is not trusted", message)
    assert.equal(0, #server.requests)
  end)

  it("is taken as it comes where that is written out", function()
    local server = serve(reply("ok"), tls.wrong)
    local x, kind = failure_of(server, { insecure = true })
    assert.is_nil(kind)
    assert.equal("ok", x:body())
    -- That connection is not for those who do look.
    local refused = select(2, failure_of(server))
    assert.equal("tls", refused)
    assert.equal(1, #server.requests)
  end)

  it("says when the certificates to trust cannot be read", function()
    local server = serve(reply("ok"), tls.right)
    local _, kind, message =
      failure_of(server, { ca_file = directory .. "/none.pem" })
    assert.equal("tls", kind)
    assert.matches("ca_file", message)
  end)

  it("is not what a plain port speaks", function()
    local server = serve("")
    local x = start({ url = server.url:gsub("^http:", "https:") })
    run(client, function()
      local connection = server.connections[1]
      if connection and #connection.input > 0 then
        connection:send(reply("what?", 400))
      end
      return x:done()
    end, server)
    local kind, message = x:failure()
    assert.equal("tls", kind)
    assert.matches("no TLS connection to " .. server.host, message, 1, true)
  end)
end)
