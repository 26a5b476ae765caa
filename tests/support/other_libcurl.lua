-- Some calls of the service that the environment names, one of which fails, by
-- the libcurl that other_libcurl.so makes of the one that is there; tells
-- statuses and kinds of errors.

local maiagent = require("maiagent")

local client = maiagent.new({ max_retries = 0 })
local results = {}
for i = 1, 4 do
  local page, err, response
  if i == 3 then
    page, err = client.chatbots:get("none")
  else
    page, err, response = client.chatbots:list()
  end
  results[i] = page and response.status or err.kind
end
client:close()
print(table.concat(results, " "))
