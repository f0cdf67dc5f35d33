/* Mounts an overlay. Waits for the kernel: call it in a child. Source: Documentation/filesystems/overlayfs.rst. */
#pragma once
#include "core/err.h"

enum { OVERLAY_LAYERS_MAX = 500 }; /* the kernel's OVL_MAX_STACK */

struct overlay_spec {
    const char *const *layers; /* absolute directories, base first, NULL-terminated, 1 to OVERLAY_LAYERS_MAX */
    const char *upper, *work;  /* absolute, on one file system that is no overlay */
    const char *target;        /* absolute directory */
};

/* Changes the working directory of the process. */
int overlay_mount(const struct overlay_spec *s, struct err *err) must_check;
