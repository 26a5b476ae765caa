-- The examples as a person runs them: in processes of their own, from another
-- folder, against a stand-in that they take for the service. They end as they
-- should, say what they should, and leave nothing behind.

local child = require("tests.support.child")
local maiagent = require("maiagent")
local pace = require("tests.support.pace")
local socket = require("socket")
local testing = require("maiagent.testing")

local LANGUAGE_MODEL = "5e1f0000-0000-4000-8000-000000000001"

local function path_of(name)
  return child.root .. "/examples/" .. name
end

local function environment(server)
  return { MAIAGENT_API_KEY = server.api_key,
    MAIAGENT_BASE_URL = server.base_url }
end

-- The command runs in an empty folder, which has to be empty afterwards.
local function run(commands)
  local folder = child.folder()
  local code, output = child.run(folder, commands)
  assert.equal("", child.remove(folder))
  return code, output
end

local function assert_says(output, expected)
  for _, text in ipairs(expected) do
    assert.is_truthy(output:find(text, 1, true),
      "not said: " .. text .. "\n" .. output)
  end
end

local function assert_gone(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  assert.is_nil(file, path .. " was left")
end

describe("the examples", function()
  local server, client

  before_each(function()
    server = testing.spawn({ processing_time = 0.05, strict = true })
    client = maiagent.new({ api_key = server.api_key,
      base_url = server.base_url, timeout = pace.seconds(20) })
  end)

  after_each(function()
    client:close()
    server:stop()
  end)

  local function knowledge_base()
    local embedding = maiagent.assert(client.embedding_models:list())
    local reranker = maiagent.assert(client.reranker_models:list())
    return maiagent.assert(client.knowledge_bases:create({
      name = "Manuals",
      embeddingModel = embedding[1].id,
      rerankerModel = reranker[1].id,
    }))
  end

  local function assistant()
    return maiagent.assert(client.chatbots:create({ name = "Support",
      largeLanguageModel = LANGUAGE_MODEL }))
  end

  local function fill()
    assistant()
    local kb = knowledge_base()
    maiagent.assert(client.knowledge_bases.files:upload(kb.id,
      path_of("data/price-list.csv")))
    maiagent.assert(client.knowledge_bases.faqs:create(kb.id,
      { question = "Why?", answer = "Because." }))
    maiagent.assert(client.knowledge_bases.labels:create(kb.id,
      { name = "sales" }))
    return kb
  end

  it("list_everything lists everything", function()
    fill()
    local code, output = run(child.command(environment(server),
      path_of("list_everything.lua")))
    assert.equal(0, code, output)
    assert_says(output, { "Assistants\n  Support", "  Manuals",
      "file   price-list.csv, ", "FAQ    Why?", "label  sales" })
    assert.same({}, server:violations())
  end)

  it("errors tells the kinds apart", function()
    local code, output = run(child.command(environment(server),
      path_of("errors.lua")))
    assert.equal(0, code, output)
    assert_says(output, {
      "an id that nothing has: kind not_found, status 404, final",
      "a field missing: kind invalid, status 400, final",
      "  field embeddingModel: This field is required.",
      "a wrong key: kind authentication, status 401, final",
      "nobody listens: kind connection, status nil, worth another try",
      "a file that is not there: kind file, status nil, final",
      "errors.lua:", "chatbots.get: id expected, got nil",
      "each:\tfalse\tnot_found" })
  end)

  it("concurrent asks several things at a time", function()
    fill()
    local code, output = run(child.command(environment(server),
      path_of("concurrent.lua")))
    assert.equal(0, code, output)
    assert_says(output, { "1 assistants, 1 knowledge bases, 2 embedding models",
      "  Manuals: 1 files", "2 reranker models" })
    assert.same({}, server:violations())
  end)

  it("upload_file uploads, and tells which file it could not", function()
    local kb = knowledge_base()
    local code, output = run(child.command(environment(server),
      path_of("upload_file.lua"),
      { kb.id, path_of("data/常見問題.txt"), "missing.pdf" }))
    assert.equal(1, code, output)
    assert_says(output, { "常見問題.txt: ready, id ",
      "missing.pdf: maiagent: file: missing.pdf: No such file" })
    local list = maiagent.assert(client.knowledge_bases.files:all(kb.id))
    assert.equal("常見問題.txt", list[1].filename)
    assert.same({}, server:violations())
  end)

  it("upload_folder takes a part of a folder", function()
    local kb, taken = knowledge_base(), 0
    for _, shard in ipairs({ "1/2", "2/2" }) do
      local code, output = run(child.command(environment(server),
        path_of("upload_folder.lua"), { kb.id, path_of("data"), shard }))
      assert.equal(0, code, output)
      taken = taken + tonumber(output:match("\n(%d+) uploaded, 0 replaced,"))
    end
    assert.equal(4, taken)
    assert.equal(4, #maiagent.assert(client.knowledge_bases.files:all(kb.id)))
  end)

  it("export_labels saves sheets that can be taken back", function()
    local kb = fill()
    local folder = child.folder()
    local code, output = child.run(folder, child.command(environment(server),
      path_of("export_labels.lua"), { "." }))
    assert.equal(0, code, output)
    assert_says(output, { "Manuals, labels: ./" .. kb.id .. "-labels.xlsx" })
    local report = maiagent.assert(client.knowledge_bases:import_labels_excel(
      kb.id, folder .. "/" .. kb.id .. "-labels.xlsx"))
    assert.equal(1, report.total_rows)
    assert.equal(kb.id .. "-labels.xlsx\n" .. kb.id .. "-metadata.xlsx",
      child.remove(folder))
    assert.same({}, server:violations())
  end)

  it("upload_folder brings a folder, and only once", function()
    local kb = knowledge_base()
    local command = child.command(environment(server),
      path_of("upload_folder.lua"), { kb.id, path_of("data") })
    local code, output = run(command)
    assert.equal(0, code, output)
    assert_says(output, { "100 %: 4 of 4 files\n",
      "uploaded   常見問題.txt (new)", "\n4 uploaded, 0 replaced," })
    code, output = run(command)
    assert.equal(0, code, output)
    assert_says(output, { "4 kept, 0 failed" })
    assert.equal(4, #maiagent.assert(client.knowledge_bases.files:all(kb.id)))
    assert.same({}, server:violations())
  end)

  it("upload_folder draws a bar on a terminal", function()
    local code, output = run("script -qec " .. child.quoted(child.command(
      { MAIAGENT_API_KEY = "" }, path_of("upload_folder.lua"))) .. " /dev/null")
    assert.equal(0, code, output)
    assert_says(output, { "MAIAGENT_API_KEY is not set",
      "\r[" .. ("#"):rep(30) .. "] 4 of 4 files, ", "4 uploaded, 0 replaced" })
    assert.is_nil(output:find("100 %%"))
  end)

  it("upload_folder may be stopped with Ctrl-C and run again", function()
    local kb = knowledge_base()
    server:fault({ kind = "hang", path = "/maiagent%-media/$" })
    local command = child.command(environment(server),
      path_of("upload_folder.lua"), { kb.id, path_of("data") })
    local code, output = run(command .. " >out 2>&1 & p=$!; "
      .. "for i in $(seq 200); do sleep 0.05; grep -q 'of 4 files' out "
      .. "&& break; done; sleep 0.2; kill -INT $p; wait $p; c=$?; cat out; "
      .. "rm out; (exit $c)")
    assert.equal(1, code, output)
    assert_says(output, { "interrupted!", "Run it again to go on." })
    local list = maiagent.assert(client.knowledge_bases.files:all(kb.id))
    assert.equal(3, #list)
    code, output = run(command)
    assert.equal(0, code, output)
    assert_says(output, { "1 uploaded, ", "3 kept, 0 failed" })
  end)

  it("upload_folder says how it is called", function()
    local code, output = run(child.command(environment(server),
      path_of("upload_folder.lua")))
    assert.equal(2, code)
    assert_says(output, { "usage: lua upload_folder.lua KNOWLEDGE_BASE_ID" })
  end)

  it("without a key say what is missing", function()
    local code, output = run(child.command({ MAIAGENT_API_KEY = "" },
      path_of("list_everything.lua")))
    assert.equal(1, code)
    assert_says(output, { "list_everything.lua:8: ", "api_key is missing" })
  end)

  local function assert_as_before(chatbots)
    assert.same({}, client.knowledge_bases:all())
    assert.equal(chatbots, #client.chatbots:all())
    assert.same({}, server:violations())
  end

  it("quickstart starts its own stand-in where there is no key", function()
    local code, output = run(child.command({ MAIAGENT_API_KEY = "" },
      path_of("quickstart.lua")))
    assert.equal(0, code, output)
    assert_says(output, { "MAIAGENT_API_KEY is not set", "Picking models",
      "label manual", "metadata key product", "FAQ '保固多久？'",
      "Uploading 4 files", "initial        常見問題.txt",
      "done           常見問題.txt", "Reading it all back, 2 to a page",
      "files          router-manual.md", "metadata_keys  edition",
      "its instructions now: Answer in one sentence.",
      "deleted the assistant", "deleted the knowledge base", "\nDone." })
    assert_gone(output:match("Exported the labels to (%S+)"))
    local host, port = output:match("http://([%d.]+):(%d+)")
    assert.is_nil(socket.connect(host, tonumber(port)))
  end)

  it("quickstart leaves an account as it was", function()
    assistant()
    local code, output = run(child.command(environment(server),
      path_of("quickstart.lua")))
    assert.equal(0, code, output)
    assert_says(output, { "live account: maiagent.client (" .. server.base_url,
      "What it makes there, it deletes", "Created the assistant", "Done." })
    assert_as_before(1)
  end)

  it("quickstart does without an assistant where it has no model", function()
    local code, output = run(child.command(environment(server),
      path_of("quickstart.lua")))
    assert.equal(0, code, output)
    assert_says(output, { "No assistant: ", "MAIAGENT_LARGE_LANGUAGE_MODEL" })
    assert_as_before(0)
  end)

  it("quickstart cleans up after an error and says which", function()
    server:fault({ kind = "status", status = 403, path = "/files/$",
      method = "POST", json = { detail = "The plan is used up." } })
    local code, output = run(child.command(environment(server),
      path_of("quickstart.lua")))
    assert.equal(1, code, output)
    assert_says(output, { "deleted the knowledge base", "The quickstart "
      .. "failed: maiagent: permission 403: The plan is used up. (POST " })
    assert.is_nil(output:find("stack traceback", 1, true))
    assert_as_before(0)
  end)

  it("quickstart cleans up after Ctrl-C", function()
    server:fault({ kind = "hang", path = "/export%-labels%-excel/$" })
    local code, output = run(child.command(environment(server),
      path_of("quickstart.lua"), { "labels.xlsx" })
      .. " >out 2>&1 & p=$!; for i in $(seq 200); do sleep 0.05; "
      .. "grep -q 'No assistant' out && break; done; sleep 0.2; "
      .. "kill -INT $p; wait $p; c=$?; cat out; rm out; (exit $c)")
    assert.equal(1, code, output)
    assert_says(output, { "deleted the knowledge base", "interrupted!" })
    assert_as_before(0)
  end)

  it("quickstart keeps the export where it is told to", function()
    local code, output = run(child.command(environment(server),
      path_of("quickstart.lua"), { "labels.xlsx" })
      .. " && head -c 2 labels.xlsx && rm labels.xlsx")
    assert.equal(0, code, output)
    assert_says(output, { "Done.\nPK" })
  end)
end)
