#!/bin/sh
# Puts the images of the benchmark into a registry's storage: images.sh DIRECTORY TEST-IMAGES PAUSE. Run in a network namespace
# of its own; DIRECTORY/registry begins as a copy of the tests' registry.
#
#   bench/pause:1   the pause program            bench/large:1   104 MB in five layers, 208 MB unpacked
#   bench/many:1    forty small layers           bench/small:1   one layer of 50,000 small files
set -eu
dir=$1
cp -a "$2/registry" "$dir/registry"
mkdir -p "$dir/tar" "$dir/pause"
cp "$3" "$dir/pause/pause"
"$(dirname "$0")/images.py" "$dir/tar"
tar -C "$dir/pause" -cf "$dir/tar/pause-1.tar" pause

layout=$dir/oci
umoci init --layout "$layout"
for image in pause large many small; do
    umoci new --image "$layout:$image"
    for i in $(seq 40); do
        [ ! -e "$dir/tar/$image-$i.tar" ] || umoci raw add-layer --image "$layout:$image" "$dir/tar/$image-$i.tar"
    done
    umoci config --image "$layout:$image" --config.entrypoint /pause
done

cat > "$dir/registry.yml" <<EOF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/registry}}
http: {addr: "127.0.0.1:5000"}
EOF
docker-registry serve "$dir/registry.yml" > "$dir/registry.log" 2>&1 &
registry=$!
for i in $(seq 200); do
    curl -fs http://127.0.0.1:5000/v2/ > /dev/null && break
    [ "$i" = 200 ] && { echo "the registry does not answer:"; cat "$dir/registry.log"; exit 1; }
    sleep 0.05
done
for image in pause large many small; do
    skopeo copy -q --dest-tls-verify=false "oci:$layout:$image" "docker://127.0.0.1:5000/bench/$image:1"
done
kill "$registry"
rm -rf "$dir/tar" "$dir/pause" "$dir/oci" "$dir/registry.yml" "$dir/registry.log"
