#!/bin/sh
# Who may include whom: handlers -> netns -> loop -> core, handlers -> proto -> core; helpers -> core; cli, bench -> proto, core.
# Only loop/ knows the event loops and what hangs on them. Prints each wrong include and fails.
set -eu
cd "$(dirname "$0")/.."
bad=0

check() { # folder, allowed layers as an extended regular expression
    wrong=$(grep -nE '^#include "(core|loop|netns|proto|handlers|helpers|cli|bench)/' "$1"/*.[ch] | grep -vE "#include \"($2)/" || true)
    [ -z "$wrong" ] || { echo "$wrong"; bad=1; }
}
check core 'core'
check proto 'proto|core'
check loop 'loop|core'
check netns 'netns|loop|core'
check handlers 'handlers|netns|loop|proto|core'
check helpers 'helpers|core'
check cli 'cli|proto|core'
check bench 'bench|proto|core'

wrong=$(grep -nE '^#include [<"](ev|uv|h2o|h2o/.*|curl/.*|ares)(\.h)?[>"]' core/*.[ch] proto/*.[ch] netns/*.[ch] handlers/*.[ch] helpers/*.[ch] bench/*.[ch] || true)
[ -z "$wrong" ] || { echo "only loop/ may include these:"; echo "$wrong"; bad=1; }
[ "$bad" = 0 ] && echo "layers: ok"
exit "$bad"
