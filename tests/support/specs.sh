#!/bin/sh
# specs.sh LUA BUILD [SPEC...]: runs specs (all of tests/ by default) with the
# interpreter LUA and the C modules under BUILD. PRELOAD is loaded into that
# interpreter alone; where VALGRIND has options, it runs under valgrind with
# them, and the processes that it starts do not. Fails unless busted closes with
# its line, some spec passed and none failed: busted's exit code is 0 where
# nothing ran.
# Several files run side by side, JOBS (6) at a time, each in a process of its
# own: most of their time they wait.
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

# As any other folder there: a worker of nginx, another user, reads files in it.
temporary=$(mktemp -d)
chmod 711 "$temporary"
trap 'rm -rf "$temporary"' EXIT
log=$temporary/log

# The specs of numbers want a locale with a decimal comma; few machines have one.
# It takes two seconds to make, and those of the hosts have no use for it.
case $* in tests/hosts/*) wanted= ;; *) wanted=yes ;; esac
if [ -z "${SPECS_LOGS-}" ] && [ -n "$wanted" ]; then
  localedef -i de_DE -f UTF-8 "$temporary/de_DE.UTF-8" 2>/dev/null || true
  export LOCPATH="$temporary"
fi

# What waits longest begins, so that none is left alone at the end.
longest_first() { # spec...
  for name in faults storing exchange sync download; do
    for spec in "$@"; do
      [ "$(basename "$spec")" != "${name}_spec.lua" ] || echo "$spec"
    done
  done
  # shellcheck disable=SC2012 # plain names
  ls -S "$@"
}

# One line for a file that passed, everything for one that did not.
# shellcheck disable=SC2016 # the words of the inner shell
run_side_by_side() { # spec...
  longest_first "$@" | awk '!seen[$0]++' | SPECS_LOGS=$temporary LUA=$lua BUILD=$build \
    xargs -n 1 -P "${JOBS:-6}" sh -c '
      log=$SPECS_LOGS/$(basename "$1").log
      if sh tests/support/specs.sh "$LUA" "$BUILD" "$1" >"$log" 2>&1; then
        printf "  %-28s %s\n" "$(basename "$1")" "$(tail -n 1 "$log")"
      else
        cat "$log"
        grep -Eq "^[0-9]+ passed, [1-9][0-9]* failed" "$log" ||
          echo "0 passed, 1 failed" >>"$log"
      fi' _ || true
  # The last of each: where LeakSanitizer failed, a file was run twice.
  for log in "$temporary"/*.log; do
    grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1
  done | awk '{
      passed += $1
      failed += $3
    }
    END {
      printf "\n%d passed, %d failed\n", passed, failed
      exit !(passed > 0 && failed == 0)
    }'
}

files=$(for place in "$@"; do
  if [ -d "$place" ]; then find "$place" -name '*_spec.lua'; else echo "$place"; fi
done)
# shellcheck disable=SC2086 # the specs' names have no spaces
set -- $files
if [ $# -gt 1 ]; then
  run_side_by_side "$@"
  exit
fi

# What a spec does not remove stays here, and is told.
mkdir "$temporary/left"
run_busted() { # spec...
  {
    code=0
    # shellcheck disable=SC2086 # empty or one word
    env TMPDIR="$temporary/left" ${PRELOAD:+LD_PRELOAD="$PRELOAD"} \
      ${VALGRIND:+valgrind $VALGRIND --log-file="$temporary/valgrind"} \
      "$lua" $warnings \
      tests/support/run.lua -o tests/support/summary.lua "$@" 2>&1 || code=$?
    echo "$code" >"$log.code"
  } | tee "$log"
  code=$(cat "$log.code")
}

run_busted "$@"
# Its tracer dies now and then when a thread ends under its hands.
if grep -q 'LeakSanitizer has encountered a fatal error' "$log"; then
  echo "specs: LeakSanitizer itself failed; once more" >&2
  run_busted "$@"
fi

fail() {
  echo "specs: $*" >&2
  exit 1
}
if [ -s "$temporary/valgrind" ]; then
  cat "$temporary/valgrind"
  fail "valgrind has findings (exit code $code)"
fi
grep -q '^left open:$' "$log" && fail "descriptors are left open (see above)"
[ -z "$(ls -A "$temporary/left")" ] ||
  fail "files are left: $(ls -A "$temporary/left")"
grep -q '^Lua warning: ' "$log" && fail "Lua printed a warning (see above)"
grep -Eq '^[0-9]+ passed, [0-9]+ failed' "$log" ||
  fail "no closing line: the run ended early (exit code $code)"
grep -Eq '^[0-9]+ passed, [0-9]+ failed, .*skipped' "$log" &&
  fail "a spec was skipped: what it needs belongs into deps.sh"
grep -Eq '^[1-9][0-9]* passed, 0 failed' "$log" ||
  fail "a spec failed, or none ran"
[ "$code" = 0 ] || fail "exit code $code"
