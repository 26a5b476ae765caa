--- What one writes by hand over an HTTP client and a JSON decoder.

-- @tparam string scene get or each
-- @tparam string url
-- @tparam integer count of the requests, or of the items of the list
-- @tparam function get url → decoded JSON
-- @treturn function that does it all
return function(scene, url, count, get)
  local function each()
    local read, following = 0, url
    while type(following) == "string" do
      local page = get(following)
      for _, item in ipairs(page.results) do
        read = read + #item.id / #item.id
      end
      following = page.next
    end
    assert(read == count, read)
  end

  return function()
    if scene == "each" then
      each()
    else
      for _ = 1, count do
        get(url)
      end
    end
  end
end
