/* Where a transfer goes: its URL, the proxy for it, the authorities of its certificates. */
#include "core/mem.h"
#include "core/proxy_env.h"
#include "loop/http_transfer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <string.h>

/* ---- certificates ---- */

static bool has_hashed_names(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    bool found = false;

    while (d && !found && (e = readdir(d)))
        found = strlen(e->d_name) == 10 && strspn(e->d_name, "0123456789abcdef") == 8 && e->d_name[8] == '.';
    if (d)
        closedir(d);
    return found;
}

/*
 * A directory of hashed names is read one certificate at a time, when a chain needs it; the bundle with all of them costs
 * 1 MiB and some 10 ms. The bundle is for systems that have only that.
 */
static void find_authorities(struct http *h)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
                                          "/etc/ssl/ca-bundle.pem"};
    const char *dir = getenv("SSL_CERT_DIR"), *file = getenv("SSL_CERT_FILE");

    h->ca_found = true;
    if (!dir && !file && has_hashed_names("/etc/ssl/certs"))
        dir = "/etc/ssl/certs";
    for (size_t i = 0; !dir && !file && i < countof(bundles); i++)
        if (access(bundles[i], R_OK) == 0)
            file = bundles[i];
    h->ca_path = mem_strdup(dir);
    h->ca_bundle = mem_strdup(file);
}

void transfer_set_tls(struct http_transfer *t)
{
    struct http *h = t->http;

    if (!h->ca_found)
        find_authorities(h);
    curl_easy_setopt(t->easy, CURLOPT_CAPATH, h->ca_path);
    curl_easy_setopt(t->easy, CURLOPT_CAINFO, t->ca_file ? t->ca_file : h->ca_bundle);
    if (t->cert_file)
        curl_easy_setopt(t->easy, CURLOPT_SSLCERT, t->cert_file);
    if (t->key_file)
        curl_easy_setopt(t->easy, CURLOPT_SSLKEY, t->key_file);
    curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, t->skip_verify ? 0L : 1L);
    curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, t->skip_verify ? 0L : 2L);
}

/* ---- URLs ---- */

char *http_url_part(CURLU *u, CURLUPart part, unsigned flags)
{
    char *s = NULL;

    if (curl_url_get(u, part, &s, flags) != CURLUE_OK || !s)
        return NULL;
    char *copy = mem_strdup(s);
    curl_free(s);
    return copy;
}

static char *without_brackets(char *host)
{
    size_t n = host ? strlen(host) : 0;

    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        memmove(host, host + 1, n - 2);
        host[n - 2] = '\0';
    }
    return host;
}

bool host_is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static const char *env(const char *name)
{
    return getenv(name);
}

/* The proxy's URL with its port written out, and what to connect to. A SOCKS proxy gets names, not addresses. */
static int set_proxy(struct http_transfer *t, const char *proxy, struct err *err)
{
    static const struct {
        const char *scheme, *use, *port;
    } kinds[] = {{"http", "http", "80"},         {"https", "https", "443"},     {"socks5", "socks5h", "1080"},
                 {"socks5h", "socks5h", "1080"}, {"socks4", "socks4a", "1080"}, {"socks4a", "socks4a", "1080"}};
    CURLU *u = curl_url();
    size_t k = countof(kinds);

    if (curl_url_set(u, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_DEFAULT_SCHEME) == CURLUE_OK) {
        cleanup_free char *scheme =
            strstr(proxy, "://") ? http_url_part(u, CURLUPART_SCHEME, 0) : mem_strdup("http");
        for (k = 0; scheme && k < countof(kinds) && strcmp(kinds[k].scheme, scheme) != 0; k++)
            ;
    }
    if (k < countof(kinds)) {
        t->host = without_brackets(http_url_part(u, CURLUPART_HOST, 0));
        t->port = http_url_part(u, CURLUPART_PORT, 0);
        if (!t->port)
            t->port = mem_strdup(kinds[k].port);
        curl_url_set(u, CURLUPART_SCHEME, kinds[k].use, CURLU_NON_SUPPORT_SCHEME);
        curl_url_set(u, CURLUPART_PORT, t->port, 0);
        curl_url_set(u, CURLUPART_PATH, NULL, 0);
        t->proxy = http_url_part(u, CURLUPART_URL, 0);
    }
    curl_url_cleanup(u);
    if (t->proxy && t->host)
        return 0;
    return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                   "the proxy variable for %s is not the URL of an http, https or socks proxy", t->url);
}

int transfer_set_target(struct http_transfer *t, struct err *err)
{
    CURLU *u = curl_url();
    int r = 0;
    bool ok = strlen(t->url) <= HTTP_URL_MAX &&
              curl_url_set(u, CURLUPART_URL, t->url, CURLU_DISALLOW_USER) == CURLUE_OK;
    cleanup_free char *scheme = ok ? http_url_part(u, CURLUPART_SCHEME, 0) : NULL;
    cleanup_free char *host = ok ? without_brackets(http_url_part(u, CURLUPART_HOST, 0)) : NULL;
    cleanup_free char *port = ok ? http_url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT) : NULL;

    curl_url_cleanup(u);
    if (!scheme || !host || !port || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%.200s is no URL of http or https", t->url);
    const char *proxy = proxy_for(scheme, host, env);
    if (proxy)
        return set_proxy(t, proxy, err);
    t->host = steal_ptr(&host);
    t->port = steal_ptr(&port);
    return r;
}
