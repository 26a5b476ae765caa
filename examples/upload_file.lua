-- Uploads files into a knowledge base and waits until they can be searched.
--
--   MAIAGENT_API_KEY=… lua upload_file.lua KNOWLEDGE_BASE_ID FILE…

local maiagent = require("maiagent")

local kb_id = arg[1]
if not arg[2] then
  io.stderr:write("usage: lua upload_file.lua KNOWLEDGE_BASE_ID FILE…\n")
  os.exit(2)
end

local client = maiagent.new()
local files = client.knowledge_bases.files

local function upload(path)
  local file, err = files:upload(kb_id, path, nil, {
    on_progress = function(sent, total)
      if total > 0 then
        io.stderr:write(("\r%s: %d of %d bytes"):format(path, sent, total))
      end
    end,
  })
  io.stderr:write("\n")
  if not file then
    return nil, err
  end
  return files:wait(kb_id, file.id, { timeout = 900 })
end

local failures = 0
for index = 2, #arg do
  local file, err = upload(arg[index])
  print(arg[index] .. ": " .. (file and "ready, id " .. file.id or "" .. err))
  failures = failures + (file and 0 or 1)
end
client:close()
os.exit(failures == 0 and 0 or 1)
