/*
 * Which proxy a URL goes through, from the environment as curl and most programs read it: http_proxy (lower case only:
 * HTTP_PROXY may come from a CGI request), https_proxy, all_proxy and their upper case, no_proxy. Chosen by us and not by
 * libcurl, because we resolve the name that is connected to.
 */
#pragma once
#include <stdbool.h>

typedef const char *proxy_getenv_fn(const char *name);

/* The proxy's URL as the variable has it; NULL: go straight. scheme is "http" or "https"; host has no brackets. */
const char *proxy_for(const char *scheme, const char *host, proxy_getenv_fn *get);

/* Whether no_proxy exempts the host: "*", a name (also its subdomains), an address, or a network such as 10.0.0.0/8. */
bool proxy_exempt(const char *no_proxy, const char *host);
