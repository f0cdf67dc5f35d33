#!/bin/sh
# Builds stand-ins for the images that the conformance suite pulls, and pushes them to a registry.
# Usage: images.sh DIRECTORY REGISTRY. Writes DIRECTORY/digest: that of the image to be pulled by digest.
set -eu
dir=$1 registry=$2
here=$(dirname "$(realpath "$0")")
layout=$dir/oci
busybox=$(command -v busybox)

"$(command -v musl-gcc || command -v gcc)" -std=gnu17 -D_GNU_SOURCE -Os -static -s -Wall -Wextra -Werror -o "$dir/standins" "$here/standins.c"

root=$dir/rootfs
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/root" "$root/var/run" "$root/mnt"
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    case $applet in busybox | sh) ;; *) ln "$root/bin/busybox" "$root/bin/$applet" ;; esac
done
for name in sh ipcs pgrep; do cp "$dir/standins" "$root/bin/$name"; done
# one of its own: the suite hides it alone
rm "$root/bin/ls" && cp "$busybox" "$root/bin/ls"
printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www:/:/bin/sh\ndefault-user:x:1000:1000::/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nwww-data:x:33:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\nnobody:x:65534:\n' > "$root/etc/group"

umoci init --layout "$layout"
umoci new --image "$layout:base"
umoci insert --image "$layout:base" "$root" /
umoci config --image "$layout:base" --config.cmd sh --config.env PATH=/bin

# make NAME REPOSITORY:TAG [umoci config's options]: an image of its own id
make() {
    name=$1 repository=$2
    shift 2
    umoci tag --image "$layout:base" "$name"
    umoci config --image "$layout:$name" --config.label "stand-in=$name" "$@"
    push "$name" "$repository"
}
push() { skopeo copy -q --dest-tls-verify=false "oci:$layout:$1" "docker://$registry/$2"; }
# make_program NAME REPOSITORY:TAG MODE [options]: one that runs a stand-in of its own
make_program() {
    program=$1 repository=$2 mode=$3
    shift 3
    install -m "$mode" "$dir/standins" "$dir/$program"
    umoci tag --image "$layout:base" "$program"
    umoci insert --image "$layout:$program" "$dir/$program" "/bin/$program"
    umoci config --image "$layout:$program" --clear config.cmd --config.entrypoint "/bin/$program" "$@"
    push "$program" "$repository"
}

e2e=e2e-test-images cri=k8s-staging-cri-tools
make busybox "$e2e/busybox:1.29-2"
make_program nginx "$e2e/nginx:1.14-2" 755
make_program httpd "$e2e/httpd:2.4.39-4" 755
make_program nnp "$e2e/nonewprivs:1.3" 4755
umoci tag --image "$layout:nginx" hostnet
umoci config --image "$layout:hostnet" --config.env PORT=12003
push hostnet "$cri/hostnet-nginx-$(dpkg --print-architecture):latest"
make latest "$cri/test-image-latest:latest"
make digest "$cri/test-image-digest:latest"
make tag "$cri/test-image-tag:test"
make all "$cri/test-image-tag:all"
for i in 1 2 3; do make "image-$i" "$cri/test-image-$i:latest"; done
make tags "$cri/test-image-tags:1"
push tags "$cri/test-image-tags:2"
push tags "$cri/test-image-tags:3"
make user-uid "$cri/test-image-user-uid:latest" --config.user 1002
make user-username "$cri/test-image-user-username:latest" --config.user www-data
make user-uid-group "$cri/test-image-user-uid-group:latest" --config.user 1003:users
make user-username-group "$cri/test-image-user-username-group:latest" --config.user www-data:100
make predefined-group "$cri/test-image-predefined-group:latest" --config.user 1000
make pause pause:3.9 --clear config.cmd --config.entrypoint sleep --config.cmd 100000
# for CONFIG="sandbox_image: registry.k8s.io/sandbox:1": the suite removes pause, and must find no sleep in a pod
make sandbox sandbox:1 --clear config.cmd --config.entrypoint tail --config.cmd -f --config.cmd /dev/null

skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/$cri/test-image-digest:latest" > "$dir/digest"
