-- Specs that `make valgrind` and `make collect` leave out: they say what has to
-- happen within some time, with the stand-in in the same, ten to fifty times
-- slower process. A part of a spec's name and the reason for each; `make test`
-- runs them all.

return {
  -- tests/exchange_spec.lua
  { "a reply may repeat a header very often", "within a second" },
  { "a form fails when a file changes and keeps its size",
    "16 MiB within ten seconds" },
  { "a form fails when a file grows meanwhile", "16 MiB within ten seconds" },
  { "a part that is fed never waits in large amounts",
    "16 MiB within ten seconds" },
  { "a stream lets the server wait for a slow reader",
    "16 MiB within ten seconds" },

  -- tests/files_spec.lua
  { "streams: memory does not grow with the file",
    "200 MiB within twenty seconds" },

  -- tests/plain_spec.lua
  { "a plain script runs ten calls in the time of one", "what it says" },

  -- tests/pool_spec.lua
  { "the descriptor is quiet while nothing happens", "quiet at once" },
  { "the descriptor forgets that end when the exchange is collected",
    "looks before the collector is asked to run" },
  { "the collector cancels an exchange that the program dropped",
    "looks before the collector is asked to run" },

  -- tests/send_spec.lua
  { "a failing answer: 400 with nested fields",
    "loads libcurl and has three seconds" },
  { "max_speed holds an upload back, which is no idleness of the line",
    "0.3 s without a byte are too long" },
  { "a reader may yield in a task, while others go on",
    "three uploads within ten seconds" },
  { "a reader in a task is asked as soon as the line can take more",
    "what it says" },

  -- tests/slots_spec.lua
  { "max_in_flight uses what it allows", "three waves within 0.9 s" },

  -- tests/storing_spec.lua
  { "an upload has one clock for all its requests", "0.3 s, 0.7 s and 0.9 s" },
  { "an upload finds 12 files whose registration had no answer",
    "12 files within the second that a registration waits" },
  { "an upload asks again for a URL that is too old when it is used",
    "the next one must not be too old" },

  -- tests/testing_spec.lua
  { "the stand-in files go from initial to processing to done",
    "the looks come at set times" },
  { "the stand-in Excel names the rows that it could not use",
    "a file that is processed cannot be deleted" },

  -- tests/upload_all_spec.lua
  { "upload_all gives the files in the order of their sources",
    "23 files within the second that a registration waits" },
  { "upload_all registers up to fifty files in one request",
    "120 files within that second" },
  { "upload_all raises what a callback raised, with what was stored registered",
    "several files within that second" },

  -- tests/wait_spec.lua
  { "client:go runs tasks side by side, driven by step",
    "ten calls in the time of three" },
  { "an iterator left early has its pages in flight while the caller works",
    "0.4 s for all pages" },
  { "the descriptor is readable when step has something to do, and only then",
    "one look finds the whole answer" },
}
