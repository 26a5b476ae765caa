-- Ask Mai: a character that answers questions while the game keeps its frames.
--
--   love examples/love                  with a stand-in, no key needed
--   MAIAGENT_API_KEY=… love …           the FAQs of your knowledge base (the
--     first one, or that of MAIAGENT_KNOWLEDGE_BASE)
--
-- LÖVE's LuaJIT has to find the library: the rock for Lua 5.1, or LUA_PATH and
-- LUA_CPATH naming lua/?.lua, lua/?/init.lua and the build for 5.1.

local maiagent = require("maiagent")
local assistant = require("assistant")
local utf8 = require("utf8")

local scene = love.graphics and require("scene")

local LONGEST_QUESTION = 60 -- characters: what fits into the field

local game = { typed = "", asked = "", time = 0, longest_step = 0 }

function love.load()
  local client
  if os.getenv("MAIAGENT_API_KEY") then
    client = maiagent.new()
    game.where = tostring(client)
    -- In a task, because where there is no network it takes its ten seconds;
    -- what is wrong, the first answer tells.
    game.loading = client:go(client.warm_up, client)
  else
    game.server, client = require("demo").start(maiagent)
    game.where = "a stand-in, because MAIAGENT_API_KEY is not set"
  end
  game.assistant = assistant.new(client, os.getenv("MAIAGENT_KNOWLEDGE_BASE"))
  if scene then
    scene.load()
  end
end

function love.update(dt)
  game.time = game.time + dt
  if game.server then
    game.server:step(0)
  end
  local began = love.timer.getTime()
  game.assistant:update()
  local took = love.timer.getTime() - began
  if not game.loading or game.loading:done() then
    game.longest_step = math.max(game.longest_step, took)
  end
end

function love.draw()
  scene.draw(game)
end

function love.textinput(text)
  if (utf8.len(game.typed) or 0) < LONGEST_QUESTION then
    game.typed = game.typed .. text
  end
end

function love.keypressed(key)
  if key == "escape" then
    love.event.quit()
  elseif key == "backspace" then
    local last = utf8.offset(game.typed, -1)
    game.typed = last and game.typed:sub(1, last - 1) or ""
  elseif (key == "return" or key == "kpenter") and game.typed ~= "" then
    game.asked, game.typed = game.typed, ""
    game.assistant:ask(game.asked)
  end
end

-- At once, whatever is still under way.
function love.quit()
  game.assistant:close()
end

return game
