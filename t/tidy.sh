#!/bin/sh
# tidy.sh COMPILER-FLAGS < FILES: runs clang-tidy over the files, as many at a time as there are processors.
# Prints the findings alone, each file's in one piece; fails when there is one, or when a file could not be checked.
# One file a process: the analyzer of LLVM 14 mixes up variable arguments when it sees several.
set -u
if [ "${1:-}" != --file ]; then
    exec xargs -P"$(nproc)" -I{} "$0" --file {} "$@"
fi
file=$2
shift 2
log=$(mktemp)
found=$(clang-tidy --quiet "$file" -- "$@" 2>"$log")
status=$?
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    status=1 # also where a finding is a warning only
elif [ "$status" != 0 ]; then
    cat "$log" >&2
fi
rm -f "$log"
exit "$status"
