/*
 * What a CNI plugin prints: the result of ADD (0.1.0 to 1.1.0) or an error object.
 * Source: CNI specification, section 5. Pure.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { CNI_RESULT_MAX = 1 << 20, CNI_RESULT_ITEMS_MAX = 256 };

struct cni_interface {
    const char *name, *mac; /* "" when not given */
    const char *sandbox;    /* netns path; "" for an interface of the host */
};

struct cni_ip {
    char address[46]; /* canonical text, without the prefix */
    int prefix;
    char gateway[46]; /* "" : none */
    int interface;    /* index into interfaces; -1: the pod's only one (0.1.0 and 0.2.0, or not given) */
    bool v6;
};

struct cni_route {
    const char *dst, *gw; /* "10.0.0.0/8"; gw "" : the gateway of the address */
};

struct cni_result {      /* the strings live in json */
    const char *version; /* as the plugin gave it; "0.1.0" when it gave none */
    struct cni_interface *interfaces;
    size_t interfaces_n;
    struct cni_ip *ips;
    size_t ips_n;
    struct cni_route *routes;
    size_t routes_n;
    json_t *dns;  /* {"nameservers", "domain", "search", "options"}; NULL: none; inside json */
    json_t *json; /* as printed: the next plugin's prevResult */
};

/* `plugin` names the culprit in errors: "bridge". Text that is no JSON is quoted by its first line. */
int cni_result_parse(const char *plugin, const char *text, size_t len, struct cni_result **ret_result,
                     struct err *err) must_check;
void cni_result_free(struct cni_result *r); /* NULL is fine */

/* The same from JSON that is at hand, of which it takes its own reference. */
int cni_result_from_json(const char *plugin, json_t *json, struct cni_result **ret_result,
                         struct err *err) must_check;

/* Fills ret with the pod's addresses (those of interfaces in the sandbox) in the plugin's order; returns how many, <= max. */
size_t cni_result_pod_ips(const struct cni_result *r, const struct cni_ip **ret, size_t max);

/* Fills err from the error object {code, msg, details} in what a failed plugin printed; if there is none, from the first
 * line of it or else `otherwise` ("exit status 1"). Returns the negative errno. */
int cni_result_error(const char *plugin, const char *text, size_t len, const char *otherwise, struct err *err);
