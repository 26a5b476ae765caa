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

must_not_include /lua.h json_text buffer url transfer callbacks measure head \
  form feed sink easy failure proxy loop digest
must_not_include /curl.h json_text json_list json_decode json_encode
must_not_include /curl.h core buffer url json operations query request disk \
  folder hasher digest lock
must_not_include /cJSON.h json_text json_list
must_not_include /cJSON.h buffer url query http transfer callbacks measure \
  head form feed sink easy failure proxy exchange client loop disk folder \
  hasher digest lock

# All waiting is done in Lua frames, so nothing in C may run a user's code:
# no call, no yield, no API function that may run a metamethod.
into_lua='lua_(p?call|yield|callk|pcallk|yieldk|resume|cpcall)|luaL_(do|callmeta'
into_lua+='|tolstring|len)|lua_(gettable|settable|compare|arith|len)'
into_lua+='|lua_(equal|lessthan|geti|seti)'
calls=$(grep -nE "\b($into_lua)[a-z]* *\(" src/*.c src/*.h) &&
  complain "C calls into Lua, or may run a metamethod:"$'\n'"$calls"

# The Lua files, lowest first: each may require only what stands in a lower
# line. The leaves are given functions and values, not clients, and so need
# nothing but the error objects.
order='misuse
environment errors protect
arguments pages poll progress response retry upload download filename
folder journal plan sink summary
checks deadline imported registration
slots
host tasks
options wait
gather
send
call
listing storing warm_up
attachments fetch files processing
crew
upload_all
inventory ledger clearing
sync
resources
client
init'
leaves=' misuse environment errors arguments pages poll protect response retry'
leaves+=' download filename folder journal plan summary checks slots deadline'
leaves+=' imported progress registration '
uses_libcurl=client

lower_than() { # module: all that it may require of the Lua files
  echo "$order" | sed "/\\b$1\\b/,\$d"
}

required() { # file
  grep -vE '^ *--' "$1" | grep -oE 'require *\(? *"maiagent(\.[a-z_.]+)?"' |
    grep -oE 'maiagent[a-z_.]*' | sed 's/^maiagent\.//'
}

check() { # file, its module's name, what it requires
  case $3 in
    core | disk)
      case $leaves in *" $2 "*) complain "$1 requires $3" ;; esac
      ;;
    http) [ "$2" = $uses_libcurl ] || complain "$1 requires http" ;;
    *) lower_than "$2" | grep -qw "$3" || complain "$1 requires $3" ;;
  esac
}

for path in lua/maiagent/*.lua; do
  name=$(basename "$path" .lua)
  [ "$name" = types ] && continue
  echo "$order" | grep -qw "$name" || complain "$path: layers.sh lacks it"
  for module in $(required "$path"); do
    check "$path" "$name" "$module"
  done
done

# The stand-in judges the library, so it uses nothing of the library but the
# hashes that its disk module takes from libcrypto.
for path in lua/maiagent/testing/*.lua; do
  for module in $(required "$path"); do
    case $module in
      testing* | disk) ;;
      *) complain "$path requires $module" ;;
    esac
  done
done

[ "$failures" = 0 ] && echo "layers: every import goes down"
[ "$failures" = 0 ]
