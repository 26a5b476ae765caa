--- The programs that the benchmarks compare, as subjects of bench.compare, and
-- nginx in front of them.

local bench = require("bench")

local peers = {}

local LUA = bench.quoted(bench.interpreter())

-- Debian's own, which has Debian's packages.
local PYTHON = "/usr/bin/python3"

local function lua(script, ...)
  return table.concat({ "LUA_PATH=" .. bench.quoted(package.path), LUA,
    "tests/bench/peers/" .. script .. ".lua", ... }, " ")
end

local function loads(module)
  return LUA .. " -e " .. bench.quoted("require('" .. module .. "')")
end

-- nil is left out of a command.
local function words(...)
  local list = {}
  for i = 1, select("#", ...) do
    local word = select(i, ...)
    list[#list + 1] = word and tostring(word)
  end
  return table.concat(list, " ")
end

--- @tparam string scene get, raw or each
-- @tparam string base
-- @tparam integer count
-- @tparam integer in_flight or, of each, prefetch
-- @tparam integer|nil pause milliseconds of work for each page
-- @tparam string|nil ca file of an authority
function peers.maiagent(scene, base, count, in_flight, pause, ca)
  return {
    name = "maiagent",
    tells = true,
    command = (ca and "BENCH_CA=" .. ca .. " " or "")
      .. lua("ours", scene, base, count, words(in_flight, pause)),
  }
end

--- A C program over bare libcurl.
function peers.limit(program, url, count, in_flight, how, ca)
  return {
    name = "limit: C over libcurl",
    tells = true,
    command = (ca and "BENCH_CA=" .. ca .. " " or "")
      .. words(program, url, count, in_flight, how),
  }
end

function peers.luasocket(scene, base, count)
  return {
    name = "luasocket + lua-cjson",
    needs = loads("socket.http") .. " && " .. loads("cjson"),
    tells = true,
    command = lua("luasocket", scene, base .. "chatbots/", count),
  }
end

function peers.lua_http(scene, base, count)
  return {
    name = "lua-http + lua-cjson",
    needs = lua("lua_http", "get", "none"),
    tells = true,
    command = lua("lua_http", scene, base .. "chatbots/", count),
  }
end

local function python(library, ...)
  return {
    name = "python " .. library,
    needs = PYTHON .. " -c 'import " .. library .. "'",
    tells = true,
    command = words(PYTHON, "tests/bench/peers/python.py", library, ...),
  }
end

--- maiagent, then requests, httpx and node's fetch.
function peers.all(scene, base, count, in_flight, ahead)
  local url = base .. "chatbots/"
  return {
    peers.maiagent(scene, base, count, ahead or in_flight),
    python("requests", scene, url, count, in_flight),
    python("httpx", scene, url, count, in_flight),
    {
      name = "node fetch",
      needs = "node -e 'fetch'",
      tells = true,
      command = words("node tests/bench/peers/node.mjs", scene, url, count,
        in_flight),
    },
  }
end

local SERVER = [[
server {
  listen 127.0.0.1:${port} ssl ${protocol};
  ssl_certificate certificate.pem;
  ssl_certificate_key key.pem;
  ssl_session_cache off;
  ssl_session_tickets off;
  keepalive_requests 1000000;
  ${more}
  root ${folder};
  types { }
  default_type ${type};
}]]

--- Runs fn(base, certificate) beside an nginx with TLS, which serves
-- /bytes/30000 and /api/chatbots/.
-- @tparam table how http2; file (bytes); text (what chatbots/ gives); more
--   (configuration); certify (function(place), instead of a certificate of its
--   own)
function peers.with_nginx(how, fn)
  local nginx = require("tests.support.nginx")
  local place = nginx.new()
  place.protocol = how.http2 and "http2" or ""
  place.more, place.type = how.more or "", how.type or "text/plain"
  local ok, problem = pcall(function()
    assert(bench.works("chmod 755 " .. place.folder
      .. " && mkdir -p " .. place.folder .. "/bytes " .. place.folder
      .. "/api/chatbots"))
    bench.write(place.folder, "bytes/30000", ("x"):rep(how.file or 0))
    bench.write(place.folder, "api/chatbots/index.html", how.text or "")
    local certify = how.certify or nginx.certify
    certify(place)
    nginx.start(place, { http = SERVER })
    fn("https://127.0.0.1:" .. place.port, place.folder .. "/certificate.pem")
  end)
  nginx.stop(place)
  if not ok then
    error(problem, 0)
  end
end

return peers
