# cricket: one plain Makefile. `make help` lists the targets.
BUILD   ?= build
SAN     ?=
CC      := gcc
CLANG   ?= clang
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0
PKG_CONFIG ?= pkg-config

include dist/packages.mk

.PHONY: all help deps run check check-plain check-asan check-one unit behaviour lint layers format format-check tidy cppcheck fuzz deps-run bins corpus install clean tools
all: bins

help:
	@grep -E '^## ' Makefile | sed 's/^## //'

## make            build everything into $(BUILD)
## make run        install what is missing, build, run the daemon in the foreground (as root)
## make check      install what is missing, run every test under ASan and UBSan and once plain (as root)
## make check-cgroup2  test on cgroup v2, in a virtual machine (installs qemu; as root)
## make check-conformance   the validation suite of the CRI, critest (as root; needs go)
## make check-streaming   exec, attach and port-forward, with the client libraries of kubectl (as root; needs go)
## make check-spdy   SPDY, with the client that kubelets have (needs go)
## make bench      measure cricketd beside containerd, write docs/performance.md (installs containerd; as root)
## make bench-quick   the same in three minutes, against the last run; make profile: what a pod start costs
## make lint       layers, clang-tidy, cppcheck, format
## make fuzz       run each fuzz target for FUZZ_SECONDS (default 20)
## make install    DESTDIR=, PREFIX=
## make deps       install the Debian packages that build, run and test need (as root)

# ---- packages ------------------------------------------------------------------------------------------------------
# Asks dpkg first: with everything there, no network is touched.
deps:
	@missing=$$(for p in $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; fi

deps-run:
	@missing=$$(for p in $(DEPS_BUILD) $(DEPS_RUN); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; fi

# ---- flags ---------------------------------------------------------------------------------------------------------
LIBS_PC = libcurl libcares jansson libcyaml yaml-0.1 sqlite3 libnl-3.0 libnl-route-3.0 libcap-ng libseccomp libprotobuf-c zlib openssl libarchive libzstd libuv
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 -Wimplicit-fallthrough
CPPFLAGS_ALL = -Ulinux -I. -I$(BUILD)/gen -D_GNU_SOURCE -DCRICKET_VERSION='"$(VERSION)"' -DH2O_USE_LIBUV=1 -idirafter loop $(shell $(PKG_CONFIG) --cflags libnl-3.0)
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fPIE -fcf-protection
LDHARD  := -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections
ifneq ($(SAN),)
  SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
  CFLAGS_ALL = -std=gnu17 -O1 -g $(WARN) $(SANFLAGS) -ffunction-sections -fdata-sections -fPIE
else
  SANFLAGS :=
  CFLAGS_ALL = -std=gnu17 $(CFLAGS) -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 $(WARN) $(HARDEN) -ffunction-sections -fdata-sections
endif
LDFLAGS_ALL = $(LDHARD) $(SANFLAGS) $(LDFLAGS)
LIBS = -lh2o -luv -lev $(shell $(PKG_CONFIG) --libs libcurl libcares jansson libcyaml yaml-0.1 sqlite3 libnl-3.0 libnl-route-3.0 libcap-ng libseccomp libprotobuf-c zlib) -lwslay -lssl -lcrypto -lm

# V=1 shows whole commands
Q   := $(if $(V),,@)
say := @$(if $(V),true,echo)

# ---- objects -------------------------------------------------------------------------------------------------------
SRC_CORE     := $(wildcard core/*.c)
SRC_LOOP     := $(wildcard loop/*.c)
SRC_NETNS    := $(wildcard netns/*.c)
SRC_PROTO    := $(wildcard proto/*.c)
SRC_HANDLERS := $(wildcard handlers/*.c)
SRC_CLI      := $(wildcard cli/*.c)
PROTOS       := $(wildcard proto/*.proto)
GEN_C        := $(PROTOS:proto/%.proto=$(BUILD)/gen/proto/%.pb-c.c)
GEN_H        := $(GEN_C:.c=.h)
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

OBJ_GEN := $(GEN_C:.c=.o)
.SECONDARY: $(GEN_C) $(GEN_H)
-include $(wildcard dist/gen.mk)

bins: $(BUILD)/cricketd $(BUILD)/cricket $(BUILD)/cricket-keeper $(BUILD)/cricket-unpack $(BUILD)/cricket-pause $(BUILD)/cricket-enter

# proto/cri.proto -> $(BUILD)/gen/proto/cri.pb-c.[ch], included as "proto/cri.pb-c.h"
$(BUILD)/gen/proto/%.pb-c.c $(BUILD)/gen/proto/%.pb-c.h: proto/%.proto
	@mkdir -p $(BUILD)/gen/proto
	protoc-c --proto_path=. --c_out=$(BUILD)/gen $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-error -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c | $(GEN_H) $(GEN_TABLES)
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# One archive a layer: a test that includes a .c file takes the rest of its layer from here.
$(BUILD)/libcore.a: $(call obj,$(SRC_CORE))
$(BUILD)/libproto.a: $(call obj,$(SRC_PROTO)) $(OBJ_GEN)
$(BUILD)/libloop.a: $(call obj,$(SRC_LOOP))
$(BUILD)/libnetns.a: $(call obj,$(SRC_NETNS))
$(BUILD)/libhandlers.a: $(call obj,$(filter-out handlers/main.c,$(SRC_HANDLERS)))
%.a:
	@rm -f $@
	@ar rcs $@ $^
ARCHIVES = $(BUILD)/libhandlers.a $(BUILD)/libnetns.a $(BUILD)/libloop.a $(BUILD)/libproto.a $(BUILD)/libcore.a

$(BUILD)/cricketd: $(BUILD)/handlers/main.o $(ARCHIVES)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(BUILD)/cricket: $(call obj,$(SRC_CLI)) $(BUILD)/libproto.a $(BUILD)/libcore.a
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

-include helpers/helpers.mk

# ---- tests ---------------------------------------------------------------------------------------------------------
UNIT := $(patsubst t/unit/%.c,$(BUILD)/t/unit/%,$(wildcard t/unit/*/*_test.c))
$(BUILD)/t/unit/%: t/unit/%.c $(ARCHIVES)
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) -Wno-missing-prototypes -Wno-unused-function $(CFLAGS_ALL) -Wno-error=missing-prototypes -Wno-error=unused-function $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(ARCHIVES) -lcmocka -larchive -lzstd -lnghttp2 $(LIBS)

