-- What is loaded when: a program pays for what it uses.

local child = require("tests.support.child")
local testing = require("maiagent.testing")
local service = require("tests.support.service")

local SHOW = [[
local names = {}
for name in pairs(package.loaded) do
  names[#names + 1] = name:match("^maiagent%.(.*)$")
end
table.sort(names)
print(table.concat(names, " "))
]]

local AT_REQUIRE = "core environment errors"

-- The modules loaded in a fresh interpreter after some code.
local function loaded_after(code)
  local output = child.output_of(child.quoted(child.interpreter())
    .. " -e " .. child.quoted('local maiagent = require("maiagent")\n' .. code
    .. "\n" .. SHOW) .. " 2>&1")
  return " " .. output .. " "
end

local function holds(names, name)
  return names:find(" " .. name .. " ", 1, true) ~= nil
end

describe("loading", function()
  local server

  before_each(function()
    server = testing.spawn()
  end)

  after_each(function()
    server:stop()
    service.check()
  end)

  local function with_client(code)
    return loaded_after(([[
local client = maiagent.new({ api_key = %q, base_url = %q })
%s
client:close()]]):format(server.api_key, server.base_url, code))
  end

  it("of the library takes three small modules", function()
    assert.equal(" " .. AT_REQUIRE .. " ", loaded_after(""))
  end)

  it("leaves the environment's values as they were then", function()
    local output = loaded_after([[
os.getenv = function() return "later" end
print(pcall(maiagent.new))]])
    assert.truthy(output:find("api_key is missing", 1, true), output)
  end)

  it("of libcurl and the flows doesn't come with a client", function()
    local names = with_client("")
    for _, name in ipairs({ "http", "disk", "pages", "upload", "upload_all",
      "fetch", "files", "processing", "storing", "sync", "gather", "plan" }) do
      assert.is_false(holds(names, name), name .. " in" .. names)
    end
    assert.is_true(holds(names, "resources"), names)
  end)

  local rows = {
    { "libcurl with the first call", "client.chatbots:list()", "http",
      "pages" },
    { "pages with each", "for _ in client.chatbots:each() do end", "pages",
      "fetch" },
    { "gather with gather", "client:gather({})", "gather", "pages" },
    { "a flow with its call", 'client.attachments:upload("/none")',
      "attachments", "fetch" },
  }
  for _, row in ipairs(rows) do
    local name, code, comes, stays = row[1], row[2], row[3], row[4]
    it("brings " .. name, function()
      local names = with_client(code)
      assert.is_true(holds(names, comes), names)
      assert.is_false(holds(names, stays), names)
    end)
  end

  it("late tells mistakes at the caller's line all the same", function()
    local output = with_client(
      "print(pcall(function()\nclient.knowledge_bases.files:upload_al()\nend))"
      .. "\nprint(pcall(function()\nclient.knowledge_bases.files:upload(nil)"
      .. "\nend))")
    assert.truthy(output:find(":4: client.knowledge_bases.files has no "
      .. "'upload_al' (did you mean 'upload_all'?)", 1, true), output)
    assert.truthy(output:find(":7: knowledge_bases.files.", 1, true),
      output)
  end)
end)
