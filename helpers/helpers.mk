# The small programs beside the daemon. cricket-keeper and cricket-pause are one process a pod each, so their pages count:
# static, musl where it is installed (48 KiB instead of 700), sections packed without padding, no RELRO page, no unwind tables.
MUSL_GCC   := $(shell command -v musl-gcc 2>/dev/null)
SRC_KEEPER := $(sort $(wildcard helpers/keeper*.c)) core/cri_log.c core/keeper_wire.c core/program_mount.c
HDR_KEEPER := $(wildcard helpers/keeper*.h) core/cri_log.h core/keeper_wire.h core/program_mount.h
SRC_UNPACK := $(wildcard helpers/unpack*.c)
# inflates gzip twice as fast as zlib; where the architecture has no such package, zlib does it. ISAL_LIBS= turns it off
ISAL_LIBS  ?= $(shell $(PKG_CONFIG) --silence-errors --libs libisal)

STATIC_CC = $(if $(MUSL_GCC),$(MUSL_GCC),$(CC)) -I. -D_GNU_SOURCE -DCRICKET_VERSION='"$(VERSION)"' -std=gnu17 -Os -g $(WARN) \
  -fstack-protector-strong -fno-pie -no-pie -static -ffunction-sections -fdata-sections \
  -fno-asynchronous-unwind-tables -fno-unwind-tables \
  -Wl,--gc-sections -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,--build-id=none -s
HELPER_CC = $(if $(SAN),$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL),$(STATIC_CC))

$(BUILD)/cricket-keeper: $(SRC_KEEPER) $(HDR_KEEPER) helpers/helpers.mk
	@mkdir -p $(@D)
	$(HELPER_CC) -o $@ $(SRC_KEEPER)

# static in every build: it runs in a root filesystem with nothing else in it
$(BUILD)/cricket-pause: helpers/pause.c helpers/helpers.mk
	@mkdir -p $(@D)
	$(STATIC_CC) -o $@ helpers/pause.c

# static in every build: the daemon runs a sealed copy of it, and it lives in other namespaces
SRC_ENTER := $(sort $(wildcard helpers/enter*.c)) core/exec_plan.c
HDR_ENTER := $(wildcard helpers/enter*.h) core/exec_plan.h core/enter_wire.h
$(BUILD)/cricket-enter: $(SRC_ENTER) $(HDR_ENTER) helpers/helpers.mk
	@mkdir -p $(@D)
	$(STATIC_CC) -o $@ $(SRC_ENTER)

# Started once a layer: the few functions that it needs are linked in, since to find, map and relocate the 20 libraries that
# libarchive's package asks for (ICU and libstdc++ among them) takes longer than a small layer. isa-l comes as a library only.
UNPACK_LIBS := $(patsubst %,-l:lib%.a,archive zstd crypto seccomp cap-ng)
$(BUILD)/cricket-unpack: $(call obj,$(SRC_UNPACK)) $(BUILD)/libcore.a helpers/helpers.mk
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter-out %.mk,$^) $(UNPACK_LIBS) $(or $(ISAL_LIBS),-l:libz.a)
$(BUILD)/helpers/unpack_decoders.o: CPPFLAGS_ALL += $(if $(ISAL_LIBS),-DHAVE_ISAL)
$(BUILD)/t/unit/loop/unpack_test: | $(BUILD)/cricket-unpack

$(patsubst %,$(BUILD)/t/unit/loop/%_test,keeper keeper_attach keeper_slow_client keeper_stdin): | $(BUILD)/cricket-keeper
$(patsubst %,$(BUILD)/t/unit/handlers/%_test,images layer_sync): | $(BUILD)/cricket-unpack
$(BUILD)/t/unit/loop/enter_test: | $(BUILD)/cricket-enter
