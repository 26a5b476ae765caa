-- Neovim: its loop is libuv, so one poll handle for the client's descriptor
-- says when to step; the editor never waits. :MaiagentModels shows the models.
--
--   :luafile loop_neovim.lua        (MAIAGENT_API_KEY set before nvim starts)

local vim = rawget(_G, "vim")
local uv = vim.uv or vim.loop
local client = require("maiagent").new()
local poll = uv.new_poll(client:fd())

-- What touches the editor is scheduled: libuv's callbacks may not.
local function tell(text)
  vim.schedule(function()
    vim.api.nvim_echo({ { text } }, true, {})
  end)
end

local function step()
  if not client:step() then
    poll:stop()
  end
end

vim.api.nvim_create_user_command("MaiagentModels", function()
  client:go(function()
    local models, err = client.embedding_models:list()
    for _, model in ipairs(models or {}) do
      tell(model.name)
    end
    if err then
      tell(tostring(err))
    end
  end)
  poll:start("r", step)
end, {})
