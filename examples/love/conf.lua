function love.conf(t)
  t.identity = "maiagent-example"
  t.version = "11.4"
  t.window.title = "Ask Mai"
  t.window.width, t.window.height = 960, 540
  t.window.resizable = true
  t.window.msaa = 4
  for _, name in ipairs({ "audio", "joystick", "physics", "sound", "video" }) do
    t.modules[name] = false
  end
end
