#!/bin/sh
# deps.sh LUA JOB...: makes sure that what the jobs need is installed. LUA is
# 5.1, 5.2, 5.3, 5.4 or luajit; the jobs are build, demo, test, lint, judge,
# signer, packaging, windows, hosts, valgrind, fuzz, coverage and bench. On
# Debian and Ubuntu missing packages are installed with apt-get, after saying
# which; where nothing is missing nothing is run.
# Elsewhere it only says what is needed.
# "a|b" is "either; the first that apt knows is installed".
set -eu

lua=$1
shift

lua_packages() {
  case $lua in
    luajit) echo "luajit2|luajit liblua5.1-0-dev" ;;
    5.1) echo "lua5.1 liblua5.1-0-dev" ;;
    *) echo "lua$lua liblua$lua-dev" ;;
  esac
}

packages_of() {
  case $1 in
    build)
      echo "gcc|clang libc6-dev pkg-config|pkgconf libcjson-dev" \
        "libcurl4-openssl-dev|libcurl4-gnutls-dev|libcurl4-nss-dev"
      lua_packages
      ;;
    demo) packages_of build && echo "lua-socket lua-dkjson" ;;
    test) packages_of demo && echo "lua-busted lua-sec lua-zlib lua-cjson openssl locales gdb" ;;
    lint) echo "lua5.4 lua-check clang clang-format clang-tidy" \
      "cppcheck shellcheck" ;;
    judge) # often there from elsewhere than Debian
      command -v node >/dev/null || echo "nodejs"
      command -v npm >/dev/null || echo "npm"
      echo "curl"
      ;;
    signer) echo "python3-boto3" ;;
    bench)
      echo "valgrind curl python3-requests python3-httpx lua-cjson lua-dkjson" \
        "lua-socket lua-lpeg lua-http nginx-light openssl ca-certificates"
      command -v node >/dev/null || echo "nodejs"
      ;;
    valgrind) echo "valgrind libc6-dbg" ;;
    fuzz) echo "clang libclang-rt-dev|libclang-rt-14-dev" ;;
    coverage) echo "gcc" ;;
    packaging) echo "luarocks zip unzip git" ;;
    windows) echo "gcc-mingw-w64-x86-64-posix|gcc-mingw-w64-x86-64" \
      "mingw-w64-x86-64-dev" ;;
    hosts) echo "nginx-light libnginx-mod-http-lua lua-cjson wrk lua-luv" \
      "lua-cqueues lua-socket lua-event lua-copas neovim ca-certificates" \
      "love libgl1-mesa-dri xvfb xauth valgrind" ;;
    *) echo "deps.sh: unknown job $1" >&2 && exit 2 ;;
  esac
}

is_installed() { # one name
  case $installed in *" $1 "*) return 0 ;; esac
  return 1
}

# The first of "a|b" that is installed or, if none is, that can be.
choose() {
  for name in $(echo "$1" | tr '|' ' '); do
    is_installed "$name" && return 0
  done
  for name in $(echo "$1" | tr '|' ' '); do
    if apt-cache show "$name" >/dev/null 2>&1; then
      echo "$name"
      return 0
    fi
  done
  echo "${1%%|*}"
}

missing() {
  for choice in $wanted; do
    choose "$choice"
  done | sort -u | tr '\n' ' '
}

elsewhere() {
  for tool in cc pkg-config; do
    command -v $tool >/dev/null || lacking="${lacking-} $tool"
  done
  [ -z "${lacking-}" ] && return 0
  echo "Not a Debian or Ubuntu system, and not found:$lacking" >&2
  echo "Needed, by Debian's names: $wanted" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends "$@" >&2
}

wanted=$(for job in "$@"; do packages_of "$job"; done | tr '\n' ' ')
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  elsewhere
  exit 0
fi

# The names of all installed packages, with a space on either side of each.
installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
  sed -n 's/^installed //p' | tr '\n' ' ') "
names=$(missing)
if [ -z "$names" ]; then
  exit 0
fi
if ! apt-cache show libc6-dev >/dev/null 2>&1; then
  echo "Reading Debian's package lists: apt-get update" >&2
  as_root apt-get -qq update >&2
  names=$(missing)
fi
echo "Installing with apt-get: $names" >&2
# shellcheck disable=SC2086 # a list of names
if ! install $names; then
  echo "Once more with fresh package lists: apt-get update" >&2
  as_root apt-get -qq update >&2
  # shellcheck disable=SC2086
  install $names
fi
