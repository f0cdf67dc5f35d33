/*
 * What netns.c's forked children do: system calls only, never in the daemon itself. Errors name the step.
 */
#pragma once
#include "core/err.h"
#include "netns/netns.h"

/* Makes the namespaces, sets them up and pins them; undoes its own part on failure. Leaves the caller in the new namespaces. */
int netns_child_pin(const struct netns_spec *spec, struct err *err) must_check;
/* Removes pins and shm; the first error is kept, and the rest is tried. */
int netns_child_unpin(const char *dir, const char *shm_dir, struct err *err) must_check;
int netns_child_join(const char *path, struct err *err) must_check;
