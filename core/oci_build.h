/* What the files that build an OCI configuration share: core/oci_spec.c, oci_process.c, oci_mounts.c, oci_resources.c. */
#pragma once
#include "core/caps.h"
#include "core/oci_spec.h"

#include <jansson.h>

/* The first error sticks; after it the building goes on with whatever, and the result is thrown away. */
struct oci_build {
    const struct oci_container *c;
    const struct oci_host *host;
    struct caps_sets caps;
    struct err *err;
    int rc;
};

/* A JSON string. Text from a request or an image may be anything but UTF-8: INVALID_ARGUMENT names the field. */
json_t *oci_string(struct oci_build *b, const char *field, const char *s);
/* An array of a NULL-terminated list (NULL: empty). */
json_t *oci_strings(struct oci_build *b, const char *field, const char *const *list);
json_t *oci_map(struct oci_build *b, const char *field, const struct kv_list *map);
/* Sets object[key] where s is neither NULL nor "". */
void oci_set_string(struct oci_build *b, json_t *object, const char *key, const char *s);

json_t *oci_process(struct oci_build *b);
json_t *oci_mounts(struct oci_build *b);
json_t *oci_devices(struct oci_build *b);
json_t *oci_resources(struct oci_build *b); /* with the device rules */
