-- Some calls of the service that the environment names, one of which fails, by
-- the libcurl that other_libcurl.so makes of the one that is there; tells
-- statuses and kinds of errors, and the last error's words where the
-- environment has SAY.

local maiagent = require("maiagent")

local client = maiagent.new({ max_retries = 0 })
local results, said = {}, nil
for i = 1, 4 do
  local page, err, response
  if i == 3 then
    page, err = client.chatbots:get("none")
  else
    page, err, response = client.chatbots:list()
  end
  said = err and err.message
  results[i] = page and response.status or err.kind
end
client:close()
print(table.concat(results, " "))
if os.getenv("SAY") then
  print(said)
end
