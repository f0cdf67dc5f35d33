# Makes the C table of core/seccomp.c from a profile in the format that Docker, Podman and containers-common share.
# Each rule becomes the text of a linux.seccomp.syscalls[] entry plus the conditions under which it holds.
def c: @json;                                      # a JSON string is a C string for the characters that names have
def cstr: tojson | tojson;                         # the text of a value, as a C string
def entry: {names, action}
  + (if .errnoRet != null then {errnoRet} else {} end)
  + (if (.args // []) != [] then {args: [.args[] | {index, value} + (if .valueTwo != 0 then {valueTwo} else {} end) + {op}]} else {} end);
def caps: if (. // []) == [] then "0" else map("CAP_BIT(" + . + ")") | join(" | ") end;
def arches: if (. // []) == [] then "NULL" else " " + join(" ") + " " | c end;
def kernel($i): (. // "") | split(".") | (.[$i] // "0");

"/* Generated from a seccomp profile by dist/seccomp_table.jq. */",
"static const char seccomp_default_head[] = " + ({defaultAction} + (if .defaultErrnoRet != null then {defaultErrnoRet} else {} end) | tojson | .[:-1] | tojson) + ";",
"static const struct seccomp_arch seccomp_arches[] = {",
(.archMap[] | "    {" + (.architecture | c) + ", " + ([.architecture] + (.subArchitectures // []) | cstr) + "},"),
"};",
"static const struct seccomp_rule seccomp_rules[] = {",
(reduce .syscalls[] as $s ([]; if index([$s]) then . else . + [$s] end) | .[]
 | "    {" + (entry | cstr) + ",\n     " + (.includes.arches | arches) + ", " + (.excludes.arches | arches) + ", "
   + (.includes.caps | caps) + ", " + (.excludes.caps | caps) + ", " + (.includes.minKernel | kernel(0)) + ", " + (.includes.minKernel | kernel(1)) + "},"),
"};"
