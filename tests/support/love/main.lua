-- Plays examples/love by itself: LOVE_SCENE says what happens. The example does
-- not know; it is driven through the functions that LÖVE calls.

local example = os.getenv("LOVE_EXAMPLE")
package.path = example .. "/?.lua;" .. package.path

local FRAME = 1 / 60
local WAIT = 10 -- seconds until a scene is a failure
local picture_at = 3 -- seconds after which the frame counter tells the truth

local game = dofile(example .. "/main.lua")
local scene = os.getenv("LOVE_SCENE")
local screenshot = os.getenv("LOVE_SCREENSHOT")

local frames, late, began, last, next_frame = 0, 0, nil, nil, nil

local function ask(question)
  for i = 1, #question do
    love.textinput(question:sub(i, i))
  end
  love.keypressed("return")
end

local function tell()
  local seconds = love.timer.getTime() - began
  print(("%s: %s"):format(game.assistant.state, game.assistant.text))
  print(("%d frames, %.1f per second, %d late, longest step %.2f ms"):format(
    frames, frames / seconds, late, game.longest_step * 1000))
end

local function save(image)
  local file = assert(io.open(screenshot, "wb"))
  file:write(image:encode("png"):getString())
  file:close()
  love.event.quit()
end

local function finish()
  tell()
  scene = nil
  if not screenshot then
    love.event.quit()
  end
end

local scenes = {}

function scenes.answer()
  return game.assistant.state ~= "thinking"
end

scenes.failure = scenes.answer

-- In the middle of a request.
function scenes.quit()
  return love.timer.getTime() - began > 0.3
end

local load, update = love.load, love.update

function love.load(...)
  load(...)
  began = love.timer.getTime()
  last, next_frame = began, began
  ask("How do I reset my router?")
  if not game.server then
    return -- the service is another one
  end
  game.server:faults_clear()
  if scene == "failure" then
    game.server:fault({ kind = "status", status = 403, path = "/faqs/$",
      method = "GET", times = math.huge,
      json = { detail = "The plan is used up." } })
  elseif scene == "quit" then
    game.server:fault({ kind = "hang", times = math.huge })
  else
    game.server:fault({ kind = "delay", seconds = 0.8, path = "/faqs/$",
      method = "GET", times = math.huge })
  end
end

function love.update(dt)
  update(dt)
  local time = love.timer.getTime()
  frames, late = frames + 1, late + (time - last > 2 * FRAME and 1 or 0)
  last = time
  if scene and (scenes[scene]() or time - began > WAIT) then
    finish()
  end
  if not scene and screenshot and time - began > picture_at then
    love.graphics.captureScreenshot(save)
    picture_at = math.huge
  end
  next_frame = math.max(next_frame + FRAME, time)
  love.timer.sleep(next_frame - time)
end
