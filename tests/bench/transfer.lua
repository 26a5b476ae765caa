-- A large file up and down, beside the curl command and python's requests.
--
--   lua tests/bench/transfer.lua          1 GiB, 9 rounds
--   BENCH_MIB=16 BENCH_ROUNDS=1 lua …     a quick look
--
-- Every round runs each program once, as a process of its own, against a C
-- server on this machine; shown are medians, and the ratios to curl's.

package.path = "tests/bench/?.lua;" .. package.path

local bench = require("bench")

local MEBIBYTES = bench.setting("BENCH_MIB", 1024)
local ROUNDS = bench.rounds

local OURS = [[
local client = require("maiagent").new({ api_key = "key", base_url = "%s" })
%s
client:close()]]

local function ours(base, code)
  return bench.quoted(bench.interpreter()) .. " -e "
    .. bench.quoted(OURS:format(base, code))
end

local function with_requests(subjects, code)
  subjects[#subjects + 1] = { name = "python requests",
    needs = "/usr/bin/python3 -c 'import requests'",
    command = "/usr/bin/python3 -c " .. bench.quoted(code) }
  return subjects
end

local function downloads(base, folder)
  local url = base .. "/bytes/" .. ("%d"):format(MEBIBYTES * 2 ^ 20)
  return with_requests({
    { name = "curl", command = ("curl -sf -o %s/down %s"):format(folder, url) },
    { name = "maiagent", command = ours(base,
      ("assert(client:download(%q, %q))"):format(url, folder .. "/down")) },
  }, ([[import requests
with requests.get(%q, stream=True) as answer, open(%q, "wb") as file:
    for block in answer.iter_content(1 << 20):
        file.write(block)]]):format(url, folder .. "/down"))
end

local function uploads(base, folder)
  local path = folder .. "/up"
  assert(bench.works(("dd if=/dev/zero of=%s bs=1M count=%d"):format(path,
    MEBIBYTES)))
  return with_requests({
    { name = "curl", command = ("curl -sf -H Expect: -F key=media/a.bin "
      .. "-F file=@%s %s/store"):format(path, base) },
    { name = "maiagent", command = ours(base,
      ("assert(client.uploads:put(%q, 'attachment'))"):format(path)) },
  }, ([[import requests
with open(%q, "rb") as file:
    requests.post(%q, data={"key": "media/a.bin"}, files={"file": file}
    ).raise_for_status()]]):format(path, base .. "/store"))
end

bench.with_server(function(base, folder)
  local size = ("%d MiB"):format(MEBIBYTES)
  bench.print("download to a file, " .. size,
    bench.compare(downloads(base, folder), ROUNDS, folder), MEBIBYTES, "MiB")
  os.remove(folder .. "/down")
  bench.print("upload as a form, " .. size,
    bench.compare(uploads(base, folder), ROUNDS, folder), MEBIBYTES, "MiB")
end)
