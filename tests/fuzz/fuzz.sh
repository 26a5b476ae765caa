#!/bin/bash
# fuzz.sh [TARGET...]: builds the harness and runs each target (all of targets/
# by default) for SECONDS_EACH (30), JOBS (2) at a time. What a target found is
# shown and kept in build/fuzz/TARGET/; so is the corpus, which the next run
# begins with. The closing line counts the targets.
set -eu
cd "$(dirname "$0")/../.."

build=build/fuzz
seconds=${SECONDS_EACH:-30}
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined"
flags+=" -fno-sanitize-recover=undefined"

# The modules' objects, linked into the harness and not into modules.
build_harness() {
  # shellcheck disable=SC2046,SC2086 # lists of options
  "${MAKE:-make}" --no-print-directory -j2 all LUA_VERSION=5.4 CC=clang \
    BUILD=$build CFLAGS="$flags" LDFLAGS="-shared-libasan"
  # shellcheck disable=SC2046,SC2086
  clang -std=c99 -Wall -Wextra -Wconversion -Wshadow $flags \
    -fsanitize=fuzzer -rdynamic -pthread -o $build/harness \
    tests/fuzz/harness.c $build/object/*.o \
    $(pkg-config --cflags --libs lua5.4 libcjson libcurl)
}

# The sanitizer's own leak check at the end sees what no Lua value owned; the
# one after each input would take Lua's garbage for leaks.
run_one() { # target
  local name=$1 folder=$build/$1 dictionary=tests/fuzz/dictionaries/$1.dict
  local options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=1500
    -max_len=2048 -detect_leaks=0 -print_final_stats=1 -reload=0
    -artifact_prefix="$folder/found-")
  [ -f "$dictionary" ] && options+=(-dict="$dictionary")
  mkdir -p "$folder/corpus"
  LUA_PATH="lua/?.lua;lua/?/init.lua;tests/fuzz/?.lua;;" \
    MAIAGENT_FUZZ_TARGET=tests/fuzz/targets/$name.lua \
    ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=32 UBSAN_OPTIONS=print_stacktrace=1 \
    $build/harness "${options[@]}" "$folder/corpus" "tests/fuzz/seeds/$name" \
    >"$folder/log" 2>&1 || echo "failed" >>"$folder/log"
}

verdict() { # target
  local log=$build/$1/log executed
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  if [ "${executed:-0}" -gt 0 ] && [ "$(tail -n 1 "$log")" != failed ]; then
    printf 'ok    %-16s %9d executions\n' "$1" "$executed"
    return
  fi
  printf 'FAIL  %-16s %s\n' "$1" "$build/$1/log ends:"
  grep -avE 'fuzzer::|NEW  |REDUCE|libc\.so' "$log" | tail -n 40 |
    sed 's/^/      /'
}

targets=${*:-$(basename -s .lua tests/fuzz/targets/*.lua)}
mkdir -p $build
build_harness
export -f run_one
export build seconds
# shellcheck disable=SC2016,SC2086 # another shell expands it; a list of names
printf '%s\n' $targets | xargs -n 1 -P "${JOBS:-2}" bash -ec 'run_one "$1"' _
results=$(for target in $targets; do verdict "$target"; done)
printf '%s\n' "$results"
passed=$(grep -c '^ok ' <<<"$results" || true)
failed=$(grep -c '^FAIL ' <<<"$results" || true)
echo "$passed passed, $failed failed"
[ "$passed" -gt 0 ] && [ "$failed" = 0 ]
