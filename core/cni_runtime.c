#include "core/cni_runtime.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- quantities ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *suffix;
    uint64_t mul, div;
} scales[] = {
    {"", 1, 1},
    {"n", 1, 1000000000},
    {"u", 1, 1000000},
    {"m", 1, 1000},
    {"k", 1000, 1},
    {"M", 1000000, 1},
    {"G", 1000000000, 1},
    {"T", 1000000000000, 1},
    {"P", 1000000000000000, 1},
    {"E", 1000000000000000000, 1},
    {"Ki", 1ull << 10, 1},
    {"Mi", 1ull << 20, 1},
    {"Gi", 1ull << 30, 1},
    {"Ti", 1ull << 40, 1},
    {"Pi", 1ull << 50, 1},
    {"Ei", 1ull << 60, 1},
};

enum { DIGITS_MAX = 18 }; /* so that mantissa * multiplier stays below 2^120 */

/* "12.50" as 1250 and 2 decimals; -1 when there is no digit or there are too many. */
static int scan_mantissa(const char **p, uint64_t *ret_mantissa, int *ret_decimals)
{
    uint64_t m = 0;
    int digits = 0, decimals = 0;
    bool point = false;

    for (; isdigit((unsigned char)**p) || (**p == '.' && !point); (*p)++) {
        if (**p == '.') {
            point = true;
            continue;
        }
        if (++digits > DIGITS_MAX)
            return -1;
        decimals += point;
        m = m * 10 + (uint64_t)(**p - '0');
    }
    *ret_mantissa = m;
    *ret_decimals = decimals;
    return digits ? 0 : -1;
}

/* What follows the number: a suffix of the table, or a decimal exponent. */
static int scan_scale(const char *p, uint64_t *ret_mul, uint64_t *ret_div)
{
    for (size_t i = 0; i < countof(scales); i++)
        if (!strcmp(p, scales[i].suffix)) {
            *ret_mul = scales[i].mul;
            *ret_div = scales[i].div;
            return 0;
        }
    if (*p != 'e' && *p != 'E')
        return -1;
    bool minus = p[1] == '-';
    p += p[1] == '-' || p[1] == '+' ? 2 : 1;
    size_t n = strspn(p, "0123456789");
    int exponent = n == 1 ? p[0] - '0' : n == 2 ? (p[0] - '0') * 10 + p[1] - '0' : -1;
    if (p[n] || exponent < 0 || exponent > DIGITS_MAX)
        return -1;
    *ret_mul = *ret_div = 1;
    while (exponent--)
        *(minus ? ret_div : ret_mul) *= 10;
    return 0;
}

int cni_quantity_parse(const char *text, uint64_t *ret_value, struct err *err)
{
    const char *p = text + (*text == '+');
    uint64_t mantissa, mul, div;
    int decimals;

    if (scan_mantissa(&p, &mantissa, &decimals) < 0 || scan_scale(p, &mul, &div) < 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "\"%.64s\" is no quantity such as 10M or 1.5Gi", text);
    unsigned __int128 v = (unsigned __int128)mantissa * mul, d = div;
    while (decimals--)
        d *= 10;
    v = (v + d - 1) / d;
    if (v > UINT64_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "quantity \"%.64s\" is too large", text);
    *ret_value = (uint64_t)v;
    return 0;
}

/* ---- the capabilities ---------------------------------------------------------------------------------------------- */

static int check_port(const struct cni_port_mapping *p, struct err *err)
{
    static const char *const protocols[] = {"tcp", "udp", "sctp"};
    unsigned char address[16];
    bool known = false;

    for (size_t i = 0; i < countof(protocols); i++)
        known |= p->protocol && !strcasecmp(p->protocol, protocols[i]);
    if (!known)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "port mapping of host port %d: protocol \"%.32s\" is none of tcp, udp, sctp",
                       p->host_port, p->protocol ? p->protocol : "");
    if (p->host_port < 0 || p->host_port > 65535)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "port mapping: host port %d is not in 1..65535",
                       p->host_port);
    if (p->container_port < 1 || p->container_port > 65535)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "port mapping of host port %d: container port %d is not in 1..65535", p->host_port,
                       p->container_port);
    if (p->host_ip && *p->host_ip && inet_pton(AF_INET, p->host_ip, address) != 1 &&
        inet_pton(AF_INET6, p->host_ip, address) != 1)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "port mapping of host port %d: host IP \"%.64s\" is no address", p->host_port,
                       p->host_ip);
    return 0;
}

