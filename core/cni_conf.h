/*
 * CNI network configuration: *.conflist, and single-plugin *.conf and *.json, which become a list of one.
 * Source: CNI specification 1.1.0, section 1 and 3 (versions 0.1.0 to 1.1.0). Pure: reads no file, runs no plugin.
 *
 * A configuration is counted, because a running ADD or DEL keeps the one it began with while the directory is read anew.
 */
#pragma once
#include "core/cni_runtime.h"
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { CNI_CONF_MAX = 1 << 20, CNI_PLUGINS_MAX = 64 };

struct cni_plugin {
    const char *type;      /* the executable's name, without a slash; inside json */
    const char *ipam_type; /* the IPAM plugin that it calls; NULL: none; inside json */
    json_t *json;          /* its object as in the file */
};

struct cni_conf {
    unsigned refs;
    char *file; /* where it came from; "built-in" */
    char *name;
    char
        *version; /* the highest of cniVersion and cniVersions that we know; "0.1.0" when the file names none */
    bool disable_check, disable_gc;
    struct cni_plugin *plugins;
    size_t plugins_n;
    json_t *json; /* the whole list: cni_conf_parse() of its text gives the same configuration */
};

/* Errors are FAILED_PRECONDITION and name file and key. `file` is for messages and is kept. The first reference is the caller's. */
int cni_conf_parse(const char *file, const char *text, size_t len, struct cni_conf **ret_conf,
                   struct err *err) must_check;
struct cni_conf *cni_conf_ref(const struct cni_conf *c);
void cni_conf_unref(struct cni_conf *c); /* NULL is fine */

/*
 * The network of a node that has no configuration: bridge with host-local addresses from subnet ("10.85.0.0/16"), with
 * masquerading, and portmap. data_dir is where host-local keeps its addresses, so that daemons run side by side.
 */
int cni_conf_default(const char *bridge, const char *subnet, const char *data_dir, struct cni_conf **ret_conf,
                     struct err *err) must_check;

enum { CNI_BRIDGE_SIZE = 16 };
/* "cricket0" for a daemon below /var/lib/cricket, else "cricket" and 8 hex digits of the directory's hash (15 bytes: IFNAMSIZ). */
void cni_bridge_name(const char *state_dir, char ret_name[static CNI_BRIDGE_SIZE]);

bool cni_plugin_can(const struct cni_plugin *p,
                    const char *capability); /* "capabilities": {"portMappings": true} */

/*
 * True: calling the i-th plugin, for ADD or DEL, would only print what it was given. That is portmap without a mapped port
 * and with no key in its configuration but those that cannot be wrong; it costs a process a call otherwise.
 */
bool cni_plugin_is_idle(const struct cni_conf *c, size_t i, const json_t *runtime);

enum cni_verb { CNI_ADD, CNI_DEL };
/*
 * The i-th plugin's stdin: its object with name, cniVersion, the part of `runtime` (of cni_runtime_json(); NULL: none) that
 * it declares as runtimeConfig, and prevResult (NULL: none) where the version and the verb have one. The caller frees.
 */
char *cni_plugin_stdin(const struct cni_conf *c, size_t i, enum cni_verb verb, const json_t *runtime,
                       const json_t *prev_result);
