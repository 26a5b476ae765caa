-- Many mixed calls through a real nginx that limits them: 429, 503, connections
-- closed after some requests, reloads (over HTTP/2: GOAWAY). None may be lost
-- and none done twice: the service counts. PROXY_CALLS says how many calls.

local maiagent = require("maiagent")
local nginx = require("tests.support.nginx")
local testing = require("maiagent.testing")

local ALL = tonumber(os.getenv("PROXY_CALLS") or "") or 20000
local CALLS = math.floor(ALL / 2) -- by each version of HTTP
local BATCH = 1000 -- calls between two reloads
local IN_FLIGHT = 32
local WRITES = { POST = true, PATCH = true }
local UNCLEAR = 0.1 -- of all calls, at most
local BASES = 3 -- knowledge bases, a page each

-- Both limits refuse before anything reaches the service.
local HTTP = [[
  limit_req_zone $binary_remote_addr zone=often:1m rate=700r/s;

  limit_req_status 429;
  limit_conn_zone $binary_remote_addr zone=many:1m;
  keepalive_requests 200;
  upstream service { server 127.0.0.1:${service_port}; keepalive 16; }
  server {
    listen 127.0.0.1:${port} ${protocol};
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    location / {
      limit_req zone=often burst=10 nodelay;
      limit_conn many 24;
      limit_conn_status 503;
      error_page 429 = @slow;
      error_page 503 = @busy;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream off;
      proxy_pass http://service;
    }
    location @slow { add_header Retry-After 0.05 always; return 429; }
    location @busy { add_header Retry-After 0.05 always; return 503; }
  }
]]

local function numbers(first, last)
  local list = {}
  for i = first, last do
    list[#list + 1] = i
  end
  return list
end

local function describe_over(version, protocol)
  describe("through a proxy that limits, by " .. version .. ",", function()
    local server, place, client, direct, refused

    setup(function()
      server = testing.spawn({ page_size = 100 })
      place = nginx.new()
      nginx.certify(place)
      place.service_port, place.protocol = server.port, protocol
      nginx.start(place, { http = HTTP })
      refused = { [429] = 0, [503] = 0, connection = 0 }
      client = maiagent.new({ api_key = server.api_key, max_retries = 1000,
        base_url = "https://127.0.0.1:" .. place.port, timeout = 60,
        ca_file = place.folder .. "/certificate.pem",
        on_retry = function(info)
          local why = info.status or info.kind
          refused[why] = (refused[why] or 0) + 1
        end })
      direct = maiagent.new({ api_key = server.api_key,
        base_url = server.base_url })
    end)

    teardown(function()
      client:close()
      direct:close()
      nginx.stop(place)
      server:stop()
    end)

    local function knowledge_base()
      return assert(direct.knowledge_bases:create({ name = "counted",
        embeddingModel = direct.embedding_models:list()[1].id,
        rerankerModel = direct.reranker_models:list()[1].id })).id
    end

    local function call(kb, i)
      local labels, name = client.knowledge_bases.labels, "label " .. i
      local kind = i % 6
      if kind == 2 then
        return labels:list(kb, { pageSize = 3 })
      elseif kind == 3 then
        return client.embedding_models:list()
      elseif kind == 4 then
        local all, err = client.knowledge_bases:all({ pageSize = 1 })
        assert(not all or #all == BASES, "a list is not complete")
        return all, err
      end
      local made, err = labels:create(kb, { name = name })
      if not made or kind == 0 then
        return made, err
      elseif kind == 1 then
        return labels:delete(kb, made.id)
      end
      return labels:update(kb, made.id, { name = name .. " changed" })
    end

    -- What is unclear of a write is told, not repeated: it counts as either.
    -- (Of a stream that GOAWAY refused, libcurl does not say that it is one.)
    local function check(kb, first, last, errors)
      local times, unclear = {}, 0
      for _, label in ipairs(assert(
        direct.knowledge_bases.labels:all(kb, { pageSize = 1000 }))) do
        times[label.name] = (times[label.name] or 0) + 1
      end
      for i = first, last do
        local err, name = errors[i - first + 1], "label " .. i
        local found, changed = times[name] or 0, times[name .. " changed"] or 0
        if err then
          assert.equal("connection", err.kind, tostring(err))
          assert.truthy(WRITES[err.method], tostring(err))
          unclear = unclear + 1
          assert.is_true(found + changed <= 1, "done twice")
        else
          assert.equal(i % 6 == 0 and 1 or 0, found, "call " .. i)
          assert.equal(i % 6 == 5 and 1 or 0, changed, "call " .. i)
        end
      end
      return unclear
    end

    it("loses no call and does none twice", function()
      local unclear = 0
      for first = 1, CALLS, BATCH do
        server:reset()
        local kb, last = nil, math.min(first + BATCH - 1, CALLS)
        for _ = 1, BASES do
          kb = knowledge_base()
        end
        local list = numbers(first, last)
        local results, errors = client:map(list, function(i)
          if i == first + math.floor(BATCH / 2) then
            os.execute("kill -HUP " .. place.pid)
          end
          return call(kb, i)
        end, { concurrency = IN_FLIGHT })
        for place_in_list = 1, #list do
          assert.truthy(results[place_in_list] or errors[place_in_list])
        end
        unclear = unclear + check(kb, first, last, errors or {})
      end
      io.stderr:write(("    %d calls, %d times 429, %d times 503, %d broken "
        .. "connections, %d writes told as unclear\n"):format(CALLS,
        refused[429], refused[503], refused.connection, unclear))
      assert.is_true(refused[429] > 0 and refused.connection + unclear > 0)
      assert.is_true(unclear <= CALLS * UNCLEAR, unclear .. " writes unclear")
    end)
  end)
end

describe_over("HTTP/1.1", "ssl")
describe_over("HTTP/2", "ssl http2")
