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

--
-- Objects of the API, and what its operations take
--

---@class maiagent.Attachment
---@field id string UUID
---@field file string storage key on the way in; URL or key on the way out
---@field filename string
---@field type? string kind of attachment, such as image, video, audio, other

---@class maiagent.AttachmentIterator: maiagent.Iterator
---@field next fun(self: maiagent.AttachmentIterator): maiagent.Attachment?
---@overload fun(): maiagent.Attachment?

---@class maiagent.AttachmentPage: maiagent.Page
---@field results maiagent.Attachment[]

---@class maiagent.AttachmentPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.AttachmentPageIterator): maiagent.AttachmentPage?
---@overload fun(): maiagent.AttachmentPage?

---@class maiagent.AttachmentUpdate
---@field file? string storage key on the way in; URL or key on the way out
---@field filename? string
---@field type? string kind of attachment, such as image, video, audio, other

---@class maiagent.AttachmentWrite: maiagent.AttachmentUpdate
---@field file string storage key on the way in; URL or key on the way out
---@field filename string

---@class maiagent.Chatbot
---@field id string UUID
---@field largeLanguageModel string model that writes the answers
---@field name string name; has meaning to the model in agent mode, elsewhere only tells chatbots apart
---@field updatedAt string a time
---@field agentMode? "normal"|"canvas" agent mode
---@field builtInWorkflow? string UUID
---@field databaseType? string MySQL, PostgreSQL, MSSQL or Oracle
---@field databaseUrl? string database connection URL for database queries
---@field embeddingModel? string UUID
---@field enableEvaluation? boolean
---@field enableInlineCitations? boolean puts [1][2] citation marks into answers
---@field enableKnowledgeBaseRag? boolean on: the query_files, retrieve_text_nodes and get_surrounding_context tools; off: internal_search_tool
---@field groups? maiagent.IdName[]
---@field includeTables? any tables used in database queries
---@field instructions? string role and behaviour
---@field knowledgeBases? maiagent.IdName[]
---@field numberOfRetrievedChunks? integer the service defaults to 12
---@field organization? string null: a personal chatbot
---@field outputMode? "text"|"json_schema" output mode
---@field rag? string RAG settings
---@field rawOutputFormat? any JSON structure of a custom output
---@field replyMode? "normal"|"template"|"hybrid"|"workflow"|"agent" how it replies
---@field rerankerModel? string UUID
---@field template? string template and hybrid modes
---@field toolkits? maiagent.ToolSummary[]
---@field tools? maiagent.ToolSummary[]
---@field totalWordsCount? integer words used so far
---@field unanswerableTemplate? string template used where there is no answer

---@class maiagent.ChatbotIterator: maiagent.Iterator
---@field next fun(self: maiagent.ChatbotIterator): maiagent.ChatbotListItem?
---@overload fun(): maiagent.ChatbotListItem?

---@class maiagent.ChatbotListItem
---@field id string UUID
---@field groups maiagent.IdName[]
---@field knowledgeBases maiagent.IdName[]
---@field name string
---@field toolkits maiagent.ToolSummary[]
---@field tools maiagent.ToolSummary[]
---@field updatedAt string a time
---@field agentMode? "normal"|"canvas" agent mode
---@field embeddingModel? maiagent.Model
---@field enableEvaluation? boolean
---@field enableInlineCitations? boolean
---@field enableKnowledgeBaseRag? boolean
---@field largeLanguageModel? maiagent.IdName
---@field numberOfRetrievedChunks? integer
---@field rag? maiagent.IdName
---@field replyMode? "normal"|"template"|"hybrid"|"workflow"|"agent" how it replies
---@field rerankerModel? maiagent.Model

---@class maiagent.ChatbotListParams: maiagent.PageParams
---@field largeLanguageModel? string large language model ID
---@field pagination? string true or false
---@field query? string search words
---@field replyMode? string reply mode

---@class maiagent.ChatbotPage: maiagent.Page
---@field results maiagent.ChatbotListItem[]

---@class maiagent.ChatbotPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.ChatbotPageIterator): maiagent.ChatbotPage?
---@overload fun(): maiagent.ChatbotPage?

---@class maiagent.ChatbotUpdate
---@field agentMode? "normal"|"canvas" agent mode
---@field builtInWorkflow? string|maiagent.Null UUID
---@field databaseType? string|maiagent.Null MySQL, PostgreSQL, MSSQL or Oracle
---@field databaseUrl? string|maiagent.Null database connection URL for database queries
---@field embeddingModel? string|maiagent.Null UUID
---@field enableEvaluation? boolean
---@field enableInlineCitations? boolean puts [1][2] citation marks into answers
---@field enableKnowledgeBaseRag? boolean on: the query_files, retrieve_text_nodes and get_surrounding_context tools; off: internal_search_tool
---@field groups? maiagent.Ref[]
---@field includeTables? any tables used in database queries
---@field instructions? string|maiagent.Null role and behaviour
---@field knowledgeBases? maiagent.Ref[]
---@field largeLanguageModel? string model that writes the answers
---@field name? string name; has meaning to the model in agent mode, elsewhere only tells chatbots apart
---@field numberOfRetrievedChunks? integer the service defaults to 12
---@field organization? string|maiagent.Null null: a personal chatbot
---@field outputMode? "text"|"json_schema" output mode
---@field rag? string|maiagent.Null RAG settings
---@field rawOutputFormat? any JSON structure of a custom output
---@field replyMode? "normal"|"template"|"hybrid"|"workflow"|"agent" how it replies
---@field rerankerModel? string|maiagent.Null UUID
---@field template? string|maiagent.Null template and hybrid modes
---@field toolkits? maiagent.Ref[]
---@field tools? maiagent.Ref[]
---@field totalWordsCount? integer words used so far
---@field unanswerableTemplate? string|maiagent.Null template used where there is no answer

---@class maiagent.ChatbotWrite: maiagent.ChatbotUpdate
---@field largeLanguageModel string model that writes the answers
---@field name string name; has meaning to the model in agent mode, elsewhere only tells chatbots apart

