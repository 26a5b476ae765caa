-- A large file up and down, beside the curl command and python's requests.
--
--   lua tests/bench/transfer.lua          1 GiB, 9 rounds
--   BENCH_MIB=16 BENCH_ROUNDS=1 lua …     a quick look
--
-- Every round runs each program once, as a process of its own, against a C
-- server on this machine; shown are medians, and the ratios to curl's. The peak
-- memory is that of a file an eighth of the size as well.

package.path = "tests/bench/?.lua;" .. package.path

local bench = require("bench")

local MEBIBYTES = bench.setting("BENCH_MIB", 1024)
local SMALL = math.max(1, math.floor(MEBIBYTES / 8))
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

local function url_of(base, mebibytes)
  return base .. "/bytes/" .. ("%d"):format(mebibytes * 2 ^ 20)
end

-- A file to send, made anew.
local function file_of(folder, mebibytes)
  local path = ("%s/%d"):format(folder, mebibytes)
  assert(bench.works(("dd if=/dev/zero of=%s bs=1M count=%d"):format(path,
    mebibytes)))
  return path
end

local function download(base, folder, mebibytes)
  return { name = "maiagent", command = ours(base,
    ("assert(client:download(%q, %q))"):format(url_of(base, mebibytes),
      folder .. "/down")) }
end

local function upload(base, path)
  return { name = "maiagent", command = ours(base,
    ("assert(client.uploads:put(%q, 'attachment'))"):format(path)) }
end

local function downloads(base, folder)
  local url = url_of(base, MEBIBYTES)
  return with_requests({
    { name = "curl", command = ("curl -sf -o %s/down %s"):format(folder, url) },
    download(base, folder, MEBIBYTES),
  }, ([[import requests
with requests.get(%q, stream=True) as answer, open(%q, "wb") as file:
    for block in answer.iter_content(1 << 20):
        file.write(block)]]):format(url, folder .. "/down"))
end

local function uploads(base, path)
  return with_requests({
    { name = "curl", command = ("curl -sf -H Expect: -F key=media/a.bin "
      .. "-F file=@%s %s/store"):format(path, base) },
    upload(base, path),
  }, ([[import requests
with open(%q, "rb") as file:
    requests.post(%q, data={"key": "media/a.bin"}, files={"file": file}
    ).raise_for_status()]]):format(path, base .. "/store"))
end

-- What the larger of two takes more in memory.
local function flatness(what, small, large, folder)
  small.name = ("%d MiB"):format(SMALL)
  large.name = ("%d MiB"):format(MEBIBYTES)
  local results = bench.compare({ small, large }, ROUNDS, folder)
  local before, after = results[1].memory, results[2].memory
  print(("peak memory of a maiagent that %s %s: %.2f MiB; %s: %.2f MiB "
    .. "(%+.2f MiB)"):format(what, small.name, before, large.name, after,
    after - before))
end

local function down(base, folder)
  bench.print(("download to a file, %d MiB"):format(MEBIBYTES),
    bench.compare(downloads(base, folder), ROUNDS, folder), MEBIBYTES, "MiB")
  flatness("downloads", download(base, folder, SMALL),
    download(base, folder, MEBIBYTES), folder)
  os.remove(folder .. "/down")
end

local function up(base, folder)
  local path = file_of(folder, MEBIBYTES)
  bench.print(("upload as a form, %d MiB"):format(MEBIBYTES),
    bench.compare(uploads(base, path), ROUNDS, folder), MEBIBYTES, "MiB")
  flatness("uploads", upload(base, file_of(folder, SMALL)),
    upload(base, path), folder)
end

bench.with_server(function(base, folder)
  down(base, folder)
  up(base, folder)
end)
