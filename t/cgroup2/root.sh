#!/bin/sh
# Makes what the virtual machine boots: DIR/vmlinuz, DIR/initramfs (loads the disk's driver) and DIR/root.ext4.
# Usage: root.sh DIR BINARIES IMAGE_ARCHIVE
set -eu
dir=$1 binaries=$2 archive=$3
here=$(dirname "$(realpath "$0")")

kernel_package() { apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p'; }

# Packages are unpacked below DIR and not installed: a kernel's hooks would change what this machine boots.
# fetch DIR PACKAGE...
fetch() {
    to=$1
    shift
    rm -rf "$to.new" && mkdir -p "$to.new"
    (cd "$to.new" && apt-get download -q -o APT::Sandbox::User=root "$@")
    for deb in "$to.new"/*.deb; do
        dpkg-deb -x "$deb" "$to.new" && rm "$deb"
    done
    mv "$to.new" "$to"
}

fetch_kernel() {
    package=$(kernel_package)
    [ -n "$package" ] || { apt-get update -q; package=$(kernel_package); }
    [ -n "$package" ] || { echo "apt knows no package linux-image-cloud-amd64; this test needs Debian on amd64" >&2; exit 1; }
    fetch "$dir/kernel" "$package"
}

fetch_systemd() {
    fetch "$dir/systemd" systemd libsystemd-shared dbus dbus-daemon dbus-system-bus-common libdbus-1-3 libexpat1 libapparmor1 \
        libaudit1 libcap-ng0 libcryptsetup12 libfdisk1 libip4tc2 libkmod2 libmount1 libp11-kit0 libpam0g libseccomp2
    rm -rf "$dir/systemd/usr/share/doc" "$dir/systemd/usr/share/locale" "$dir/systemd/usr/share/man"
}

# copy_modules DIR NAME...: numbered, as each needs those before it
copy_modules() {
    to=$1 n=0
    shift
    mkdir -p "$to"
    for name; do
        n=$((n + 1))
        file=$(find "$dir/kernel/lib/modules" -name "$name.ko")
        [ -n "$file" ] || { echo "the kernel has no module $name" >&2; exit 1; }
        cp "$file" "$to/$n-$name.ko"
    done
}

# with_libraries ROOT PROGRAM...: each below ROOT where it is here, and what it is linked with
with_libraries() {
    root=$1
    shift
    for program; do
        libraries=$(ldd "$program" 2> /dev/null | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p')
        for file in $program $libraries; do
            [ -e "$root$file" ] || install -D "$file" "$root$file"
        done
    done
}

make_initramfs() {
    new=$dir/initramfs.tree
    rm -rf "$new" && mkdir -p "$new/bin" "$new/dev" "$new/proc" "$new/root"
    cp "$(command -v busybox)" "$new/bin/busybox"
    copy_modules "$new/modules" virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
    cp "$here/initramfs-init" "$new/init"
    (cd "$new" && find . | busybox cpio -o -H newc 2> /dev/null) > "$dir/initramfs"
}

# systemd, dbus-daemon, and a target that runs the checks and nothing else
add_systemd() {
    tree=$dir/systemd
    units=$1/etc/systemd/system
    cp -a "$tree/." "$1/"
    libraries=$(find "$tree" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd:)
    LD_LIBRARY_PATH=$libraries ldd "$tree/lib/systemd/systemd" "$tree/usr/bin/dbus-daemon" "$tree/bin/systemctl" > "$dir/ldd"
    if grep 'not found' "$dir/ldd" >&2; then
        exit 1
    fi
    for file in $(sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' "$dir/ldd" | sort -u); do
        [ "${file#"$tree"}" != "$file" ] || [ -e "$1$file" ] || install -D "$file" "$1$file"
    done
    printf 'messagebus:x:100:100::/:/bin/sh\n' >> "$1/etc/passwd"
    printf 'root:x:0:\nmessagebus:x:100:\n' > "$1/etc/group"
    : > "$1/etc/machine-id"
    mkdir -p "$units/dbus.socket.d" "$units/dbus.service.d"
    printf '[Unit]\nDefaultDependencies=no\n' | tee "$units/dbus.socket.d/test.conf" > "$units/dbus.service.d/test.conf"
    printf '[Unit]\nDefaultDependencies=no\nRequires=test.service\n' > "$units/default.target"
    cp "$here/test.service" "$units/"
}

make_root() {
    new=$dir/root.tree
    rm -rf "$new"
    for name in bin dev proc sys run tmp etc/cni/net.d etc/cricket var/log/pods var/lib opt/cricket; do
        mkdir -p "$new/$name"
    done
    cp "$(command -v busybox)" "$new/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$new/bin/$applet"
    done
    for name in cricketd cricket cricket-keeper cricket-unpack cricket-pause cricket-enter limited; do
        strip -o "$new/opt/cricket/$name" "$binaries/$name"
        with_libraries "$new" "$binaries/$name"
        rm "$new$binaries/$name"
    done
    with_libraries "$new" "$(command -v crun)" "$(command -v runc)" /usr/lib/cni/bridge /usr/lib/cni/host-local /usr/lib/cni/loopback
    copy_modules "$new/modules" overlay veth llc stp bridge
    cp "$here/network.conflist" "$new/etc/cni/net.d/"
    cp "$here/config.yaml" "$new/etc/cricket/"
    cp "$here/guest.sh" "$new/opt/cricket/"
    cp "$archive" "$new/opt/cricket/image.tar"
    printf 'root:x:0:0:root:/:/bin/sh\n' > "$new/etc/passwd"
    add_systemd "$new"
    rm -f "$dir/root.ext4"
    mke2fs -q -F -t ext4 -m 0 -d "$new" "$dir/root.ext4" 256M > /dev/null
}

dir=$(realpath "$dir")
binaries=$(realpath "$binaries")
[ -d "$dir/kernel" ] || fetch_kernel
[ -d "$dir/systemd" ] || fetch_systemd
cp "$dir"/kernel/boot/vmlinuz-* "$dir/vmlinuz"
make_initramfs
make_root
rm -rf "$dir/initramfs.d" "$dir/root.tree"
