# The tests: what `make check` runs, twice. Binaries are in $(BUILD)/asan and $(BUILD)/plain; what both share (images, crictl,
# Python modules) is in $(BUILD) itself.
CRICTL_VERSION := v1.36.0
GO ?= $(shell command -v go 2>/dev/null || ls /usr/local/go/bin/go 2>/dev/null)
T ?= $(sort $(wildcard t/[0-9]*.t))

check: deps
	@[ "$$(id -u)" = 0 ] || { echo "make check needs root: it makes mounts, network namespaces and cgroups"; exit 1; }
	$(MAKE) tools
	$(MAKE) check-asan
	$(MAKE) check-plain

check-asan:
	$(MAKE) check-one BUILD=$(BUILD)/asan SAN=1 SHARED=$(BUILD)
check-plain:
	$(MAKE) check-one BUILD=$(BUILD)/plain SAN= SHARED=$(BUILD)

# one build's tests, with BUILD=: built side by side, run one after another
check-one:
	$(MAKE) -j$$(nproc) bins $(BUILD)/cribench $(UNIT) $(FUZZ:%=$(BUILD)/fuzz/%_replay)
	$(MAKE) unit
	$(MAKE) corpus
	$(MAKE) behaviour

SHARED ?= $(BUILD)
# make behaviour T=t/10-daemon.t runs one file
behaviour: bins $(BUILD)/cribench $(SHARED)/images/oci.tar $(SHARED)/py/proto/cri_pb2.py $(SHARED)/py/proto/cricket_pb2.py
	CRICKET_BUILD=$(BUILD) CRICKET_TOOLS=$(SHARED) prove -It/lib --timer --failures $(T)

tools: $(SHARED)/images/oci.tar $(SHARED)/py/proto/cri_pb2.py $(SHARED)/py/proto/cricket_pb2.py $(if $(GO),$(SHARED)/tools/crictl)

$(SHARED)/images/oci.tar: t/images.sh
	@mkdir -p $(@D)
	t/images.sh $(@D)

$(SHARED)/py/proto/%_pb2.py: proto/%.proto
	@mkdir -p $(SHARED)/py
	protoc --proto_path=. --python_out=$(SHARED)/py $<

# A module of its own rather than `go install`, which asks the module proxy for more than this one version.
$(SHARED)/tools/crictl:
	@mkdir -p $(SHARED)/tools/mod
	printf 'module cricket.test/tools\n\ngo 1.26\n\nrequire sigs.k8s.io/cri-tools $(CRICTL_VERSION)\n' > $(SHARED)/tools/mod/go.mod
	cd $(SHARED)/tools/mod && GOFLAGS=-mod=mod $(GO) build -o ../crictl sigs.k8s.io/cri-tools/cmd/crictl || \
	  { [ -z "$$CI" ] && echo "# no crictl: the tests that use it are skipped"; }

$(SHARED)/tools/critest:
	@mkdir -p $(SHARED)/tools/conformance
	printf 'module cricket.test/conformance\n\ngo 1.26\n\nrequire sigs.k8s.io/cri-tools $(CRICTL_VERSION)\n' > $(SHARED)/tools/conformance/go.mod
	cd $(SHARED)/tools/conformance && GOFLAGS=-mod=mod $(GO) test -c -o ../critest sigs.k8s.io/cri-tools/cmd/critest

# The CRI's validation suite, against stand-ins of its images: all of it, and streaming again over WebSocket. Needs go, and about
# two minutes.
CRITEST = CRICKET_BUILD=$(BUILD) CRITEST=$(SHARED)/tools/critest t/conformance/critest.sh
check-conformance: deps
	@[ -n "$(GO)" ] || { echo "make check-conformance needs go, to build critest"; exit 1; }
	$(MAKE) bins $(SHARED)/tools/critest
	$(CRITEST)
	$(CRITEST) --ginkgo.focus=Streaming -websocket-exec -websocket-attach -websocket-portforward

# proto/spdy.h against the SPDY client of kubelets and crictl. Needs go.
check-spdy: $(BUILD)/libproto.a $(BUILD)/libcore.a
	CRICKET_BUILD=$(BUILD) SANFLAGS="$(SANFLAGS)" GO=$(GO) t/conformance/spdy/run.sh

# Exec, attach and port-forward with the client libraries of kubectl, kubelets and crictl. Skipped where there is no go.
STREAMING_SRC := $(wildcard t/conformance/streaming/*.go)
STREAMING_MODULES := github.com/go-logr/logr v1.4.3,github.com/gorilla/websocket v1.5.4-0.20250319132907-e064f32e3674,google.golang.org/grpc v1.79.3,$\
  k8s.io/apimachinery v0.36.2,k8s.io/client-go v0.36.2,k8s.io/cri-api v0.36.2,k8s.io/klog/v2 v2.140.0,k8s.io/streaming v0.36.2
# without cgo it is static: it runs in the tests' container, too
$(SHARED)/tools/streaming/client: $(STREAMING_SRC)
	@mkdir -p $(@D)
	rm -f $(@D)/*.go && cp $^ $(@D)/
	printf 'module cricket.test/streaming\n\ngo 1.26\n\n' > $(@D)/go.mod
	echo '$(STREAMING_MODULES)' | tr , '\n' | sed 's/^ */require /' >> $(@D)/go.mod
	cd $(@D) && CGO_ENABLED=0 GOFLAGS=-mod=mod $(GO) build -o client . && $(GO) vet -mod=mod .
check-streaming: $(if $(GO),$(SHARED)/tools/streaming/client)
	$(MAKE) behaviour T=t/conformance/streaming/streaming.t


# the time of commands in containers, by plan and by the OCI runtime
bench-exec: bins tools
	CRICKET_BUILD=$(BUILD) CRICKET_TOOLS=$(SHARED) perl -It/lib bench/exec.pl

# ---- cgroup v2 ---------------------------------------------------------------------------------------------------------------
# What machines that build and test often lack, virtual ones have: without systemd and with it. Not part of `make check`: needs qemu.
.PHONY: check-cgroup2 deps-cgroup2
deps-cgroup2:
	@missing=$$(for p in $(DEPS_CGROUP2); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; fi

check-cgroup2: deps-cgroup2 bins $(BUILD)/limited $(SHARED)/images/oci.tar
	t/cgroup2/root.sh $(BUILD)/cgroup2 $(BUILD) $(SHARED)/images/busybox.tar
	t/cgroup2/run.sh $(BUILD)/cgroup2

$(BUILD)/limited: $(call obj,t/cgroup2/limited.c cli/cri.c cli/grpc.c) $(BUILD)/libproto.a $(BUILD)/libcore.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
