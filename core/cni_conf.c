#include "core/cni_conf.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <string.h>

/* In rising order: a list's place in it is its age. */
static const char *const versions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
enum {
    VERSION_0_3_0 = 2,
    VERSION_0_4_0 = 4
}; /* prevResult came with the first for ADD, with the second for DEL */

static int version_rank(const char *v)
{
    for (size_t i = 0; v && i < countof(versions); i++)
        if (!strcmp(v, versions[i]))
            return (int)i;
    return -1;
}

static int bad(struct err *err, const struct cni_conf *c, const char *what)
{
    return err_set(err, GRPC_FAILED_PRECONDITION, 0, "CNI configuration %s: %s", c->file, what);
}

/* ---- parse --------------------------------------------------------------------------------------------------------- */

/* cniVersions (1.1.0) lists all that the configuration can be used with: the highest that we know wins. */
static int read_version(struct cni_conf *c, struct err *err)
{
    const json_t *one = json_object_get(c->json, "cniVersion"), *many = json_object_get(c->json, "cniVersions"),
                 *v;
    size_t i;
    int best;

    if (one && !json_is_string(one))
        return bad(err, c, "cniVersion is not a string");
    if (many && !json_is_array(many))
        return bad(err, c, "cniVersions is not an array");
    best = version_rank(json_string_value(one));
    json_array_foreach (many, i, v) {
        int r = version_rank(json_string_value(v));
        best = r > best ? r : best;
    }
    bool silent = !one && !json_array_size(many);
    if (best < 0 && !silent && !(one && !*json_string_value(one)))
        return err_set(
            err, GRPC_FAILED_PRECONDITION, 0,
            "CNI configuration %s: cniVersion \"%.32s\" is not supported; use 0.1.0, 0.2.0, 0.3.0, 0.3.1, "
            "0.4.0, 1.0.0 or 1.1.0",
            c->file, one ? json_string_value(one) : "");
    c->version = mem_strdup(versions[best < 0 ? 0 : best]);
    return 0;
}

/* The name becomes a directory of the IPAM plugin. */
static bool name_ok(const char *s)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

    return *s && strchr(first, *s) && strspn(s, rest) == strlen(s) && strlen(s) <= 128;
}

/* "true" in quotes is what Kubernetes' network operators write, and what the reference library takes. */
static int read_flag(const struct cni_conf *c, const char *key, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(c->json, key);
    char what[96];

    if (!v || json_is_boolean(v)) {
        *ret = json_is_true(v);
        return 0;
    }
    if (json_is_string(v) &&
        (!strcmp(json_string_value(v), "true") || !strcmp(json_string_value(v), "false"))) {
        *ret = json_string_value(v)[0] == 't';
        return 0;
    }
    snprintf(what, sizeof(what), "%s is neither true nor false", key);
    return bad(err, c, what);
}

/* A type is looked up in the plugin directories: it must not lead out of them. */
static bool type_ok(const char *s)
{
    return *s && !strchr(s, '/') && strcmp(s, ".") && strcmp(s, "..") && strlen(s) <= 255;
}

static int read_plugin(struct cni_conf *c, size_t i, json_t *json, struct err *err)
{
    struct cni_plugin *p = &c->plugins[i];
    const json_t *ipam = json_object_get(json, "ipam"), *caps = json_object_get(json, "capabilities");
    char what[160];

    p->json = json_is_object(json) ? json : NULL;
    p->type = json_string_value(json_object_get(json, "type"));
    p->ipam_type = json_string_value(json_object_get(ipam, "type"));
    if (!p->json)
        snprintf(what, sizeof(what), "plugins[%zu] is not an object", i);
    else if (!p->type)
        snprintf(what, sizeof(what), "plugins[%zu].type is missing or not a string", i);
    else if (!type_ok(p->type))
        snprintf(what, sizeof(what), "plugins[%zu].type \"%.64s\" is not the name of a program", i, p->type);
    else if (p->ipam_type && *p->ipam_type && !type_ok(p->ipam_type))
        snprintf(what, sizeof(what), "plugins[%zu].ipam.type \"%.64s\" is not the name of a program", i,
                 p->ipam_type);
    else if (caps && !json_is_object(caps) && !json_is_null(caps))
        snprintf(what, sizeof(what), "plugins[%zu].capabilities is not an object", i);
    else {
        if (p->ipam_type && !*p->ipam_type)
            p->ipam_type = NULL;
        return 0;
    }
    return bad(err, c, what);
}

