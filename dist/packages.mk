# Every Debian 12 package that cricket needs, by purpose. `make deps` installs all of them.
DEPS_BUILD := gcc make pkg-config libc6-dev musl-tools libev-dev libh2o-dev libuv1-dev libprotobuf-c-dev protobuf-c-compiler \
  libcurl4-openssl-dev libc-ares-dev libjansson-dev libcyaml-dev libyaml-dev libsqlite3-dev libnl-3-dev libnl-route-3-dev \
  libcap-ng-dev libseccomp-dev libwslay-dev zlib1g-dev libssl-dev libarchive-dev libzstd-dev libacl1-dev uthash-dev jq \
  golang-github-containers-common
DEPS_RUN   := libcurl4 crun runc containernetworking-plugins iptables ca-certificates
DEPS_TEST  := libcmocka-dev perl git docker-registry skopeo umoci busybox-static sqlite3 curl iproute2 util-linux procps python3 zstd gzip tar \
  python3-grpcio python3-protobuf python3-websockets protobuf-compiler apache2-utils libcap2-bin attr clang clang-tidy clang-format cppcheck libclang-rt-14-dev netcat-openbsd \
  openssl libnghttp2-dev e2fsprogs
# inflates gzip twice as fast; where there is no such package, zlib does it
DEPS_BUILD += $(if $(filter amd64,$(shell dpkg --print-architecture 2>/dev/null)),libisal-dev)

# `make check-cgroup2` alone; a kernel and systemd it downloads and unpacks, but does not install
DEPS_CGROUP2 := qemu-system-x86 busybox-static e2fsprogs

# `make bench`, `make bench-quick` and `make profile` alone: what cricket is measured beside, and what profiles it
DEPS_BENCH := containerd linux-perf valgrind strace
