-- What can go wrong, and how a program tells it apart.
--
--   MAIAGENT_API_KEY=… lua errors.lua

local maiagent = require("maiagent")
local client = maiagent.new()

local NOBODY = "00000000-0000-4000-8000-000000000000"

local function report(what, value, err)
  if value then
    return print(what .. ": no error")
  end
  print(("%s: kind %s, status %s, %s"):format(what, err.kind,
    tostring(err.status), err.retryable and "worth another try"
      or "final"))
  for field, messages in pairs(err.fields or {}) do
    print("  field " .. field .. ": " .. table.concat(messages, " "))
  end
end

-- What the world does comes back as nil and an error object.
report("an id that nothing has", client.chatbots:get(NOBODY))
report("a field missing", client.knowledge_bases:create({ name = "Manuals" }))
report("a wrong key", client:with({ api_key = "wrong.key" }).chatbots:list())
report("nobody listens", client:with({
  base_url = "http://127.0.0.1:1",
  max_retries = 0,
}).chatbots:list())
report("a file that is not there",
  client.knowledge_bases.files:upload(NOBODY, "no-such-file.pdf"))

-- What the program itself does wrong is raised, at its own line.
print(select(2, pcall(function()
  return client.chatbots:get(nil)
end)))

-- An iterator has no second value, so it raises the error object.
local ok, err = pcall(function()
  for file in client.knowledge_bases.files:each(NOBODY) do
    print(file.filename)
  end
end)
print("each:", ok, maiagent.is_error(err) and err.kind)

client:close()
