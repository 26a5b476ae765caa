--- A stand-in for the MaiAgent service, for tests without network or key.
--
--   local testing = require "maiagent.testing"
--   local server = testing.start{}            -- in this process, stepped
--   local client = maiagent.new{ base_url = server.base_url,
--     api_key = server.api_key, wait = server.wait }
--   …
--   server:stop()
--
-- It needs LuaSocket and dkjson; LuaSec (tls) and lua-zlib (compressed sheets
-- and answers) are used where they are installed.
for name, rock in pairs({ socket = "LuaSocket", dkjson = "dkjson" }) do
  local found, problem = pcall(require, name)
  if not found then
    error("maiagent.testing needs LuaSocket and dkjson; " .. rock
      .. " is not installed: " .. problem, 0)
  end
end

local api = require "maiagent.testing.api"
local control = require "maiagent.testing.control"
local faults = require "maiagent.testing.faults"
local http = require "maiagent.testing.http"
local json = require "maiagent.testing.json"
local state = require "maiagent.testing.state"
local storage = require "maiagent.testing.storage"
require "maiagent.testing.files"
require "maiagent.testing.excel"

local DEFAULTS = { api_key = "test-key", host = "127.0.0.1", port = 0,
  processing_time = 0.1, page_size = 10, presign_lifetime = 3600,
  kb_files_reply = "page", translation_reply = "json", strict = false,
  tls = false, lua = false }

local Server = { __name = "maiagent.testing.server" }
local server_index = setmetatable({}, { __index = http.loop_index })
Server.__index = server_index

local function complete(options)
  local result = {}
  for name, default in pairs(DEFAULTS) do
    result[name] = default
  end
  for name, value in pairs(options or {}) do
    if DEFAULTS[name] == nil then
      error("maiagent.testing: unknown option " .. tostring(name), 3)
    end
    result[name] = value
  end
  return result
end

-- Listens, and writes down each request; answer(server, request, read) gives
-- the ordinary response to one. Returns the port and the URL.
local function listen(server, port, answer)
  local options = server.state.options
  local taken = server:listen(options.host, port,
    function(connection, request, read)
      table.insert(server.requests, request)
      faults.perform(server.faults, function(reader)
        return answer(server, request, reader)
      end, connection, request, read)
    end, options.tls and { mode = "server", protocol = "any", verify = "none",
      options = { "all", "no_sslv3" }, certificate = options.tls.certificate,
      key = options.tls.key })
  return tonumber(taken), (options.tls and "https://" or "http://")
    .. options.host .. ":" .. taken
end

--- Starts a server in this process. It does its work in server:step().
-- options (all optional): api_key, host, port, processing_time (s until a file
-- is done), page_size, presign_lifetime (s), kb_files_reply = "page"|"array",
-- translation_reply = "json"|"redirect"|"bytes", strict (a wrong key is a
-- violation), tls = {certificate=, key=} (file names).
local function start(options)
  options = complete(options)
  local server = setmetatable(http.new_loop(), Server)
  server.state, server.api_key = { options = options }, options.api_key
  server:reset()
  server.port, server.base_url = listen(server, options.port, api.serve)
  server.storage_url = select(2, listen(server, 0, storage.serve))
  function server.wait(client, milliseconds)
    server:step(milliseconds / 1000, client)
  end
  return server
end

--- Starts the same server in a child process, which serves on its own and ends
-- with this one; options.lua names its interpreter. Raises if it cannot start.
local function spawn(options)
  return control.spawn(complete(options), options and options.lua)
end

--- Queues a fault for the next matching requests: {kind=, method=, path= (a
-- pattern), times=1, after=0 (matches let through first), chance= (0 to 1: only
-- such a share of them, and then times=math.huge; drawn the same in every run,
-- another way for each seed=1), apply=true (the operation is carried out all
-- the same), ...}; the kinds and their fields stand in faults.lua. Raises for
-- an unknown kind or field.
function server_index:fault(fault)
  faults.add(self.faults, fault)
  return true
end

--- Forgets the faults that are still queued.
function server_index:faults_clear()
  self.faults = {}
end

--- The requests so far: {method, path, query, headers, body_bytes, body (64 KiB
-- at most), status (nil while or if unanswered), authorization_ok, connection}.
function server_index:log()
  return self.requests
end

--- What was wrong with the requests beyond their answers, as texts: unknown
-- names in queries and bodies, the key sent to storage, changed upload fields.
function server_index:violations()
  return self.recorded
end

--- For the stand-in's own parts: writes a violation down.
function server_index:note(request, text)
  table.insert(self.recorded,
    ("%s %s: %s"):format(request.method, request.path, text))
end

--- For the stand-in's own parts: the URL at which a storage key is served.
function server_index:file_url(key)
  return key:find("^https?://") and key or self.storage_url .. "/" .. key
end

--- Back to the beginning: no records, no log, no faults.
function server_index:reset()
  self.state = state.new(self.state.options)
  self.requests, self.recorded = json.array(), json.array()
  self.faults = {}
end

--- Closes every socket and forgets what was stored, for good.
function server_index:stop()
  http.loop_index.stop(self)
  self.state.objects = {}
  collectgarbage() -- closes the files, which have no names
end

return { spawn = spawn, start = start }
