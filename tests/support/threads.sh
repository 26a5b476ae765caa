#!/bin/bash
# Two Lua states in two threads, under ThreadSanitizer: builds the modules and
# the host (threads.c) with it and runs threads.lua in both, against stand-ins in
# processes of their own. Lua, libcurl and OpenSSL are as Debian built them.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/standin.sh

build=build/threads
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=thread"

"${MAKE:-make}" --no-print-directory -j2 all LUA_VERSION=5.4 CC=gcc \
  BUILD=$build CFLAGS="$flags"
# shellcheck disable=SC2046,SC2086 # lists of options
gcc -std=c99 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow $flags \
  -rdynamic -pthread -o $build/threads tests/support/threads.c \
  $(pkg-config --cflags --libs lua5.4)

unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY LUA_INIT \
  LUA_PATH_5_4 LUA_CPATH_5_4
folder=$(mktemp -d)
pids=
trap 'for standin_pid in $pids; do stop_standin; done; rm -rf "$folder"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
  -days 2 -subj /CN=maiagent-test -addext subjectAltName=IP:127.0.0.1 \
  -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null
start_standin
pids=$standin_pid plain_url=$standin_url
STANDIN_TLS=$folder start_standin
pids="$pids $standin_pid" tls_url=$standin_url

# No suppressions: what is not built with TSan reports nothing by itself.
# setarch: TSan wants the addresses where it expects them.
threads() {
  TSAN_OPTIONS="halt_on_error=0 exitcode=66" \
    LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="$build/?.so;;" \
    MAIAGENT_TEST_URL=$plain_url MAIAGENT_TEST_TLS_URL=$tls_url \
    MAIAGENT_TEST_CA="$folder/certificate.pem" \
    MAIAGENT_TEST_KEY=test-key MAIAGENT_TEST_FOLDER="$folder" \
    setarch --addr-no-randomize $build/threads "$@"
}

code=0
threads race >"$folder/race.log" 2>&1 || code=$?
if [ "$code" != 66 ] || ! grep -q "data race" "$folder/race.log"; then
  echo "threads: a race made on purpose was not found (exit code $code):"
  cat "$folder/race.log"
  exit 1
fi
threads tests/support/threads.lua
