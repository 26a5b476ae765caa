-- What the locations of nginx.conf do. Each call waits without keeping the
-- worker from its other requests.

local json = require("cjson.safe")
local maiagent = require("maiagent")

local CACHED = 30 -- seconds

-- Per worker. A flood waits here, in order and within the timeout, rather than
-- becoming a flood of the service.
local client = maiagent.new({
  max_in_flight = 64,
  max_connections = 64,
  timeout = { connect = 5, idle = 30, total = 60 },
})

-- What went wrong behind us is not the fault of who asks us.
local STATUS = {
  invalid = 400,
  not_found = 404,
  conflict = 409,
  rate_limit = 429,
  timeout = 504,
}

local function answer(value, status)
  ngx.status = status or 200
  ngx.say(json.encode(value))
end

local function fail(err)
  ngx.log(ngx.ERR, tostring(err)) -- never has the key in it
  ngx.header["Retry-After"] = err.retry_after
  answer({ error = err.kind, fields = err.fields }, STATUS[err.kind] or 502)
end

local app = {}

--- One assistant, as the service has it now.
function app.assistant(id)
  local assistant, err = client.chatbots:get(id)
  if not assistant then
    return fail(err)
  end
  answer({ id = assistant.id, name = assistant.name })
end

local function names()
  local assistants, err = client.chatbots:all({ pageSize = 100 })
  if not assistants then
    return nil, err
  end
  local list = {}
  for i, assistant in ipairs(assistants) do
    list[i] = { id = assistant.id, name = assistant.name }
  end
  -- Not all of cjson's versions can be told that {} is a list.
  local text = #list > 0 and json.encode(list) or "[]"
  return ('{"count":%d,"assistants":%s}'):format(#list, text)
end

--- All assistants, at most CACHED seconds old, for all workers. While the
-- service cannot be reached, the list as it was last.
function app.assistants()
  local cache = ngx.shared.assistants
  -- `get` would remove a list that is out of date.
  local text, _, is_stale = cache:get_stale("names")
  ngx.header["X-Cache"] = "hit"
  if not text or is_stale then
    local renewed, err = names()
    if renewed then
      cache:set("names", renewed, CACHED)
    elseif not text then
      return fail(err)
    end
    ngx.header["X-Cache"] = renewed and "miss" or "stale"
    text = renewed or text
  end
  ngx.say(text)
end

--- Passes the request's body on as a file of a knowledge base. It is streamed
-- from the file that nginx wrote it to, so memory does not grow with it.
function app.upload(knowledge_base, name)
  if ngx.req.get_method() ~= "PUT" then
    ngx.header["Allow"] = "PUT"
    return answer({ error = "method" }, 405)
  end
  ngx.req.read_body()
  local path = ngx.req.get_body_file()
  if not path or ngx.var.content_length == "0" then
    return answer({ error = "empty" }, 400)
  end
  local file, err = client.knowledge_bases.files:upload(knowledge_base, {
    path = path,
    filename = name,
  })
  if not file then
    return fail(err)
  end
  answer({ id = file.id, status = file.status }, 201)
end

--- Whether this worker reaches the service and its key is taken there.
function app.health()
  local ok, err =
    client.embedding_models:list(nil, { timeout = 2, max_retries = 0 })
  if not ok then
    ngx.log(ngx.WARN, tostring(err))
    return answer({ status = err.kind }, 503)
  end
  answer({ status = "ok" })
end

return app
