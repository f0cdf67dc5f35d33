#!/bin/sh
# Boots DIR's virtual machine and passes its TAP lines on. Exit code 0: it came to its end and every test passed.
# An emulated machine on a busy host is sometimes too slow to get there: one retry; none for a test that failed. Usage: run.sh DIR
set -u
dir=$1
limit=${CGROUP2_SECONDS:-120}

boot() {
    timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -accel tcg -m 512 -nographic -no-reboot -nic none \
        -kernel "$dir/vmlinuz" -initrd "$dir/initramfs" -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
        -drive "file=$dir/root.ext4,format=raw,if=virtio,snapshot=on" < /dev/null 2>&1 | tr -d '\r' > "$dir/console"
}

for attempt in 1 2; do
    boot
    plan=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$dir/console")
    [ -z "$plan" ] || break
    echo "# attempt $attempt did not come to its end; the console is in $dir/console, its last lines:"
    tail -n 15 "$dir/console" | sed 's/^/#   /'
done
grep -E '^(ok|not ok|#|1\.\.)' "$dir/console"
passed=$(grep -c '^ok [0-9]' "$dir/console")
[ -n "$plan" ] && [ "$passed" = "$plan" ] && ! grep -q '^not ok' "$dir/console"
