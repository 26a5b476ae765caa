-- Proxies, of the environment and of the option. The environment is read by
-- libcurl, so a program of its own runs with it; the proxy is in this process.

local socket = require("socket")
local child = require("tests.support.child")
local maiagent = require("maiagent")
local service = require("tests.support.service")

local folder, proxy, port

before_each(function()
  folder = child.folder()
  proxy = assert(socket.bind("127.0.0.1", 0))
  port = select(2, proxy:getsockname())
end)

after_each(function()
  proxy:close()
  child.remove(folder)
  service.check()
end)

local VARIABLES = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
  "ALL_PROXY" }

-- Begins a program with all proxies of the environment set; gives what waits
-- for it.
local function begin(environment, script)
  local path = folder .. "/script.lua"
  local file = assert(io.open(path, "w"))
  file:write([[
    local maiagent = require("maiagent")
    local testing = require("maiagent.testing")
    local folder, port = ...
    local server = testing.start()
    local function client_of(base_url, more)
      local options = { base_url = base_url, api_key = server.api_key,
        timeout = 20, max_retries = 0, wait = server.wait }
      for name, value in pairs(more or {}) do
        options[name] = value
      end
      return maiagent.new(options)
    end
  ]] .. script)
  file:close()
  return child.start(child.root, child.command(environment, path,
    { folder, tostring(port) }))
end

local function environment_of(value)
  local environment = {}
  for _, name in ipairs(VARIABLES) do
    environment[name] = value or ("http://user:s3cret@127.0.0.1:" .. port)
  end
  return environment
end

-- The first lines that the proxy gets, up to `count` of them, each answered;
-- `reset` says whether a reset comes after the answer.
local function served(count, answer, reset)
  local lines = {}
  proxy:settimeout(15)
  for i = 1, count do
    local connection = assert(proxy:accept())
    connection:settimeout(15)
    lines[i] = connection:receive("*l")
    repeat
      local line = connection:receive("*l")
    until not line or line == ""
    connection:send(answer)
    if reset then
      connection:setoption("linger", { on = true, timeout = 0 })
    end
    connection:close()
  end
  return lines
end

local function knows_of_nothing()
  proxy:settimeout(0)
  local connection = proxy:accept()
  local line = connection and connection:receive("*l")
  if connection then
    connection:close()
  end
  assert.is_nil(line)
  assert.is_nil(connection)
end

local ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
  .. "Content-Length: 19\r\nConnection: close\r\n\r\n"
  .. '{"results":["far"]}'

local REFUSAL = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n"
  .. "Connection: close\r\n\r\n"

