/* The parsed registries.yaml: between registries_file.c, which reads it, and registries.c, which answers from it. */
#pragma once
#include "core/registries.h"
#include <regex.h>

struct registry_rewrite {
    regex_t pattern;
    char *replacement; /* "$1" to "$9" stand for the groups, "$$" for '$' */
};

struct registry_url {
    char *url; /* as registry_endpoint's */
    bool scheme_given;
};

struct registry_mirror {
    char *host; /* "docker.io", "localhost:5000" or "*" */
    struct registry_url *urls;
    size_t urls_n;
    struct registry_rewrite *rewrites; /* in the file's order; the first that matches counts */
    size_t rewrites_n;
};

struct registry_host {
    char *host;
    struct registry_auth auth;
    struct registry_tls tls;
    bool tls_given;
};

struct registries {
    struct registry_mirror *mirrors;
    size_t mirrors_n, mirrors_cap;
    struct registry_host *configs;
    size_t configs_n, configs_cap;
};