static int read_plugins(struct cni_conf *c, struct err *err)
{
    json_t *list = json_object_get(c->json, "plugins");
    size_t n = json_array_size(list);

    if (!json_is_array(list))
        return bad(err, c, "plugins is not an array");
    if (n == 0)
        return bad(err, c, "plugins is empty");
    if (n > CNI_PLUGINS_MAX)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "CNI configuration %s: %zu plugins, the limit is %d",
                       c->file, n, CNI_PLUGINS_MAX);
    c->plugins = mem_alloc(n * sizeof(*c->plugins));
    c->plugins_n = n;
    for (size_t i = 0; i < n; i++) {
        int r = read_plugin(c, i, json_array_get(list, i), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A file of one plugin becomes a list of it. */
static int wrap_single(struct cni_conf *c, struct err *err)
{
    if (json_object_get(c->json, "plugins"))
        return 0;
    if (!json_object_get(c->json, "type"))
        return bad(err, c, "neither plugins (a list) nor type (a single plugin) is there");
    json_t *list = json_pack("{s:[O]}", "plugins", c->json);
    static const char *const kept[] = {"name", "cniVersion", "cniVersions", "disableCheck", "disableGC"};
    for (size_t i = 0; i < countof(kept); i++)
        if (json_object_get(c->json, kept[i]))
            json_object_set(list, kept[i], json_object_get(c->json, kept[i]));
    json_decref(c->json);
    c->json = list;
    return 0;
}

static int read_conf(struct cni_conf *c, const char *text, size_t len, struct err *err)
{
    json_error_t at;
    int r;

    if (len > CNI_CONF_MAX)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "CNI configuration %s: larger than %d bytes", c->file,
                       CNI_CONF_MAX);
    c->json = json_loadb(text, len, 0, &at);
    if (!c->json)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "CNI configuration %s:%d:%d: %s", c->file, at.line,
                       at.column, at.text);
    if (!json_is_object(c->json))
        return bad(err, c, "is not a JSON object");
    if ((r = wrap_single(c, err)) < 0)
        return r;
    c->name = mem_strdup(json_string_value(json_object_get(c->json, "name")));
    if (!c->name)
        return bad(err, c, "name is missing or not a string");
    if (!name_ok(c->name))
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "CNI configuration %s: name \"%.64s\" must be letters, digits, '_', '.' and '-', and "
                       "begin with a letter or digit",
                       c->file, c->name);
    if ((r = read_version(c, err)) < 0 || (r = read_flag(c, "disableCheck", &c->disable_check, err)) < 0 ||
        (r = read_flag(c, "disableGC", &c->disable_gc, err)) < 0)
        return r;
    return read_plugins(c, err);
}

int cni_conf_parse(const char *file, const char *text, size_t len, struct cni_conf **ret_conf, struct err *err)
{
    struct cni_conf *c = mem_new(struct cni_conf);

    c->refs = 1;
    c->file = mem_strdup(file);
    int r = read_conf(c, text, len, err);
    if (r < 0) {
        cni_conf_unref(c);
        return r;
    }
    *ret_conf = c;
    return 0;
}

struct cni_conf *cni_conf_ref(const struct cni_conf *c)
{
    struct cni_conf *counted =
        (struct cni_conf *)(uintptr_t)c; /* the count is no part of what const promises */

    counted->refs++;
    return counted;
}

void cni_conf_unref(struct cni_conf *c)
{
    if (!c || --c->refs)
        return;
    free(c->file);
    free(c->name);
    free(c->version);
    free(c->plugins);
    json_decref(c->json);
    free(c);
}

/* ---- the built-in network ------------------------------------------------------------------------------------------ */

static int check_subnet(const char *subnet, struct err *err)
{
    char address[64];
    const char *slash = strchr(subnet, '/');
    unsigned char bytes[16];

    if (slash && (size_t)(slash - subnet) < sizeof(address)) {
        memcpy(address, subnet, (size_t)(slash - subnet));
        address[slash - subnet] = '\0';
        int max = inet_pton(AF_INET, address, bytes) == 1    ? 30
                  : inet_pton(AF_INET6, address, bytes) == 1 ? 126
                                                             : 0;
        char *end;
        long prefix = strtol(slash + 1, &end, 10);
        if (max && end != slash + 1 && !*end && prefix >= 8 && prefix <= max)
            return 0;
    }
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "default CNI subnet \"%.64s\" is not of the form 10.85.0.0/16", subnet);
}

