#!/bin/sh
# kill.sh [SEED] [FILES] [KILLS]: a synchronisation that is killed again and
# again, and one whose connections drop (see kill.lua). Needs `make` before.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
export LUA_PATH="$root/lua/?.lua;$root/lua/?/init.lua;$root/?.lua;;"
export LUA_CPATH="${BUILD_FOLDER:-$root/build/5.4}/?.so;;"
unset LUA_INIT MAIAGENT_API_KEY MAIAGENT_BASE_URL http_proxy https_proxy \
  HTTPS_PROXY all_proxy ALL_PROXY LUA_PATH_5_4 LUA_CPATH_5_4
exec "${LUA:-lua5.4}" tests/support/kill.lua "$@"
