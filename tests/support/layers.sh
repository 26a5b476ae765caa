#!/bin/bash
# Who may know whom: imports go down only. The compiler's own list of included
# files is what is looked at, so an include by way of another header counts.
set -u
cd "$(dirname "$0")/../.." || exit 1
failures=0
complain() {
  echo "$*"
  failures=$((failures + 1))
}

includes() { # file: what it includes, directly or not
  # shellcheck disable=SC2046 # options, maybe none
  ${CC:-cc} -std=c99 -D_GNU_SOURCE -M -Isrc \
    $(pkg-config --cflags lua5.4 2>/dev/null || echo -I/usr/include/lua5.4) \
    "$1" | tr -s ' \\\n' '\n'
}

must_not_include() { # header's ending, file...
  local header=$1 file
  shift
  for file in "$@"; do
    [ -f "src/$file.c" ] || continue
    includes "src/$file.c" | grep -q "$header\$" &&
      complain "src/$file.c includes $header"
  done
}

must_not_include /lua.h buffer url transfer form easy failure loop
must_not_include /curl.h core buffer url json operations query request
must_not_include /cJSON.h buffer url query http transfer form easy failure \
  exchange client loop

# All waiting is done in Lua frames, so nothing in C may run a user's code:
# no call, no yield, no API function that may run a metamethod.
into_lua='lua_(p?call|yield|callk|pcallk|yieldk|resume|cpcall)|luaL_(do|callmeta'
into_lua+='|tolstring|len)|lua_(gettable|settable|compare|arith|len)'
into_lua+='|lua_(equal|lessthan|geti|seti)'
calls=$(grep -nE "\b($into_lua)[a-z]* *\(" src/*.c src/*.h) &&
  complain "C calls into Lua, or may run a metamethod:"$'\n'"$calls"

# What each Lua file may require of ours. The leaves are given functions and
# values, not clients, and so need nothing but the error objects.
allowed() {
  case $1 in
    errors | pages | poll | retry) echo errors ;;
    options) echo core errors ;;
    wait) echo errors core http ;;
    send) echo core http errors retry wait ;;
    upload | download | stream) echo core errors poll send pages wait ;;
    client) echo core errors options pages poll send stream upload download wait ;;
    init) echo core client errors options ;;
    types) ;;
    *) echo "unknown" ;;
  esac
}

required() { # file
  grep -oE 'require *\(? *"maiagent(\.[a-z_.]+)?"' "$1" |
    grep -oE 'maiagent[a-z_.]*' | sed 's/^maiagent\.//'
}

for path in lua/maiagent/*.lua; do
  name=$(basename "$path" .lua)
  may=" $(allowed "$name") "
  [ "$may" = " unknown " ] && complain "$path: layers.sh does not know it"
  for module in $(required "$path"); do
    case $may in *" $module "*) ;; *) complain "$path requires $module" ;; esac
  done
done

# The stand-in judges the library, so it uses nothing of the library.
for path in lua/maiagent/testing.lua lua/maiagent/testing/*.lua; do
  [ -f "$path" ] || continue
  for module in $(required "$path"); do
    case $module in
      testing*) ;;
      *) complain "$path requires $module" ;;
    esac
  done
done

[ "$failures" = 0 ] && echo "layers: every import goes down"
[ "$failures" = 0 ]
