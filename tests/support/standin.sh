# Sourced by scripts that need the stand-in in a process of its own:
#   start_standin [faults]   sets standin_url and standin_pid, or exits
#   stop_standin
# shellcheck shell=bash

start_standin() {
  local lines
  lines=$(mktemp -u)
  mkfifo "$lines"
  LUA_PATH="lua/?.lua;lua/?/init.lua;${LUA_PATH-;;}" \
  LUA_CPATH="build/5.4/?.so;${LUA_CPATH-;;}" \
    lua5.4 tests/support/standin.lua "$@" >"$lines" &
  standin_pid=$!
  standin_url=
  read -r -t 10 standin_url <"$lines" || true
  rm -f "$lines"
  if [ -z "$standin_url" ]; then
    stop_standin
    echo "the stand-in did not start" >&2
    exit 1
  fi
}

stop_standin() {
  kill "$standin_pid" 2>/dev/null
  wait "$standin_pid" 2>/dev/null || true
}
