--- A stand-in for the MaiAgent service, for tests without network or key.
--
--   local testing = require "maiagent.testing"
--   local server = testing.start{}            -- in this process, stepped
--   local client = maiagent.new{ base_url = server.base_url,
--     api_key = server.api_key, wait = server.wait }
--   …
--   server:stop()
--
-- It needs LuaSocket and dkjson; LuaSec (tls) and lua-zlib (compressed files)
-- are used where they are installed. One server serves about a thousand
-- connections at a time, the limit of `select`.
local function load(name, package_name)
  local ok, module = pcall(require, name)
  if not ok then
    error("maiagent.testing needs LuaSocket and dkjson; " .. package_name
      .. " is not installed: " .. tostring(module), 0)
  end
  return module
end

load("socket", "LuaSocket")
load("dkjson", "dkjson")

local api = require "maiagent.testing.api"
local control = require "maiagent.testing.control"
local faults = require "maiagent.testing.faults"
local http = require "maiagent.testing.http"
local state = require "maiagent.testing.state"
local storage = require "maiagent.testing.storage"
require "maiagent.testing.resources"
require "maiagent.testing.files"
require "maiagent.testing.excel"

local DEFAULTS = { api_key = "test-key", host = "127.0.0.1", port = 0,
  processing_time = 0.1, page_size = 10, kb_files_reply = "page",
  body_limit = 16 * 1024 * 1024, strict = false, tls = false,
  presign_lifetime = 3600 }
local LOGGED_BODY = 65536

local Server = { __name = "maiagent.testing.server" }
local server_index = {}
Server.__index = server_index

local function checked(options)
  local result = {}
  for name in pairs(options or {}) do
    if DEFAULTS[name] == nil and name ~= "lua" then
      error("maiagent.testing: unknown option " .. tostring(name), 3)
    end
  end
  for name, default in pairs(DEFAULTS) do
    result[name] = options and options[name]
    if result[name] == nil then
      result[name] = default
    end
  end
  return result
end

-- Serves one request and writes it down, whatever becomes of it.
local function serve_with(server, serve)
  return function(connection, request)
    server.requests[#server.requests + 1] = request
    faults.perform(server.faults, server, serve, connection, request)
    request.read = nil
    if request.body_bytes > LOGGED_BODY then
      request.body = nil
    end
  end
end

local function listen(server, port, serve)
  local options = server.state.options
  local taken = server.loop:listen(options.host, port,
    serve_with(server, serve), options.tls and {
      mode = "server", protocol = "any", verify = "none",
      options = { "all", "no_sslv3" },
      certificate = options.tls.certificate, key = options.tls.key })
  return tonumber(taken), options.host .. ":" .. taken
end

local function open(options)
  local server = setmetatable({ requests = {}, recorded = {}, faults = {},
    state = state.new(options), api_key = options.api_key }, Server)
  server.loop = http.new_loop(function(text)
    server.recorded[#server.recorded + 1] = "error in the stand-in: " .. text
  end)
  local scheme = options.tls and "https://" or "http://"
  local storage_authority, _
  server.port, server.authority = listen(server, options.port, api.serve)
  _, storage_authority = listen(server, 0, storage.serve)
  server.base_url = scheme .. server.authority
  server.storage_url = scheme .. storage_authority
  server.wait = function(client, milliseconds)
    server:step(milliseconds / 1000, client)
  end
  return server
end

--- Starts a server in this process. It does its work in server:step().
-- options (all optional): api_key, host, port, processing_time (s until a file
-- is done), page_size, kb_files_reply = "page"|"array", body_limit (bytes),
-- strict (a wrong key is a violation), tls = {certificate=, key=} (file names).
local function start(options)
  return open(checked(options))
end

--- Starts the same server in a child process, which serves on its own and ends
-- with this one; options.lua names its interpreter. Raises if it cannot start.
local function spawn(options)
  return control.spawn(checked(options), options and options.lua)
end

--- Serves what is ready, blocking at most `seconds` (0). `client` is anything
-- with a getfd() method whose readiness ends the wait.
function server_index:step(seconds, client)
  self.loop:step(seconds, client)
end

--- Queues a fault for the next matching requests: {kind=, method=, path= (a
-- pattern), times=1, after=0 (matches let through first), ...}; the kinds and
-- their fields stand in faults.lua. Raises for an unknown kind.
function server_index:fault(fault)
  local ok, problem = faults.add(self.faults, fault)
  return ok or error(problem, 2)
end

--- Forgets the faults that are still queued.
function server_index:faults_clear()
  self.faults = {}
end

local function logged(request)
  return { method = request.method, path = request.path, query = request.query,
    headers = request.headers, body_bytes = request.body_bytes,
    body = request.body, status = request.status,
    connection = request.connection,
    authorization_ok = request.authorization_ok or false }
end

--- The requests so far: {method, path, query, headers, body_bytes, body (up to
-- 64 KiB), status (nil while or if unanswered), authorization_ok, connection}.
function server_index:log()
  local list = state.array()
  for place, request in ipairs(self.requests) do
    list[place] = logged(request)
  end
  return list
end

--- What was wrong with the requests beyond their answers, as texts: unknown
-- names in queries and bodies, the key sent to storage, changed upload fields.
function server_index:violations()
  local list = state.array()
  for place, text in ipairs(self.recorded) do
    list[place] = text
  end
  return list
end

--- For the stand-in's own parts: writes a violation down.
function server_index:note(request, text)
  self.recorded[#self.recorded + 1] = ("%s %s: %s"):format(request.method,
    request.path, text)
end

--- For the stand-in's own parts: the URL at which a storage key is served.
function server_index:file_url(key)
  return key:find("^https?://") and key or self.storage_url .. "/" .. key
end

--- Back to the beginning: no records, no log, no faults.
function server_index:reset()
  self.state = state.new(self.state.options)
  self.requests, self.recorded, self.faults = {}, {}, {}
end

--- Number of open connections.
function server_index:connections()
  return self.loop:count()
end

--- Closes every socket. A stopped server stays stopped.
function server_index:stop()
  self.loop:close()
end

return { open = open, spawn = spawn, start = start }