---@class maiagent.Document
---@field id string UUID
---@field chatbotFile string UUID
---@field fileName string
---@field text string
---@field updatedAt string a time
---@field excludedEmbedMetadataKeys? any list of metadata keys left out of the embedding
---@field excludedLlmMetadataKeys? any list of metadata keys left out of the LLM context
---@field llamaIndexObjectJson? any
---@field metadata? any
---@field pageNumber? integer

---@class maiagent.DocumentIterator: maiagent.Iterator
---@field next fun(self: maiagent.DocumentIterator): maiagent.Document?
---@overload fun(): maiagent.Document?

---@class maiagent.DocumentListParams
---@field chatbotFileId? string file ID; deprecated, use knowledgeBaseFileId
---@field knowledgeBaseFileId? string file ID

---@class maiagent.DocumentPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.DocumentPageIterator): maiagent.Document[]?
---@overload fun(): maiagent.Document[]?

---@class maiagent.DocumentReplace: maiagent.DocumentUpdate
---@field chatbotFile string UUID
---@field fileName string
---@field text string

---@class maiagent.DocumentUpdate
---@field chatbotFile? string UUID
---@field excludedEmbedMetadataKeys? any list of metadata keys left out of the embedding
---@field excludedLlmMetadataKeys? any list of metadata keys left out of the LLM context
---@field fileName? string
---@field llamaIndexObjectJson? any
---@field metadata? any
---@field pageNumber? integer|maiagent.Null
---@field text? string

---@class maiagent.FailedReason
---@field id string UUID
---@field createdAt string a time
---@field errorMessage string

---@class maiagent.Faq
---@field id string UUID
---@field answer string
---@field embeddingTokensCount integer embedding tokens spent on creating it
---@field hitsCount integer
---@field question string
---@field answerMediaUrls? any
---@field knowledgeBase? maiagent.IdName
---@field labels? maiagent.IdName[]
---@field rawUserDefineMetadata? table<string, any>

---@class maiagent.FaqIds
---@field ids? string[]

---@class maiagent.FaqIterator: maiagent.Iterator
---@field next fun(self: maiagent.FaqIterator): maiagent.Faq?
---@overload fun(): maiagent.Faq?

---@class maiagent.FaqListParams: maiagent.PageParams
---@field query? string words separated by spaces; matches FAQ ID, question, answer, label name, metadata value

---@class maiagent.FaqPage: maiagent.Page
---@field results maiagent.Faq[]

---@class maiagent.FaqPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.FaqPageIterator): maiagent.FaqPage?
---@overload fun(): maiagent.FaqPage?

---@class maiagent.FaqUpdate
---@field answer? string
---@field answerMediaUrls? any URLs of images, videos in the answer
---@field knowledgeBase? maiagent.Ref|maiagent.Null
---@field labels? maiagent.Ref[]
---@field question? string
---@field rawUserDefineMetadata? table<string, any>|maiagent.Null

---@class maiagent.FaqWrite: maiagent.FaqUpdate
---@field answer string
---@field question string

---@class maiagent.File
---@field id string UUID
---@field chunksCount integer chunks made from it
---@field createdAt string a time
---@field file string URL of the content
---@field fileType string
---@field filename string
---@field size integer
---@field status "initial"|"processing"|"done"|"deleting"|"deleted"|"failed"|"delete_failed" state of the file
---@field vectorStorageSize integer bytes of its vectors
---@field knowledgeBase? maiagent.IdName
---@field labels? maiagent.IdName[]
---@field parser? maiagent.Parser
---@field processingTime? number seconds
---@field processingTimeDetails? table<string, any>
---@field rawUserDefineMetadata? table<string, any>
---@field waitingTime? number seconds

---@class maiagent.FileCreate: maiagent.FileUpdate
---@field file string storage key of the uploaded content (fields.key of the presigned upload)
---@field filename string file name shown

---@class maiagent.FileIds
---@field ids string[]

---@class maiagent.FileIterator: maiagent.Iterator
---@field next fun(self: maiagent.FileIterator): maiagent.File?
---@overload fun(): maiagent.File?

---@class maiagent.FileListParams: maiagent.PageParams
---@field fileType? string only this type: pdf, docx, txt, xlsx
---@field knowledgeBase? string knowledge base ID
---@field query? string words separated by spaces; matches file ID, file name, label name, metadata value
---@field status? "initial"|"processing"|"done"|"deleting"|"deleted"|"failed"|"delete_failed" only files in this state

---@class maiagent.FilePage: maiagent.Page
---@field results maiagent.File[]

---@class maiagent.FilePageIterator: maiagent.Iterator
---@field next fun(self: maiagent.FilePageIterator): maiagent.FilePage?
---@overload fun(): maiagent.FilePage?

---@class maiagent.FileReparse: maiagent.FileUpdate
---@field id? string UUID

---@class maiagent.FileReplace: maiagent.FileUpdate
---@field file string storage key of the uploaded content (fields.key of the presigned upload)
---@field filename string file name shown

---@class maiagent.FileUpdate
---@field file? string storage key of the uploaded content (fields.key of the presigned upload)
---@field filename? string file name shown
---@field labels? maiagent.Ref[]
---@field parser? string|maiagent.Null UUID
---@field rawUserDefineMetadata? table<string, any>|maiagent.Null metadata: key to value

---@class maiagent.FilesCreate
---@field files maiagent.FileCreate[] at most 50 files in one request

---@class maiagent.IdName
---@field id string UUID
---@field name string

---@class maiagent.ImportResult
---@field errors? { error?: string, file_id?: string, row?: integer }[]
---@field success? boolean
---@field total_rows? integer
---@field updated_count? integer snake_case on the wire

