#!/bin/sh
# Builds the tests' images from busybox-static, as an OCI layout and as the storage of a registry. Usage: images.sh DIRECTORY
#
#   test/busybox:1     one layer, gzip                        test/busybox:zstd   the same, zstd
#   test/busybox:v2s2  with Docker's media types              test/layers:1       five layers, with whiteouts
#   test/user:1        a user, directory, environment, entrypoint, stop signal, volume and label of its own
set -eu
if [ -z "${IMAGES_IN_NETNS:-}" ]; then
    rm -rf "$1.new" && mkdir -p "$1.new"
    IMAGES_IN_NETNS=1 unshare --net --pid --fork --kill-child "$0" "$(realpath "$1.new")"
    rm -rf "$1" && mv "$1.new" "$1"
    exit 0
fi
dir=$1
ip link set lo up

root=$dir/rootfs
mkdir -p "$root/bin" "$root/etc" "$root/home/app" "$root/tmp" "$root/root"
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln "$root/bin/busybox" "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\napp:x:1001:\nextra:x:2000:app\n' > "$root/etc/group"
chown 1000:1001 "$root/home/app"

layout=$dir/oci
umoci init --layout "$layout"
umoci new --image "$layout:busybox"
umoci insert --image "$layout:busybox" "$root" /
umoci config --image "$layout:busybox" --config.cmd sh --config.env PATH=/bin

layers=$layout:layers
umoci tag --image "$layout:busybox" layers
mkdir -p "$dir/a/data/old" "$dir/b" && echo one > "$dir/a/data/first" && echo old > "$dir/a/data/old/file" && echo two > "$dir/b/second"
umoci insert --image "$layers" "$dir/a/data" /data
umoci insert --image "$layers" --whiteout /data/first
umoci insert --image "$layers" "$dir/b/second" /data/second
umoci insert --image "$layers" --opaque "$dir/b" /data/old
umoci config --image "$layers" --config.cmd sh

umoci tag --image "$layout:busybox" user
umoci config --image "$layout:user" --config.user app --config.workingdir /home/app --config.env WHO=cricket \
    --config.entrypoint sh --config.entrypoint -c --clear config.cmd --config.cmd 'id; pwd; echo $WHO' \
    --config.stopsignal SIGUSR1 --config.volume /scratch --config.label kind=test

cat > "$dir/registry.yml" <<EOF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/registry}}
http: {addr: "127.0.0.1:5000"}
EOF
docker-registry serve "$dir/registry.yml" > "$dir/registry.log" 2>&1 &
for i in $(seq 200); do
    curl -fs http://127.0.0.1:5000/v2/ > /dev/null && break
    [ "$i" = 200 ] && { echo "the registry does not answer:"; cat "$dir/registry.log"; exit 1; }
    sleep 0.05
done
push() { skopeo copy -q --dest-tls-verify=false "oci:$layout:$1" "docker://127.0.0.1:5000/test/$2" $3; }
push busybox busybox:1 ''
push busybox busybox:v2s2 '--format v2s2'
push busybox busybox:zstd '--dest-compress-format zstd --dest-compress-level 3'
push layers layers:1 ''
push user user:1 ''
skopeo copy -q "oci:$layout:busybox" "docker-archive:$dir/busybox.tar:example.test/archive/busybox:1"
tar -C "$layout" -cf "$dir/oci.tar" .
rm -rf "$dir/rootfs" "$dir/a" "$dir/b" "$dir/registry.yml" "$dir/registry.log"
