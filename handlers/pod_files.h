/* The files that a pod's containers share: hostname, hosts, resolv.conf below the pod's directory. */
#pragma once
#include "handlers/pods.h"

/* Makes the directory and the files. Small and on the state directory: safe on the loop. */
int pod_files_write(struct pod *pod, const Runtime__V1__PodSandboxConfig *config, struct err *err) must_check;

/* The request's, else the pod's id shortened as the kernel's limit wants (64 bytes). Lives as long as both. */
const char *pod_hostname(const struct pod *pod, const Runtime__V1__PodSandboxConfig *config);

/* INVALID_ARGUMENT for a host name or DNS entry that a file could not hold: bad characters, newlines, lengths. */
int pod_files_check(const Runtime__V1__PodSandboxConfig *config, struct err *err) must_check;
