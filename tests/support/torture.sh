#!/bin/bash
# Builds the modules so that their own malloc can be made to fail, and the host
# that does it; runs it with the stand-in in another process. See torture.c.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/torture
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
flags="-g -O1 -fno-omit-frame-pointer $sanitize"
wrap=$(printf -- '-Wl,--wrap=%s ' malloc calloc realloc free strdup strndup)

"${MAKE:-make}" --no-print-directory -j2 all LUA_VERSION=5.4 # the stand-in's
"${MAKE:-make}" --no-print-directory -j2 all LUA_VERSION=5.4 CC=gcc \
  BUILD=$build CFLAGS="$flags" LDFLAGS="$wrap"
# shellcheck disable=SC2046,SC2086 # lists of options
gcc -std=c99 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow $flags \
  -rdynamic -o $build/torture tests/support/torture.c \
  $(pkg-config --cflags --libs lua5.4 libcjson libcurl)

unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY LUA_INIT \
  LUA_PATH_5_4 LUA_CPATH_5_4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for file in lua/maiagent/*.lua; do
  mkdir -p "$folder/$(dirname "$file")"
  # shellcheck disable=SC2016 # Lua
  lua5.4 -e 'io.open(arg[2], "wb"):write(string.dump(loadfile(arg[1])))' \
    - "$file" "$folder/$file" </dev/null
done

# Each sweep has a stand-in of its own.
sweep() { # kind, "once" or "on"
  . tests/support/standin.sh
  trap stop_standin EXIT
  start_standin faults
  ASAN_OPTIONS=detect_stack_use_after_return=1 \
    LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="$build/?.so;;" \
    MAIAGENT_COMPILED="$folder" \
    MAIAGENT_LUA_FILES="$(ls lua/maiagent/*.lua)" \
    MAIAGENT_TEST_URL=$standin_url MAIAGENT_TEST_KEY=test-key \
    MAIAGENT_TEST_SAVED="$folder/$1-$2.xlsx" \
    $build/torture tests/support/torture.lua "$1" "$2"
}
export -f sweep
export build folder

# The longest begin. Who is killed tells no failures, but xargs sees it.
failed=
printf '%s\n' {Lua,libcurl,cJSON,own}" "{on,once} |
  xargs -P "$(nproc)" -I {} bash -c 'sweep {} || exit 1' |
  tee "$folder/log" || failed=yes
awk '/ failing points, / { points += $3; failures += $6; sweeps++ }
  END {
    printf "torture: %d failing points, %d failures\n", points, failures
    exit !(sweeps == 8 && failures == 0)
  }' "$folder/log" && [ -z "$failed" ]
