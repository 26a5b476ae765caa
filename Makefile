# One word per job; `make help` lists them.
#
#   make test LUA_VERSION=5.3 SPECS=tests/url_spec.lua
#
# LUA_VERSION is 5.1, 5.2, 5.3, 5.4 or luajit. The 5.1 build also serves LuaJIT.

LUA_VERSION ?= 5.4
ABI := $(if $(filter luajit,$(LUA_VERSION)),5.1,$(LUA_VERSION))
LUA ?= $(if $(filter luajit,$(LUA_VERSION)),luajit,lua$(LUA_VERSION))
BUILD ?= build/$(ABI)
PREFIX ?= /usr/local
SPECS ?= tests

CORE_SOURCES := core buffer url json json_text json_list json_decode \
  json_encode operations query request
HTTP_SOURCES := http buffer transfer callbacks measure head form feed sink \
  easy failure proxy exchange client loop
DISK_SOURCES := disk folder hasher lock digest

# Looked up when a compiler runs, not before: `make test` may install them first.
# $(call flags,pkg-config's option,its names for the package,what if it knows none)
flags = $(shell for name in $(2); do pkg-config $(1) $$name 2>/dev/null && \
  exit; done; echo "$(3)")
LUA_NAMES = lua$(ABI) lua-$(ABI) lua$(subst .,,$(ABI))
LUA_CFLAGS = $(call flags,--cflags,$(LUA_NAMES),-I/usr/include/lua$(ABI))
CJSON_CFLAGS = $(call flags,--cflags,libcjson,)
CJSON_LIBS = $(call flags,--libs,libcjson,-lcjson)
CURL_CFLAGS = $(call flags,--cflags,libcurl,)
CURL_LIBS = $(call flags,--libs,libcurl,-lcurl)

WINDOWS_CFLAGS = $(if $(findstring mingw,$(shell $(CC) -dumpmachine)),$\
  -Isrc/windows -include src/windows/posix.h)

CFLAGS ?= -O2 -g
WARNINGS ?= -Wall -Wextra -Wconversion -Wshadow
COMPILE = $(CC) -std=c99 -pthread -D_GNU_SOURCE \
  -D_FILE_OFFSET_BITS=64 $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -fPIC \
  -fvisibility=hidden -MMD -MP $(WINDOWS_CFLAGS) $(LUA_CFLAGS)

ifeq ($(shell uname -s),Darwin)
LINK = $(CC) -pthread $(CFLAGS) -bundle -undefined dynamic_lookup $(LDFLAGS)
else
# nodelete: a resolver thread of libcurl may still run when a Lua state closes.
LINK = $(CC) -pthread $(CFLAGS) -shared -Wl,-z,nodelete $(LDFLAGS)
endif

.PHONY: all spec-modules deps demo test test-all lint layers sanitize valgrind \
  collect torture threads fuzz coverage judge bench soak types install rock \
  clean help

MODULES := $(patsubst %,$(BUILD)/maiagent/%.so,core http disk)

all: $(MODULES) ## build into build/LUA_VERSION/ (the default)
	@:

$(BUILD)/maiagent/core.so: $(CORE_SOURCES:%=$(BUILD)/object/%.o)
	@mkdir -p $(@D)
	@echo '  link    $@'
	@$(LINK) -o $@ $^ $(CJSON_LIBS)

$(BUILD)/maiagent/http.so: $(HTTP_SOURCES:%=$(BUILD)/object/%.o)
	@mkdir -p $(@D)
	@echo '  link    $@'
	@$(LINK) -o $@ $^ $(CURL_LIBS)

$(BUILD)/maiagent/disk.so: $(DISK_SOURCES:%=$(BUILD)/object/%.o)
	@mkdir -p $(@D)
	@echo '  link    $@'
	@$(LINK) -o $@ $^

$(BUILD)/object/%.o: src/%.c
	@mkdir -p $(@D)
	@echo '  compile $<'
	@$(COMPILE) $(CJSON_CFLAGS) $(CURL_CFLAGS) -c -o $@ $<

