---Make a knowledge base hold what a folder holds. Killed at any moment it is
---simply run again.
---@param knowledge_base_id string
---@param folder string
---@param options? maiagent.SyncOptions
---@return maiagent.SyncSummary? summary
---@return maiagent.Error err where the folder or the list cannot be read, or another run is at it
function knowledge_bases:sync(knowledge_base_id, folder, options) end

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

---Download a file.
---@param knowledge_base_id string
---@param id string
---@param path string a file, or a folder: then the server's name is used
---@param options? maiagent.TransferOptions
---@return string? path
---@return maiagent.Error err
---@return maiagent.Response? response
function files:download(knowledge_base_id, id, path, options) end

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

---Upload an attachment: presign, store, register. It is streamed.
---@param source maiagent.Source
---@param params? maiagent.AttachmentUploadParams
---@param options? maiagent.TransferOptions
---@return maiagent.Attachment? attachment
---@return maiagent.Error err
---@return maiagent.Response? response
function attachments:upload(source, params, options) end

---Store a file for whoever needs only the storage key.
---@param source maiagent.Source
---@param model_name "chatbot-file"|"attachment"|"batch-qa" what it is for
---@param options? maiagent.TransferOptions
---@return string? key
---@return maiagent.Error err
---@return maiagent.Response? response
function uploads:put(source, model_name, options) end
