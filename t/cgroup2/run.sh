#!/bin/sh
# Boots DIR's virtual machine and passes its TAP lines on. Exit code 0: it came to its end and every test passed.
# It boots twice: on cgroup v2 without systemd, and with it.
# An emulated machine on a busy host is sometimes too slow to get there: one retry; none for a test that failed. Usage: run.sh DIR
set -u
dir=$1
limit=${CGROUP2_SECONDS:-120}

boot() {
    timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -accel tcg -m 512 -nographic -no-reboot -nic none \
        -kernel "$dir/vmlinuz" -initrd "$dir/initramfs" -append "console=ttyS0 quiet panic=-1 mitigations=off systemd.show_status=0 cgroup_driver=$1" \
        -drive "file=$dir/root.ext4,format=raw,if=virtio,snapshot=on" < /dev/null 2>&1 | tr -d '\r' > "$dir/console.$1"
}

# one DRIVER
one() {
    console=$dir/console.$1
    for attempt in 1 2; do
        boot "$1"
        plan=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$console")
        [ -z "$plan" ] || break
        echo "# attempt $attempt did not come to its end; the console is in $console, its last lines:"
        tail -n 15 "$console" | sed 's/^/#   /'
    done
    echo "# $1:"
    grep -E '^(ok|not ok|#|1\.\.)' "$console"
    passed=$(grep -c '^ok [0-9]' "$console")
    [ -n "$plan" ] && [ "$passed" = "$plan" ] && ! grep -q '^not ok' "$console"
}

result=0
for driver in cgroupfs systemd; do
    one $driver || result=1
done
exit $result
