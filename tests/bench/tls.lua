-- Fresh TLS connections that are verified: how long each takes, how long it is
-- from a program's start to its first answer, and 32 at once.
--
-- The authority has to be one of the system's, among its 140, so this runs
-- itself again in a mount namespace with an /etc/ssl/certs of its own, a copy
-- with one more. That takes root or user namespaces.

package.path = "tests/bench/?.lua;./?.lua;" .. package.path

local bench = require("bench")
local payload = require("payload")
local peers = require("peers")

local CERTS = "/etc/ssl/certs"

-- $1: the folder. The links that OpenSSL looks for are named by a hash.
local AUTHORITY = [[set -e
sign() { # name, authority, subjectAltName, days
  echo "subjectAltName=$3" >names
  openssl x509 -req -in request.pem -CA $2.pem -CAkey $2.key -CAcreateserial \
    -days $4 -extfile names -out $1.pem
}
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
cd "$1" && cp -a %s certs
for name in ca other; do
  openssl req -x509 $curve -days 2 -subj /CN=$name -keyout $name.key \
    -addext basicConstraints=critical,CA:TRUE -out $name.pem
done
cp ca.pem certs/bench.pem
cat ca.pem >>certs/ca-certificates.crt
ln -sf bench.pem certs/$(openssl x509 -hash -noout -in ca.pem).0
openssl req $curve -subj /CN=localhost -keyout key.pem -out request.pem
sign trusted ca IP:127.0.0.1 2
sign another-host ca DNS:evil.invalid 2
sign expired ca IP:127.0.0.1 -1
sign unknown-authority other IP:127.0.0.1 2
openssl req -x509 -key key.pem -days 2 -subj /CN=self \
  -addext subjectAltName=IP:127.0.0.1 -out self-signed.pem]]

-- Each client takes the certificates as it does by itself.
local ENTER = [[mount --bind %s/certs %s || exit 9
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE
unset NODE_EXTRA_CA_CERTS
exec "$@"]]

local function inside(folder)
  local script = bench.write(folder, "authority", AUTHORITY:format(CERTS))
  if not bench.works("command -v openssl nginx unshare")
    or not bench.works("sh " .. script .. " " .. folder) then
    print("left out: tls (needs openssl, nginx and unshare)")
    return
  end
  local enter = bench.write(folder, "enter", ENTER:format(folder, CERTS))
  local namespace = "unshare --mount sh " .. enter .. " "
  if not bench.works(namespace .. "true") then
    namespace = "unshare --map-root-user --mount sh " .. enter .. " "
  end
  if not bench.works(namespace .. "true") then
    print("left out: tls (may not make a mount namespace)")
    return
  end
  local result = os.execute("BENCH_TLS=" .. folder .. " " .. namespace
    .. bench.quoted(bench.interpreter()) .. " tests/bench/tls.lua")
  assert(result == true or result == 0, "tls.lua failed in its namespace")
end

local function compare(title, subjects, count, folder)
  bench.print(title, bench.compare(subjects, bench.rounds, folder), count,
    "call")
end

local function named(name, subject)
  subject.name = name
  return subject
end

local function limit(program, url, count, in_flight, how)
  return named("C over libcurl, CA " .. how, peers.limit(program,
    url .. "chatbots/", count, in_flight, how .. " fresh"))
end

local function fresh(program, base, folder)
  for _, in_flight in ipairs({ 1, 32 }) do
    local count = in_flight == 1 and bench.amount(40) or 32
    compare(("%d fresh connections, %d in flight"):format(count, in_flight), {
      limit(program, base, count, in_flight, "default"),
      limit(program, base, count, in_flight, "hashed"),
      peers.maiagent("get", base, count, in_flight),
    }, count, folder)
  end
end

local function first_answer(base, folder)
  local count = bench.amount(10)
  local function times(name, command, needs)
    return {
      name = name,
      needs = needs and needs .. " </dev/null",
      command = command,
      times = count,
    }
  end
  local url = base .. "chatbots/"
  local lua = bench.quoted(bench.interpreter())
  local function python(library)
    return times("python " .. library, ("/usr/bin/python3 -c 'import %s; "
      .. "%s.get(\"%s\"%s).json()'"):format(library, library, url,
      library == "httpx" and (", verify=\"" .. CERTS
        .. "/ca-certificates.crt\"") or ""),
      "/usr/bin/python3 -c 'import " .. library .. "'")
  end
  compare(("%d processes, each from start to its first verified answer")
    :format(count), {
      times("curl", "curl -sSf -o /dev/null " .. url, "curl -V"),
      times("maiagent", lua .. " -e " .. bench.quoted(
        ('assert(require("maiagent").new({ api_key = "k", base_url = %q })'
          .. ".chatbots:list())"):format(base))),
      python("requests"),
      python("httpx"),
      times("node fetch", ("env NODE_EXTRA_CA_CERTS=%s/ca.pem node -e "):format(
        folder) .. bench.quoted(('fetch("%s").then(a => a.json())'
          .. ".catch(() => process.exit(1))"):format(url)), "node -v"),
    }, count, folder)
end

local function certify(folder, name)
  return function(place)
    assert(bench.works(("cd %s && cp key.pem %s && cp %s.pem "
      .. "%s/certificate.pem"):format(folder, place.folder, name,
      place.folder)))
  end
end

-- What is fast because it verified nothing would be worth nothing.
local function refusals(folder)
  for _, name in ipairs({ "another-host", "expired", "unknown-authority",
    "self-signed" }) do
    peers.with_nginx({ certify = certify(folder, name) }, function(base)
      local client = require("maiagent").new({ api_key = "key",
        base_url = base })
      local value, err = client.chatbots:list()
      assert(value == nil and err.kind == "tls", name .. " was not refused")
      client:close()
      print(("  refused, %s: %s"):format(name, err.message))
    end)
  end
end

local function measure(folder)
  local program = bench.compile("tests/bench/limit.c", folder, "-lcurl")
  peers.with_nginx({
    text = payload.page(1),
    type = "application/json",
    more = "keepalive_timeout 0;",
    certify = certify(folder, "trusted"),
  }, function(base)
    fresh(program, base .. "/api/", folder)
    first_answer(base .. "/api/", folder)
  end)
  refusals(folder)
end

if os.getenv("BENCH_TLS") then
  measure(os.getenv("BENCH_TLS"))
else
  bench.in_folder(inside)
end
