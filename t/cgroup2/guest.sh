#!/bin/sh
# The checks, as TAP on the console of the virtual machine, where there is cgroup v2 alone. As PID 1 with the cgroupfs driver,
# or as a service of systemd with its driver.
export PATH=/opt/cricket:/usr/sbin:/usr/bin:/bin HOME=/
if [ $$ = 1 ]; then
    driver=cgroupfs
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t tmpfs tmp /tmp
    mount -t tmpfs run /run
    mkdir -p /dev/pts /dev/shm
    mount -t devpts devpts /dev/pts
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    driver=systemd
fi
dmesg -n 1
echo # ends the firmware's last line
for module in /modules/*.ko; do
    insmod "$module"
done
ip link set lo up

image=example.test/archive/busybox:1
groups=/sys/fs/cgroup
code_137='"exit_code": *137\|"exitCode": *137'
count=0 failed=0

# ok TEXT COMMAND...: one test
ok() {
    text=$1
    shift
    count=$((count + 1))
    if "$@" > /tmp/said 2>&1; then
        echo "ok $count - $text"
    else
        echo "not ok $count - $text"
        failed=$((failed + 1))
        echo "# failed: $*"
        sed 's/^/#   /' /tmp/said
    fi
}

# holds FILE TEXT
holds() {
    [ "$(cat "$1")" = "$2" ] || { echo "$1: $(cat "$1")"; return 1; }
}

# lacks TEXT FILE
lacks() {
    ! grep "$1" "$2"
}

# soon COMMAND...: true within 15 s
soon() {
    end=$(($(date +%s) + 15))
    until "$@"; do
        [ "$(date +%s)" -lt $end ] || return 1
        usleep 50000
    done
}

# says TEXT COMMAND...: the output has it
says() {
    want=$1
    shift
    "$@" > /tmp/output 2>&1
    grep -q -- "$want" /tmp/output || { cat /tmp/output; return 1; }
}

start_daemon() {
    cricketd --log-level debug >> /tmp/cricketd.log 2>&1 &
    daemon=$!
    soon cricket version
}

crash_daemon() {
    kill -9 "$daemon"
    wait "$daemon" 2> /dev/null
    true
}

# The cgroup parent of a pod as CRI names it, its directory, and a container's directory in it.
parent_of() { [ $driver = systemd ] && echo "kubepods-burstable-pod$1.slice" || echo "/kubepods/burstable/pod$1"; }
dir_of() {
    [ $driver = systemd ] && echo "$groups/kubepods.slice/kubepods-burstable.slice/$(parent_of "$1")" || echo "$groups$(parent_of "$1")"
}
group_of() { [ $driver = systemd ] && echo "$(dir_of "$1")/cri-cricket-$2.scope" || echo "$(dir_of "$1")/$2"; }

# As the kubelet makes it. The runtime asks systemd for a slice that is not there.
make_parent() {
    [ $driver = cgroupfs ] || return 0
    mkdir -p "$(dir_of "$1")"
    dir=$groups
    for part in kubepods burstable "pod$1"; do
        echo '+cpuset +cpu +memory +pids' > "$dir/cgroup.subtree_control"
        dir=$dir/$part
    done
}

first_pid() { head -n 1 "$1/cgroup.procs"; }
is_empty() { [ ! -d "$1" ] || [ -z "$(cat "$1/cgroup.procs")" ]; }
state_is() { says "\"reason\": *\"$2\"" cricket inspect "$1"; }
# systemd removes the group of an empty slice
has_no_children() { [ ! -d "$1" ] || [ -z "$(find "$1" -mindepth 1 -type d)" ] || { find "$1" -mindepth 1 -type d; return 1; }; }

no_scopes() {
    systemctl list-units --all --no-legend -t scope 'cri-cricket-*' > /tmp/scopes && [ ! -s /tmp/scopes ] || { cat /tmp/scopes; return 1; }
}

limits() {
    make_parent "$1"
    ok "$1: a container with limits starts" limited "$1" "$1" "$(parent_of "$1")" $image sleep 1000
    id=$(tail -n 1 /tmp/said)
    group=$(group_of "$1" "$id")
    ok "$1: memory.max" holds "$group/memory.max" 67108864
    ok "$1: no swap" holds "$group/memory.swap.max" 0
    ok "$1: cpu.max" holds "$group/cpu.max" '50000 100000'
    ok "$1: cpu.weight from shares" holds "$group/cpu.weight" 20
    ok "$1: cpuset.cpus" holds "$group/cpuset.cpus" 0
    ok "$1: pids.max of the configuration" holds "$group/pids.max" 77
    ok "$1: unified memory.low" holds "$group/memory.low" 1048576
    ok "$1: unified memory.oom.group" holds "$group/memory.oom.group" 1
    pid=$(first_pid "$group")
    ok "$1: negative oom_score_adj" holds "/proc/$pid/oom_score_adj" -500
    keeper=$(pidof cricket-keeper)
    if [ $driver = cgroupfs ]; then
        ok "$1: the keeper is in a leaf of its own" holds "$(dir_of "$1")/cricket-keeper/cgroup.procs" "$keeper"
    else
        ok "$1: the keeper is in the daemon's service" holds "/proc/$keeper/cgroup" 0::/system.slice/test.service
    fi
    ok "$1: the keeper is the container's parent" grep -q "^PPid:[[:space:]]$keeper\$" "/proc/$pid/status"
    ok "$1: exec" says '^0::/$' cricket exec "$1" cat /proc/self/cgroup
    ok "$1: exec is within the limits" says "^$((67108864))\$" cricket exec "$1" cat /sys/fs/cgroup/memory.max
    ok "$1: exec has the oom_score_adj" says '^-500$' cricket exec "$1" cat /proc/self/oom_score_adj
    ok "$1: exec has the container's namespaces" says "$(readlink "/proc/$pid/ns/cgroup" | tr -dc 0-9)" cricket exec "$1" readlink /proc/self/ns/cgroup
    ok "$1: statistics: memory, and the rest of its limit" says "^${id%"${id#?????????????}"}  *[^ ]*  *[0-9.]*  *[0-9.]*[kM]B  *6[0-9.]*MB " cricket stats -i 0.1
    ok "$1: statistics: time and swap" says '"swapAvailableBytes"' cricket stats -o json
    ok "$1: statistics of the pod: memory, processes, network" says " $1  *[0-9.]*  *[0-9.]*[kM]B  *[1-9][0-9]*  *[0-9.]*k*B " cricket stats -p -i 0.1
    ok "$1: the container's network" says 'inet 10.99.0.' cricket exec "$1" ip addr
}

restart() {
    crash_daemon
    ok "$1: the daemon starts again after SIGKILL" start_daemon
    ok "$1: the container is the same" holds "$group/cgroup.procs" "$pid"
    ok "$1: its keeper is the same" grep -q "^PPid:[[:space:]]$keeper\$" "/proc/$pid/status"
    ok "$1: and takes a command" says '^here$' cricket exec "$1" echo here
}

removal() {
    ok "$1: stop" cricket stop -t 0 "$1"
    ok "$1: exit code 137" says "$code_137" cricket inspect "$1"
    ok "$1: remove" cricket rm -f "$1"
    ok "$1: no cgroup is left below the pod's" has_no_children "$(dir_of "$1")"
    [ $driver = systemd ] || ok "$1: the pod's cgroup can be removed" rmdir "$(dir_of "$1")"
}

oom() {
    make_parent oom
    ok "$1: a container out of memory starts" limited oom "$1" "$(parent_of oom)" $image tail /dev/zero
    ok "$1: is OOMKilled" soon state_is oom OOMKilled
    ok "$1: with exit code 137" says "$code_137" cricket inspect oom
    ok "$1: and is removed" cricket rm -f oom
    ok "$1: without a rest" has_no_children "$(dir_of oom)"
}

oom_meanwhile() {
    make_parent later
    ok 'a container that will be out of memory starts' limited later '' "$(parent_of later)" $image \
        sh -c 'trap "exec tail /dev/zero" USR1; while :; do usleep 20000; done'
    pid=$(first_pid "$(group_of later "$(tail -n 1 /tmp/said)")")
    crash_daemon
    kill -USR1 "$pid"
    ok 'it is killed while there is no daemon' soon [ ! -d "/proc/$pid" ]
    ok 'the daemon comes back' start_daemon
    ok 'and knows that it was OOMKilled' soon state_is later OOMKilled
    ok 'and its exit code' says "$code_137" cricket inspect later
    ok 'it is removed' cricket rm -f later
}

shared_pid() {
    make_parent shared
    export SHARED_PID=1
    ok 'a pod with a shared PID namespace' limited shared '' "$(parent_of shared)" $image \
        sh -c 'trap "" TERM; sleep 1000 & sleep 1000'
    id=$(tail -n 1 /tmp/said)
    unset SHARED_PID
    ok 'sees its pause container' says cricket-pause cricket exec shared ps
    ok 'stop ends every process of the container' cricket stop -t 0 shared
    ok 'all of them' soon is_empty "$(group_of shared "$id")"
    ok 'it is removed' cricket rm -f shared
    ok 'without a rest' has_no_children "$(dir_of shared)"
}

own_parent() {
    ok 'cricket run' cricket run -d --name plain --net host $image sleep 1000
    ok 'statistics of a pod that names no parent' says ' plain  *[0-9.]*  *[0-9.]*[kM]B  *[12] ' cricket stats -p -i 0.1
    own=$groups/cricket
    [ $driver = cgroupfs ] || own=$groups/cricket.slice
    ok 'it is in a cgroup of its own' test -d $own
    ok 'it is removed' cricket rm -f plain
    ok 'with its cgroup' has_no_children $own
    [ $driver = cgroupfs ] || ok 'systemd has no scope of ours left' no_scopes
}

ok 'the daemon starts' start_daemon
ok 'it finds cgroup v2' says '"cgroups": *"v2"' cricket info -o json
ok "the driver is $driver" grep -q "cgroups by $driver" /tmp/cricketd.log
ok 'the default handler is crun' grep -q 'handler crun' /tmp/cricketd.log
ok 'an image is imported' cricket image import /opt/cricket/image.tar
for handler in crun runc; do
    limits $handler
    restart $handler
    removal $handler
    oom $handler
done
oom_meanwhile
shared_pid
own_parent
ok 'no command needed the OCI runtime' lacks 'goes by the OCI runtime' /tmp/cricketd.log
ok 'the daemon ends well' kill "$daemon"
wait "$daemon"
ok 'with exit code 0' [ $? = 0 ]
[ $failed = 0 ] || sed "s/^/# cricketd: /" /tmp/cricketd.log
echo "1..$count"
sync
reboot -f
