-- The frames of a game while requests are under way. Not among the specs that
-- `make test` runs: ten seconds of a game take ten seconds; .ci/run has it.

local child = require("tests.support.child")
local testing = require("maiagent.testing")

local FRAME = 1000 / 60 -- milliseconds
local LIMIT = 8 -- milliseconds of a frame for the longest step
local ATTEMPTS = 4 -- of which one has to be good: others use this machine

local CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt "
  .. "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=maiagent-test "
  .. "-addext 'subjectAltName=DNS:*.slow.test' -keyout %s/key.pem "
  .. "-out %s/own.pem 2>&1 && cat /etc/ssl/certs/ca-certificates.crt "
  .. "%s/own.pem > %s/all.pem"

describe("a game", function()
  local folder, server

  setup(function()
    folder = child.folder()
    local code, output = child.run(folder,
      (CERTIFICATE:gsub("%%s", folder)))
    assert(code == 0, output)
    server = testing.spawn({ tls = {
      certificate = folder .. "/own.pem",
      key = folder .. "/key.pem",
    } })
    server:fault({ kind = "delay", seconds = 0.2, times = math.huge })
  end)

  teardown(function()
    server:stop()
    child.remove(folder)
  end)

  it("keeps its frames with ten requests in flight", function()
    local longest, output, code
    for _ = 1, ATTEMPTS do
      code, output = child.run(child.root, child.command({
        LD_PRELOAD = child.preload("slow_dns"),
        SLOW_DNS_MS = "500",
        FRAMES_PORT = tostring(server.port),
        MAIAGENT_API_KEY = server.api_key,
        SSL_CERT_FILE = folder .. "/all.pem",
      }, "tests/support/frames.lua"))
      assert.equal(0, code, output)
      longest = tonumber(output:match("([%d.]+) ms at most"))
      print(output .. (" (%.2f of a frame)"):format(longest / FRAME))
      if longest < LIMIT then
        break
      end
    end
    assert.is_true(longest / FRAME < LIMIT / FRAME, output)
    assert.truthy(output:find("^600 frames"), output)
    local answers, hosts = output:match("(%d+) answers of (%d+) hosts")
    assert.is_true(tonumber(answers) > 100 and tonumber(hosts) > 20, output)
  end)

  it("needs no engine", function()
    local code, output = child.run(child.root, child.command({
      LD_PRELOAD = child.preload("slow_dns"),
      MAIAGENT_API_KEY = server.api_key,
      MAIAGENT_BASE_URL = "https://example.slow.test:" .. server.port,
      SSL_CERT_FILE = folder .. "/all.pem",
    }, "examples/frame_loop.lua"))
    assert.equal(0, code, output)
    local frames = output:match("^2 embedding models; (%d+) frames meanwhile")
    assert.is_true(tonumber(frames) >= 6, output) -- 200 ms are twelve
  end)

  it("ends at once where there is no answer", function()
    local code, output = child.run(child.root, child.command({
      MAIAGENT_API_KEY = server.api_key,
      MAIAGENT_BASE_URL = "https://127.0.0.1:" .. server.port,
      SSL_CERT_FILE = folder .. "/all.pem",
    }, "examples/frame_loop.lua"))
    assert.equal(1, code, output)
    assert.truthy(output:find("maiagent: tls: ", 1, true), output)
  end)
end)
