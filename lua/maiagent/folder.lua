--- What a folder holds, down to its last subfolder. A leaf: what looks at the
-- disk is passed in.

local OWN = ".maiagent" -- where sync keeps its journal

local function skip(walk, name, reason)
  walk.skipped[#walk.skipped + 1] = { name = name, reason = reason }
end

-- What of this name is on the service must not count as gone from here.
local function unreadable(walk, name, reason)
  walk.unreadable[#walk.unreadable + 1] = { name = name, reason = reason }
end

local function add_file(walk, name, path, found)
  walk.files[#walk.files + 1] = {
    name = name,
    path = path,
    size = found.size,
    mtime = found.mtime,
  }
end

local function identity(found)
  return string.format("%.0f:%.0f", found.device, found.inode)
end

local add_folder

local function add(walk, name, path, above)
  local found, problem = walk.disk.stat(path, true)
  if not found then
    local link = walk.disk.stat(path, false)
    if link and link.kind == "link" then
      problem = "a symbolic link that leads nowhere (" .. problem .. ")"
    end
    unreadable(walk, name, problem)
  elseif found.kind == "file" then
    add_file(walk, name, path, found)
  elseif found.kind ~= "folder" then
    skip(walk, name, "neither a file nor a folder")
  elseif above[identity(found)] then
    skip(walk, name, "a symbolic link to a folder that it is in")
  else
    add_folder(walk, name .. "/", path .. "/", found, above)
  end
end

function add_folder(walk, prefix, path, found, above)
  local names, problem = walk.disk.list(path)
  if not names then
    unreadable(walk, prefix, problem)
    return
  end
  -- The folders above only: two links to one folder are two folders.
  local id = identity(found)
  above[id] = true
  for _, name in ipairs(names) do
    local hidden = name:sub(1, 1) == "."
    if hidden and not walk.hidden and name ~= OWN then
      skip(walk, prefix .. name, "hidden: its name begins with a dot")
    elseif name ~= OWN then
      add(walk, prefix .. name, path .. name, above)
    end
  end
  above[id] = nil
end

local function by_name(a, b)
  return a.name < b.name
end

--- Lists a folder's files, those of its subfolders too. Symbolic links are
-- followed, but not back into a folder that they are in.
-- @tparam table disk list(path) → names | nil, message; stat(path, follow) →
--   { kind, size, mtime, device, inode } | nil, message
-- @tparam string path of the folder
-- @tparam table|nil options hidden: true takes names that begin with a dot
-- @treturn table|nil { files, skipped, unreadable }, each sorted by name in
--   byte order; files: { name (relative, with "/"), path, size, mtime }, the
--   others: { name (a folder's ends in "/"), reason }
-- @treturn string|nil why the folder itself cannot be listed
local function walk(disk, path, options)
  path = path:gsub("(.)/+$", "%1")
  local found, problem = disk.stat(path, true)
  if not found then
    return nil, problem
  elseif found.kind ~= "folder" then
    return nil, path .. ": not a folder"
  end
  local result = {
    disk = disk,
    hidden = options and options.hidden,
    files = {},
    skipped = {},
    unreadable = {},
  }
  add_folder(result, "", path == "/" and path or path .. "/", found, {})
  local first = result.unreadable[1]
  if first and first.name == "" then
    return nil, first.reason
  end
  for _, list in ipairs({ "files", "skipped", "unreadable" }) do
    table.sort(result[list], by_name)
  end
  return {
    files = result.files,
    skipped = result.skipped,
    unreadable = result.unreadable,
  }
end

return { OWN = OWN, walk = walk }
