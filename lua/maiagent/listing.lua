--- The pages of a list as a flow reads them, one after the other.

local call = require("maiagent.call")
local core = require("maiagent.core")
local pages = require("maiagent.pages")

local PAGE_SIZE = 100

--- Looks through a list until the visitor has seen enough.
-- @tparam table state
-- @tparam table row of a list operation
-- @tparam table ids in path order
-- @tparam table query page and pageSize excepted
-- @tparam function options gives those of the next request, or nil and an error
-- @tparam function visit called with the items of a page, how many pages
--   that makes, and the page; returning true ends the look
-- @treturn boolean whether the list was read to its end or to the visitor's
-- @treturn table|nil error where it was not
-- @treturn table|nil response of the last page
local function look(state, row, ids, query, options, visit)
  local params = { pageSize = PAGE_SIZE }
  for name, value in pairs(query) do
    params[name] = value
  end
  local request = call.prepare(state, row, ids, params, {})
  local pager = pages.pages(function(asked)
    local given, err = options()
    return {
      result = function()
        if not given then
          return nil, err
        end
        return call.run(state, row, ids, asked, given)
      end,
    }
  end, params, { null = core.null, path = request:path() })
  local page, err = pager:take()
  local count = 0
  while page do
    count = count + 1
    if visit(pages.items_of(page), count, page) then
      break
    end
    page, err = pager:take()
  end
  return not err, err, pager.response
end

return { look = look }
