local child = require("tests.support.child")
local service = require("tests.support.service")
local testing = require("maiagent.testing")

-- A certificate for `name`, signed by itself, in a folder of its own.
local function certificate(name)
  local folder = os.tmpname()
  os.remove(folder)
  local files = {
    folder = folder,
    certificate = folder .. "/certificate.pem",
    key = folder .. "/key.pem",
  }
  local command = ("mkdir %s && openssl req -x509 -newkey ec -pkeyopt "
    .. "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s "
    .. "-addext subjectAltName=%s -keyout %s -out %s 2>/dev/null"):format(
    folder, "maiagent-test", name, files.key, files.certificate)
  local result = os.execute(command)
  assert(result == true or result == 0, "openssl failed")
  return files
end

-- One that an authority of its own signed, for so many days, for 127.0.0.1 or
-- another name.
local function signed(days, name)
  local folder = os.tmpname()
  os.remove(folder)
  local script = ([[set -e
mkdir FOLDER && cd FOLDER
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $curve -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req $curve -subj /CN=maiagent-test -keyout key.pem -out request.pem
echo "subjectAltName=NAME" >names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial \
  -days DAYS -extfile names -out certificate.pem]]):gsub("FOLDER", folder)
    :gsub("DAYS", ("%d"):format(days)):gsub("NAME", name or "IP:127.0.0.1")
  local result = os.execute("( " .. script .. " ) >/dev/null 2>&1")
  assert(result == true or result == 0, "openssl failed")
  return {
    folder = folder,
    authority = folder .. "/ca.pem",
    certificate = folder .. "/certificate.pem",
    key = folder .. "/key.pem",
  }
end

