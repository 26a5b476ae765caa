-- HTTP/2 over TLS, against a real nginx: many calls share one connection. Not
-- among the specs that `make test` runs, since it needs nginx; .ci/run has it.

local maiagent = require("maiagent")
local socket = require("socket")

local CONFIGURATION = [[
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 128; }
http {
  log_format versions '$server_protocol $connection $request_method';
  access_log ${folder}/access.log versions;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    default_type application/json;
    location / { return 200 '[{"id": "a", "name": "model"}]'; }
  }
}
]]

local CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt "
  .. "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=maiagent-test "
  .. "-addext subjectAltName=IP:127.0.0.1 -keyout %s/key.pem "
  .. "-out %s/certificate.pem 2>/dev/null"

local function run(command, ...)
  local result = os.execute(command:format(...))
  assert(result == true or result == 0, command)
end

local function read(path)
  local file = io.open(path, "r")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

local function free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return tonumber(port)
end

local function wait_for(port)
  local deadline, connection = socket.gettime() + 10
  repeat
    connection = socket.connect("127.0.0.1", port)
    socket.sleep(connection and 0 or 0.05)
  until connection or socket.gettime() > deadline
  assert(connection, "nginx did not start"):close()
end

describe("HTTP/2", function()
  local folder, port, client

  setup(function()
    folder, port = os.tmpname(), free_port()
    os.remove(folder)
    run("mkdir %s", folder)
    run(CERTIFICATE, folder, folder)
    local file = assert(io.open(folder .. "/nginx.conf", "w"))
    local values = { folder = folder, port = port }
    file:write((CONFIGURATION:gsub("%${(%w+)}", values)))
    file:close()
    run("nginx -p %s -c %s/nginx.conf 2>%s/start.log &", folder, folder,
      folder)
    wait_for(port)
    client = maiagent.new({
      api_key = "prefix.secret",
      base_url = "https://127.0.0.1:" .. port,
      ca_file = folder .. "/certificate.pem",
      timeout = 20,
    })
  end)

  teardown(function()
    client:close()
    local pid = assert(read(folder .. "/nginx.pid"):match("%d+"))
    run("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.05; done", pid, pid)
    run("rm -r %s", folder)
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
      read(folder .. "/access.log"):gmatch("(%S+) (%d+) %u+\n")
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
