--- Answers that become files: written beside their name and moved there when
-- they are whole, so that nothing half-written ever has the final name.

local errors = require("maiagent.errors")

local SUFFIX = ".part"

--- Where the bytes go while they arrive.
-- @tparam string path the final name
-- @treturn string
local function partial(path)
  return path .. SUFFIX
end

--- Gives a whole file its final name.
-- @tparam string path the final name
-- @treturn string|nil path
-- @treturn table|nil error of kind "file"
local function keep(path)
  local ok, problem = os.rename(partial(path), path)
  if ok then
    return path
  end
  os.remove(partial(path))
  return nil, errors.new({
    kind = "file",
    message = "cannot move the download to its name: " .. tostring(problem),
  })
end

--- Removes what arrived of a failed download.
-- @tparam string path the final name
local function discard(path)
  os.remove(partial(path))
end

return { discard = discard, keep = keep, partial = partial }
