#!/bin/bash
# Runs the validation suite of the CRI, critest, against a daemon of its own. Everything it starts, mounts and writes is in
# namespaces and below one temporary directory. Needs root. Options are handed to critest.
#
#   CRICKET_BUILD   the directory of cricketd        CRITEST=FILE     the suite's program
#   CONFIG=TEXT     more lines of config.yaml        KEEP=1           leaves the directory
#
# The images are stand-ins: see images.sh. The suite names one image by the digest it has upstream, which a stand-in cannot
# have: in a copy of the suite's program that digest is replaced by the stand-in's.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
build=$(realpath "${CRICKET_BUILD:-$here/../../build}")
critest=$(realpath "${CRITEST:-$build/tools/critest}")
registry=127.0.0.1:5000
upstream_digest=9700f9a2f5bf2c45f2f605a0bd3bce7cf37420ec9d3ed50ac2758413308766bf

# Specs that are not run: a regular expression over their full names, and why.
skip=(
    'UserNamespaces=cricket does not make user namespaces yet'
    'AppArmor=needs a host with AppArmor'
)

if [ "${CRITEST_STAGE:-}" = "" ]; then
    [ "$(id -u)" = 0 ] || { echo "critest.sh needs root: it makes mounts, namespaces and cgroups" >&2; exit 1; }
    dir=$(mktemp -d -t cricket-conformance-XXXXXX)
    status=0
    # the pods' parent cgroup outlives the daemon
    parents() { find /sys/fs/cgroup -maxdepth 2 -type d -name cricket | sort; }
    parents_before=$(parents)
    CRITEST_STAGE=$dir unshare --mount --net --pid --ipc --uts --fork --kill-child --mount-proc --propagation private -- "$0" "$@" || status=$?
    # every process has ended with the PID namespace, every mount with the mount namespace; but not the cgroups of pods
    # that the suite or the daemon failed to remove
    for pod in "$dir"/state/pods/*/; do
        find /sys/fs/cgroup/*/cricket/"$(basename "$pod")" -depth -type d -exec rmdir {} + 2> /dev/null || true
    done
    comm -13 <(echo "$parents_before") <(parents) | xargs -r rmdir --ignore-fail-on-non-empty
    [ "${KEEP:-}" ] && echo "kept: $dir" || rm -rf "$dir"
    exit "$status"
fi

dir=$CRITEST_STAGE
mkdir -p "$dir/tmp" "$dir/images"
export TMPDIR=$dir/tmp
ip link set lo up
# crun refuses hybrid cgroup hosts that have a controller on the v2 hierarchy
v2=/sys/fs/cgroup/unified/cgroup.controllers
[ ! -e "$v2" ] || mount --bind /dev/null "$v2"

# wait_for WHAT LOG COMMAND...: at most 30 s
wait_for() {
    local what=$1 log=$2
    shift 2
    for _ in $(seq 600); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.05
    done
    echo "$what does not answer:" >&2
    tail -n 20 "$log" >&2
    exit 1
}

cat > "$dir/registry.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/registry}}
http: {addr: "$registry"}
END
docker-registry serve "$dir/registry.yml" > "$dir/registry.log" 2>&1 &
wait_for "the registry" "$dir/registry.log" curl -fs "http://$registry/v2/"
"$here/images.sh" "$dir/images" "$registry"
digest=$(sed 's/^sha256://' "$dir/images/digest")
sed "s/$upstream_digest/$digest/g" "$critest" > "$dir/critest"
chmod 755 "$dir/critest"

{
    echo "mirrors:"
    for host in registry.k8s.io k8s.gcr.io gcr.io; do
        printf '  "%s":\n    endpoint:\n      - "http://%s"\n' "$host" "$registry"
    done
} > "$dir/registries.yaml"
cat > "$dir/config.yaml" <<END
root: $dir/root
state: $dir/state
listen: unix://$dir/c.sock
log_level: debug
helper_dir: $build
registries_file: $dir/registries.yaml
cni: {conf_dir: $dir/cni}
${CONFIG:-}
END
mkdir -p "$dir/cni"
cat > "$dir/cni/10-critest.conflist" <<END
{"cniVersion": "1.0.0", "name": "critest", "plugins": [
  {"type": "bridge", "bridge": "critest0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/cni/data", "ranges": [[{"subnet": "10.232.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
"$build/cricketd" --config "$dir/config.yaml" > "$dir/cricketd.log" 2>&1 &
daemon=$!
wait_for "the daemon" "$dir/cricketd.log" test -S "$dir/c.sock"

options=()
for entry in "${skip[@]}"; do options+=("--ginkgo.skip=${entry%%=*}"); done
status=0
cd "$dir"
"$dir/critest" --runtime-endpoint "unix://$dir/c.sock" --image-endpoint "unix://$dir/c.sock" --config /dev/null \
    --ginkgo.no-color --ginkgo.json-report="$dir/report.json" "${options[@]}" "$@" || status=$?

# ---- the suite removes its pods: nothing of theirs may be left
left() {
    pgrep -a cricket-keeper || true
    pgrep -a cricket-pause || true
    find "$dir/state/pods" "$dir/state/containers" "$dir/root/containers" "$dir/root/tmp" -mindepth 1 2> /dev/null || true
    awk -v dir="$dir/" 'index($5, dir) == 1 { print "mount " $5 }' /proc/self/mountinfo
    ip -o link show type veth
    iptables -t nat -S | grep -- '-A CNI-DN-' || true
}
# removals go on for a moment after the answer
for _ in $(seq 200); do
    [ "$(left)" ] || break
    sleep 0.05
done
[ -z "$(left)" ] || { echo "left behind:"; left; status=1; } >&2
kill "$daemon"
wait "$daemon" || { echo "the daemon ended with $?:" >&2; tail -n 20 "$dir/cricketd.log" >&2; status=1; }

# ---- the summary: what was not passed, and the counts
why_skipped() {
    local entry
    [[ $1 =~ benchmark ]] && { echo "a benchmark"; return; }
    for entry in "${skip[@]}"; do
        [[ $1 =~ ${entry%%=*} ]] && { echo "${entry#*=}"; return; }
    done
    echo "${2:-chosen by the options}"
}

declare -A count=([passed]=0 [failed]=0 [skipped]=0)
while IFS=$'\t' read -r state name message; do
    [ "$state" = passed ] || [ "$state" = skipped ] || state=failed
    count[$state]=$((count[$state] + 1))
    case $state in
    failed) echo "failed: $name: $message" ;;
    skipped) echo "skipped: $name: $(why_skipped "$name" "$message")" ;;
    esac
done < <(jq -r '.[0].SpecReports[]? | select(.LeafNodeType == "It")
    | [.State, (.ContainerHierarchyTexts + [.LeafNodeText] | join(" ") | ltrimstr("[k8s.io] ")), (.Failure.Message // "" | split("\n")[0])]
    | @tsv' "$dir/report.json")
echo "critest: ${count[passed]} passed, ${count[failed]} failed, ${count[skipped]} skipped"
[ "${count[passed]}" -gt 0 ] || { echo "no spec was run" >&2; status=1; }
exit "$status"
