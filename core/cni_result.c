#include "core/cni_result.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <string.h>

static int bad(struct err *err, const char *plugin, const char *what)
{
    return err_set(err, GRPC_INTERNAL, 0, "CNI plugin %s: its result is not usable: %s", plugin, what);
}

/* The first line with anything in it, made fit for a log: at most 200 bytes, control characters as '?'. */
static void first_line(const char *text, size_t len, char ret[static 201])
{
    size_t n = 0;

    while (len && strchr(" \t\r\n", *text) && *text)
        text++, len--;
    for (; n < 200 && n < len && text[n] != '\n' && text[n] != '\r'; n++)
        ret[n] = (unsigned char)text[n] < ' ' || text[n] == 127 ? '?' : text[n];
    ret[n] = '\0';
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */

/* Canonical text of an address of either family. */
static bool address_ok(const char *text, char ret[static 46], bool *ret_v6)
{
    unsigned char bytes[16];
    bool v6 = strchr(text, ':');
    int family = v6 ? AF_INET6 : AF_INET;

    if (inet_pton(family, text, bytes) != 1)
        return false;
    inet_ntop(family, bytes, ret, 46);
    if (ret_v6)
        *ret_v6 = v6;
    return true;
}

/* "10.85.0.7/16" */
static bool read_cidr(const char *text, struct cni_ip *ip)
{
    const char *slash = strchr(text, '/');
    char address[46];

    if (!slash || (size_t)(slash - text) >= sizeof(address))
        return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    size_t digits = strspn(slash + 1, "0123456789");
    if (digits < 1 || digits > 3 || slash[1 + digits] || !address_ok(address, ip->address, &ip->v6))
        return false;
    ip->prefix = atoi(slash + 1);
    return ip->prefix <= (ip->v6 ? 128 : 32);
}

static int read_ip(const char *plugin, struct cni_result *r, const json_t *o, const char *key, struct err *err)
{
    struct cni_ip *ip = &r->ips[r->ips_n];
    const char *address = text_of(o, key), *gateway = text_of(o, "gateway");
    const json_t *interface = json_object_get(o, "interface");
    char what[160];

    ip->interface = -1;
    if (!read_cidr(address, ip)) {
        snprintf(what, sizeof(what), "address \"%.64s\" is not of the form 10.85.0.7/16", address);
        return bad(err, plugin, what);
    }
    if (*gateway && !address_ok(gateway, ip->gateway, NULL)) {
        snprintf(what, sizeof(what), "gateway \"%.64s\" of %s is no address", gateway, ip->address);
        return bad(err, plugin, what);
    }
    if (json_is_integer(interface)) {
        json_int_t n = json_integer_value(interface);
        if (n < 0 || n >= (json_int_t)r->interfaces_n) {
            snprintf(what, sizeof(what), "address %s is of interface %lld, and there are %zu", ip->address,
                     (long long)n, r->interfaces_n);
            return bad(err, plugin, what);
        }
        ip->interface = (int)n;
    }
    r->ips_n++;
    return 0;
}

/* ---- lists --------------------------------------------------------------------------------------------------------- */

/* The array at key, or NULL when it is absent or null. */
static int read_array(const char *plugin, const json_t *o, const char *key, const json_t **ret, size_t *ret_n,
                      struct err *err)
{
    const json_t *a = json_object_get(o, key);
    char what[96];

    *ret = NULL;
    *ret_n = 0;
    if (!a || json_is_null(a))
        return 0;
    if (json_is_array(a) && json_array_size(a) <= CNI_RESULT_ITEMS_MAX) {
        *ret = a;
        *ret_n = json_array_size(a);
        return 0;
    }
    if (json_is_array(a))
        snprintf(what, sizeof(what), "%zu %s, the limit is %d", json_array_size(a), key, CNI_RESULT_ITEMS_MAX);
    else
        snprintf(what, sizeof(what), "%s is not an array", key);
    return bad(err, plugin, what);
}

static int read_interfaces(const char *plugin, struct cni_result *r, struct err *err)
{
    const json_t *a;
    size_t n;
    int rc = read_array(plugin, r->json, "interfaces", &a, &n, err);

    if (rc < 0)
        return rc;
    r->interfaces = mem_alloc(n * sizeof(*r->interfaces));
    r->interfaces_n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(a, i);
        r->interfaces[i] = (struct cni_interface){text_of(o, "name"), text_of(o, "mac"), text_of(o, "sandbox")};
    }
    return 0;
}

/* Routes of 0.1.0 and 0.2.0 stand below their address; those of later versions at the top. Room is made by the caller. */
static int read_routes(const char *plugin, struct cni_result *r, const json_t *o, struct err *err)
{
    const json_t *a;
    size_t n;
    int rc = read_array(plugin, o, "routes", &a, &n, err);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const json_t *route = json_array_get(a, i);
        struct cni_ip scratch;
        char what[128];
        if (!read_cidr(text_of(route, "dst"), &scratch)) {
            snprintf(what, sizeof(what), "route to \"%.64s\" is not of the form 10.0.0.0/8",
                     text_of(route, "dst"));
            return bad(err, plugin, what);
        }
        r->routes[r->routes_n++] = (struct cni_route){text_of(route, "dst"), text_of(route, "gw")};
    }
    return rc;
}

