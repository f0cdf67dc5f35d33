/*
 * What this host is and can do: found once at start, by reading a few files of /proc and /sys. Nothing here waits.
 */
#pragma once
#include "core/cgroup.h"
#include "core/config.h"
#include "core/err.h"
#include "core/oci_spec.h"
#include <stdbool.h>

struct host {
    struct oci_host oci; /* for oci_spec_build() */
    struct cgroups cgroups;
    bool systemd;    /* booted by it: /run/systemd/system is there, see sd_booted(3) */
    char kernel[64]; /* "6.18.1-arm64"; oci has its numbers */
    char boot_id[40];
};

/* prefix "" outside of tests: a directory with proc/, sys/ and run/ below. Files that are missing mean "has not"; only an
 * unreadable boot id or mountinfo is an error. */
int host_probe(const char *prefix, struct host *ret_host, struct err *err) must_check;
void host_done(struct host *h);

/* AUTO becomes systemd where the host was booted by it, cgroupfs elsewhere; others stay. */
enum cgroup_driver host_cgroup_driver(const struct host *h, enum cgroup_driver wanted);
