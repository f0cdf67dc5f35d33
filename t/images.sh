#!/bin/sh
# Builds the tests' images from busybox-static, as an OCI layout and as the storage of a registry. Usage: images.sh DIRECTORY
#
#   test/busybox:1     one layer, gzip                        test/busybox:zstd   the same, zstd
#   test/busybox:v2s2  with Docker's media types              test/layers:1       five layers, with whiteouts
#   test/inserted:1    a layer as umoci-insert makes it
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

# layers by tar, with the marks of deletion that another tool would make
umoci tag --image "$layout:busybox" layers
add_layer() { tar -C "$dir/layer" -cf "$dir/layer.tar" data; umoci raw add-layer --image "$layout:layers" "$dir/layer.tar"; rm -rf "$dir/layer"; }
mkdir -p "$dir/layer/data/old/deep" && echo one > "$dir/layer/data/first" && echo old > "$dir/layer/data/old/deep/file" && ln -s first "$dir/layer/data/link"
add_layer
mkdir -p "$dir/layer/data" && touch "$dir/layer/data/.wh.first"
add_layer
mkdir -p "$dir/layer/data" && echo two > "$dir/layer/data/second"
add_layer
mkdir -p "$dir/layer/data/old" && touch "$dir/layer/data/old/.wh..wh..opq" && echo new > "$dir/layer/data/old/file"
add_layer
umoci config --image "$layout:layers" --config.cmd sh

# umoci-insert ends a layer without the end of the archive; such images are out there
umoci tag --image "$layout:busybox" inserted
echo inserted > "$dir/inserted"
umoci insert --image "$layout:inserted" "$dir/inserted" /inserted

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
push inserted inserted:1 ''
push user user:1 ''
skopeo copy -q "oci:$layout:busybox" "docker-archive:$dir/busybox.tar:example.test/archive/busybox:1"
tar -C "$layout" -cf "$dir/oci.tar" .
rm -rf "$dir/rootfs" "$dir/inserted" "$dir/layer.tar" "$dir/registry.yml" "$dir/registry.log"
