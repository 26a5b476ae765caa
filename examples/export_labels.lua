-- Saves the labels and the metadata of every knowledge base as Excel sheets;
-- what was changed in them, `import_labels_excel` takes back.
--
--   MAIAGENT_API_KEY=… lua export_labels.lua FOLDER
--
-- FOLDER has to exist. A knowledge base's sheets are named after its id.

local maiagent = require("maiagent")

local folder = arg[1]
if not folder then
  io.stderr:write("usage: lua export_labels.lua FOLDER\n")
  os.exit(2)
end

local client = maiagent.new()
local bases = client.knowledge_bases
local failures = 0

-- The file is there only when it is whole.
local function save(kb, what, export)
  local path = ("%s/%s-%s.xlsx"):format(folder, kb.id, what)
  local saved, err = export(bases, kb.id, path)
  print(("%s, %s: %s"):format(kb.name, what, saved or "" .. err))
  failures = failures + (saved and 0 or 1)
end

for kb in bases:each() do
  save(kb, "labels", bases.export_labels_excel)
  save(kb, "metadata", bases.export_metadata_excel)
end

client:close()
os.exit(failures == 0 and 0 or 1)