unit: $(UNIT)
	@bad=; for t in $(UNIT); do echo "# $$t"; CMOCKA_MESSAGE_OUTPUT=TAP $$t || bad="$$bad $$t"; done; \
	  [ -z "$$bad" ] || { echo "failed:$$bad"; exit 1; }
# make unit/core/err runs one of them
unit/%: $(BUILD)/t/unit/%_test
	$<

FUZZ := $(patsubst fuzz/%_fuzz.c,%,$(wildcard fuzz/*_fuzz.c))
FUZZ_SECONDS ?= 20
FUZZ_LIBS = -larchive -lzstd $(LIBS)
# replays a corpus with gcc's sanitizers: no clang needed for `make check`
$(BUILD)/fuzz/%_replay: fuzz/%_fuzz.c fuzz/replay.c $(ARCHIVES)
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-missing-prototypes $(LDFLAGS_ALL) -MMD -MP -o $@ $< fuzz/replay.c $(ARCHIVES) $(FUZZ_LIBS)
corpus: $(FUZZ:%=$(BUILD)/fuzz/%_replay)
	@set -e; for f in $(FUZZ); do $(BUILD)/fuzz/$${f}_replay fuzz/corpus/$$f; done
$(BUILD)/fuzz/%_fuzz: fuzz/%_fuzz.c $(SRC_CORE) $(SRC_PROTO) $(GEN_C) $(GEN_H) $(GEN_TABLES)
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS_ALL) -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -ffunction-sections -fdata-sections -Wl,--gc-sections -o $@ $< $(SRC_CORE) $(SRC_PROTO) $(GEN_C) $(FUZZ_LIBS)
fuzz: $(FUZZ:%=$(BUILD)/fuzz/%_fuzz)
	@set -e; for f in $(FUZZ); do mkdir -p $(BUILD)/fuzz/new/$$f; echo "# fuzz $$f"; \
	  $(BUILD)/fuzz/$${f}_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 $(BUILD)/fuzz/new/$$f fuzz/corpus/$$f 2>&1 | tail -n 12; done

-include dist/install.mk
-include t/check.mk
-include bench/bench.mk

# ---- run -----------------------------------------------------------------------------------------------------------
run: deps-run
	@$(MAKE) --no-print-directory bins
	@[ "$$(id -u)" = 0 ] || { echo "make run needs root: sudo make run"; exit 1; }
	@echo; echo "cricketd is in $(BUILD); its command line is $(BUILD)/cricket. Ctrl-C stops the daemon, not the containers."
	@exec $(BUILD)/cricketd

# ---- lint ----------------------------------------------------------------------------------------------------------
SRC_LINT = $(SRC_CORE) $(SRC_LOOP) $(SRC_NETNS) $(SRC_PROTO) $(SRC_HANDLERS) $(SRC_CLI) $(wildcard helpers/*.c) $(wildcard bench/*.c)
lint: layers format-check tidy cppcheck
layers:
	@t/layers.sh
# `make format` writes what format-check wants
FORMATTED = $(wildcard core/*.[ch] loop/*.[ch] netns/*.[ch] proto/*.[ch] handlers/*.[ch] helpers/*.[ch] cli/*.[ch] bench/*.[ch] fuzz/*.[ch] t/unit/*/*.[ch])
format:
	clang-format -i $(FORMATTED)
format-check:
	@clang-format --dry-run -Werror $(FORMATTED) && echo "format: ok"
tidy: $(GEN_H) $(GEN_TABLES)
	@printf '%s\n' $(SRC_LINT) | t/tidy.sh $(CPPFLAGS_ALL) -std=gnu17 && echo "clang-tidy: ok"
cppcheck: $(GEN_H) $(GEN_TABLES)
	@cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,portability -j$$(nproc) \
	  --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --include=t/cppcheck.h -I. -I$(BUILD)/gen -D_GNU_SOURCE -Ulinux $(SRC_LINT) && echo "cppcheck: ok"

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