# Only the specs need these.
SPEC_MODULES = $(addprefix $(BUILD)/,fork.so slow_dns.so broken_disk.so \
  other_libcurl.so)

$(SPEC_MODULES): $(BUILD)/%.so: tests/support/%.c
	@mkdir -p $(@D)
	@echo '  compile and link $<'
	@$(COMPILE) -c -o $(BUILD)/$*.o $<
	@$(LINK) -o $@ $(BUILD)/$*.o -ldl

spec-modules: $(SPEC_MODULES)

-include $(wildcard $(BUILD)/object/*.d)

deps: ## install what demo and test need (Debian, Ubuntu)
	@tests/support/deps.sh $(LUA_VERSION) test

demo: ## build, then run examples/quickstart.lua (needs no key)
	@tests/support/deps.sh $(LUA_VERSION) demo
	@$(MAKE) --no-print-directory all
	@LUA_PATH="lua/?.lua;lua/?/init.lua;$${LUA_PATH-;;}" \
	LUA_CPATH="$(BUILD)/?.so;$${LUA_CPATH-;;}" $(LUA) examples/quickstart.lua

test: ## build and run the specs (SPECS=…) on LUA_VERSION
	@tests/support/deps.sh $(LUA_VERSION) test
	@$(MAKE) --no-print-directory all spec-modules
	@tests/support/specs.sh $(LUA) $(BUILD) $(SPECS)

test-all: ## test on 5.1, 5.2, 5.3, 5.4 and LuaJIT, one after the other
	@for version in 5.1 5.2 5.3 5.4 luajit; do \
	  echo "== Lua $$version" && \
	  $(MAKE) --no-print-directory test LUA_VERSION=$$version || exit 1; \
	done

lint: ## formatter, linters, -Werror builds, exported symbols, sizes
	@tests/support/deps.sh 5.4 build lint
	@tests/support/deps.sh 5.1 build
	@MAKE="$(MAKE)" tests/support/lint.sh

layers: ## which file may know which
	@tests/support/deps.sh 5.4 build
	@CC="$(CC)" tests/support/layers.sh

JOBS ?= 6

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined
# The quarantine is small because a spec watches that memory does not grow.
ASAN = ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:$\
  quarantine_size_mb=8 \
  UBSAN_OPTIONS=print_stacktrace=1 \
  LSAN_OPTIONS=suppressions=$(CURDIR)/tests/support/leaks.txt:print_suppressions=0

sanitize: ## the specs on Lua 5.4 under ASan, UBSan and LeakSanitizer
	@tests/support/deps.sh 5.4 test
	@$(MAKE) --no-print-directory all spec-modules LUA_VERSION=5.4 \
	  CC=gcc BUILD=build/sanitize CFLAGS="-g -O1 -fno-omit-frame-pointer $(SANITIZE)"
	@$(ASAN) PRELOAD="$$(gcc -print-file-name=libasan.so)" \
	  tests/support/specs.sh lua5.4 build/sanitize $(SPECS)

# SLOWNESS is how much more time than in `make test` the next two give the specs
# that measure it: tests/support/pace.lua.
VALGRIND_OPTIONS = -q --leak-check=full --show-leak-kinds=definite,possible \
  --suppressions=tests/support/valgrind.supp \
  --num-callers=30 --child-silent-after-fork=yes --freelist-vol=5000000

valgrind: SLOWNESS ?= 20
valgrind: ## the specs on Lua 5.4 under valgrind; takes many minutes
	@tests/support/deps.sh 5.4 test valgrind
	@$(MAKE) --no-print-directory all spec-modules LUA_VERSION=5.4
	@SLOWNESS=$(SLOWNESS) JOBS=$(JOBS) \
	  VALGRIND="$(VALGRIND_OPTIONS)" \
	  tests/support/specs.sh lua5.4 build/5.4 $(SPECS)

COLLECTOR ?= incremental

collect: SLOWNESS ?= 3
collect: ## the specs while the collector works all the time (COLLECTOR=…)
	@tests/support/deps.sh $(LUA_VERSION) test
	@$(MAKE) --no-print-directory all spec-modules
	@SLOWNESS=$(SLOWNESS) JOBS=$(JOBS) COLLECTOR=$(COLLECTOR) \
	  tests/support/specs.sh $(LUA) $(BUILD) $(SPECS)

torture: ## make every allocation fail, one after the other
	@tests/support/deps.sh 5.4 test
	@MAKE="$(MAKE)" tests/support/torture.sh

threads: ## two Lua states in two threads, under ThreadSanitizer
	@tests/support/deps.sh 5.4 test
	@MAKE="$(MAKE)" tests/support/threads.sh

# In build/fuzz/ are the corpora, which grow, and what was found.
fuzz: SECONDS ?= 30
fuzz: ## libFuzzer on each target (TARGETS=…) for SECONDS=30 each
	@tests/support/deps.sh 5.4 test fuzz
	@MAKE="$(MAKE)" SECONDS_EACH=$(SECONDS) tests/fuzz/fuzz.sh $(TARGETS)

coverage: ## lines of C and Lua that the specs (SPECS=…) never execute
	@tests/support/deps.sh 5.4 test coverage
	@MAKE="$(MAKE)" tests/coverage/coverage.sh $(SPECS)

judge: ## the operations specs through Prism, in front of the stand-in
	@tests/support/deps.sh 5.4 test judge
	@$(MAKE) --no-print-directory all LUA_VERSION=5.4
	@tests/support/judge.sh

# Each prints a table. BENCH_ROUNDS, BENCH_SIZE (a factor on all amounts),
# BENCH_MIB and BENCH_FILES make it shorter.
BENCHES ?= load json instructions requests tls pages transfer upload_all

bench: ## speed beside that of other clients (BENCHES=…); takes minutes
	@tests/support/deps.sh 5.4 demo bench
	@$(MAKE) --no-print-directory all LUA_VERSION=5.4
	@for subject in $(BENCHES); do \
	  LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/5.4/?.so;;" \
	  lua5.4 tests/bench/$$subject.lua || exit 1; \
	done

CALLS ?= 200000

soak: ## CALLS calls with random faults: memory and descriptors, every 10 %
	@tests/support/deps.sh 5.4 demo
	@$(MAKE) --no-print-directory all LUA_VERSION=5.4
	@LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/5.4/?.so;;" \
	  lua5.4 tests/support/soak.lua $(CALLS)

types: ## write lua/maiagent/types.lua, what editors are told of the library
	@tests/support/deps.sh 5.4 demo
	@$(MAKE) --no-print-directory all LUA_VERSION=5.4
	@LUA_PATH="lua/?.lua;lua/?/init.lua;./?.lua;;" LUA_CPATH="build/5.4/?.so;;" \
	  lua5.4 tests/support/types.lua

install: all ## install into PREFIX (DESTDIR is honoured) for LUA_VERSION
	@set -e; root="$(DESTDIR)$(PREFIX)"; \
	install -d "$$root/lib/lua/$(ABI)/maiagent"; \
	install -m 755 $(MODULES) "$$root/lib/lua/$(ABI)/maiagent"; \
	cd lua && find maiagent -name '*.lua' | while read -r file; do \
	  install -d "$$root/share/lua/$(ABI)/$$(dirname "$$file")"; \
	  install -m 644 "$$file" "$$root/share/lua/$(ABI)/$$file"; \
	done
	@echo "installed into $(DESTDIR)$(PREFIX) for Lua $(ABI)"

rock: ## install with luarocks into ./tree for LUA_VERSION
	luarocks --lua-version=$(ABI) make --tree tree \
	  rockspec/maiagent-scm-1.rockspec

clean: ## remove what make, luarocks and npm left
	rm -rf build tree maiagent src/*.o tests/judge/node_modules

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	  awk -F'|' '{ printf "  make %-9s %s\n", $$1, $$2 }'