static int add_ports(json_t *out, const struct cni_runtime *r, struct err *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->ports_n; i++) {
        const struct cni_port_mapping *p = &r->ports[i];
        if (p->host_port == 0)
            continue;
        int rc = check_port(p, err);
        if (rc < 0) {
            json_decref(list);
            return rc;
        }
        char protocol[8];
        snprintf(protocol, sizeof(protocol), "%s", p->protocol);
        for (char *c = protocol; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        json_t *o = json_pack("{s:i, s:i, s:s}", "hostPort", p->host_port, "containerPort", p->container_port,
                              "protocol", protocol);
        if (p->host_ip && *p->host_ip)
            json_object_set_new(o, "hostIP", json_string(p->host_ip));
        json_array_append_new(list, o);
    }
    if (json_array_size(list))
        json_object_set(out, "portMappings", list);
    json_decref(list);
    return 0;
}

static const struct {
    const char *annotation, *rate, *burst;
} bandwidths[] = {
    {"kubernetes.io/ingress-bandwidth", "ingressRate", "ingressBurst"},
    {"kubernetes.io/egress-bandwidth", "egressRate", "egressBurst"},
};

/* The range that Kubernetes allows: anything else is a slip of the pen rather than a network. */
static const uint64_t bandwidth_min = 1000, bandwidth_max = 1000000000000000;
/* The plugin refuses a rate without a burst, and Kubernetes has no annotation for one: as much as the plugin takes. */
static const json_int_t burst_bits = UINT32_MAX;

static int add_bandwidth(json_t *out, const struct kv_list *annotations, struct err *err)
{
    for (size_t i = 0; i < countof(bandwidths); i++) {
        const char *text = kv_get(annotations, bandwidths[i].annotation);
        uint64_t v;
        if (!text)
            continue;
        if (cni_quantity_parse(text, &v, err) < 0)
            return err_wrap(err, "annotation %s", bandwidths[i].annotation);
        if (v < bandwidth_min || v > bandwidth_max)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "annotation %s: %.64s bits a second is not in 1k..1P",
                           bandwidths[i].annotation, text);
        json_t *o = json_object_get(out, "bandwidth");
        if (!o) {
            o = json_object();
            json_object_set_new(out, "bandwidth", o);
        }
        json_object_set_new(o, bandwidths[i].rate, json_integer((json_int_t)v));
        json_object_set_new(o, bandwidths[i].burst, json_integer(burst_bits));
    }
    return 0;
}

static void add_list(json_t *o, const char *key, char *const *list)
{
    if (!list || !*list)
        return;
    json_t *a = json_array();
    for (; *list; list++)
        json_array_append_new(a, json_string(*list));
    json_object_set_new(o, key, a);
}

static void add_dns(json_t *out, const struct cni_dns_config *dns)
{
    json_t *o = json_object();

    add_list(o, "servers", dns->servers);
    add_list(o, "searches", dns->searches);
    add_list(o, "options", dns->options);
    if (json_object_size(o))
        json_object_set(out, "dns", o);
    json_decref(o);
}

static void add_annotations(json_t *out, const struct kv_list *annotations)
{
    json_t *o = json_object();

    for (size_t i = 0; i < annotations->n;
         i++) /* not UTF-8: json_string() gives NULL and the pair is left out */
        json_object_set_new(o, annotations->items[i].key, json_string(annotations->items[i].value));
    if (json_object_size(o))
        json_object_set(out, "io.kubernetes.cri.pod-annotations", o);
    json_decref(o);
}

int cni_runtime_json(const struct cni_runtime *r, json_t **ret_json, struct err *err)
{
    json_t *out = json_object();
    int rc = add_ports(out, r, err);

    if (rc == 0 && r->annotations)
        rc = add_bandwidth(out, r->annotations, err);
    if (rc < 0) {
        json_decref(out);
        return rc;
    }
    if (r->dns)
        add_dns(out, r->dns);
    if (r->cgroup_path && *r->cgroup_path)
        json_object_set_new(out, "cgroupPath", json_string(r->cgroup_path));
    if (r->annotations)
        add_annotations(out, r->annotations);
    *ret_json = out;
    return 0;
}
