-- Neovim: its loop is libuv, so one poll handle for the client's descriptor
-- says when to step; the editor never waits. :MaiagentModels shows the models.
--
--   :luafile loop_neovim.lua        (MAIAGENT_API_KEY set before nvim starts)

-- luacheck: read globals vim
local client = require("maiagent").new()
local poll = (vim.uv or vim.loop).new_poll(client:fd())
-- What touches the editor is scheduled: libuv's callbacks may not.
local tell = vim.schedule_wrap(print)

vim.api.nvim_create_user_command("MaiagentModels", function()
  client:go(function()
    local models, err = client.embedding_models:list()
    tell(err or #models .. " embedding models:")
    for _, model in ipairs(models or {}) do
      tell(model.name)
    end
  end)
  poll:start("r", function()
    return client:step() or poll:stop() -- where nothing is under way any more
  end)
end, {})
