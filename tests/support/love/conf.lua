-- The example's, without a window where none is to be had.

local example = os.getenv("LOVE_EXAMPLE")

dofile(example .. "/conf.lua")
local configure = love.conf

function love.conf(t)
  configure(t)
  t.identity = nil
  if os.getenv("LOVE_SCREENSHOT") then
    return
  end
  t.window = false
  for _, name in ipairs({ "audio", "graphics", "image", "font", "keyboard",
    "mouse", "sound", "touch", "window" }) do
    t.modules[name] = false
  end
end
