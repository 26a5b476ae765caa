#!/bin/sh
# Compiles every C file as for Windows, with MinGW's cross compiler and the
# headers of this system's Lua, libcurl and cJSON: no symbol of Linux alone is
# used. Nothing is linked or run.
set -eu

cd "$(dirname "$0")/../.."
compiler=${MINGW:-x86_64-w64-mingw32-gcc}
build=build/windows
mkdir -p "$build/include"
for header in curl/curl.h cjson/cJSON.h lua5.4/lua.h; do
  # Alone, without the headers of this system's C library beside them.
  found=$(echo "#include <$header>" | gcc -E -M - | tr ' \\' '\n\n' |
    grep "/$header\$" | head -n 1)
  ln -sfn "$(dirname "$found")" "$build/include/$(dirname "$header")"
done

# shellcheck disable=SC2046 # the files' names have no spaces
"${MAKE:-make}" --no-print-directory -j2 CC="$compiler" BUILD="$build" \
  CFLAGS="-O1 -Werror" WARNINGS="-Wall -Wextra" CJSON_CFLAGS= \
  LUA_CFLAGS="-I$build/include/lua5.4" CURL_CFLAGS="-I$build/include" \
  $(for source in src/*.c; do
    echo "$build/object/$(basename "$source" .c).o"
  done)
