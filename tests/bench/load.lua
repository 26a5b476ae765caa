-- What it costs to load the library, to make a client and to load libcurl,
-- beside the bare interpreter and other languages' clients.

package.path = "tests/bench/?.lua;./?.lua;" .. package.path

local bench = require("bench")

local FEW, MANY = bench.amount(4), bench.amount(25) -- in one measurement

local function times(name, command, needs, count)
  return { name = name, needs = needs, command = command,
    times = count or FEW }
end

local function lua(name, code)
  local command = bench.quoted(bench.interpreter()) .. " -e "
    .. bench.quoted(code)
  return times(name, command, command, MANY)
end

local function python(library)
  local command = "/usr/bin/python3 -c 'import " .. library .. "'"
  return times("python import " .. library, command, command)
end

local function show(subjects, folder)
  print(("a process, from start to end (%d rounds)"):format(bench.rounds))
  print(("  %-28s %9s %9s %9s %9s"):format("", "wall ms", "more", "CPU ms",
    "peak MiB"))
  local counts, bare = {}, nil
  for _, subject in ipairs(subjects) do
    counts[subject.name] = subject.times
  end
  for _, result in ipairs(bench.compare(subjects, bench.rounds, folder)) do
    local count = counts[result.name]
    local wall = result.wall / count
    bare = bare or wall
    print(("  %-28s %9.2f %+9.2f %9.2f %9.2f"):format(result.name, wall * 1000,
      (wall - bare) * 1000, result.cpu / count * 1000, result.memory))
  end
end

local NEW = "local client = require('maiagent').new({ api_key = 'key' })"

bench.in_folder(function(folder)
  show({
    lua("lua, nothing", ""),
    lua("require cjson", "require('cjson')"),
    lua("require maiagent", "require('maiagent')"),
    lua("maiagent, a client", NEW),
    lua("maiagent, libcurl", NEW .. " require('maiagent.http')"),
    lua("require socket.http", "require('socket.http')"),
    lua("require http.request", "package.path = package.path .. "
      .. "';/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua;"
      .. "/usr/share/lua/5.1/?/init.lua' require('http.request')"),
    python("requests"),
    python("httpx"),
    times("node, nothing", "node -e ''", "node -e ''"),
  }, folder)
end)
