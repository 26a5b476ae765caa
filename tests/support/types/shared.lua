---@meta maiagent

-- What an editor's language server (LuaLS, lua-language-server) is told of this
-- library. Made by `make types` of tests/support/types and the API's
-- description; not to be edited, and not loaded by the library.

--
-- Values
--

---JSON's null: the same value as cjson.null and ngx.null.
---@alias maiagent.Null userdata

---`connection`: no connection, or it broke. `timeout`: a limit of `timeout` was
---reached. `tls`: the certificate or the handshake is wrong. `cancelled`: by
---`close`, `cancel` or a callback. `decode`: the answer is not what the API
---promises, or exceeds a limit. `file`: a local file cannot be read or written,
---or the service could not process a file. `authentication`: 401. `permission`:
---403. `not_found`: 404. `conflict`: 409. `invalid`: 400 and 422. `rate_limit`:
---429. `server`: 500 and above. `http`: any other status.
---@alias maiagent.ErrorKind
---| "connection"
---| "timeout"
---| "tls"
---| "cancelled"
---| "decode"
---| "file"
---| "authentication"
---| "permission"
---| "not_found"
---| "conflict"
---| "invalid"
---| "rate_limit"
---| "server"
---| "http"

---What the world did: the second value of a call, or what an iterator raises.
---`tostring` and `..` give one line without secrets. It is nil where the call
---succeeded, which is not said of it below: no server could tell that it is
---there wherever the value is nil.
---@class maiagent.Error
---@field kind maiagent.ErrorKind
---@field message string
---@field status? integer the HTTP status, where an answer came
---@field code? string object storage's own word, such as `EntityTooLarge`
---@field id? string of kind `file`: what the service could not process
---@field fields? table<string, string[]> of `invalid`: dotted path → messages
---@field body? string the answer's text, up to 16 KiB
---@field method? string of the request
---@field path? string of the request, without host and query
---@field request_id? string for a report to the service
---@field attempts? integer how often it was sent
---@field retry_after? number seconds that the service asked to wait
---@field retryable boolean whether the same call may work later
---@operator concat(any): string

---The third value of a call, where an answer came.
---@class maiagent.Response
---@field status integer
---@field headers table<string, string> names in any case
---@field request_id? string
---@field attempts integer how often the request was sent
---@field timings maiagent.Timings

---Seconds.
---@class maiagent.Timings
---@field dns number the name's lookup
---@field connect number
---@field tls number the handshake
---@field first_byte number since the start
---@field total number
---@field reused boolean whether the connection was there already

---@class maiagent.Page
---@field count integer items of all pages
---@field next? string URL of the next page
---@field previous? string URL of the previous page

---For a `for` loop, which it gives one thing after the other; it raises the
---error object.
---@class maiagent.Iterator
local iterator = {}

---Ends the iteration and cancels what was fetched ahead.
function iterator:close() end

---What is uploaded: a path, or one of `path`, `content` and `reader`.
---@alias maiagent.Source string|maiagent.SourceTable

---@class maiagent.SourceTable
---@field path? string
---@field content? string the bytes
---@field reader? fun(): string?, string? the next bytes; nil at the end, or nil and a message
---@field filename? string the path's last part if not given
---@field size? integer bytes that `reader` gives in all

---Of a file that is uploaded into a knowledge base.
---@class maiagent.UploadParams
---@field parser? string UUID
---@field labels? maiagent.Ref[]
---@field rawUserDefineMetadata? table<string, any>

---@class maiagent.AttachmentUploadParams
---@field type? "image"|"video"|"audio"|"other" by the name's extension if not given

---@class maiagent.PageParams
---@field page? integer page number
---@field pageSize? integer items on a page

--
-- Options
--

---Seconds.
---@class maiagent.Timeout
---@field connect? number
---@field idle? number without a byte either way
---@field total? number with all retries and waiting

---@class maiagent.RequestOptions
---@field timeout? number|maiagent.Timeout seconds; a number is `total`
---@field max_retries? integer
---@field headers? table<string, string>

---@class maiagent.TransferOptions: maiagent.RequestOptions
---@field on_progress? fun(bytes: integer, total: integer): boolean? of what is sent, or received for a download; total 0 is unknown; returning false cancels
---@field max_speed? number bytes per second

---@class maiagent.CallOptions: maiagent.TransferOptions
---@field query? table a query beside the params

---@class maiagent.ListOptions: maiagent.CallOptions
---@field prefetch? integer further pages in flight (0)

---@class maiagent.BatchDeleteOptions: maiagent.CallOptions
---@field all? boolean true: delete every FAQ, where no ids are given

