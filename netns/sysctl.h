/* Kernel parameters of a pod: which belong to which namespace, and writing them from inside it. */
#pragma once
#include "core/err.h"
#include "core/kv.h"

/* Path below /proc/sys for a name with dots or slashes; INVALID_ARGUMENT for "..", empty parts and the like. */
int sysctl_path(const char *name, char ret_path[static 256], struct err *err) must_check;

enum sysctl_ns { SYSCTL_HOST, SYSCTL_NET, SYSCTL_IPC, SYSCTL_UTS };
enum sysctl_ns sysctl_ns_of(const char *path); /* of what sysctl_path() gave */

/* Writes one in the namespaces that the calling process is in. For forked children. */
int sysctl_write(const char *name, const char *value, struct err *err) must_check;
