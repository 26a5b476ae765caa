-- What OpenResty's build has and Debian's nginx has not: Lua in streams, and
-- phases of newer Lua modules. Needs NGINX_BINARY; see CONTRIBUTING.md.

local nginx = require("tests.support.nginx")
local socket = require("socket")
local testing = require("maiagent.testing")

local MAIN = [[
env MAIAGENT_API_KEY;
env MAIAGENT_BASE_URL;
stream {
  lua_package_path "${path};;";
  lua_package_cpath "${cpath};;";
  lua_shared_dict seen 1m;
  init_by_lua_block {
    client = require("maiagent").new()
]] .. nginx.CALL .. [[
  }
  init_worker_by_lua_block { call "init_worker" }
  server {
    listen 127.0.0.1:${stream_port};
    preread_by_lua_block { call "preread" }
    content_by_lua_block {
      call "content"
      ngx.timer.at(0, function() call "timer" end)
    }
    log_by_lua_block { call "log" }
  }
  server {
    listen 127.0.0.1:${seen_port};
    content_by_lua_block {
      local phase = ngx.req.socket():receive()
      ngx.say(ngx.shared.seen:get(phase))
    }
  }
}]]

local HTTP = [[
  lua_package_path "${path};;";
  lua_package_cpath "${cpath};;";
  init_by_lua_block {
    client, seen = require("maiagent").new(), {}
    function call(phase)
      assert(phase == ngx.get_phase(), ngx.get_phase())
      seen[phase] = #assert(client.embedding_models:list())
    end
  }
  server {
    listen 127.0.0.1:${port};
    ${newer}
  }
  server {
    listen 127.0.0.1:${tls_port} ssl;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    ssl_verify_client optional_no_ca;
    location / {
      content_by_lua_block { ngx.say(seen[ngx.var.uri:sub(2)]) }
    }
  }
]]

local NEWER = [[
    proxy_ssl_session_reuse off;
    location /precontent {
      precontent_by_lua_block { call "precontent" }
      content_by_lua_block { ngx.say(seen.precontent) }
    }
    location /proxy_ssl_cert {
      proxy_ssl_certificate_by_lua_block { call "proxy_ssl_cert" }
      proxy_pass https://127.0.0.1:${tls_port};
    }
    location /proxy_ssl_verify {
      proxy_ssl_verify_by_lua_block {
        call "proxy_ssl_verify"
        require("ngx.ssl.proxysslverify").set_verify_result(0)
      }
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ${folder}/certificate.pem;
      proxy_ssl_name maiagent-test;
      proxy_pass https://127.0.0.1:${tls_port};
    }
]]

local function exchange(port, line)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:settimeout(20)
  assert(connection:send(line .. "\n"))
  local answer = connection:receive("*l")
  connection:close()
  return answer
end

-- What a phase has seen; it may still be under way.
local function seen(place, phase)
  local deadline, body = socket.gettime() + 10
  repeat
    body = exchange(place.seen_port, phase)
    socket.sleep(body == "nil" and 0.02 or 0)
  until body ~= "nil" or socket.gettime() > deadline
  return body
end

describe("OpenResty", function()
  local server, place

  setup(function()
    assert(nginx.is_openresty(), "NGINX_BINARY names no OpenResty")
    server = testing.spawn()
    server:fault({ kind = "delay", seconds = 0.2, times = math.huge })
    place = nginx.new()
    place.path, place.cpath = package.path, os.getenv("NGINX_CPATH")
    place.stream_port, place.seen_port = nginx.free_port(), nginx.free_port()
    place.tls_port = nginx.free_port()
    nginx.certify(place)
    nginx.start(place, { lua = true, main = MAIN, http = (HTTP:gsub("%${newer}",
      nginx.has("precontent_by_lua") and NEWER or "")) },
      ("MAIAGENT_API_KEY=%s MAIAGENT_BASE_URL=%s"):format(server.api_key,
        server.base_url))
    exchange(place.stream_port, "hello")
  end)

  teardown(function()
    nginx.stop(place)
    server:stop()
  end)

  for _, phase in ipairs({ "init_worker", "preread", "content", "timer" }) do
    it("answers in a stream's phase " .. phase, function()
      assert.equal("2", seen(place, phase))
    end)
  end

  it("refuses in a stream's phase log", function()
    assert.truthy(seen(place, "log"):find("ngx.timer.at", 1, true))
  end)

  if nginx.has("precontent_by_lua") then
    for _, phase in ipairs({ "precontent", "proxy_ssl_cert",
      "proxy_ssl_verify" })
    do
      it("answers in the phase " .. phase, function()
        assert.equal("2", (select(2, nginx.get(place.port, "/" .. phase))))
      end)
    end
  end
end)