---@class maiagent.TranslationOptions: maiagent.TransferOptions
---@field variant? "translated"|"bilingual" with a path: which of the two (translated)

---@class maiagent.UploadAllOptions: maiagent.RequestOptions
---@field concurrency? integer files at a time (8)
---@field max_speed? number bytes per second of all together
---@field on_file? fun(index: integer, file?: maiagent.File, err?: maiagent.Error) as each is known
---@field on_progress? fun(counts: maiagent.UploadCounts): boolean? returning false ends it

---@class maiagent.UploadCounts
---@field done integer files
---@field failed integer files
---@field total integer files
---@field bytes_sent integer
---@field bytes_total integer

---@class maiagent.SyncOptions: maiagent.RequestOptions
---@field delete? boolean|"all" true: delete what sync uploaded and the folder has no more; "all": whatever the folder doesn't have
---@field dry_run? boolean only tell what would happen
---@field retry_failed? boolean upload again what the service could not process
---@field hidden? boolean take names that begin with a dot, too
---@field shard? string such as "2/8": the second of eight parts, by a hash of the name
---@field parser? string UUID
---@field labels? maiagent.Ref[]
---@field rawUserDefineMetadata? table<string, any>
---@field concurrency? integer files at a time (8)
---@field max_speed? number bytes per second of all together
---@field on_progress? fun(counts: maiagent.UploadCounts): boolean? returning false ends it
---@field processing_timeout? number seconds that a replaced file waits for the new one (600)
---@field cache? string the folder in which `.maiagent` is made; the folder itself if not given

---`tostring` gives one line.
---@class maiagent.SyncSummary
---@field uploaded maiagent.SyncItem[]
---@field replaced maiagent.SyncItem[]
---@field registered maiagent.SyncItem[] stored by an earlier run
---@field deleted maiagent.SyncItem[]
---@field kept maiagent.SyncItem[]
---@field failed maiagent.SyncItem[]
---@field skipped maiagent.SyncItem[]
---@field counts table<string, integer> of each list
---@field dry_run boolean
---@field cancelled boolean by `on_progress`

---@class maiagent.SyncItem
---@field name string the path in the folder
---@field reason? string
---@field id? string the file's
---@field error? maiagent.Error

---@class maiagent.WaitOptions
---@field timeout? number seconds until it is processed (600)
---@field interval? number seconds before the second look (1), growing to ten times that
---@field on_status? fun(status: string, object: table) at each change
---@field max_retries? integer
---@field headers? table<string, string>

---@class maiagent.MapOptions
---@field concurrency? integer how many at a time (8)

---@class maiagent.StepOptions
---@field max_ms? number milliseconds after which nothing more is begun

---@class maiagent.Limits
---@field reply? integer bytes of an answer held in memory (64 MiB)
---@field header? integer bytes of its headers (256 KiB)
---@field nesting? integer levels of JSON (512)

---Of `client:with`.
---@class maiagent.CopyOptions: maiagent.RequestOptions
---@field api_key? string|fun(): string the key alone (MAIAGENT_API_KEY); a function is asked before each request
---@field base_url? string MAIAGENT_BASE_URL, else https://api.maiagent.ai
---@field null? "drop"|"keep" "keep": fields that are null are maiagent.null, not absent
---@field limits? maiagent.Limits
---@field ca_file? string certificates to trust
---@field insecure? boolean true: TLS is not verified
---@field allow_http? boolean true: plain http:// to other hosts than this one
---@field proxy? string a proxy's URL
---@field user_agent? string put before the library's own
---@field on_retry? fun(info: maiagent.RetryInfo) before a repetition
---@field on_event? fun(event: maiagent.Event)

---Of `maiagent.new`.
---@class maiagent.ClientOptions: maiagent.CopyOptions
---@field wait? fun(client: maiagent.Client, milliseconds: number) lets that time pass, or less, in a host's own way
---@field max_connections? integer open connections
---@field max_in_flight? integer requests on the wire at a time; the others queue

---@class maiagent.RetryInfo
---@field attempt integer how often it was sent
---@field max_retries integer
---@field delay number seconds until the repetition
---@field status? integer
---@field kind? maiagent.ErrorKind
---@field message? string
---@field method string
---@field path string
---@field operation string such as `chatbots.list`

---@class maiagent.Event
---@field type "request"|"response"|"retry"|"page"
---@field operation string such as `chatbots.list`
---@field method? string
---@field path? string
---@field attempt? integer
---@field headers? table<string, string> of a request; the key is redacted
---@field status? integer of a response or retry
---@field kind? string what failed, of a response or retry
---@field message? string
---@field timings? maiagent.Timings of a response
---@field delay? number seconds, of a retry
---@field items? integer on a page
---@field count? integer of all pages
