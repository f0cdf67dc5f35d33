/*
 * What a command in a container gets, as one flat block of bytes: cricketd writes it, cricket-enter reads it and does it.
 *
 *   head | rlimits | BPF instructions | gids | strings: v2 cgroup, v1 cgroups..., keyring, cwd, env..., args...
 *
 * The part before the args is the container's and made once (core/exec_plan_make.h); a command is put behind it for each
 * call. In the byte order of the host, for programs of one build: another version is not read. No heap, no libc beyond
 * memcpy and strlen on the reader's side, which maps the block and points into it. At most EXEC_PLAN_MAX bytes.
 */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EXEC_PLAN_VERSION = 1,
    EXEC_PLAN_MAX = 1 << 20,
    EXEC_PLAN_STRINGS_MAX = 4096, /* env and args, each */
    EXEC_PLAN_GIDS_MAX = 65536,   /* NGROUPS_MAX */
    EXEC_PLAN_RLIMITS_MAX = 16,
    EXEC_PLAN_BPF_MAX = 4096, /* BPF_MAXINSNS */
    EXEC_PLAN_CGROUPS_MAX = 64,
};

enum exec_plan_flags {
    EXEC_PLAN_TTY = 1,
    EXEC_PLAN_NO_NEW_PRIVS = 2,
    EXEC_PLAN_OOM_SCORE_ADJ = 4, /* is given */
    /* where crun and runc differ, as runc: HOME is / for a user whom passwd does not have, and pipes keep their group */
    EXEC_PLAN_AS_RUNC = 8,
    EXEC_PLAN_REFUSED = 16, /* not by plan: the only string says why, nothing else counts */
};

enum {
    EXEC_CAP_BOUNDING,
    EXEC_CAP_EFFECTIVE,
    EXEC_CAP_INHERITABLE,
    EXEC_CAP_PERMITTED,
    EXEC_CAP_AMBIENT,
    EXEC_CAPS
};

struct exec_plan_head {
    uint32_t magic, version, size, flags;
    uint32_t uid, gid, umask;
    int32_t oom_score_adj;
    uint64_t caps[EXEC_CAPS]; /* bit n: capability n */
    uint32_t seccomp_flags;   /* SECCOMP_FILTER_FLAG_* */
    uint32_t rlimits_n, bpf_n, gids_n;
    uint32_t cgroups_n; /* of v1 */
    uint32_t env_n, args_n;
    uint32_t pad;
};

struct exec_plan_rlimit {
    uint32_t which, pad; /* RLIMIT_* */
    uint64_t soft, hard;
};

struct exec_plan_bpf { /* struct sock_filter */
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};

struct exec_plan_strings {
    const char *at;
    uint32_t n; /* that many follow */
};

/* Points into the block, which must be aligned to 8 bytes and outlive it. */
struct exec_plan {
    const struct exec_plan_head *head;
    const struct exec_plan_rlimit *rlimits;
    const struct exec_plan_bpf *bpf;
    const uint32_t *gids;
    const char *cgroup_v2; /* host path of the directory; "": none */
    struct exec_plan_strings cgroups;
    const char *keyring; /* session keyring to join; "": none */
    const char *cwd;
    struct exec_plan_strings env, args;
    const char *refused; /* with EXEC_PLAN_REFUSED */
};

/* False: not a plan of this version, or a count or size that does not fit. */
bool exec_plan_read(const void *data, size_t len, struct exec_plan *ret_plan);
/* The next string, or NULL past the last. */
const char *exec_plan_next(struct exec_plan_strings *s);

/* Builds in a buffer of the caller's. */
struct exec_plan_builder {
    char *buf;
    size_t len, cap;
    bool overflow;
};
/* head has flags, ids, caps; counts are kept by what is put, in the order of the drawing. */
void exec_plan_begin(struct exec_plan_builder *b, void *buf, size_t cap, const struct exec_plan_head *head);
void exec_plan_put_rlimits(struct exec_plan_builder *b, const struct exec_plan_rlimit *r, size_t n);
void exec_plan_put_bpf(struct exec_plan_builder *b, const struct exec_plan_bpf *p, size_t n);
void exec_plan_put_gids(struct exec_plan_builder *b, const uint32_t *gids, size_t n);
void exec_plan_put_string(struct exec_plan_builder *b, const char *s);
void exec_plan_put_cgroup(struct exec_plan_builder *b, const char *s);
void exec_plan_put_env(struct exec_plan_builder *b, const char *s);
void exec_plan_put_arg(struct exec_plan_builder *b, const char *s);
void exec_plan_set_flags(struct exec_plan_builder *b, uint32_t flags); /* adds them */
size_t exec_plan_finish(struct exec_plan_builder *b);                  /* the size; 0: it did not fit */
/* Goes on with a plan that was read, to put args; buf has room for more than its len bytes. */
void exec_plan_resume(struct exec_plan_builder *b, void *buf, size_t cap, size_t len);