/* 0.1.0 and 0.2.0: one address a family. */
static int read_old(const char *plugin, struct cni_result *r, struct err *err)
{
    static const char *const keys[] = {"ip4", "ip6"};

    r->ips = mem_alloc(countof(keys) * sizeof(*r->ips));
    r->routes = mem_alloc(countof(keys) * CNI_RESULT_ITEMS_MAX * sizeof(*r->routes));
    for (size_t i = 0; i < countof(keys); i++) {
        const json_t *o = json_object_get(r->json, keys[i]);
        int rc = 0;
        if (json_is_object(o) && (rc = read_ip(plugin, r, o, "ip", err)) == 0)
            rc = read_routes(plugin, r, o, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_new(const char *plugin, struct cni_result *r, struct err *err)
{
    const json_t *a;
    size_t n;
    int rc = read_interfaces(plugin, r, err);

    if (rc < 0 || (rc = read_array(plugin, r->json, "ips", &a, &n, err)) < 0)
        return rc;
    r->ips = mem_alloc(n * sizeof(*r->ips));
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_ip(plugin, r, json_array_get(a, i), "address", err);
    if (rc < 0)
        return rc;
    r->routes = mem_alloc(CNI_RESULT_ITEMS_MAX * sizeof(*r->routes));
    return read_routes(plugin, r, r->json, err);
}

/* ---- the result ---------------------------------------------------------------------------------------------------- */

static int read_result(const char *plugin, struct cni_result *r, struct err *err)
{
    const json_t *version = json_object_get(r->json, "cniVersion");

    if (!json_is_object(r->json))
        return bad(err, plugin, "it is not a JSON object");
    if (version && !json_is_string(version))
        return bad(err, plugin, "cniVersion is not a string");
    r->version = version && *json_string_value(version) ? json_string_value(version) : "0.1.0";
    r->dns = json_object_get(r->json, "dns");
    if (!json_is_object(r->dns))
        r->dns = NULL;
    /* by shape and not by version: there are plugins that print the one and name the other */
    bool old = json_object_get(r->json, "ip4") || json_object_get(r->json, "ip6");
    return old ? read_old(plugin, r, err) : read_new(plugin, r, err);
}

int cni_result_from_json(const char *plugin, json_t *json, struct cni_result **ret_result, struct err *err)
{
    struct cni_result *r = mem_new(struct cni_result);

    r->json = json_incref(json);
    int rc = read_result(plugin, r, err);
    if (rc < 0) {
        cni_result_free(r);
        return rc;
    }
    *ret_result = r;
    return 0;
}

int cni_result_parse(const char *plugin, const char *text, size_t len, struct cni_result **ret_result,
                     struct err *err)
{
    char line[201];

    if (len > CNI_RESULT_MAX)
        return err_set(err, GRPC_INTERNAL, 0, "CNI plugin %s: printed more than %d bytes", plugin,
                       CNI_RESULT_MAX);
    first_line(text, len, line);
    if (!*line)
        return err_set(err, GRPC_INTERNAL, 0, "CNI plugin %s: printed no result", plugin);
    json_t *json = json_loadb(text, len, 0, NULL);
    if (!json)
        return err_set(err, GRPC_INTERNAL, 0, "CNI plugin %s: printed what is not JSON: \"%s\"", plugin, line);
    int rc = cni_result_from_json(plugin, json, ret_result, err);
    json_decref(json);
    return rc;
}

void cni_result_free(struct cni_result *r)
{
    if (!r)
        return;
    free(r->interfaces);
    free(r->ips);
    free(r->routes);
    json_decref(r->json);
    free(r);
}

size_t cni_result_pod_ips(const struct cni_result *r, const struct cni_ip **ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < r->ips_n && n < max; i++) {
        const struct cni_ip *ip = &r->ips[i];
        if (ip->interface < 0 || *r->interfaces[ip->interface].sandbox)
            ret[n++] = ip;
    }
    return n;
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

/* The codes of section 5, "Error"; those from 100 on are the plugin's own. */
static const struct {
    json_int_t code;
    int grpc;
} error_codes[] = {
    {1, GRPC_FAILED_PRECONDITION}, /* incompatible version */
    {2, GRPC_FAILED_PRECONDITION}, /* unsupported field */
    {3, GRPC_NOT_FOUND},           /* container unknown */
    {7, GRPC_FAILED_PRECONDITION}, /* invalid network configuration */
    {11, GRPC_UNAVAILABLE},        /* try again later */
    {50, GRPC_UNAVAILABLE},        /* plugin is not available */
    {51, GRPC_UNAVAILABLE},        /* and existing containers have limited connectivity */
};

int cni_result_error(const char *plugin, const char *text, size_t len, const char *otherwise, struct err *err)
{
    json_t *o = text ? json_loadb(text, len > CNI_RESULT_MAX ? CNI_RESULT_MAX : len, 0, NULL) : NULL;
    const char *msg = text_of(o, "msg"), *details = text_of(o, "details");
    json_int_t code = json_integer_value(json_object_get(o, "code"));
    char line[201], more[201];
    int grpc = GRPC_INTERNAL, rc;

    for (size_t i = 0; i < countof(error_codes); i++)
        if (code == error_codes[i].code)
            grpc = error_codes[i].grpc;
    if (*msg || *details || code) {
        first_line(msg, strlen(msg), line);
        first_line(details, strlen(details), more);
        rc = err_set(err, grpc, 0, "CNI plugin %s: %s%s%s (code %lld)", plugin, line,
                     *line && *more ? "; " : "", more, (long long)code);
    } else {
        first_line(text ? text : "", text ? len : 0, line);
        rc = err_set(err, GRPC_INTERNAL, 0, "CNI plugin %s: %s", plugin, *line ? line : otherwise);
    }
    json_decref(o);
    return rc;
}
