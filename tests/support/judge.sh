#!/bin/bash
# The operations specs through Prism, which holds both our requests and the
# stand-in's answers against openapi.json. Fails if a spec does, or if Prism
# objects to anything; and first makes sure that Prism does object.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/standin.sh

log=$(mktemp)
spec=$(mktemp --suffix=.json)
prism_pid=

stop() {
  if [ -n "$prism_pid" ]; then
    kill "$prism_pid" 2>/dev/null || true
    wait "$prism_pid" 2>/dev/null || true
  fi
  stop_standin
  rm -f "$log" "$spec"
}

free_port() {
  lua5.4 -e 'local s = assert(require "socket".bind("127.0.0.1", 0))
    print((select(2, s:getsockname())))'
}

start_prism() { # upstream URL
  prism_url=http://127.0.0.1:$(free_port)
  node tests/judge/node_modules/@stoplight/prism-cli/dist/index.js proxy \
    --errors -h 127.0.0.1 -p "${prism_url##*:}" "$spec" "$1" >>"$log" 2>&1 &
  prism_pid=$!
  for _ in $(seq 150); do
    grep -q "is listening" "$log" && return 0
    kill -0 "$prism_pid" 2>/dev/null || break
    sleep 0.2
  done
  echo "judge: Prism did not start" >&2
  cat "$log" >&2
  exit 1
}

must_refuse() { # path below /api/, body
  local status
  status=$(curl --noproxy '*' -s -o /dev/null -w '%{http_code}' \
    -H "Authorization: Api-Key test-key" -H "Content-Type: application/json" \
    -d "$2" "$prism_url/api/$1")
  [ "$status" = 422 ] && return 0
  echo "judge: Prism let a wrong request pass (status $status): $1 $2" >&2
  exit 1
}

# Required fields that are missing; and a name that is no string.
check_that_it_judges() {
  must_refuse knowledge-bases/ '{}'
  must_refuse chatbots/ '{"name": 1,
    "largeLanguageModel": "5e1f0000-0000-4000-8000-000000000001"}'
}

objections() {
  grep -aiE 'violation|VIOLATIONS|UNPROCESSABLE_ENTITY|NO_PATH_MATCHED|NO_METHOD' \
    "$log"
}

if [ ! -d tests/judge/node_modules/@stoplight/prism-cli ]; then
  echo "Installing Prism with npm ci into tests/judge" >&2
  (cd tests/judge && npm ci --loglevel=error)
fi

trap stop EXIT
start_standin
node tests/judge/strict.js tests/support/openapi.json "$spec"
start_prism "$standin_url"
check_that_it_judges
sleep 0.5 # its log may lag behind its answer
: >"$log"

code=0
MAIAGENT_TEST_URL=$prism_url MAIAGENT_TEST_KEY=test-key \
  tests/support/specs.sh lua5.4 build/5.4 tests/operations_spec.lua || code=$?
if objections >&2; then
  echo "judge: Prism objects (see above)" >&2
  code=1
fi
exit $code
