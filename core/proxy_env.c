#include "core/proxy_env.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool network_has(const char *network, const char *bits_text, const char *host)
{
    static const struct {
        int family;
        unsigned long bits;
    } kinds[] = {{AF_INET, 32}, {AF_INET6, 128}};
    unsigned char a[16], b[16];
    char *end;
    unsigned long bits = strtoul(bits_text, &end, 10);

    if (*end || end == bits_text)
        return false;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (inet_pton(kinds[i].family, network, a) == 1 && inet_pton(kinds[i].family, host, b) == 1)
            return bits <= kinds[i].bits && bits_equal(a, b, (unsigned)bits);
    return false;
}

static bool entry_matches(char *entry, const char *host)
{
    if (strcmp(entry, "*") == 0)
        return true;
    char *slash = strchr(entry, '/');
    if (slash) {
        *slash = '\0';
        return network_has(entry, slash + 1, host);
    }
    if (*entry == '.')
        entry++;
    size_t n = strlen(entry), h = strlen(host);
    if (n == 0 || n > h || strcasecmp(host + h - n, entry) != 0)
        return false;
    return n == h || host[h - n - 1] == '.';
}

bool proxy_exempt(const char *no_proxy, const char *host)
{
    char entry[256];

    while (no_proxy && *no_proxy) {
        no_proxy += strspn(no_proxy, ", \t");
        size_t n = strcspn(no_proxy, ", \t");
        if (n > 0 && n < sizeof(entry)) {
            memcpy(entry, no_proxy, n);
            entry[n] = '\0';
            if (entry_matches(entry, host))
                return true;
        }
        no_proxy += n;
    }
    return false;
}

static const char *first_set(const char *const *names, proxy_getenv_fn *get)
{
    for (; *names; names++) {
        const char *v = get(*names);
        if (v && *v)
            return v;
    }
    return NULL;
}

const char *proxy_for(const char *scheme, const char *host, proxy_getenv_fn *get)
{
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
    const char *proxy = first_set(strcmp(scheme, "https") == 0 ? https : http, get);

    return proxy && !proxy_exempt(first_set(none, get), host) ? proxy : NULL;
}
