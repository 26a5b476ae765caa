--- Reads a file of definitions for LuaLS, by the grammar of its annotations as
-- far as ours go; raises what doesn't parse, with its line.
--
--   read(text) → { types, methods, used }
--     types: name → { parent, fields = name → whether it must be there, alias =
--     what it stands for }; methods: "local:name" or "local.name" → { doc,
--     params = list of names, class }; used: name of a type → the line

local BUILT_IN = {}
for name in ("any boolean function integer nil number string table true "
  .. "userdata"):gmatch("%S+") do
  BUILT_IN[name] = true
end

local Reader = {}
Reader.__index = Reader

function Reader:fail(what)
  error(("line %d: %s at '%s'"):format(self.number, what,
    self.line:sub(self.at)), 0)
end

-- Takes what a pattern matches here, and the spaces behind it.
function Reader:take(pattern)
  local first, last, found = self.line:find("^(" .. pattern .. ")", self.at)
  if not first then
    return nil
  end
  self.at = self.line:find("[^ ]", last + 1) or #self.line + 1
  return found
end

function Reader:expect(pattern, what)
  return self:take(pattern) or self:fail(what .. " expected")
end

-- item, item … closing
function Reader:list(closing, item)
  if self:take(closing) then
    return
  end
  repeat
    item(self)
  until not self:take(",")
  self:expect(closing, "the end of a list")
end

local function member(self)
  self:expect("[%a_][%w_]*%??", "a name")
  self:expect(":", "a colon")
  self:type()
end

local function parameter(self)
  if not self:take("%.%.%.") then
    self:expect("[%a_][%w_]*%??", "a name")
  end
  if self:take(":") then
    self:type()
  end
end

function Reader:types()
  repeat
    self:type()
  until not self:take(",")
end

function Reader:primary()
  if self:take("%(") then
    self:type()
    return self:expect("%)", "a bracket")
  elseif self:take("{") then
    return self:list("}", member)
  elseif self:take('"[^"]*"') then
    return nil
  elseif self:take("fun%(") then
    self:list("%)", parameter)
    return self:take(":") and self:types()
  end
  local name = self:expect("[%a_][%w_.]*", "a type")
  if not BUILT_IN[name] and not self.generics[name] then
    self.used[name] = self.used[name] or self.number
  end
  if self:take("<") then
    self:list(">", Reader.type)
  end
end

function Reader:type()
  repeat
    self:primary()
    repeat until not (self:take("%[%]") or self:take("%?"))
  until not self:take("|")
end

local TAGS = {}

function TAGS.meta(self)
  self:expect("[%w_.]+", "a module")
end

function TAGS.class(self)
  local name = self:expect("[%w_.]+", "a class")
  self.class = { fields = {} }
  self.types_found[name] = self.class
  self.class_name = name
  if self:take(":") then
    self.class.parent = self.line:match("^[%w_.]+", self.at)
    self:type()
  end
end

function TAGS.alias(self)
  local name = self:expect("[%w_.]+", "an alias")
  self.class = { fields = {}, alias = self.line:sub(self.at), literals = {} }
  self.types_found[name] = self.class
  if self.at <= #self.line then
    self:type()
  end
end

function TAGS.field(self)
  local name = self:expect("[%a_][%w_]*", "a name")
  self.class.fields[name] = not self:take("%?")
  self:type()
end

function TAGS.param(self)
  local name = self:take("%.%.%.") or self:expect("[%a_][%w_]*", "a name")
  self.params[#self.params + 1] = name
  self:take("%?")
  self:type()
end

-- A type and a name, maybe with a comment.
TAGS["return"] = function(self)
  self:type()
end

function TAGS.overload(self)
  self:type()
end

function TAGS.operator(self)
  self:expect("concat%(", "an operator")
  self:list("%)", Reader.type)
  self:expect(":", "a colon")
  self:type()
end

function TAGS.generic(self)
  repeat
    self.generics[self:expect("[%a_][%w_]*", "a name")] = true
    if self:take(":") then
      self:type()
    end
  until not self:take(",")
end

function Reader:annotation()
  self.at = 4
  if self:take("|") then
    local literal = self:expect('"[^"]*"', "a literal")
    self.class.literals[literal:sub(2, -2)] = true
  elseif self:take("@") then
    local tag = self:expect("%l+", "a tag")
    local read = TAGS[tag] or self:fail("unknown tag " .. tag)
    read(self)
  else
    self.doc[#self.doc + 1] = self.line:sub(4)
  end
end

local function is_same(params, written)
  return table.concat(params, ", ") == written
end

function Reader:start()
  self.doc, self.params, self.generics = {}, {}, {}
end

function Reader:code()
  local name = self.line:match("^local ([%w_]+) = {}$")
  if name then
    self.locals[name] = self.class_name
  end
  local owner, method, written =
    self.line:match("^function ([%w_]+)([.:][%w_]+)%((.-)%) end$")
  if owner then
    self.at = 1
    local class = self.locals[owner] or self:fail("no class")
    if not is_same(self.params, written) then
      self:fail("@param lines of other names")
    end
    self.methods[owner .. method] =
      { doc = table.concat(self.doc, " "), class = class }
  end
  self:start()
end

--- Reads definitions.
-- @tparam string text
-- @treturn table as above
local function read(text)
  local self = setmetatable({ number = 0, types_found = {}, methods = {},
    used = {}, locals = {} }, Reader)
  self:start()
  for line in text:gmatch("([^\n]*)\n") do
    self.number, self.line = self.number + 1, line
    if line:find("^%-%-%-") then
      self:annotation()
    else
      self:code()
    end
  end
  return { types = self.types_found, methods = self.methods,
    used = self.used }
end

return { read = read }
