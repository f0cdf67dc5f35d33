#!/bin/sh
# Tests proto/spdy.h with the SPDY client of kubelets and crictl. Needs go, and the module proxy once.
#   CRICKET_BUILD   the directory of the layers' archives and of what is built here
set -eu
here=$(dirname "$(realpath "$0")")
top=$here/../../..
build=$(realpath "${CRICKET_BUILD:-$top/build}")
dir=$build/conformance/spdy
mkdir -p "$dir"
# shellcheck disable=SC2086
${CC:-gcc} -std=gnu17 -g -O2 -Wall -Wextra -D_GNU_SOURCE -I"$top" ${SANFLAGS:-} -o "$dir/server" "$here/server.c" "$build/libproto.a" "$build/libcore.a" -lz
cp "$here/client.go" "$dir/"
printf 'module cricket.test/spdy\n\ngo 1.22\n\nrequire github.com/moby/spdystream v0.5.0\n' > "$dir/go.mod"
cd "$dir"
GOFLAGS=-mod=mod "${GO:-go}" build -o client client.go
exec ./client "$dir/server"
