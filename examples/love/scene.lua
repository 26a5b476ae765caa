--- What is on the screen: the character, its speech bubble, the text field.

local graphics = love.graphics

-- The colour of each mood, red, green, blue.
local MOODS = {
  idle = { 0.36, 0.72, 0.78 },
  thinking = { 0.95, 0.75, 0.35 },
  answered = { 0.45, 0.80, 0.55 },
  failed = { 0.90, 0.42, 0.40 },
}
local INK = { 0.10, 0.13, 0.20 }
local PAPER = { 0.97, 0.97, 0.95 }

local fonts = {}

local function load()
  fonts.small = graphics.newFont(14)
  fonts.normal = graphics.newFont(19)
  fonts.large = graphics.newFont(24)
end

local function background(width, height)
  local bands = 24
  for i = 0, bands - 1 do
    local t = i / bands
    graphics.setColor(0.09 + 0.06 * t, 0.12 + 0.09 * t, 0.22 + 0.16 * t)
    graphics.rectangle("fill", 0, height * t, width, height / bands + 1)
  end
end

local function eye(x, y, mood, time)
  local blink = time % 4 < 0.14 or mood == "failed"
  graphics.setColor(PAPER)
  graphics.ellipse("fill", x, y, 19, blink and 4 or 22)
  if not blink then
    local look = mood == "thinking" and math.sin(time * 3) * 7 or 0
    graphics.setColor(INK)
    graphics.circle("fill", x + look, y + (mood == "thinking" and -7 or 3), 9)
  end
end

local function mouth(x, y, mood, time)
  graphics.setColor(INK)
  graphics.setLineWidth(5)
  if mood == "failed" then
    graphics.arc("line", "open", x, y + 22, 24, math.pi * 1.2, math.pi * 1.8)
  elseif mood == "thinking" then
    graphics.circle("line", x, y + 8, 7 + math.sin(time * 5) * 2)
  else
    graphics.arc("line", "open", x, y - 8, 26, math.pi * 0.15, math.pi * 0.85)
  end
end

local function character(x, y, mood, time)
  local colour = MOODS[mood]
  local sway = math.sin(time * 1.6) * 6
  graphics.setColor(0, 0, 0, 0.25)
  graphics.ellipse("fill", x, y + 150, 92 - sway, 14)
  y = y + sway
  graphics.setColor(colour[1] * 0.7, colour[2] * 0.7, colour[3] * 0.7)
  graphics.rectangle("fill", x - 62, y + 74, 124, 62, 28)
  graphics.setLineWidth(6)
  graphics.line(x, y - 92, x, y - 122)
  graphics.setColor(mood == "thinking" and time % 0.6 < 0.3 and PAPER or colour)
  graphics.circle("fill", x, y - 128, 12)
  graphics.setColor(colour)
  graphics.rectangle("fill", x - 104, y - 94, 208, 176, 54)
  graphics.setColor(1, 1, 1, 0.14)
  graphics.rectangle("fill", x - 88, y - 82, 176, 58, 36)
  eye(x - 42, y - 18, mood, time)
  eye(x + 42, y - 18, mood, time)
  mouth(x, y + 38, mood, time)
end

local function bubble(x, y, width, assistant, time)
  local text = assistant.text
  if assistant.state == "thinking" then
    text = ("."):rep(1 + math.floor(time * 3) % 3)
  end
  local _, lines = fonts.large:getWrap(text, width - 56)
  local height = math.max(4, #lines) * fonts.large:getHeight() + 52
  graphics.setColor(PAPER)
  graphics.rectangle("fill", x, y, width, height, 22)
  graphics.polygon("fill", x + 4, y + 96, x - 30, y + 128, x + 4, y + 132)
  graphics.setColor(assistant.state == "failed" and MOODS.failed or INK)
  graphics.setFont(fonts.large)
  graphics.printf(text, x + 28, y + 26, width - 56)
end

local function field(x, y, width, typed, time)
  graphics.setColor(1, 1, 1, 0.10)
  graphics.rectangle("fill", x, y, width, 54, 16)
  graphics.setColor(1, 1, 1, 0.35)
  graphics.setLineWidth(2)
  graphics.rectangle("line", x, y, width, 54, 16)
  graphics.setFont(fonts.normal)
  local empty = typed == ""
  graphics.setColor(1, 1, 1, empty and 0.45 or 1)
  graphics.print(empty and "Type a question and press Enter" or typed, x + 20,
    y + 15)
  if time % 1 < 0.5 then
    local at = empty and 0 or fonts.normal:getWidth(typed)
    graphics.setColor(1, 1, 1)
    graphics.rectangle("fill", x + 20 + at, y + 14, 2, 26)
  end
end

local function status(width, game)
  graphics.setFont(fonts.small)
  graphics.setColor(1, 1, 1, 0.7)
  graphics.print(game.where, 24, 18)
  graphics.printf(("%d fps, longest step %.1f ms"):format(love.timer.getFPS(),
    game.longest_step * 1000), 0, 18, width - 24, "right")
end

--- Draws a frame.
-- @tparam table game assistant, asked, typed, time, where, longest_step
local function draw(game)
  local width, height = graphics.getDimensions()
  background(width, height)
  character(200, height / 2 - 10, game.assistant.state, game.time)
  local x = 360
  graphics.setFont(fonts.normal)
  graphics.setColor(1, 1, 1, 0.6)
  graphics.printf(game.asked, x + 8, 102, width - x - 40)
  bubble(x, 140, width - x - 40, game.assistant, game.time)
  field(x, height - 90, width - x - 40, game.typed, game.time)
  status(width, game)
end

return { draw = draw, load = load }
