/*
 * The seccomp filter of a container as linux.seccomp of the OCI runtime-spec (config-linux.md, "Seccomp").
 *
 * RuntimeDefault is the profile of Debian's golang-github-containers-common, made into a table at build time (dist/gen.mk)
 * and evaluated here against what the container may do.
 */
#pragma once
#include "core/err.h"
#include <stdint.h>

enum { SECCOMP_PROFILE_MAX = 4 << 20 }; /* bytes of a Localhost profile */

struct seccomp_env {
    uint64_t caps; /* the container's permitted set */
    unsigned kernel_major, kernel_minor;
};

/* The JSON text; the caller frees. */
char *seccomp_runtime_default(const struct seccomp_env *env);

/*
 * A Localhost profile: checks it and keeps the members that the specification has, so that a runtime never meets others.
 * INVALID_ARGUMENT says what is wrong and where. The caller frees the text.
 */
int seccomp_localhost(const char *json, char **ret_json, struct err *err) must_check;
