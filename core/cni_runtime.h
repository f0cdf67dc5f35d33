/*
 * What a pod asks of its CNI plugins: the capability arguments of runtimeConfig.
 * Source: the CNI conventions' "Dynamic Plugin specific Fields"; Kubernetes' network plugins' bandwidth annotations.
 */
#pragma once
#include "core/err.h"
#include "core/kv.h"
#include <jansson.h>
#include <stdint.h>

struct cni_port_mapping {
    const char *protocol;          /* "tcp", "udp", "sctp"; any case */
    int container_port, host_port; /* host_port 0: not mapped, left out */
    const char *host_ip;           /* "" : all */
};

struct cni_dns_config { /* NULL-terminated lists; NULL: none */
    char *const *servers, *const *searches, *const *options;
};

struct cni_runtime { /* all may be NULL */
    const struct cni_port_mapping *ports;
    size_t ports_n;
    const struct cni_dns_config *dns;
    const char *cgroup_path;
    const struct kv_list
        *annotations; /* kubernetes.io/ingress-bandwidth and egress-bandwidth are read from here, too */
};

/* One object, a key for each capability that has something to say. INVALID_ARGUMENT names the port or annotation. */
int cni_runtime_json(const struct cni_runtime *r, json_t **ret_json, struct err *err) must_check;

/* A Kubernetes resource quantity, rounded up to a whole number: "10M", "1Gi", "1.5e6", "500k". */
int cni_quantity_parse(const char *text, uint64_t *ret_value, struct err *err) must_check;
