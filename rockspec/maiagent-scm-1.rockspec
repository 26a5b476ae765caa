rockspec_format = "3.0"
package = "maiagent"
version = "scm-1"

-- The address the project is to have; `luarocks make` in a clone needs none.
source = {
  url = "git+https://github.com/maiagent-lua/maiagent",
}

description = {
  summary = "The MaiAgent API (assistants, knowledge bases, files, FAQs)",
  detailed = [[
    Every operation of the MaiAgent API as a Lua call, over libcurl and cJSON:
    from a plain script, inside nginx/OpenResty, in a game's frame loop.
    Needs libcurl and cJSON with their headers (Debian, Ubuntu:
    libcurl4-openssl-dev libcjson-dev).
  ]],
  license = "MIT",
  labels = { "api", "http", "ai", "async" },
}

-- No rocks: nothing is asked of the network but this package itself.
dependencies = { "lua >= 5.1" }

-- libcurl by its library alone: Debian keeps its header in a folder that
-- compilers know and luarocks does not. Both come with the same package.
external_dependencies = {
  CURL = { library = "curl" },
  CJSON = { header = "cjson/cJSON.h", library = "cjson" },
}

build = {
  type = "builtin",
  modules = {
    ["maiagent.core"] = {
      sources = {
        "src/core.c",
        "src/buffer.c",
        "src/url.c",
        "src/json.c",
        "src/json_text.c",
        "src/json_list.c",
        "src/json_decode.c",
        "src/json_encode.c",
        "src/operations.c",
        "src/query.c",
        "src/request.c",
      },
      defines = { "_GNU_SOURCE", "_FILE_OFFSET_BITS=64" },
      incdirs = { "$(CJSON_INCDIR)" },
      libdirs = { "$(CJSON_LIBDIR)" },
      libraries = { "cjson" },
    },
    ["maiagent.http"] = {
      sources = {
        "src/http.c",
        "src/buffer.c",
        "src/transfer.c",
        "src/callbacks.c",
        "src/measure.c",
        "src/head.c",
        "src/form.c",
        "src/feed.c",
        "src/sink.c",
        "src/easy.c",
        "src/failure.c",
        "src/proxy.c",
        "src/exchange.c",
        "src/client.c",
        "src/loop.c",
      },
      defines = { "_GNU_SOURCE", "_FILE_OFFSET_BITS=64" },
      incdirs = { "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
      libraries = { "curl", "pthread" },
    },
    ["maiagent.disk"] = {
      sources = {
        "src/disk.c",
        "src/folder.c",
        "src/hasher.c",
        "src/lock.c",
        "src/digest.c",
      },
      defines = { "_GNU_SOURCE", "_FILE_OFFSET_BITS=64" },
      libraries = { "pthread" },
    },
    ["maiagent"] = "lua/maiagent/init.lua",
    ["maiagent.arguments"] = "lua/maiagent/arguments.lua",
    ["maiagent.attachments"] = "lua/maiagent/attachments.lua",
    ["maiagent.call"] = "lua/maiagent/call.lua",
    ["maiagent.checks"] = "lua/maiagent/checks.lua",
    ["maiagent.clearing"] = "lua/maiagent/clearing.lua",
    ["maiagent.client"] = "lua/maiagent/client.lua",
    ["maiagent.crew"] = "lua/maiagent/crew.lua",
    ["maiagent.deadline"] = "lua/maiagent/deadline.lua",
    ["maiagent.download"] = "lua/maiagent/download.lua",
    ["maiagent.environment"] = "lua/maiagent/environment.lua",
    ["maiagent.errors"] = "lua/maiagent/errors.lua",
    ["maiagent.fetch"] = "lua/maiagent/fetch.lua",
    ["maiagent.filename"] = "lua/maiagent/filename.lua",
    ["maiagent.files"] = "lua/maiagent/files.lua",
    ["maiagent.folder"] = "lua/maiagent/folder.lua",
    ["maiagent.gather"] = "lua/maiagent/gather.lua",
    ["maiagent.host"] = "lua/maiagent/host.lua",
    ["maiagent.imported"] = "lua/maiagent/imported.lua",
    ["maiagent.inventory"] = "lua/maiagent/inventory.lua",
    ["maiagent.journal"] = "lua/maiagent/journal.lua",
    ["maiagent.ledger"] = "lua/maiagent/ledger.lua",
    ["maiagent.listing"] = "lua/maiagent/listing.lua",
    ["maiagent.options"] = "lua/maiagent/options.lua",
    ["maiagent.misuse"] = "lua/maiagent/misuse.lua",
    ["maiagent.pages"] = "lua/maiagent/pages.lua",
    ["maiagent.plan"] = "lua/maiagent/plan.lua",
    ["maiagent.poll"] = "lua/maiagent/poll.lua",
    ["maiagent.processing"] = "lua/maiagent/processing.lua",
    ["maiagent.progress"] = "lua/maiagent/progress.lua",
    ["maiagent.protect"] = "lua/maiagent/protect.lua",
    ["maiagent.registration"] = "lua/maiagent/registration.lua",
    ["maiagent.resources"] = "lua/maiagent/resources.lua",
    ["maiagent.response"] = "lua/maiagent/response.lua",
    ["maiagent.retry"] = "lua/maiagent/retry.lua",
    ["maiagent.send"] = "lua/maiagent/send.lua",
    ["maiagent.slots"] = "lua/maiagent/slots.lua",
    ["maiagent.sink"] = "lua/maiagent/sink.lua",
    ["maiagent.storing"] = "lua/maiagent/storing.lua",
    ["maiagent.summary"] = "lua/maiagent/summary.lua",
    ["maiagent.sync"] = "lua/maiagent/sync.lua",
    ["maiagent.tasks"] = "lua/maiagent/tasks.lua",
    ["maiagent.testing"] = "lua/maiagent/testing/init.lua",
    ["maiagent.testing.api"] = "lua/maiagent/testing/api.lua",
    ["maiagent.testing.content"] = "lua/maiagent/testing/content.lua",
    ["maiagent.testing.control"] = "lua/maiagent/testing/control.lua",
    ["maiagent.testing.excel"] = "lua/maiagent/testing/excel.lua",
    ["maiagent.testing.faults"] = "lua/maiagent/testing/faults.lua",
    ["maiagent.testing.files"] = "lua/maiagent/testing/files.lua",
    ["maiagent.testing.http"] = "lua/maiagent/testing/http.lua",
    ["maiagent.testing.json"] = "lua/maiagent/testing/json.lua",
    ["maiagent.testing.multipart"] = "lua/maiagent/testing/multipart.lua",
    ["maiagent.testing.policy"] = "lua/maiagent/testing/policy.lua",
    ["maiagent.testing.resources"] = "lua/maiagent/testing/resources.lua",
    ["maiagent.testing.state"] = "lua/maiagent/testing/state.lua",
    ["maiagent.testing.storage"] = "lua/maiagent/testing/storage.lua",
    ["maiagent.testing.validation"] = "lua/maiagent/testing/validation.lua",
    ["maiagent.testing.xlsx"] = "lua/maiagent/testing/xlsx.lua",
    ["maiagent.types"] = "lua/maiagent/types.lua",
    ["maiagent.upload"] = "lua/maiagent/upload.lua",
    ["maiagent.upload_all"] = "lua/maiagent/upload_all.lua",
    ["maiagent.wait"] = "lua/maiagent/wait.lua",
    ["maiagent.warm_up"] = "lua/maiagent/warm_up.lua",
  },
}
