#!/bin/bash
# packaging.sh VERSION: makes a rock of the tree with luarocks, installs it into
# an empty tree, and runs the quickstart from there, far from the sources.
set -eu
cd "$(dirname "$0")/../.."

version=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset LUA_PATH LUA_CPATH LUA_INIT LUA_PATH_5_4 LUA_CPATH_5_4 MAIAGENT_API_KEY

rocks() { # tree, command...
  local tree=$1
  shift
  luarocks --lua-version="$version" --tree "$tree" "$@"
}

mkdir "$work/source" "$work/elsewhere"
git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$work/source"
cp -r examples "$work/elsewhere"

cd "$work/source"
luarocks lint rockspec/maiagent-scm-1.rockspec
rocks "$work/built" make rockspec/maiagent-scm-1.rockspec
cd "$work"
rocks "$work/built" pack maiagent
rocks "$work/tree" install --no-doc ./maiagent-scm-1.*.rock

for module in core http disk; do
  symbols=$(nm -D --defined-only \
    "$work/tree/lib/lua/$version/maiagent/$module.so" | awk '{ print $3 }')
  [ "$symbols" = "luaopen_maiagent_$module" ] && continue
  echo "$module.so exports: $symbols" >&2
  exit 1
done

cd "$work/elsewhere"
eval "$(rocks "$work/tree" path --no-bin)"
"lua$version" examples/quickstart.lua
"lua$version" -e 'local path = require "maiagent".version; print(path)'