---@class maiagent.KnowledgeBase
---@field id string UUID
---@field canDelete boolean whether the caller may delete it
---@field canUpdate boolean whether the caller may update it
---@field chunksCount integer
---@field createdAt string a time
---@field embeddingModel string UUID
---@field filesCount integer files, leaving out processed files, conversation attachments and soft-deleted ones
---@field labels maiagent.IdName[]
---@field name string
---@field rerankerModel string UUID
---@field updatedAt string a time
---@field vectorStorageSize integer
---@field chatbots? maiagent.IdName[]
---@field createdBy? string UUID
---@field description? string
---@field elasticsearchApiKey? string older documents only: key for that endpoint
---@field elasticsearchUrl? string older documents only: custom Elasticsearch endpoint
---@field enableHyde? boolean HyDE; the service defaults to false
---@field enableRerank? boolean rerank the retrieved chunks; the service defaults to true
---@field enableRrf? boolean Reciprocal Rank Fusion for hybrid search; turn off for a custom Elasticsearch without the enterprise licence; absent: the system's default
---@field groups? maiagent.IdName[]
---@field isMultimodal? boolean supports multimodal embeddings (text and images)
---@field numberOfRetrievedChunks? integer reference chunks retrieved; the service defaults to 12
---@field opensearchPassword? string OpenSearch basic auth
---@field opensearchUsername? string OpenSearch basic auth
---@field oraclePassword? string Oracle database password
---@field oracleUser? string Oracle database user
---@field organization? string UUID
---@field sentenceWindowSize? integer sentence window of the RAG expansion; the service defaults to 2
---@field similarityCutoff? number similarity threshold; the service defaults to 0.0
---@field user? string older documents' name for createdBy
---@field vectorDatabaseApiKey? string API key for Elasticsearch; unused for OpenSearch
---@field vectorDatabaseType? "elasticsearch"|"opensearch"|"oracle" kind of vector database; oracle is Oracle AI Database 26ai
---@field vectorDatabaseUrl? string Elasticsearch/OpenSearch: URL such as https://host:9200; Oracle: DSN such as host:1521/service_name

---@class maiagent.KnowledgeBaseCreate
---@field embeddingModel string UUID
---@field name string
---@field rerankerModel string UUID
---@field chatbots? maiagent.Ref[]
---@field description? string|maiagent.Null
---@field elasticsearchApiKey? string|maiagent.Null older documents only: key for that endpoint
---@field elasticsearchUrl? string|maiagent.Null older documents only: custom Elasticsearch endpoint
---@field enableHyde? boolean HyDE; the service defaults to false
---@field enableRerank? boolean rerank the retrieved chunks; the service defaults to true
---@field enableRrf? boolean Reciprocal Rank Fusion for hybrid search; turn off for a custom Elasticsearch without the enterprise licence; absent: the system's default
---@field groups? maiagent.Ref[] groups that may use this knowledge base
---@field isMultimodal? boolean supports multimodal embeddings (text and images)
---@field numberOfRetrievedChunks? integer reference chunks retrieved; the service defaults to 12
---@field opensearchPassword? string|maiagent.Null OpenSearch basic auth
---@field opensearchUsername? string|maiagent.Null OpenSearch basic auth
---@field oraclePassword? string|maiagent.Null Oracle database password
---@field oracleUser? string|maiagent.Null Oracle database user
---@field sentenceWindowSize? integer sentence window of the RAG expansion; the service defaults to 2
---@field similarityCutoff? number similarity threshold; the service defaults to 0.0
---@field vectorDatabaseApiKey? string|maiagent.Null API key for Elasticsearch; unused for OpenSearch
---@field vectorDatabaseType? "elasticsearch"|"opensearch"|"oracle" kind of vector database; oracle is Oracle AI Database 26ai
---@field vectorDatabaseUrl? string|maiagent.Null Elasticsearch/OpenSearch: URL such as https://host:9200; Oracle: DSN such as host:1521/service_name

---@class maiagent.KnowledgeBaseIterator: maiagent.Iterator
---@field next fun(self: maiagent.KnowledgeBaseIterator): maiagent.KnowledgeBase?
---@overload fun(): maiagent.KnowledgeBase?

---@class maiagent.KnowledgeBaseListParams: maiagent.PageParams
---@field embeddingModel? string embedding model ID
---@field query? string search words
---@field rerankerModel? string reranker model ID

---@class maiagent.KnowledgeBasePage: maiagent.Page
---@field results maiagent.KnowledgeBase[]

---@class maiagent.KnowledgeBasePageIterator: maiagent.Iterator
---@field next fun(self: maiagent.KnowledgeBasePageIterator): maiagent.KnowledgeBasePage?
---@overload fun(): maiagent.KnowledgeBasePage?

---@class maiagent.KnowledgeBaseReplace: maiagent.KnowledgeBaseUpdate
---@field embeddingModel string UUID
---@field name string
---@field rerankerModel string UUID

---@class maiagent.KnowledgeBaseUpdate
---@field chatbots? maiagent.Ref[]
---@field createdBy? string|maiagent.Null UUID
---@field description? string|maiagent.Null
---@field elasticsearchApiKey? string|maiagent.Null older documents only: key for that endpoint
---@field elasticsearchUrl? string|maiagent.Null older documents only: custom Elasticsearch endpoint
---@field embeddingModel? string UUID
---@field enableHyde? boolean HyDE; the service defaults to false
---@field enableRerank? boolean rerank the retrieved chunks; the service defaults to true
---@field enableRrf? boolean Reciprocal Rank Fusion for hybrid search; turn off for a custom Elasticsearch without the enterprise licence; absent: the system's default
---@field groups? maiagent.Ref[] groups that may use this knowledge base
---@field isMultimodal? boolean supports multimodal embeddings (text and images)
---@field name? string
---@field numberOfRetrievedChunks? integer reference chunks retrieved; the service defaults to 12
---@field opensearchPassword? string|maiagent.Null OpenSearch basic auth
---@field opensearchUsername? string|maiagent.Null OpenSearch basic auth
---@field oraclePassword? string|maiagent.Null Oracle database password
---@field oracleUser? string|maiagent.Null Oracle database user
---@field organization? string|maiagent.Null UUID
---@field rerankerModel? string UUID
---@field sentenceWindowSize? integer sentence window of the RAG expansion; the service defaults to 2
---@field similarityCutoff? number similarity threshold; the service defaults to 0.0
---@field user? string|maiagent.Null older documents' name for createdBy
---@field vectorDatabaseApiKey? string|maiagent.Null API key for Elasticsearch; unused for OpenSearch
---@field vectorDatabaseType? "elasticsearch"|"opensearch"|"oracle" kind of vector database; oracle is Oracle AI Database 26ai
---@field vectorDatabaseUrl? string|maiagent.Null Elasticsearch/OpenSearch: URL such as https://host:9200; Oracle: DSN such as host:1521/service_name

