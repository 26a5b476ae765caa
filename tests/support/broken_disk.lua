-- Does one thing with a file on a disk that is broken, as broken_disk.so makes
-- it when it is preloaded, and tells how it ended. Arguments: what, the path.

local disk = require("maiagent.disk")
local maiagent = require("maiagent")
local testing = require("maiagent.testing")

local what, path = arg[1], arg[2]

local function connect()
  local server = testing.start({})
  return server, maiagent.new({
    api_key = server.api_key,
    base_url = server.base_url,
    wait = server.wait,
    max_retries = 0,
  })
end

local function download(size)
  return function()
    local server, client = connect()
    server:fault({ kind = "status", status = 200, body = ("x"):rep(size) })
    return client:download("/media/x", path)
  end
end

local ways = {
  ["a small download"] = download(100),
  ["a large download"] = download(3000000),
  ["a download into a folder"] = function()
    os.execute("mkdir " .. path)
    return download(100)()
  end,
  ["an upload"] = function()
    local _, client = connect()
    return client.uploads:put(path, "attachment")
  end,
  ["a hash"] = function()
    return assert(disk.hasher(path)):step(100)
  end,
  ["a line appended"] = function()
    return disk.append(path, "0123456789")
  end,
  ["a text read"] = function()
    return disk.read(path)
  end,
  ["a lock"] = function()
    return disk.lock(path)
  end,
}

local value, problem = ways[what]()
print(value and "done" or tostring(problem))
