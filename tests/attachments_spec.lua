local service = require("tests.support.service")

describe("attachments:upload", function()
  after_each(service.check)

  -- filename, type
  local types = {
    { "a.png", "image" },
    { "貓 \"1\".JPG", "image" },
    { "a.b.WebP", "image" },
    { "a.mp4", "video" },
    { "a.MOV", "video" },
    { "a.mp3", "audio" },
    { "a.wav", "audio" },
    { "a.pdf", "other" },
    { "a.txt", "other" },
    { "png", "other" },
    { "a.png.", "other" },
    { ".png", "image" },
  }

  for _, row in ipairs(types) do
    it("takes " .. row[1] .. " for " .. row[2], function()
      local server = service.start()
      local client = service.client(server)
      local attachment, err, response =
        client.attachments:upload({ content = "x", filename = row[1] })
      assert.is_nil(err)
      assert.equal(row[2], attachment.type)
      assert.equal(row[1], attachment.filename)
      assert.equal(201, response.status)
      local log = server:log()
      assert.truthy(log[1].body:find('"modelName":"attachment"', 1, true))
      assert.truthy(log[1].body:find('"fieldName":"file"', 1, true))
      assert.equal(3, #log)
    end)
  end

  it("takes the type that is given", function()
    local client = service.client(service.start())
    local attachment = assert(client.attachments:upload(
      { content = "", filename = "a.png" }, { type = "other" }))
    assert.equal("other", attachment.type)
    assert.equal(attachment.id,
      assert(client.attachments:get(attachment.id)).id)
  end)

  -- name, source, params, options, what is said
  local source = { content = "x", filename = "x" }
  local mistakes = {
    { "a misspelt parameter", source, { typ = "image" }, nil,
      "unknown params.typ (did you mean 'type'?)" },
    { "params that are none", source, "image", nil, "params must be a table" },
    { "a misspelt option", source, nil, { time_out = 5 },
      "unknown option 'time_out' (did you mean 'timeout'?)" },
    { "an option of other calls", source, nil, { prefetch = 5 },
      "unknown option 'prefetch'" },
    { "no source", nil, nil, nil,
      "attachments.upload: source must be a path or a table" },
  }

  for _, row in ipairs(mistakes) do
    it("raises for " .. row[1] .. ", and sends nothing", function()
      local server = service.start()
      local client = service.client(server)
      local ok, message =
        pcall(client.attachments.upload, client.attachments, row[2], row[3],
          row[4])
      assert.is_false(ok)
      assert.truthy(message:find(row[5], 1, true), message)
      assert.equal(0, #server:log())
    end)
  end

  -- name, path of the step, status, kind
  local steps = {
    { "presigning", "presigned", 400, "invalid" },
    { "storing", "maiagent%-media", 400, "invalid" },
    { "registering", "attachments/$", 500, "server" },
  }

  for _, row in ipairs(steps) do
    it("gives the error of " .. row[1], function()
      local server = service.start()
      local client = service.client(server)
      server:fault({ kind = "status", path = row[2], status = row[3] })
      local attachment, err, response = client.attachments:upload(source)
      assert.is_nil(attachment)
      assert.equal(row[4], err.kind)
      assert.equal(row[3], response.status)
      assert.equal(0, assert(client.attachments:list()).count)
    end)
  end
end)

describe("uploads:put", function()
  after_each(service.check)

  for _, name in ipairs({ "chatbot-file", "attachment", "batch-qa" }) do
    it("gives the storage key of a " .. name, function()
      local server = service.start()
      local client = service.client(server)
      local key, err, response =
        client.uploads:put({ content = "x", filename = "x.txt" }, name)
      assert.is_nil(err)
      assert.truthy(key:find("^media/.*%.txt$"))
      assert.equal(204, response.status)
      assert.equal(2, #server:log())
    end)
  end

  it("raises without a model's name, and gives the service's word on a wrong "
    .. "one", function()
      local server = service.start()
      local client = service.client(server)
      local source = { content = "x", filename = "x.txt" }
      local ok, message = pcall(client.uploads.put, client.uploads, source)
      assert.is_false(ok)
      assert.truthy(message:find("model_name must be 'chatbot-file'", 1, true))
      assert.equal(0, #server:log())
      local key, err = client.uploads:put(source, "chatbot_file")
      assert.is_nil(key)
      assert.equal("invalid", err.kind)
    end)
end)
