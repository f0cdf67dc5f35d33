/* The values of `cricket run`'s options: -p, -v, -e, --creds. Pure text to plain values. */
#pragma once
#include "core/err.h"
#include <stdbool.h>

struct run_port {
    char host_ip[64]; /* "": all addresses */
    int host_port, container_port;
    char protocol[8]; /* "tcp", "udp", "sctp" */
};

struct run_volume {
    char *source;      /* as given; free() */
    char *destination; /* absolute */
    bool readonly;
};

/* [IP:]HOST:CONTAINER[/PROTOCOL]; an IPv6 address stands in brackets. */
int run_port_parse(const char *s, struct run_port *ret, struct err *err) must_check;
/* SOURCE:DESTINATION[:ro|rw] */
int run_volume_parse(const char *s, struct run_volume *ret, struct err *err) must_check;
void run_volume_done(struct run_volume *v);
/* KEY=VALUE, or KEY: the value in getenv(); *ret_value points into s or the environment, *ret_key is the caller's. */
int run_env_parse(const char *s, char **ret_key, const char **ret_value, struct err *err) must_check;
/* The last part of an image's name, as a name for a pod: "docker.io/library/busybox:1.36" gives "busybox". The caller frees. */
char *run_name_of_image(const char *image);
/* Lower-case letters, digits and '-', at most 63: a pod's name is its host name, too. */
int run_name_check(const char *name, struct err *err) must_check;
