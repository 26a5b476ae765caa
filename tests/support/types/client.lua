---@class maiagent.Task
local task = {}

---Make its call in progress, and every later one, return an error of kind
---`cancelled`.
function task:cancel() end

---@return boolean done whether it has ended, in whatever way
function task:done() end

---@class maiagent.Client
---@field attachments maiagent.Attachments
---@field chatbots maiagent.Chatbots
---@field embedding_models maiagent.EmbeddingModels
---@field knowledge_bases maiagent.KnowledgeBases
---@field reranker_models maiagent.RerankerModels
---@field uploads maiagent.Uploads
local client = {}

---Call any path of the service, for what has no binding.
---@param method "GET"|"POST"|"PUT"|"PATCH"|"DELETE"
---@param path string relative to base_url, or from the host's root with a leading slash
---@param params? table the JSON body, or the query of GET and DELETE
---@param options? maiagent.CallOptions
---@return any value the decoded JSON, true for an empty answer, or the text
---@return maiagent.Error err
---@return maiagent.Response? response
function client:request(method, path, params, options) end

---Download a URL into a file. The key goes along only to the API's origin.
---@param url string absolute, or from the API's root with a leading slash
---@param path string a file, or a folder: then the server's name is used
---@param options? maiagent.TransferOptions
---@return string? path
---@return maiagent.Error err
---@return maiagent.Response? response
function client:download(url, path, options) end

---A copy with other options that shares connections and tasks.
---@param options maiagent.CopyOptions
---@return maiagent.Client
function client:with(options) end

---Cancel what is under way, and close the connections. May run twice.
function client:close() end

---Run a function as a task: it parks in each call of this client and is resumed
---by `step`, or while another call waits.
---@param fn function
---@param ... any given to it
---@return maiagent.Task
function client:go(fn, ...) end

---Move requests and tasks on without blocking; raises the error of a task.
---@param options? maiagent.StepOptions
---@return boolean busy whether anything is still under way
function client:step(options) end

---Run functions side by side, and wait for all.
---@param functions function[]
---@return any[] results the first value of each, in order
---@return table<integer, any>? errors index → error of those that failed
function client:gather(functions) end

---Apply a function to every item of a list, some at a time.
---@generic Item, Result
---@param list Item[]
---@param fn fun(item: Item, index: integer): Result?, any
---@param options? maiagent.MapOptions
---@return Result[] results the first value of each, in order
---@return table<integer, any>? errors index → error of those that failed
function client:map(list, fn, options) end

---Connect without sending the key, so that the first call is a quick one: for a
---game's loading screen.
---@return true? connected
---@return maiagent.Error err
function client:warm_up() end

---@return integer? descriptor is readable when `step` has something to do; nil where the platform has none
function client:fd() end

---For LuaSocket and copas.
---@return integer descriptor
function client:getfd() end

---For LuaSocket and copas.
---@return boolean
function client:dirty() end

---For cqueues.
---@return integer? descriptor
function client:pollfd() end

---For cqueues.
---@return string
function client:events() end

---For cqueues.
---@return number? seconds
function client:timeout() end

---@class maiagent
---@field null maiagent.Null
---@field version string
local maiagent = {}

---Make a client; no request is sent yet.
---@param options? maiagent.ClientOptions
---@return maiagent.Client
function maiagent.new(options) end

---Mark a table as a JSON array: sent as [] even where it is empty.
---@generic T: table
---@param list T
---@return T
function maiagent.array(list) end

---Mark a table as a JSON object: sent as {} even where it is empty.
---@generic T: table
---@param fields T
---@return T
function maiagent.object(fields) end

---`assert` for every Lua: that of 5.1 and 5.2 hides an error that is no string.
---@generic T
---@param value? T
---@param err? any
---@param ... any
---@return T
---@return any ...
function maiagent.assert(value, err, ...) end

---Whether a value is an error of this library.
---@param value any
---@return boolean
function maiagent.is_error(value) end

return maiagent
