-- HTTP/2 over TLS, against a real nginx: many calls share one connection. Not
-- among the specs that `make test` runs, since it needs nginx; .ci/run has it.

local maiagent = require("maiagent")
local nginx = require("tests.support.nginx")

local HTTP = [[
  log_format versions '$server_protocol $connection $request_method';
  server {
    access_log ${folder}/access.log versions;
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    default_type application/json;
    location / { return 200 '[{"id": "a", "name": "model"}]'; }
  }
]]

describe("HTTP/2", function()
  local place, client

  setup(function()
    place = nginx.new()
    nginx.certify(place)
    nginx.start(place, { http = HTTP })
    client = maiagent.new({
      api_key = "prefix.secret",
      base_url = "https://127.0.0.1:" .. place.port,
      ca_file = place.folder .. "/certificate.pem",
      timeout = 20,
    })
  end)

  teardown(function()
    client:close()
    nginx.stop(place)
  end)

  it("carries a hundred calls at a time over one connection", function()
    local list = {}
    for i = 1, 100 do
      list[i] = i
    end
    local results, errors = client:map(list, function()
      return client.embedding_models:list()
    end, { concurrency = 100 })
    assert.is_nil(errors)
    for i = 1, 100 do
      assert.equal("model", results[i][1].name)
    end
    assert(client:request("POST", "things/", { name = "x" }))
    local connections, lines = {}, 0
    for version, connection in
      nginx.read(place, "access.log"):gmatch("(%S+) (%d+) %u+\n")
    do
      assert.equal("HTTP/2.0", version)
      connections[connection] = true
      lines = lines + 1
    end
    assert.equal(101, lines)
    assert.truthy(next(connections))
    assert.is_nil(next(connections, (next(connections))))
  end)
end)
