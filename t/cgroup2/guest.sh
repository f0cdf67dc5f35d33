#!/bin/sh
# PID 1 of the virtual machine: the checks, as TAP on the console. cricketd runs here on cgroup v2 alone, without systemd.
export PATH=/opt/cricket:/usr/sbin:/usr/bin:/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
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

# The pod's cgroup, as the kubelet makes it.
make_parent() {
    mkdir -p "$groups$1"
    dir=$groups
    for part in $(echo "$1" | tr / ' '); do
        echo '+cpuset +cpu +memory +pids' > "$dir/cgroup.subtree_control"
        dir=$dir/$part
    done
}

pid_of() { cat "$groups$1/$2/cgroup.procs" | head -n 1; }
state_is() { says "\"reason\": *\"$2\"" cricket inspect "$1"; }
has_no_children() { [ -z "$(find "$1" -mindepth 1 -type d)" ] || { find "$1" -mindepth 1 -type d; return 1; }; }

limits() {
    parent=/kubepods/burstable/pod-$1
    make_parent "$parent"
    ok "$1: a container with limits starts" limited "$1" "$1" "$parent" $image sleep 1000
    id=$(tail -n 1 /tmp/said)
    group=$groups$parent/$id
    ok "$1: memory.max" holds "$group/memory.max" 67108864
    ok "$1: no swap" holds "$group/memory.swap.max" 0
    ok "$1: cpu.max" holds "$group/cpu.max" '50000 100000'
    ok "$1: cpu.weight from shares" holds "$group/cpu.weight" 20
    ok "$1: cpuset.cpus" holds "$group/cpuset.cpus" 0
    ok "$1: pids.max of the configuration" holds "$group/pids.max" 77
    ok "$1: unified memory.low" holds "$group/memory.low" 1048576
    ok "$1: unified memory.oom.group" holds "$group/memory.oom.group" 1
    pid=$(pid_of "$parent" "$id")
    ok "$1: negative oom_score_adj" holds "/proc/$pid/oom_score_adj" -500
    keeper=$(pid_of "$parent" cricket-keeper)
    ok "$1: the keeper is in a leaf of its own" holds "/proc/$keeper/comm" cricket-keeper
    ok "$1: the keeper is the container's parent" grep -q "^PPid:[[:space:]]$keeper\$" "/proc/$pid/status"
    ok "$1: exec" says '^0::/$' cricket exec "$1" cat /proc/self/cgroup
    ok "$1: exec is within the limits" says "^$((67108864))\$" cricket exec "$1" cat /sys/fs/cgroup/memory.max
    ok "$1: the container's network" says 'inet 10.99.0.' cricket exec "$1" ip addr
}

restart() {
    crash_daemon
    ok "$1: the daemon starts again after SIGKILL" start_daemon
    ok "$1: the container is the same" holds "$groups/kubepods/burstable/pod-$1/$id/cgroup.procs" "$pid"
    ok "$1: its keeper is the same" grep -q "^PPid:[[:space:]]$keeper\$" "/proc/$pid/status"
    ok "$1: and takes a command" says '^here$' cricket exec "$1" echo here
}

removal() {
    ok "$1: stop" cricket stop -t 0 "$1"
    ok "$1: exit code 137" says "$code_137" cricket inspect "$1"
    ok "$1: remove" cricket rm -f "$1"
    ok "$1: no cgroup is left below the pod's" has_no_children "$groups/kubepods/burstable/pod-$1"
    ok "$1: the pod's cgroup can be removed" rmdir "$groups/kubepods/burstable/pod-$1"
}

oom() {
    parent=/kubepods/pod-oom
    make_parent "$parent"
    ok "$1: a container out of memory starts" limited oom "$1" "$parent" $image tail /dev/zero
    ok "$1: is OOMKilled" soon state_is oom OOMKilled
    ok "$1: with exit code 137" says "$code_137" cricket inspect oom
    ok "$1: and is removed" cricket rm -f oom
    ok "$1: without a rest" has_no_children "$groups$parent"
}

oom_meanwhile() {
    make_parent /kubepods/pod-later
    ok 'a container that will be out of memory starts' limited later '' /kubepods/pod-later $image \
        sh -c 'trap "exec tail /dev/zero" USR1; while :; do usleep 20000; done'
    pid=$(pid_of /kubepods/pod-later "$(tail -n 1 /tmp/said)")
    crash_daemon
    kill -USR1 "$pid"
    ok 'it is killed while there is no daemon' soon [ ! -d "/proc/$pid" ]
    ok 'the daemon comes back' start_daemon
    ok 'and knows that it was OOMKilled' soon state_is later OOMKilled
    ok 'and its exit code' says "$code_137" cricket inspect later
    ok 'it is removed' cricket rm -f later
}

shared_pid() {
    make_parent /kubepods/pod-shared
    export SHARED_PID=1
    ok 'a pod with a shared PID namespace' limited shared '' /kubepods/pod-shared $image sh -c 'trap "" TERM; sleep 1000 & sleep 1000'
    id=$(tail -n 1 /tmp/said)
    unset SHARED_PID
    ok 'sees its pause container' says cricket-pause cricket exec shared ps
    ok 'stop ends every process of the container' cricket stop -t 0 shared
    ok 'all of them' soon [ ! -s "$groups/kubepods/pod-shared/$id/cgroup.procs" ]
    ok 'it is removed' cricket rm -f shared
    ok 'without a rest' has_no_children $groups/kubepods/pod-shared
}

own_parent() {
    ok 'cricket run' cricket run -d --name plain --net host $image sleep 1000
    ok 'it is in a cgroup of its own' test -d $groups/cricket
    ok 'it is removed' cricket rm -f plain
    ok 'with its cgroup' has_no_children $groups/cricket
}

ok 'the daemon starts' start_daemon
ok 'it finds cgroup v2' says '"cgroups": *"v2"' cricket info -o json
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
ok 'the daemon ends well' kill "$daemon"
wait "$daemon"
ok 'with exit code 0' [ $? = 0 ]
[ $failed = 0 ] || sed "s/^/# cricketd: /" /tmp/cricketd.log
echo "1..$count"
sync
reboot -f
