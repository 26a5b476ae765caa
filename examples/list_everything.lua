-- Prints what an account holds: every assistant, every knowledge base and what
-- is in it. It only reads.
--
--   MAIAGENT_API_KEY=… lua list_everything.lua

local maiagent = require("maiagent")

local client = maiagent.new() -- the key comes from MAIAGENT_API_KEY
local bases = client.knowledge_bases

-- `each` fetches page after page while the loop runs, and raises the error
-- object where a page cannot be had.
print("Assistants")
for chatbot in client.chatbots:each() do
  print("  " .. chatbot.name)
end

print("Knowledge bases")
for kb in bases:each() do
  print("  " .. kb.name)
  for file in bases.files:each(kb.id, { pageSize = 100 }) do
    print(("    file   %s, %s"):format(file.filename, file.status))
  end
  for faq in bases.faqs:each(kb.id, { pageSize = 100 }) do
    print("    FAQ    " .. faq.question)
  end
  for label in bases.labels:each(kb.id, { pageSize = 100 }) do
    print("    label  " .. label.name)
  end
end

client:close()
