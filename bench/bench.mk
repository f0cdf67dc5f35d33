# The benchmark harness: cribench, and what runs it on containerd and cricketd side by side. As root.
SRC_BENCH := $(wildcard bench/*.c)
LIBS_BENCH = -lnghttp2 -ljansson -lprotobuf-c -lm

$(BUILD)/cribench: $(call obj,$(SRC_BENCH)) $(BUILD)/libproto.a $(BUILD)/libcore.a
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_BENCH) $(LIBS)

.PHONY: bench bench-quick profile deps-bench
deps-bench: deps
	@missing=$$(for p in $(DEPS_BENCH); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; fi

BENCH = CRICKET_BUILD=$(BUILD) CRICKET_TOOLS=$(BUILD) perl -It/lib -Ibench/lib bench/run.pl
# BENCH_FLAGS=: --runs N, --only SCENARIO,..., --oci runc, --without containerd, --pods N (of churn and of profile),
# --seconds N (of exec, density, soak); soak runs only by --only soak
bench bench-quick profile: deps-bench
	@$(MAKE) --no-print-directory bins $(BUILD)/cribench $(BUILD)/images/oci.tar
	$(BENCH) $(patsubst bench-%,%,$(patsubst bench,full,$@)) $(BENCH_FLAGS)

# Streaming beside containerd. Needs go, for the client. BENCH_FLAGS=: --rounds N, --megabytes N, --oci runc, --only throughput or memory
.PHONY: bench-stream
bench-stream: deps-bench
	@[ -n "$(GO)" ] || { echo "make bench-stream needs go, to build its client"; exit 1; }
	@$(MAKE) --no-print-directory bins $(BUILD)/images/oci.tar $(BUILD)/py/proto/cri_pb2.py $(BUILD)/py/proto/cricket_pb2.py $(BUILD)/tools/streaming/client
	CRICKET_BUILD=$(BUILD) CRICKET_TOOLS=$(BUILD) perl -It/lib -Ibench/lib bench/stream.pl $(BENCH_FLAGS)
