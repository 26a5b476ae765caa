#!/bin/bash
# coverage.sh [SPEC...]: runs the specs (all by default) on Lua 5.4 with C
# modules that gcc counts the lines of, and a hook that notes the Lua lines, and
# tells what was never executed: see report.lua.
set -eu
cd "$(dirname "$0")/../.."

root=$PWD
build=$root/build/coverage
noted=$build/noted

"${MAKE:-make}" --no-print-directory -j2 all spec-modules LUA_VERSION=5.4 \
  CC=gcc BUILD=build/coverage CFLAGS="-O0 -g --coverage"
# shellcheck disable=SC2046 # options
gcc -std=c99 -D_GNU_SOURCE -Wall -Wextra -fPIC -shared -Wl,-z,nodelete \
  $(pkg-config --cflags lua5.4) -o "$build/hook.so" tests/coverage/hook.c

# What earlier runs counted.
rm -rf "$noted"
mkdir -p "$noted"
find "$build/object" -name '*.gcda' -delete

cat >"$build/lua" <<END
#!/bin/sh
LUA_INIT_5_4='package.loadlib("$build/hook.so", "luaopen_hook")()'
MAIAGENT_COVERAGE=$noted
export LUA_INIT_5_4 MAIAGENT_COVERAGE
exec lua5.4 "\$@"
END
chmod +x "$build/lua"

code=0
tests/support/specs.sh "$build/lua" build/coverage "${@:-tests}" || code=$?
lua5.4 tests/coverage/report.lua build/coverage ${1:+part} || code=1
exit $code
