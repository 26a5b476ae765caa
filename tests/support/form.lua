--- multipart/form-data by hand, for specs that send what the library would not.

local form = {
  --- The headers of a request with such a body.
  HEADERS = { ["Content-Type"] = "multipart/form-data; boundary=frontier" },
}

--- A body of parts { name, content, filename or nil }, in that order.
function form.body(parts)
  local lines = {}
  for _, part in ipairs(parts) do
    lines[#lines + 1] = "--frontier\r\nContent-Disposition: form-data; name=\""
      .. part[1]
      .. (part[3] and "\"; filename=\"" .. part[3] or "")
      .. "\"\r\n\r\n"
      .. part[2]
      .. "\r\n"
  end
  return table.concat(lines) .. "--frontier--\r\n"
end

return form
