-- std = "min" is what Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT have in common, so that
-- nothing that only one of them knows creeps in.
std = "min"
max_line_length = 80
codes = true

-- A method may not need its object; "not (x > y)" is how a NaN is caught.
ignore = { "212/self", "581" }

-- Definitions for the Lua language server: declared, never run.
files["lua/maiagent/types.lua"] = { ignore = { "211", "212", "241", "631" } }

-- Its parts know each other's locals once they are one file.
files["tests/support/types/*.lua"] =
  { ignore = { "11", "211", "212", "241", "631" } }

-- The wait hook finds nginx by the global that its Lua module sets.
files["lua/maiagent"] = { read_globals = { "ngx" } }

-- LÖVE calls what a game puts into its `love` table.
files["examples"] = { globals = { "love" }, read_globals = { "ngx" } }
files["examples/openresty"] = { globals = { "ngx" } }

-- Specs may run on any version and look at what it has.
files["tests"] = { std = "max+busted", globals = { "love", "ngx" } }

-- These two files are read by their own tools.
files[".luacheckrc"] = { std = "luacheckrc" }
files["rockspec"] = { std = "rockspec" }