describe("a proxy of the environment", function()
  it("gets nothing of what goes to this machine", function()
    local code, output = begin(environment_of(), [[
      local files = {}
      for _, host in ipairs({ "127.0.0.1", "localhost", "LocalHost" }) do
        local client = client_of((server.base_url
          :gsub("127%.0%.0%.1", host)))
        local kb = assert(client.knowledge_bases:create({
          name = host,
          embeddingModel = assert(client.embedding_models:list())[1].id,
          rerankerModel = assert(client.reranker_models:list())[1].id,
        }))
        local file = maiagent.assert(client.knowledge_bases.files:upload(kb.id,
          { content = "bytes", filename = "a.txt" }))
        local path = maiagent.assert(client.knowledge_bases.files:download(
          kb.id, file.id, folder .. "/" .. host))
        files[#files + 1] = io.open(path):read("*a")
      end
      print(table.concat(files, " "))
    ]])()
    assert.equal("bytes bytes bytes", output)
    assert.equal(0, code)
    knows_of_nothing()
  end)

  it("gets nothing of what a redirect brings to this machine", function()
    local code, output = begin(environment_of(), [[
      server:fault({ kind = "status", status = 302,
        headers = { Location = "/api/reranker-models/" } })
      local value = maiagent.assert(
        client_of(server.base_url).embedding_models:list())
      print(#value > 0)
    ]])()
    assert.equal("true", output)
    assert.equal(0, code)
    knows_of_nothing()
  end)

  it("is not asked for an IPv6 loopback", function()
    local _, output = begin(environment_of(), [[
      print(select(2, client_of("http://[::1]:1").chatbots:list()))
    ]])()
    assert.matches("could not connect to [::1]:1: ", output, 1, true)
    knows_of_nothing()
  end)

  -- Names and addresses that only look like this machine's.
  for _, host in ipairs({ "maiagent.invalid", "localhost.maiagent.invalid",
    "127.maiagent.invalid", "127..1", "192.0.2.1" })
  do
    it("carries what goes to " .. host, function()
      local finished = begin(environment_of(), ([[
        local client = client_of("http://%s/", { allow_http = true })
        print(maiagent.assert(client.chatbots:list()).results[1])
      ]]):format(host))
      local lines = served(1, ANSWER)
      local code, output = finished()
      assert.equal("far", output)
      assert.equal(0, code)
      assert.equal("GET http://" .. host .. "/api/chatbots/ HTTP/1.1",
        lines[1])
    end)
  end

  it("is left out where no_proxy says so", function()
    local environment = environment_of()
    environment.no_proxy = "192.0.2.1"
    local _, output = begin(environment, [[
      print(select(2, client_of("https://192.0.2.1/",
        { timeout = { connect = 0.2, total = 5 } }).chatbots:list()))
    ]])()
    assert.matches("192.0.2.1:443", output, 1, true)
    assert.is_nil(output:find("proxy", 1, true))
    knows_of_nothing()
  end)
end)

describe("a proxy of the option", function()
  it("is used to this machine, too", function()
    local finished = begin(environment_of("http://127.0.0.1:1"), [[
      local client = client_of(server.base_url,
        { proxy = "http://127.0.0.1:" .. port })
      print(maiagent.assert(client.chatbots:list()).results[1])
    ]])
    local lines = served(1, ANSWER)
    local code, output = finished()
    assert.equal("far", output)
    assert.equal(0, code)
    assert.matches("^GET http://127.0.0.1:%d+/api/chatbots/ ", lines[1])
  end)

  it("that is empty is none", function()
    local _, output = begin(environment_of(), [[
      print(select(2, client_of("https://maiagent.invalid/",
        { proxy = "", timeout = 10 }).chatbots:list()))
    ]])()
    assert.matches("maiagent.invalid", output, 1, true)
    assert.is_nil(output:find("proxy", 1, true))
    knows_of_nothing()
  end)
end)

-- The proxy's URL, and what the error says.
local FAILURES = {
  { "out of reach", "http://u:s3cret@127.0.0.1:1",
    "could not connect to the proxy 127.0.0.1:1: Connection refused (check " },
  { "out of reach, without a scheme", "u:s3cret@127.0.0.1:1",
    "could not connect to the proxy 127.0.0.1:1: Connection refused (check " },
  { "without a port", "http://u:s3@cret@localhost",
    "the proxy localhost:1080" },
  { "that has no address", "u:s3cret@proxy.maiagent.invalid:3128",
    "the name of the proxy proxy.maiagent.invalid:3128 could not be resolved: "
      .. "check " },
  { "of an unknown kind", "gopher://u:s3cret@127.0.0.1:70",
    "could not connect to the proxy 127.0.0.1:70: libcurl knows no such" },
  { "whose URL is none", "http://u:s3cret/@127.0.0.1:1",
    "the proxy 127.0.0.1:1" },
}

describe("the error of a proxy", function()
  for _, row in ipairs(FAILURES) do
    local name, url, expected = row[1], row[2], row[3]

    it(name .. ", names it without its password", function()
      local client = maiagent.new({ api_key = "key", proxy = url,
        base_url = "https://api.maiagent.invalid", max_retries = 0,
        timeout = 20 })
      local _, err = client.chatbots:list()
      client:close()
      assert.equal("connection", err.kind)
      assert.matches(expected, tostring(err), 1, true)
      assert.matches("check the option `proxy`", err.message, 1, true)
      assert.is_nil(err.message:find("cret", 1, true))
      assert.is_nil(err.message:find("base_url", 1, true))
    end)
  end

  it("of the environment names the variable", function()
    local _, output = begin(environment_of("http://u:s3cret@127.0.0.1:1"), [[
      for _, url in ipairs({ "https://maiagent.invalid",
        "http://maiagent.invalid" })
      do
        local client = client_of(url, { allow_http = true })
        print(select(2, client.chatbots:list()).message)
      end
    ]])()
    local reason = "could not connect to the proxy 127.0.0.1:1: Connection "
      .. "refused (check "
    assert.equal(reason .. "https_proxy)\n" .. reason .. "http_proxy)", output)
  end)

  it("that refuses names it", function()
    local finished = begin(environment_of(), [[
      local client = client_of("https://maiagent.invalid")
      print(select(2, client.chatbots:list()).message)
    ]])
    local lines = served(1, REFUSAL)
    local _, output = finished()
    assert.equal("CONNECT maiagent.invalid:443 HTTP/1.1", lines[1])
    assert.matches("^no way to maiagent.invalid:443 through the proxy "
      .. "127.0.0.1:" .. port .. ": .*502.* %(check https_proxy%)$", output)
  end)

  -- What it does, what it answers, whether it resets, and the error: what
  -- broke may be the proxy, or what it passes on.
  for _, row in ipairs({
    { "closes without an answer", "", false,
      "maiagent.invalid:80 closed the connection without an answer" },
    { "breaks off", ANSWER:sub(1, -9), true,
      "the connection to maiagent.invalid:80 broke: Connection reset by peer" },
  }) do
    it("that " .. row[1] .. " is that of any other server", function()
      local finished = begin(environment_of(), [[
        local client = client_of("http://maiagent.invalid",
          { allow_http = true })
        local _, err = client.chatbots:list()
        print(err.kind, err.message)
      ]])
      served(1, row[2], row[3])
      local _, output = finished()
      assert.equal("connection\t" .. row[4], output)
    end)
  end

  it("that does not answer in time names it", function()
    local finished = begin(environment_of(), [[
      local client = client_of("https://maiagent.invalid",
        { timeout = { connect = 0.3, total = 20 } })
      print(select(2, client.chatbots:list()).message)
    ]])
    local _, output = finished()
    assert.equal("no connection to maiagent.invalid:443 through the proxy "
      .. "127.0.0.1:" .. port .. " within 0.3 s (timeout.connect)", output)
  end)
end)
