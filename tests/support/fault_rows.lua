--- What can go wrong with an answer, as rows of the matrix in faults_spec.
-- A row is {name, fault, kind, …}: `kind` is the error of a call that is sent
-- once (nil: the answer is good) and `says` its message, a pattern or a list of
-- them, of which one matches; `again`, that a second request mends it;
-- `safe`, that the server surely did nothing; `only`, what is otherwise for
-- some calls: "ok", or { kind, says }; `timeout`, the call's; `silent`, that no
-- line of an answer comes, so that libcurl itself sends once more what went
-- over a kept connection; `warm`, that it is such a one; `stale`, that the
-- fault is the end of the answer before.

local pace = require("tests.support.pace")
local zlib = require("zlib")

local function times(connect, idle, total)
  return { connect = pace.seconds(connect), idle = pace.seconds(idle),
    total = pace.seconds(total) }
end

local IDLE = times(5, 0.2, 10)
local SHORT = times(5, 5, 0.3)
local STEP = pace.seconds(0.05) -- too long for SHORT

local rows = {}

local function add(name, fault, kind, more)
  local row = { name = name, fault = fault, kind = kind }
  for key, value in pairs(more or {}) do
    row[key] = value
  end
  assert(not kind == not row.says, name .. ": an error says something")
  rows[#rows + 1] = row
end

-- What the messages of more than one row say.
local HOST = "127%.0%.0%.1:%d+"
local NOT_AGAIN = "^" .. HOST .. " closed the connection before it answered; "
  .. "not sent again because it may have been processed$"
local NO_ANSWER =
  { "^" .. HOST .. " closed the connection without an answer$", NOT_AGAIN }
local RESET =
  "^the connection to " .. HOST .. " broke: Connection reset by peer$"
local NO_HTTP = "^" .. HOST .. " did not answer with HTTP"
local CUT = "^" .. HOST:gsub("%%", "%%%%")
  .. ": the connection was closed after %d of %d bytes$"
local ENDED = "^" .. HOST .. ": the connection was closed after %d+ bytes, "
  .. "before the end of the reply$"
local CHUNK = "^the connection to " .. HOST .. " broke: .*chunk"
local IDLED = "^not a byte moved for %d[%d.]* s %(timeout%.idle%)$"
local TOTAL = "within %d[%d.]* s %(timeout%.total%)"
local LATE =
  { "^no whole answer " .. TOTAL .. "$", "^not done " .. TOTAL .. "$" }
local HEADERS = "^the headers of the reply are larger than the limit of 262144 "
  .. "bytes %(limits%.header%)$"
local REPLY = "^the reply is larger than the limit of 1000000 bytes "
  .. "%(limits%.reply%)$"
local ENCODING =
  "^the reply of " .. HOST .. " is not in the encoding it claims: ."
local NO_JSON = "^the answer is not what the API promises: invalid JSON at "
  .. "byte %d+ of %d+ %(.+, %d+ bytes%)$"

local function with(fault, more)
  local result = { apply = true }
  for _, fields in ipairs({ fault, more or {} }) do
    for key, value in pairs(fields) do
      result[key] = value
    end
  end
  return result
end

local function raw(bytes, more)
  return with({ kind = "raw", bytes = bytes }, more)
end

-- An answer that is good for every call but a presign, whose own is needed.
local BODY = '{"id": "00000000-0000-4000-8000-000000000000", "name": "raw", '
  .. '"count": 0, "next": null, "previous": null, "results": []}'
local UNSIGNED = { presign = { "decode",
  "^upload%-presigned%-url answered without url or fields%.key$" } }

local function http(headers, body, version)
  return (version or "HTTP/1.1 200 OK") .. "\r\n"
    .. "Content-Type: application/json\r\n" .. headers .. "\r\n" .. body
end

local function sized(body, headers)
  return http("Content-Length: " .. #body .. "\r\n" .. (headers or ""), body)
end

local function chunked(...)
  local pieces = {}
  for _, piece in ipairs({ ... }) do
    pieces[#pieces + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
  end
  return table.concat(pieces)
end

local CHUNKED = "Transfer-Encoding: chunked\r\n"

-- A whole answer and its parts, to be broken off at every tenth of each.
local WHOLE = sized(BODY)
local HEAD = WHOLE:sub(1, #WHOLE - #BODY)

local function cut_short(bytes)
  if not bytes:find("\n") then
    return NO_ANSWER
  elseif #bytes < #HEAD then
    return "^" .. HOST
      .. " closed the connection before the end of its headers$"
  end
  return CUT:format(#bytes - #HEAD, #BODY)
end

local function tenths(what, first, size, last)
  for tenth = 0, last do
    local bytes = WHOLE:sub(1, first + math.floor(size * tenth / 10))
    local place = ("%s at %d/10"):format(what, tenth)
    local silent = not bytes:find("\n")
    add("cut in the " .. place, raw(bytes), "connection",
      { again = true, silent = silent, says = cut_short(bytes) })
    add("reset in the " .. place, raw(bytes, { reset = true }), "connection",
      { again = true, silent = silent,
        says = silent and { RESET, NOT_AGAIN } or RESET })
  end
end

tenths("headers", 0, #HEAD, 9)
tenths("body", #HEAD, #BODY, 9)

-- Time; without any left, nobody looks for what was registered.

local NO_TIME = { register = { "timeout", { LATE[2], "^register %d+%.txt was "
  .. "stored, but whether it was registered is unclear: not done " .. TOTAL
  .. "; the list of files could not be read$" } } }

add("no answer", with({ kind = "hang" }), "timeout",
  { again = true, timeout = IDLE, says = IDLED })
add("no answer in all the time", with({ kind = "hang" }), "timeout",
  { timeout = SHORT, only = NO_TIME, says = LATE })
add("silence within the headers", raw(HEAD:sub(1, 30), { hang = true }),
  "timeout", { again = true, timeout = IDLE, says = IDLED })
add("silence after the headers", raw(HEAD, { hang = true }), "timeout",
  { again = true, timeout = IDLE, says = IDLED })
add("silence within the body", raw(WHOLE:sub(1, #HEAD + 9), { hang = true }),
  "timeout", { again = true, timeout = IDLE, says = IDLED })
add("headers that take for ever",
  raw(HEAD, { step = 1, seconds = STEP, hang = true }), "timeout",
  { timeout = SHORT, only = NO_TIME, says = LATE })
add("a body that takes for ever", { kind = "drip", seconds = STEP, bytes = 1 },
  "timeout", { timeout = SHORT, only = NO_TIME, says = LATE })
add("a slow answer", { kind = "delay", seconds = 0.1 }, nil)
add("byte by byte", { kind = "drip", seconds = 0.0001, bytes = 1 }, nil)

-- Lengths and chunks

add("more than the Content-Length",
  raw(http("Content-Length: " .. #BODY .. "\r\n", BODY .. "tail")), nil,
  { only = UNSIGNED })
add("two different Content-Lengths",
  raw(http("Content-Length: 5\r\nContent-Length: 900\r\n", BODY)),
  "connection", { again = true, says = CUT:format(#BODY, 900) })
add("a Content-Length that is no number",
  raw(http("Content-Length: many\r\n", BODY)), "connection",
  { again = true, says = NO_HTTP })
add("a Content-Length below zero",
  raw(http("Content-Length: -5\r\n", BODY)), "connection",
  { again = true, says = NO_HTTP })
add("a Content-Length of 2^70",
  raw(http("Content-Length: 1180591620717411303424\r\n", BODY)), nil,
  { only = UNSIGNED })
add("chunks", raw(http(CHUNKED, chunked(BODY:sub(1, 9), BODY:sub(10))
  .. "0\r\n\r\n")), nil, { only = UNSIGNED })
add("trailers", raw(http(CHUNKED, chunked(BODY)
  .. "0\r\nHTTP/1.1: 500\r\nX-Request-Id: t\r\n\r\n")), nil,
  { only = UNSIGNED })
add("a flood of trailers", raw(http(CHUNKED, chunked(BODY) .. "0\r\n"
  .. ("X-T: t\r\n"):rep(45000))), "decode", { says = HEADERS })
add("trailers that come for ever", raw(http(CHUNKED, chunked(BODY) .. "0\r\n"
  .. ("X-T: t\r\n"):rep(999)), { step = 500, seconds = 0.05, hang = true }),
  "timeout", { again = true, timeout = IDLE, says = IDLED })
add("chunks that end early", raw(http(CHUNKED, chunked(BODY))), "connection",
  { again = true, says = ENDED })
add("a chunk that ends early", raw(http(CHUNKED, "ffff\r\n" .. BODY)),
  "connection", { again = true, says = ENDED })
add("a chunk's size that is none", raw(http(CHUNKED, "zz\r\n" .. BODY)),
  "connection", { again = true, says = CHUNK })
add("a chunk of 2^64 bytes",
  raw(http(CHUNKED, "10000000000000000\r\n" .. BODY)), "connection",
  { again = true, says = CHUNK })

-- Encodings


-- A file has no limit and need not be JSON; what a delete or object storage
-- says beside its status is not looked at.
local AS_IS = { download = "ok" }
local UNREAD = { download = "ok", delete = "ok", storage = "ok" }

local function compressed(encoding, bytes)
  return raw(sized(bytes, "Content-Encoding: " .. encoding .. "\r\n"))
end

local function gzip(text)
  return (zlib.deflate(9, 31)(text, "finish"))
end

add("gzip", { kind = "gzip" }, nil)
add("gzip that is none", compressed("gzip", BODY), "decode",
  { says = ENCODING })
add("gzip that ends early", compressed("gzip", gzip(BODY):sub(1, 40)),
  "decode", { only = UNREAD, says = NO_JSON })
add("gzip with a wrong sum", compressed("gzip", gzip(BODY):sub(1, -9)
  .. ("\0"):rep(8)), "decode", { says = ENCODING })
add("a gzip bomb", compressed("gzip", gzip(("0"):rep(2e6))), "decode",
  { only = AS_IS, says = REPLY })
add("an encoding nobody knows", compressed("x-rot13", BODY), "decode",
  { says = ENCODING })
add("twenty encodings", compressed(("gzip, "):rep(19) .. "gzip", BODY),
  "decode", { says = ENCODING })

-- Sizes

add("headers of 300 KB", with({ kind = "headers", count = 30, bytes = 10000 }),
  "decode", { says = HEADERS })
add("one header of 300 KB",
  with({ kind = "headers", count = 1, bytes = 300000 }), "decode",
  { says = "^a line of the headers of " .. HOST .. " is too long" })
add("a body over the limit", with({ kind = "large", bytes = 2e6 }), "decode",
  { only = AS_IS, says = REPLY })

-- HTTP

add("HTTP/1.0", raw(http("", BODY, "HTTP/1.0 200 OK")), nil,
  { only = UNSIGNED })
add("HTTP/1.0 with keep-alive", raw(http("Connection: keep-alive\r\n"
  .. "Content-Length: " .. #BODY .. "\r\n", BODY, "HTTP/1.0 200 OK")), nil,
  { only = UNSIGNED })
add("HTTP/0.9", raw(BODY), "connection", { again = true, says = NO_HTTP })
add("another protocol", raw("SSH-2.0-OpenSSH_9.2\r\n"), "connection",
  { again = true, says = NO_HTTP })
add("zero bytes", raw(("\0"):rep(3000)), "connection",
  { again = true, says = NO_HTTP })
add("a zero byte in a header",
  raw(sized(BODY, "X-Odd: a\0b\r\n")), "connection",
  { again = true, says = NO_HTTP })
add("a header without a colon", raw(sized(BODY, "Odd\r\n")), "connection",
  { again = true, says = NO_HTTP })
add("HTTP/9.9", raw(http("", BODY, "HTTP/9.9 200 OK")), "connection",
  { again = true, says = NO_HTTP })
add("a status that is no number",
  raw(http("", BODY, "HTTP/1.1 abc OK")), "connection",
  { again = true, says = NO_HTTP })
add("an unexpected 100 Continue",
  { kind = "interim", bytes = "HTTP/1.1 100 Continue\r\n\r\n" }, nil)
add("a flood of 1xx", { kind = "interim",
  bytes = ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):rep(2000) }, nil)
add("a flood of 1xx over the limit",
  raw(("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(12000)), "decode",
  { says = HEADERS })
add("1xx that come for ever", raw(("HTTP/1.1 102 Processing\r\n\r\n"):rep(99),
  { step = 27, seconds = 0.05, hang = true }), "timeout",
  { again = true, timeout = IDLE, says = IDLED })
add("1xx and then the end",
  raw(("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(9)), "connection",
  { again = true, says = NO_ANSWER })

-- Statuses

local NO = "^no$" -- what the service says

local function status(number, headers)
  return { kind = "status", status = number, json = { detail = "no" },
    headers = headers }
end

add("429", status(429, { ["Retry-After"] = "0" }), "rate_limit",
  { safe = true, says = NO })
add("503 with Retry-After", status(503, { ["Retry-After"] = "0" }), "server",
  { safe = true, says = NO })
add("408", with(status(408)), "timeout", { again = true, says = NO })
add("417", status(417), "http", { says = NO })
add("500 of what was done", with(status(500)), "server",
  { again = true, says = NO })
add("502 in HTML", with({ kind = "status", status = 502,
  body = "<html><title>Bad Gateway</title></html>" }), "server",
  { again = true, says = "^HTML instead of JSON: Bad Gateway$" })
add("no JSON", with({ kind = "status", status = 200, body = "<html>" }),
  "decode", { only = UNREAD, says = NO_JSON })

-- Redirects; a download may go to other origins, without the key.

local function redirect(location, code, more)
  more = more or {}
  more.kind, more.location, more.status = "redirect", location, code
  return more
end

local function not_followed(location)
  return "^redirected to " .. location .. ", which was not followed %(.+%)"
end

add("a redirect that goes round in circles", redirect("?", 302,
  { times = 99 }), "http",
  { says = { "^more than 5 redirects %(the last to http://%S+%)$",
    not_followed("http://%S+") } })
add("a redirect to another host", redirect("http://127.0.0.1:1/x"), "http",
  { only = { download = { "connection",
    "^could not connect to 127%.0%.0%.1:1: Connection refused$" } },
    says = not_followed("http://127%.0%.0%.1:1/x") })
add("a redirect to another scheme", redirect("ftp://127.0.0.1:1/x", 307),
  "http", { says = not_followed("ftp://127%.0%.0%.1:1/x") })
add("a redirect to a file", redirect("file:///etc/passwd", 301), "http",
  { says = not_followed("file:///etc/passwd") })
add("a redirect to nowhere", redirect("http://", 308), "http",
  { says = not_followed("http://") })

-- Connections that were kept. What libcurl sends again by itself has reached
-- the server twice, as with a retry of ours.

add("a connection closed after the answer", { kind = "close" }, nil)
add("a kept connection that is closed", { kind = "close" }, nil,
  { stale = true })
add("a kept connection that closes", raw(""), "connection",
  { again = true, warm = true, silent = true, says = NO_ANSWER })
add("a kept connection that is reset", raw("", { reset = true }), "connection",
  { again = true, warm = true, silent = true, says = { RESET, NOT_AGAIN } })

return rows
