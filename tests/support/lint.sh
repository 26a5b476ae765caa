#!/bin/bash
# What `make lint` checks. All checks run; the exit code says whether one failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
failures=0

step() { # name, command...
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "ok    $name"
  else
    echo "FAIL  $name"
    printf '%s\n' "$output" | sed 's/^/      /'
    failures=$((failures + 1))
  fi
}

c_files() { git ls-files -co --exclude-standard '*.[ch]'; }
c_sources() { git ls-files -co --exclude-standard 'src/*.c' 'tests/*.c'; }
lua_files() {
  git ls-files -co --exclude-standard '*.lua' '*.rockspec' .luacheckrc
}

warnings_are_errors() { # compiler, Lua version
  "${MAKE:-make}" --no-print-directory -j2 all LUA_VERSION="$2" CC="$1" \
    BUILD="build/lint-$1-$2" CFLAGS="-O2 -Werror"
}

# A module shows its luaopen_ function and nothing else.
exports() { # compiler, Lua version
  local module symbols
  for module in core http disk; do
    symbols=$(nm -D --defined-only \
      "build/lint-$1-$2/maiagent/$module.so" | awk '{ print $3 }')
    [ "$symbols" = "luaopen_maiagent_$module" ] && continue
    echo "$module.so exports: $symbols"
    return 1
  done
}

static_analysis() {
  cppcheck --quiet --std=c99 --error-exitcode=1 --inline-suppr \
    --enable=warning,style,performance,portability \
    --suppress=missingInclude \
    -D_GNU_SOURCE -DLUA_VERSION_NUM=504 -Isrc src tests
}

c_flags() {
  echo "-std=c99 -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64" \
    "$(pkg-config --cflags lua5.4 libcjson libcurl)"
}

# gcc's own, which follows a path through the whole of a file. The programs of
# tests/ have their warnings looked at here alone.
path_analysis() {
  # shellcheck disable=SC2046 # options
  c_sources | xargs -P 2 -I {} gcc $(c_flags) -O2 -Werror -Wall -Wextra \
    -Wconversion -Wshadow -fanalyzer -c -o /dev/null {}
}

# The checks and their reasons are in .clang-tidy.
clang_tidy() {
  # shellcheck disable=SC2046 # options
  c_sources | xargs -P 2 -I {} clang-tidy --quiet {} -- $(c_flags)
}

# No machine's path and no package registry's host may get into the project.
# The lock file's own "resolved" addresses are left out by tests/judge/.npmrc.
portable() {
  ! git grep -nE '(^|[^A-Za-z0-9_.])/(work|farm|home|root)/' -- . \
    ':!tests/support/lint.sh' &&
    ! git grep -nE '"resolved"|registry\.[a-z]' -- tests/judge
}

# shellcheck disable=SC2046 # the project's file names have no spaces
run() {
  step "clang-format" clang-format --dry-run -Werror $(c_files)
  step "luacheck" luacheck --quiet --no-color $(lua_files)
  step "shellcheck" shellcheck -x -S warning .ci/run tests/support/*.sh \
    tests/fuzz/*.sh tests/coverage/*.sh
  step "sizes" lua5.4 tests/support/sizes.lua $(c_files) \
    $(git ls-files -co --exclude-standard 'lua/*.lua')
  step "cppcheck" static_analysis
  step "gcc -fanalyzer" path_analysis
  step "clang-tidy" clang_tidy
  step "no machine's path or registry" portable
  for compiler in gcc clang; do
    for version in 5.1 5.4; do
      step "$compiler -Werror, Lua $version" \
        warnings_are_errors $compiler $version
      step "$compiler, Lua $version: exported symbols" \
        exports $compiler $version
    done
  done
}

run
[ "$failures" = 0 ]