describe("TLS", function()
  local own, other

  setup(function()
    own = certificate("IP:127.0.0.1,DNS:localhost")
    other = certificate("DNS:evil.invalid")
  end)

  teardown(function()
    for _, files in ipairs({ own, other }) do
      os.remove(files.certificate)
      os.remove(files.key)
      os.remove(files.folder)
    end
  end)

  after_each(service.check)

  local function start(files)
    return service.start({
      tls = { certificate = files.certificate, key = files.key },
    })
  end

  it("refuses a certificate nobody vouches for; no key is sent", function()
    local server = start(own)
    local value, err = service.client(server).chatbots:list()
    assert.is_nil(value)
    assert.equal("tls", err.kind)
    assert.truthy(err.message:find("ca_file", 1, true), err.message)
    assert.equal(1, err.attempts)
    assert.is_false(err.retryable)
    assert.equal(0, #server:log())
  end)

  it("trusts a private authority that is named", function()
    local server = start(own)
    local client = service.client(server, { ca_file = own.certificate })
    local page, _, response = client.chatbots:list()
    assert.equal(0, page.count)
    assert.is_true(response.timings.tls > 0)
  end)

  it("refuses another host's certificate, though it is trusted", function()
    local server = start(other)
    local client = service.client(server, { ca_file = other.certificate })
    local value, err = client.chatbots:list()
    assert.is_nil(value)
    assert.equal("tls", err.kind)
    assert.equal(0, #server:log())
  end)

  local judged = {
    { "takes what a named authority signed", 2, true },
    { "refuses what an unknown authority signed", 2, false, "not trusted" },
    { "refuses what has expired, though its authority is named", -1, true,
      "expired" },
  }
  for _, row in ipairs(judged) do
    local name, days, named, refusal = row[1], row[2], row[3], row[4]
    it(name, function()
      local files = signed(days)
      local server = start(files)
      local value, err = service.client(server,
        { ca_file = named and files.authority or nil }).chatbots:list()
      os.execute("rm -r " .. files.folder)
      assert.equal(refusal == nil, value ~= nil, tostring(err))
      assert.equal(refusal and "tls", err and err.kind)
      if refusal then
        assert.truthy(err.message:find(refusal, 1, true), err.message)
        assert.equal(0, #server:log())
      end
    end)
  end

  it("can be told to look away, in writing", function()
    local server = start(other)
    assert(service.client(server, { insecure = true }).chatbots:list())
    assert(service.client(server, { insecure = true }).chatbots:list())
  end)

  it("of one client is not that of its copy", function()
    local server = start(own)
    local careless = service.client(server, { insecure = true })
    assert(careless.chatbots:list())
    local careful = careless:with({ insecure = false })
    local _, err = careful.chatbots:list()
    assert.equal("tls", err.kind)
    assert(careless.chatbots:list())
  end)

  it("that is not spoken at all names the port to check", function()
    local server = service.start()
    local client = service.client(server, {
      base_url = server.base_url:gsub("^http:", "https:"),
    })
    client = client:with({ max_retries = 0 })
    local _, err = client.chatbots:list()
    assert.equal("connection", err.kind)
    assert.truthy(err.message:find("base_url names a TLS port", 1, true))
  end)

  -- Where libcurl says that the system's certificates are: a directory with
  -- hashes, in which an authority stands or doesn't, and a bundle.
  local function hashed(folder, authority)
    local path = folder .. "/hashed"
    child.output_of(("mkdir %s; touch %s/0a1b2c3d.0"):format(path, path))
    if authority then
      child.output_of(("cp %s %s/$(openssl x509 -hash -noout -in %s).0")
        :format(authority, path, authority))
    end
    return path
  end

  -- what libcurl is, whether the directory and the bundle have the authority,
  -- what the environment says beside, how four calls end
  local libcurls = {
    { "a directory with hashes alone", true, false, {},
      "200 200 not_found 200" },
    { "the bundle where the directory lacks it", false, true, {},
      "200 200 not_found 200" },
    { "neither", false, false, {}, "tls tls tls tls" },
    { "its own where it does not tell how it reads a directory", true, true,
      { CURL_TLS = "GnuTLS/3.7.9" }, "tls tls tls tls" },
    { "handles used again, of a version that may", true, false,
      { CURL_NUMBER = "080200" }, "200 200 not_found 200" },
  }

  -- What calls of a server with these files print, where the directory and the
  -- bundle trust those authorities, and how many requests came.
  local function calls(files, folder, in_directory, in_bundle, more)
    local server = testing.spawn({ tls = { certificate = files.certificate,
      key = files.key } })
    local environment = {
      LD_PRELOAD = child.preload("other_libcurl"),
      CURL_CAPATH = hashed(folder, in_directory),
      CURL_CAINFO = in_bundle or other.certificate,
      SSL_CERT_FILE = "",
      MAIAGENT_BASE_URL = server.base_url,
      MAIAGENT_API_KEY = server.api_key,
    }
    for name, value in pairs(more) do
      environment[name] = value
    end
    local _, output = child.run(child.root,
      child.command(environment, "tests/support/other_libcurl.lua"))
    local log = server:log()
    server:stop()
    return output, #log
  end

  for _, row in ipairs(libcurls) do
    it("trusts " .. row[1], function()
      local files = signed(2)
      local authority = files.authority
      local output, count = calls(files, files.folder, row[2] and authority,
        row[3] and authority, row[4])
      child.output_of("rm -r " .. files.folder)
      assert.equal(row[5], output)
      assert.equal(row[5]:find("tls") and 0 or 4, count)
    end)
  end

  -- what the server shows, given what the trusted authority signed; what is
  -- said of it
  local refused = {
    { "another host's certificate", function()
      return signed(2, "DNS:evil.invalid")
    end, "subject name" },
    { "one that has expired", function()
      return signed(-1)
    end, "expired" },
    { "one that signed itself", function()
      local files = signed(2)
      files.certificate, files.key = own.certificate, own.key
      return files
    end, "self[- ]signed certificate" },
    { "one of an authority that is not trusted", function()
      local files, stranger = signed(2), signed(2)
      files.certificate, files.key = stranger.certificate, stranger.key
      files.stranger = stranger.folder
      return files
    end, "local issuer certificate" },
  }
  -- where the authority stands; the last one to be asked is the one that says
  -- why
  local places = {
    { "directory and bundle", true, true },
    { "bundle alone", false, true },
    { "directory alone", true, false, "not trusted" },
  }
  for _, place in ipairs(places) do
    for _, row in ipairs(refused) do
      it("with the system's " .. place[1] .. " refuses " .. row[1], function()
        local files = row[2]()
        local authority = files.authority
        local output, count = calls(files, files.folder,
          place[2] and authority, place[3] and authority, { SAY = "1" })
        child.output_of("rm -r " .. files.folder .. " "
          .. (files.stranger or ""))
        assert.matches("^tls tls tls tls\n.*" .. (place[4] or row[3]), output)
        assert.equal(0, count)
      end)
    end
  end

  -- what an answer names a URL for, and the call
  local named = {
    { "a file", "/files/[^/]+/$", function(url)
      return { id = "x", filename = "a", file = url }
    end, function(client, kb, path)
      return client.knowledge_bases.files:download(kb, "x", path)
    end },
    { "storage", "presigned", function(url)
      return { url = url, fields = { key = "k" } }
    end, function(client)
      return client.uploads:put({ content = "x", filename = "a" },
        "attachment")
    end },
  }
  for _, row in ipairs(named) do
    it("is not left for this machine's ports, to get " .. row[1], function()
      local inside = service.start()
      local server = start(own)
      local client = service.client(server, { ca_file = own.certificate })
      local kb = service.knowledge_base(client)
      server:fault({ kind = "status", status = 200, path = row[2],
        json = row[3](inside.base_url .. "/none"), times = 2 })
      local path = os.tmpname()
      os.remove(path)
      local value, err = row[4](client, kb, path)
      assert.is_nil(value)
      assert.equal("http", err.kind)
      assert.truthy(err.message:find("plain http:// to 127.0.0.1", 1, true),
        err.message)
      assert.equal(0, #inside:log())
      -- Where it is meant it is asked; here nobody answers.
      local allowed = client:with(
        { allow_http = true, timeout = 0.3, max_retries = 0 })
      assert.equal("timeout", select(2, row[4](allowed, kb, path)).kind)
    end)
  end

  it("with a ca_file that isn't there says so", function()
    local server = start(own)
    local client = service.client(server, { ca_file = "/no/such/ca.pem" })
    local _, err = client.chatbots:list()
    assert.equal("tls", err.kind)
    assert.truthy(err.message:find("/no/such/ca.pem", 1, true), err.message)
  end)
end)