---@class maiagent.Label
---@field id string UUID
---@field name? string

---@class maiagent.LabelIterator: maiagent.Iterator
---@field next fun(self: maiagent.LabelIterator): maiagent.Label?
---@overload fun(): maiagent.Label?

---@class maiagent.LabelPage: maiagent.Page
---@field results maiagent.Label[]

---@class maiagent.LabelPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.LabelPageIterator): maiagent.LabelPage?
---@overload fun(): maiagent.LabelPage?

---@class maiagent.LabelUpdate
---@field name? string

---@class maiagent.LabelWrite: maiagent.LabelUpdate
---@field name string

---@class maiagent.MetadataKey
---@field id string UUID
---@field createdAt string a time
---@field keyName string name of the metadata key
---@field keyType string set by the service from the name: a built-in or a custom field
---@field knowledgeBase maiagent.IdName
---@field updatedAt string a time
---@field defaultValue? string value given to new files
---@field description? string what the field is for
---@field enabledForSearch? boolean used in retrieval
---@field isRequired? boolean

---@class maiagent.MetadataKeyIterator: maiagent.Iterator
---@field next fun(self: maiagent.MetadataKeyIterator): maiagent.MetadataKey?
---@overload fun(): maiagent.MetadataKey?

---@class maiagent.MetadataKeyPage: maiagent.Page
---@field results maiagent.MetadataKey[]

---@class maiagent.MetadataKeyPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.MetadataKeyPageIterator): maiagent.MetadataKeyPage?
---@overload fun(): maiagent.MetadataKeyPage?

---@class maiagent.MetadataKeyWrite
---@field keyName string name of the metadata key
---@field defaultValue? string|maiagent.Null value given to new files
---@field description? string|maiagent.Null what the field is for
---@field enabledForSearch? boolean used in retrieval
---@field isRequired? boolean

---@class maiagent.Model
---@field id string UUID
---@field name string
---@field icon? maiagent.ModelIcon
---@field isDefault? boolean

---@class maiagent.ModelIcon
---@field id string UUID
---@field image string
---@field name string

---@class maiagent.ModelIterator: maiagent.Iterator
---@field next fun(self: maiagent.ModelIterator): maiagent.Model?
---@overload fun(): maiagent.Model?

---@class maiagent.ModelPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.ModelPageIterator): maiagent.Model[]?
---@overload fun(): maiagent.Model[]?

---@class maiagent.Parser
---@field id string UUID
---@field name string
---@field order? integer
---@field provider? any any JSON value

---@class maiagent.PresignParams
---@field fieldName string file
---@field fileSize integer bytes
---@field filename string
---@field modelName string chatbot-file for knowledge base files, attachment for attachments

---@class maiagent.PresignedPost
---@field fieldName? string
---@field fields? table<string, string>
---@field fileSize? integer
---@field filename? string
---@field modelName? string
---@field url? string

---@class maiagent.Ref
---@field id string UUID

---@class maiagent.ToolSummary
---@field id string UUID
---@field name string
---@field description? string
---@field displayName? string
---@field toolType? string

---@class maiagent.Translation
---@field id string UUID
---@field status string
---@field targetLanguage string
---@field avgLlmCallDuration? number seconds
---@field bilingualFileSize? integer
---@field bilingualFileUrl? string
---@field chatbotFileFilename? string
---@field chatbotFileId? string UUID
---@field completedAt? string a time
---@field createdAt? string a time
---@field customPrompt? string terminology and glossary rules
---@field errorMessage? string
---@field fileSavingDuration? string duration as text
---@field fileSavingDurationSeconds? number seconds
---@field inputTokensUsed? integer
---@field largeLanguageModel? maiagent.IdName
---@field llmCallCount? integer
---@field llmTranslationDuration? string duration as text
---@field llmTranslationDurationSeconds? number seconds
---@field organization? string UUID
---@field originalFileSize? integer
---@field originalWordCount? integer
---@field outputTokensUsed? integer
---@field pageCount? integer
---@field pdfParsingDuration? string duration as text
---@field pdfParsingDurationSeconds? number seconds
---@field processDuration? string duration as text
---@field processingDurationSeconds? number seconds
---@field sourceLanguage? string
---@field startedAt? string a time
---@field totalTokensUsed? integer
---@field translatedFileSize? integer
---@field translatedFileUrl? string
---@field translatedWordCount? integer
---@field updatedAt? string a time

---@class maiagent.TranslationIterator: maiagent.Iterator
---@field next fun(self: maiagent.TranslationIterator): maiagent.Translation?
---@overload fun(): maiagent.Translation?

---@class maiagent.TranslationPage: maiagent.Page
---@field results maiagent.Translation[]

---@class maiagent.TranslationPageIterator: maiagent.Iterator
---@field next fun(self: maiagent.TranslationPageIterator): maiagent.TranslationPage?
---@overload fun(): maiagent.TranslationPage?

---@class maiagent.TranslationWrite
---@field largeLanguageModelId string UUID
---@field targetLanguage string
---@field customPrompt? string|maiagent.Null
---@field sourceLanguage? string|maiagent.Null

--
-- Resources
--

---@class maiagent.KnowledgeBases
---@field documents maiagent.Documents
---@field faqs maiagent.Faqs
---@field files maiagent.Files
---@field labels maiagent.Labels
---@field metadata_keys maiagent.MetadataKeys
local knowledge_bases = {}

---Download the labels as Excel: into a file, or without a path as a string. `GET knowledge-bases/{id}/export-labels-excel/`
---@param id string
---@param path? string a file, or a folder: then the server's name is used
---@param options? maiagent.CallOptions
---@return string? path_or_bytes
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:export_labels_excel(id, path, options) end

---Download the metadata as Excel: into a file, or without a path as a string. `GET knowledge-bases/{id}/export-metadata-excel/`
---@param id string
---@param path? string a file, or a folder: then the server's name is used
---@param options? maiagent.CallOptions
---@return string? path_or_bytes
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:export_metadata_excel(id, path, options) end