int cni_conf_default(const char *bridge, const char *subnet, const char *data_dir, struct cni_conf **ret_conf,
                     struct err *err)
{
    int r = check_subnet(subnet, err);

    if (r < 0)
        return r;
    json_t *ipam =
        json_pack("{s:s, s:s, s:[[{s:s}]], s:[{s:s}]}", "type", "host-local", "dataDir", data_dir, "ranges",
                  "subnet", subnet, "routes", "dst", strchr(subnet, ':') ? "::/0" : "0.0.0.0/0");
    json_t *list = json_pack("{s:s, s:s, s:[{s:s, s:s, s:b, s:b, s:b, s:b, s:o}, {s:s, s:b, s:{s:b}}]}",
                             "cniVersion", "1.0.0", "name", "cricket", "plugins", "type", "bridge", "bridge",
                             bridge, "isGateway", 1, "ipMasq", 1, "hairpinMode", 1, "promiscMode", 0, "ipam",
                             ipam, "type", "portmap", "snat", 1, "capabilities", "portMappings", 1);
    cleanup_free char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (!text)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "default CNI network: %s is not UTF-8", data_dir);
    return cni_conf_parse("built-in", text, strlen(text), ret_conf, err);
}

void cni_bridge_name(const char *state_dir, char ret_name[static CNI_BRIDGE_SIZE])
{
    uint32_t hash = 2166136261u; /* FNV-1a: a name, not a secret */
    size_t len = strlen(state_dir);

    while (len > 1 && state_dir[len - 1] == '/')
        len--;
    if (len == strlen("/var/lib/cricket") && !memcmp(state_dir, "/var/lib/cricket", len)) {
        snprintf(ret_name, CNI_BRIDGE_SIZE, "cricket0");
        return;
    }
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)state_dir[i]) * 16777619u;
    snprintf(ret_name, CNI_BRIDGE_SIZE, "cricket%08x", hash);
}

/* ---- a plugin's stdin ---------------------------------------------------------------------------------------------- */

bool cni_plugin_is_idle(const struct cni_conf *c, size_t i, const json_t *runtime)
{
    const struct cni_plugin *p = &c->plugins[i];
    const char *key;
    json_t *value;

    /* the first one must be called: portmap fails where it is not chained */
    if (i == 0 || strcmp(p->type, "portmap") != 0 || json_object_get(runtime, "portMappings"))
        return false;
    json_object_foreach (p->json, key, value) {
        if (strcmp(key, "type") != 0 && strcmp(key, "capabilities") != 0 &&
            (strcmp(key, "snat") != 0 || !json_is_boolean(value)))
            return false;
    }
    return true;
}

bool cni_plugin_can(const struct cni_plugin *p, const char *capability)
{
    return json_is_true(json_object_get(json_object_get(p->json, "capabilities"), capability));
}

static json_t *declared_part(const struct cni_plugin *p, const json_t *runtime)
{
    json_t *out = json_object(), *v;
    const char *key;

    json_object_foreach ((json_t *)(uintptr_t)runtime, key, v) {
        if (cni_plugin_can(p, key))
            json_object_set(out, key, v);
    }
    return out;
}

char *cni_plugin_stdin(const struct cni_conf *c, size_t i, enum cni_verb verb, const json_t *runtime,
                       const json_t *prev_result)
{
    const struct cni_plugin *p = &c->plugins[i];
    json_t *o = json_copy(p->json);
    int rank = version_rank(c->version);

    /* They are between the list and us: a plugin is given what they come to. */
    json_object_del(o, "capabilities");
    json_object_del(o, "cniVersions");
    json_object_set_new(o, "name", json_string(c->name));
    json_object_set_new(o, "cniVersion", json_string(c->version));
    json_t *part = declared_part(p, runtime);
    if (json_object_size(part))
        json_object_set(o, "runtimeConfig", part);
    json_decref(part);
    if (prev_result && rank >= (verb == CNI_ADD ? VERSION_0_3_0 : VERSION_0_4_0))
        json_object_set(o, "prevResult", (json_t *)(uintptr_t)prev_result);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        abort(); /* out of memory: everything in it was parsed as UTF-8 */
    return text;
}
