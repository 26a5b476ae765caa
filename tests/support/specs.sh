#!/bin/sh
# specs.sh LUA BUILD [SPEC...]: runs specs (all of tests/ by default) with the
# interpreter LUA and the C modules under BUILD. PRELOAD is loaded into that
# interpreter alone. Fails unless busted closes with its line, some spec passed
# and none failed: busted's exit code is 0 where nothing ran.
set -eu

lua=$1
build=$2
shift 2
[ $# -gt 0 ] || set -- tests

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
case $build in /*) ;; *) build=$root/$build ;; esac

# The versioned variables win over the plain ones where they are set.
version=$("$lua" -e 'print((_VERSION:gsub("Lua 5.", "5_")))')
if [ "$version" != 5_1 ]; then
  eval "LUA_PATH=\${LUA_PATH_$version-\${LUA_PATH-;;}}"
  eval "LUA_CPATH=\${LUA_CPATH_$version-\${LUA_CPATH-;;}}"
  unset "LUA_PATH_$version" "LUA_CPATH_$version"
fi
export LUA_PATH="$root/lua/?.lua;$root/lua/?/init.lua;${LUA_PATH-;;}"
export LUA_CPATH="$build/?.so;${LUA_CPATH-;;}"

# The specs talk to this machine alone, with keys of their own.
unset LUA_INIT MAIAGENT_API_KEY MAIAGENT_BASE_URL http_proxy https_proxy \
  HTTPS_PROXY all_proxy ALL_PROXY

# Lua 5.4 tells an error in a finaliser only as a warning: ask for warnings.
warnings=
[ "$version" = 5_4 ] && warnings=-W

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
log=$temporary/log

# The specs of numbers want a locale with a decimal comma; few machines have one.
localedef -i de_DE -f UTF-8 "$temporary/de_DE.UTF-8" 2>/dev/null || true
export LOCPATH="$temporary"

{
  code=0
  # shellcheck disable=SC2086 # empty or one word
  env ${PRELOAD:+LD_PRELOAD="$PRELOAD"} "$lua" $warnings \
    tests/support/run.lua -o tests/support/summary.lua "$@" 2>&1 || code=$?
  echo "$code" >"$log.code"
} | tee "$log"
code=$(cat "$log.code")

fail() {
  echo "specs: $*" >&2
  exit 1
}
grep -q '^Lua warning: ' "$log" && fail "Lua printed a warning (see above)"
grep -Eq '^[0-9]+ passed, [0-9]+ failed' "$log" ||
  fail "no closing line: the run ended early (exit code $code)"
grep -Eq '^[0-9]+ passed, [0-9]+ failed, .*skipped' "$log" &&
  fail "a spec was skipped: what it needs belongs into deps.sh"
grep -Eq '^[1-9][0-9]* passed, 0 failed' "$log" ||
  fail "a spec failed, or none ran"
[ "$code" = 0 ] || fail "exit code $code"