---Make a knowledge base hold what a folder holds. Killed at any moment it is
---simply run again.
---@param knowledge_base_id string
---@param folder string
---@param options? maiagent.SyncOptions
---@return maiagent.SyncSummary? summary
---@return maiagent.Error err where the folder or the list cannot be read, or another run is at it
function knowledge_bases:sync(knowledge_base_id, folder, options) end

---List knowledge bases. `GET knowledge-bases/`
---@param params? maiagent.KnowledgeBaseListParams
---@param options? maiagent.CallOptions
---@return maiagent.KnowledgeBasePage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:list(params, options) end

---Every item of every page, for a `for` loop.
---@param params? maiagent.KnowledgeBaseListParams
---@param options? maiagent.ListOptions
---@return maiagent.KnowledgeBaseIterator
function knowledge_bases:each(params, options) end

---Every page, for a `for` loop.
---@param params? maiagent.KnowledgeBaseListParams
---@param options? maiagent.ListOptions
---@return maiagent.KnowledgeBasePageIterator
function knowledge_bases:pages(params, options) end

---Every item of every page, as one array.
---@param params? maiagent.KnowledgeBaseListParams
---@param options? maiagent.ListOptions
---@return maiagent.KnowledgeBase[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:all(params, options) end

---Get a knowledge base. `GET knowledge-bases/{id}/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.KnowledgeBase? knowledge_base
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:get(id, params, options) end

---Create a knowledge base. `POST knowledge-bases/`
---@param params maiagent.KnowledgeBaseCreate
---@param options? maiagent.CallOptions
---@return maiagent.KnowledgeBase? knowledge_base
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:create(params, options) end

---Update a knowledge base whole. `PUT knowledge-bases/{id}/`
---@param id string
---@param params maiagent.KnowledgeBaseReplace
---@param options? maiagent.CallOptions
---@return maiagent.KnowledgeBase? knowledge_base
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:replace(id, params, options) end

---Update fields of a knowledge base. `PATCH knowledge-bases/{id}/`
---@param id string
---@param params? maiagent.KnowledgeBaseUpdate
---@param options? maiagent.CallOptions
---@return maiagent.KnowledgeBase? knowledge_base
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:update(id, params, options) end

---Delete a knowledge base. `DELETE knowledge-bases/{id}/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:delete(id, params, options) end

---Check whether RRF can be used. `GET knowledge-bases/{id}/check-rrf-availability/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.KnowledgeBase? knowledge_base
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:check_rrf_availability(id, params, options) end

---Upload labels as Excel; rows that the service did not take give the result and an error. `POST knowledge-bases/{id}/import-labels-excel/`
---@param id string
---@param source maiagent.Source
---@param options? maiagent.CallOptions
---@return maiagent.ImportResult? import_result
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:import_labels_excel(id, source, options) end

---Upload metadata as Excel; rows that the service did not take give the result and an error. `POST knowledge-bases/{id}/import-metadata-excel/`
---@param id string
---@param source maiagent.Source
---@param options? maiagent.CallOptions
---@return maiagent.ImportResult? import_result
---@return maiagent.Error err
---@return maiagent.Response? response
function knowledge_bases:import_metadata_excel(id, source, options) end

---@class maiagent.Labels
local labels = {}

---List labels. `GET knowledge-bases/{knowledgeBasePk}/labels/`
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.CallOptions
---@return maiagent.LabelPage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:list(knowledge_base_id, params, options) end

---Every item of every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.LabelIterator
function labels:each(knowledge_base_id, params, options) end

---Every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.LabelPageIterator
function labels:pages(knowledge_base_id, params, options) end

---Every item of every page, as one array.
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.Label[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:all(knowledge_base_id, params, options) end

---Get a label. `GET knowledge-bases/{knowledgeBasePk}/labels/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Label? label
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:get(knowledge_base_id, id, params, options) end

---Create a label. `POST knowledge-bases/{knowledgeBasePk}/labels/`
---@param knowledge_base_id string
---@param params maiagent.LabelWrite
---@param options? maiagent.CallOptions
---@return maiagent.Label? label
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:create(knowledge_base_id, params, options) end

---Update a label whole. `PUT knowledge-bases/{knowledgeBasePk}/labels/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params maiagent.LabelWrite
---@param options? maiagent.CallOptions
---@return maiagent.Label? label
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:replace(knowledge_base_id, id, params, options) end

---Update fields of a label. `PATCH knowledge-bases/{knowledgeBasePk}/labels/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? maiagent.LabelUpdate
---@param options? maiagent.CallOptions
---@return maiagent.Label? label
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:update(knowledge_base_id, id, params, options) end

---Delete a label. `DELETE knowledge-bases/{knowledgeBasePk}/labels/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function labels:delete(knowledge_base_id, id, params, options) end

---@class maiagent.MetadataKeys
local metadata_keys = {}

---List metadata keys. `GET knowledge-bases/{knowledgeBasePk}/metadata-keys/`
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.CallOptions
---@return maiagent.MetadataKeyPage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function metadata_keys:list(knowledge_base_id, params, options) end

---Every item of every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.MetadataKeyIterator
function metadata_keys:each(knowledge_base_id, params, options) end

---Every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.MetadataKeyPageIterator
function metadata_keys:pages(knowledge_base_id, params, options) end

---Every item of every page, as one array.
---@param knowledge_base_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.MetadataKey[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function metadata_keys:all(knowledge_base_id, params, options) end

---Get a metadata key. `GET knowledge-bases/{knowledgeBasePk}/metadata-keys/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.MetadataKey? metadata_key
---@return maiagent.Error err
---@return maiagent.Response? response
function metadata_keys:get(knowledge_base_id, id, params, options) end

---Create a metadata key. `POST knowledge-bases/{knowledgeBasePk}/metadata-keys/`
---@param knowledge_base_id string
---@param params maiagent.MetadataKeyWrite
---@param options? maiagent.CallOptions
---@return maiagent.MetadataKey? metadata_key
---@return maiagent.Error err
---@return maiagent.Response? response
function metadata_keys:create(knowledge_base_id, params, options) end

---Update a metadata key whole. `PUT knowledge-bases/{knowledgeBasePk}/metadata-keys/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params maiagent.MetadataKeyWrite
---@param options? maiagent.CallOptions
---@return maiagent.MetadataKey? metadata_key
---@return maiagent.Error err
---@return maiagent.Response? response
function metadata_keys:replace(knowledge_base_id, id, params, options) end

---@class maiagent.Files
---@field translations maiagent.Translations
local files = {}

---Download a file.
---@param knowledge_base_id string
---@param id string
---@param path string a file, or a folder: then the server's name is used
---@param options? maiagent.TransferOptions
---@return string? path
---@return maiagent.Error err
---@return maiagent.Response? response
function files:download(knowledge_base_id, id, path, options) end

---Upload one file: presign, store, register. It is streamed.
---@param knowledge_base_id string
---@param source maiagent.Source
---@param params? maiagent.UploadParams
---@param options? maiagent.TransferOptions
---@return maiagent.File? file
---@return maiagent.Error err
---@return maiagent.Response? response
function files:upload(knowledge_base_id, source, params, options) end

---Upload many files, some at a time. One that fails does not stop the others.
---@param knowledge_base_id string
---@param sources maiagent.Source[]
---@param params? maiagent.UploadParams of every file
---@param options? maiagent.UploadAllOptions
---@return maiagent.File[] files in the order of the sources, nil where there is an error
---@return table<integer, maiagent.Error>? errors index → error; nil where none failed
function files:upload_all(knowledge_base_id, sources, params, options) end

---Wait until a file, or each of a list, is processed.
---@param knowledge_base_id string
---@param id string
---@param options? maiagent.WaitOptions
---@return maiagent.File? file once it is `done`
---@return maiagent.Error err of kind `file` with the service's reason where it failed
---@return maiagent.Response? response
---@overload fun(self: maiagent.Files, knowledge_base_id: string, ids: string[], options?: maiagent.WaitOptions): maiagent.File[], table<integer, maiagent.Error>?, maiagent.Response?
function files:wait(knowledge_base_id, id, options) end

---List files. `GET knowledge-bases/{knowledgeBasePk}/files/`
---@param knowledge_base_id string
---@param params? maiagent.FileListParams
---@param options? maiagent.CallOptions
---@return maiagent.FilePage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function files:list(knowledge_base_id, params, options) end

---Every item of every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.FileListParams
---@param options? maiagent.ListOptions
---@return maiagent.FileIterator
function files:each(knowledge_base_id, params, options) end

---Every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.FileListParams
---@param options? maiagent.ListOptions
---@return maiagent.FilePageIterator
function files:pages(knowledge_base_id, params, options) end

---Every item of every page, as one array.
---@param knowledge_base_id string
---@param params? maiagent.FileListParams
---@param options? maiagent.ListOptions
---@return maiagent.File[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function files:all(knowledge_base_id, params, options) end

---Get a file. `GET knowledge-bases/{knowledgeBasePk}/files/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.File? file
---@return maiagent.Error err
---@return maiagent.Response? response
function files:get(knowledge_base_id, id, params, options) end

---Update a file whole. `PUT knowledge-bases/{knowledgeBasePk}/files/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params maiagent.FileReplace
---@param options? maiagent.CallOptions
---@return maiagent.File? file
---@return maiagent.Error err
---@return maiagent.Response? response
function files:replace(knowledge_base_id, id, params, options) end

---Update fields of a file. `PATCH knowledge-bases/{knowledgeBasePk}/files/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? maiagent.FileUpdate
---@param options? maiagent.CallOptions
---@return maiagent.File? file
---@return maiagent.Error err
---@return maiagent.Response? response
function files:update(knowledge_base_id, id, params, options) end

---Delete a file. `DELETE knowledge-bases/{knowledgeBasePk}/files/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function files:delete(knowledge_base_id, id, params, options) end

---Register uploaded files with the knowledge base. `POST knowledge-bases/{knowledgeBasePk}/files/`
---@param knowledge_base_id string
---@param params maiagent.FilesCreate
---@param options? maiagent.CallOptions
---@return maiagent.FilePage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function files:create(knowledge_base_id, params, options) end

---Delete files. `POST knowledge-bases/{knowledgeBasePk}/files/batch-delete/`
---@param knowledge_base_id string
---@param params maiagent.FileIds
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function files:batch_delete(knowledge_base_id, params, options) end

---Parse files again; the body is a JSON array; one document says a page comes back, the newer one a file. `PATCH knowledge-bases/{knowledgeBasePk}/files/batch-reparse/`
---@param knowledge_base_id string
---@param params maiagent.FileReparse[]
---@param options? maiagent.CallOptions
---@return maiagent.File|maiagent.FilePage|nil object
---@return maiagent.Error err
---@return maiagent.Response? response
function files:batch_reparse(knowledge_base_id, params, options) end

---Why the file's processing failed last. `GET knowledge-bases/{knowledgeBasePk}/files/{id}/latest-failed-reason/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.FailedReason? failed_reason
---@return maiagent.Error err
---@return maiagent.Response? response
function files:latest_failed_reason(knowledge_base_id, id, params, options) end

---Get the file's transcription. `GET knowledge-bases/{knowledgeBasePk}/files/{id}/transcription/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.File? file
---@return maiagent.Error err
---@return maiagent.Response? response
function files:transcription(knowledge_base_id, id, params, options) end

---@class maiagent.Translations
local translations = {}

---Download a translation into a file; without a path the JSON that names its URLs is the answer. `GET knowledge-bases/{knowledgeBasePk}/files/{knowledgeBaseFilePk}/translations/{id}/download/`
---@param knowledge_base_id string
---@param file_id string
---@param id string
---@param path string a file, or a folder: then the server's name is used
---@param options? maiagent.TranslationOptions
---@return string? path
---@return maiagent.Error err of kind `not_found` while it is not completed
---@return maiagent.Response? response
---@overload fun(self: maiagent.Translations, knowledge_base_id: string, file_id: string, id: string, params?: table, options?: maiagent.CallOptions): maiagent.Translation?, maiagent.Error, maiagent.Response?
function translations:download(knowledge_base_id, file_id, id, path, options) end

---Wait until a translation, or each of a list, is made.
---@param knowledge_base_id string
---@param file_id string
---@param id string
---@param options? maiagent.WaitOptions
---@return maiagent.Translation? translation
---@return maiagent.Error err
---@return maiagent.Response? response
---@overload fun(self: maiagent.Translations, knowledge_base_id: string, file_id: string, ids: string[], options?: maiagent.WaitOptions): maiagent.Translation[], table<integer, maiagent.Error>?, maiagent.Response?
function translations:wait(knowledge_base_id, file_id, id, options) end

---List a file's translations. `GET knowledge-bases/{knowledgeBasePk}/files/{knowledgeBaseFilePk}/translations/`
---@param knowledge_base_id string
---@param file_id string
---@param params? maiagent.PageParams
---@param options? maiagent.CallOptions
---@return maiagent.TranslationPage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function translations:list(knowledge_base_id, file_id, params, options) end

---Every item of every page, for a `for` loop.
---@param knowledge_base_id string
---@param file_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.TranslationIterator
function translations:each(knowledge_base_id, file_id, params, options) end

---Every page, for a `for` loop.
---@param knowledge_base_id string
---@param file_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.TranslationPageIterator
function translations:pages(knowledge_base_id, file_id, params, options) end

---Every item of every page, as one array.
---@param knowledge_base_id string
---@param file_id string
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.Translation[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function translations:all(knowledge_base_id, file_id, params, options) end

---Get a translation. `GET knowledge-bases/{knowledgeBasePk}/files/{knowledgeBaseFilePk}/translations/{id}/`
---@param knowledge_base_id string
---@param file_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Translation? translation
---@return maiagent.Error err
---@return maiagent.Response? response
function translations:get(knowledge_base_id, file_id, id, params, options) end

---Translate a file; the answer is what was sent. `POST knowledge-bases/{knowledgeBasePk}/files/{knowledgeBaseFilePk}/translations/`
---@param knowledge_base_id string
---@param file_id string
---@param params maiagent.TranslationWrite
---@param options? maiagent.CallOptions
---@return maiagent.TranslationWrite? translation_write
---@return maiagent.Error err
---@return maiagent.Response? response
function translations:create(knowledge_base_id, file_id, params, options) end

---Delete a translation. `DELETE knowledge-bases/{knowledgeBasePk}/files/{knowledgeBaseFilePk}/translations/{id}/`
---@param knowledge_base_id string
---@param file_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function translations:delete(knowledge_base_id, file_id, id, params, options) end

---@class maiagent.Documents
local documents = {}

---List documents: a plain array, no pages. `GET knowledge-bases/{knowledgeBasePk}/documents/`
---@param knowledge_base_id string
---@param params? maiagent.DocumentListParams
---@param options? maiagent.CallOptions
---@return maiagent.Document[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function documents:list(knowledge_base_id, params, options) end

---Every item of every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.DocumentListParams
---@param options? maiagent.ListOptions
---@return maiagent.DocumentIterator
function documents:each(knowledge_base_id, params, options) end

---Every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.DocumentListParams
---@param options? maiagent.ListOptions
---@return maiagent.DocumentPageIterator
function documents:pages(knowledge_base_id, params, options) end

---Every item of every page, as one array.
---@param knowledge_base_id string
---@param params? maiagent.DocumentListParams
---@param options? maiagent.ListOptions
---@return maiagent.Document[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function documents:all(knowledge_base_id, params, options) end

---Update a document whole. `PUT knowledge-bases/{knowledgeBasePk}/documents/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params maiagent.DocumentReplace
---@param options? maiagent.CallOptions
---@return maiagent.Document? document
---@return maiagent.Error err
---@return maiagent.Response? response
function documents:replace(knowledge_base_id, id, params, options) end

---Update fields of a document. `PATCH knowledge-bases/{knowledgeBasePk}/documents/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? maiagent.DocumentUpdate
---@param options? maiagent.CallOptions
---@return maiagent.Document? document
---@return maiagent.Error err
---@return maiagent.Response? response
function documents:update(knowledge_base_id, id, params, options) end

---Delete a document. `DELETE knowledge-bases/{knowledgeBasePk}/documents/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function documents:delete(knowledge_base_id, id, params, options) end

---@class maiagent.Faqs
local faqs = {}

---List FAQs. `GET knowledge-bases/{knowledgeBasePk}/faqs/`
---@param knowledge_base_id string
---@param params? maiagent.FaqListParams
---@param options? maiagent.CallOptions
---@return maiagent.FaqPage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:list(knowledge_base_id, params, options) end

---Every item of every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.FaqListParams
---@param options? maiagent.ListOptions
---@return maiagent.FaqIterator
function faqs:each(knowledge_base_id, params, options) end

---Every page, for a `for` loop.
---@param knowledge_base_id string
---@param params? maiagent.FaqListParams
---@param options? maiagent.ListOptions
---@return maiagent.FaqPageIterator
function faqs:pages(knowledge_base_id, params, options) end

---Every item of every page, as one array.
---@param knowledge_base_id string
---@param params? maiagent.FaqListParams
---@param options? maiagent.ListOptions
---@return maiagent.Faq[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:all(knowledge_base_id, params, options) end

---Get a FAQ. `GET knowledge-bases/{knowledgeBasePk}/faqs/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Faq? faq
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:get(knowledge_base_id, id, params, options) end

---Create a FAQ. `POST knowledge-bases/{knowledgeBasePk}/faqs/`
---@param knowledge_base_id string
---@param params maiagent.FaqWrite
---@param options? maiagent.CallOptions
---@return maiagent.Faq? faq
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:create(knowledge_base_id, params, options) end

---Update a FAQ whole. `PUT knowledge-bases/{knowledgeBasePk}/faqs/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params maiagent.FaqWrite
---@param options? maiagent.CallOptions
---@return maiagent.Faq? faq
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:replace(knowledge_base_id, id, params, options) end

---Update fields of a FAQ. `PATCH knowledge-bases/{knowledgeBasePk}/faqs/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? maiagent.FaqUpdate
---@param options? maiagent.CallOptions
---@return maiagent.Faq? faq
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:update(knowledge_base_id, id, params, options) end

---Delete a FAQ. `DELETE knowledge-bases/{knowledgeBasePk}/faqs/{id}/`
---@param knowledge_base_id string
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:delete(knowledge_base_id, id, params, options) end

---Delete FAQs; without ids, which deletes every one, it raises unless options say { all = true }. `POST knowledge-bases/{knowledgeBasePk}/faqs/batch-delete/`
---@param knowledge_base_id string
---@param params? maiagent.FaqIds
---@param options? maiagent.BatchDeleteOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function faqs:batch_delete(knowledge_base_id, params, options) end

---@class maiagent.Chatbots
local chatbots = {}

---List chatbots; pagination=false asks for all at once; a plain array comes then. `GET chatbots/`
---@param params? maiagent.ChatbotListParams
---@param options? maiagent.CallOptions
---@return maiagent.ChatbotPage|maiagent.ChatbotListItem[]|nil page
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:list(params, options) end

---Every item of every page, for a `for` loop.
---@param params? maiagent.ChatbotListParams
---@param options? maiagent.ListOptions
---@return maiagent.ChatbotIterator
function chatbots:each(params, options) end

---Every page, for a `for` loop.
---@param params? maiagent.ChatbotListParams
---@param options? maiagent.ListOptions
---@return maiagent.ChatbotPageIterator
function chatbots:pages(params, options) end

---Every item of every page, as one array.
---@param params? maiagent.ChatbotListParams
---@param options? maiagent.ListOptions
---@return maiagent.ChatbotListItem[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:all(params, options) end

---Get a chatbot. `GET chatbots/{id}/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Chatbot? chatbot
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:get(id, params, options) end

---Create a chatbot (AI assistant). `POST chatbots/`
---@param params maiagent.ChatbotWrite
---@param options? maiagent.CallOptions
---@return maiagent.Chatbot? chatbot
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:create(params, options) end

---Update a chatbot whole. `PUT chatbots/{id}/`
---@param id string
---@param params maiagent.ChatbotWrite
---@param options? maiagent.CallOptions
---@return maiagent.Chatbot? chatbot
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:replace(id, params, options) end

---Update fields of a chatbot. `PATCH chatbots/{id}/`
---@param id string
---@param params? maiagent.ChatbotUpdate
---@param options? maiagent.CallOptions
---@return maiagent.Chatbot? chatbot
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:update(id, params, options) end

---Delete a chatbot. `DELETE chatbots/{id}/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function chatbots:delete(id, params, options) end

---@class maiagent.EmbeddingModels
local embedding_models = {}

---List embedding models: a plain array, no pages. `GET embedding-models/`
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Model[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function embedding_models:list(params, options) end

---Every item of every page, for a `for` loop.
---@param params? table a query
---@param options? maiagent.ListOptions
---@return maiagent.ModelIterator
function embedding_models:each(params, options) end

---Every page, for a `for` loop.
---@param params? table a query
---@param options? maiagent.ListOptions
---@return maiagent.ModelPageIterator
function embedding_models:pages(params, options) end

---Every item of every page, as one array.
---@param params? table a query
---@param options? maiagent.ListOptions
---@return maiagent.Model[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function embedding_models:all(params, options) end

---@class maiagent.RerankerModels
local reranker_models = {}

---List reranker models: a plain array, no pages. `GET reranker-models/`
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Model[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function reranker_models:list(params, options) end

---Every item of every page, for a `for` loop.
---@param params? table a query
---@param options? maiagent.ListOptions
---@return maiagent.ModelIterator
function reranker_models:each(params, options) end

---Every page, for a `for` loop.
---@param params? table a query
---@param options? maiagent.ListOptions
---@return maiagent.ModelPageIterator
function reranker_models:pages(params, options) end

---Every item of every page, as one array.
---@param params? table a query
---@param options? maiagent.ListOptions
---@return maiagent.Model[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function reranker_models:all(params, options) end

---@class maiagent.Attachments
local attachments = {}

---Upload an attachment: presign, store, register. It is streamed.
---@param source maiagent.Source
---@param params? maiagent.AttachmentUploadParams
---@param options? maiagent.TransferOptions
---@return maiagent.Attachment? attachment
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:upload(source, params, options) end

---List attachments. `GET attachments/`
---@param params? maiagent.PageParams
---@param options? maiagent.CallOptions
---@return maiagent.AttachmentPage? page
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:list(params, options) end

---Every item of every page, for a `for` loop.
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.AttachmentIterator
function attachments:each(params, options) end

---Every page, for a `for` loop.
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.AttachmentPageIterator
function attachments:pages(params, options) end

---Every item of every page, as one array.
---@param params? maiagent.PageParams
---@param options? maiagent.ListOptions
---@return maiagent.Attachment[]? list
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:all(params, options) end

---Get an attachment. `GET attachments/{id}/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return maiagent.Attachment? attachment
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:get(id, params, options) end

---Register an uploaded attachment. `POST attachments/`
---@param params maiagent.AttachmentWrite
---@param options? maiagent.CallOptions
---@return maiagent.Attachment? attachment
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:create(params, options) end

---Update an attachment whole. `PUT attachments/{id}/`
---@param id string
---@param params maiagent.AttachmentWrite
---@param options? maiagent.CallOptions
---@return maiagent.Attachment? attachment
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:replace(id, params, options) end

---Update fields of an attachment. `PATCH attachments/{id}/`
---@param id string
---@param params? maiagent.AttachmentUpdate
---@param options? maiagent.CallOptions
---@return maiagent.Attachment? attachment
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:update(id, params, options) end

---Delete an attachment. `DELETE attachments/{id}/`
---@param id string
---@param params? table a query
---@param options? maiagent.CallOptions
---@return true? done
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:delete(id, params, options) end

---@class maiagent.Uploads
local uploads = {}

---Store a file for whoever needs only the storage key.
---@param source maiagent.Source
---@param model_name "chatbot-file"|"attachment"|"batch-qa" what it is for
---@param options? maiagent.TransferOptions
---@return string? key
---@return maiagent.Error err
---@return maiagent.Response? response
function uploads:put(source, model_name, options) end

---Get a presigned URL to upload a file to. `POST upload-presigned-url/`
---@param params maiagent.PresignParams
---@param options? maiagent.CallOptions
---@return maiagent.PresignedPost? presigned_post
---@return maiagent.Error err
---@return maiagent.Response? response
function uploads:presign(params, options) end

--
-- The client
--

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
