/*
 * linux.seccomp of an OCI configuration as the BPF program that crun and runc load for it, so that an exec need not compile
 * it again. Source: runtime-spec config-linux.md "Seccomp", seccomp(2).
 *
 * Takes some milliseconds (libseccomp) and writes to a memfd: call it in a child.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct seccomp_program {
    struct buf bpf; /* struct sock_filter; at most BPF_MAXINSNS of them */
    uint32_t flags; /* SECCOMP_FILTER_FLAG_* that the profile asks for */
    bool flags_set; /* the profile has a list of flags, maybe an empty one */
};

/*
 * enosys: as runc, calls that are newer than all that the profile names fail with ENOSYS, unless its default allows.
 * UNIMPLEMENTED: what only the runtime itself can do (SCMP_ACT_NOTIFY), or a word that is not known here.
 */
int seccomp_compile(const json_t *profile, bool enosys, struct seccomp_program *ret_program,
                    struct err *err) must_check;
void seccomp_program_done(struct seccomp_program *p);
