/*
 * Names to addresses without a thread: c-ares on our loop, A and AAAA side by side, sorted as RFC 6724 wants.
 *
 * Literal addresses and localhost (RFC 6761, section 6.3) need no query; /etc/hosts comes before the servers of
 * /etc/resolv.conf. An answer is good for a minute. Questions about a name that is being asked for already share its
 * query. The c-ares channel, its sockets and its memory exist only while something is asked.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <netinet/in.h>
#include <stddef.h>

enum { DNS_ADDRS_MAX = 16, DNS_CACHE_MAX = 64, DNS_CACHE_SECONDS = 60 };

struct dns_addrs {
    size_t n; /* never 0 in an answer; what exceeds DNS_ADDRS_MAX is dropped */
    char text[DNS_ADDRS_MAX][INET6_ADDRSTRLEN];
};

struct dns;
struct dns_query;
typedef void dns_done_fn(void *data, const struct dns_addrs *addrs,
                         const struct err *err); /* one of both is NULL */

/* servers: "127.0.0.1:5353,[::1]:53" instead of /etc/resolv.conf's, or NULL. */
struct dns *dns_new(struct loop *l, const char *servers);
/* Drops open questions without a call; not from inside an on_done. NULL is fine. */
void dns_free(struct dns *d);

/* on_done comes once, later: NOT_FOUND where the name has no address, UNAVAILABLE where no server answered in time. */
struct dns_query *dns_resolve(struct dns *d, const char *host, double timeout_s, dns_done_fn *on_done,
                              void *data);
/* on_done does not come. */
void dns_cancel(struct dns_query *q);

/* Whether the c-ares channel exists: for the tests. */
bool dns_busy(const struct dns *d);
