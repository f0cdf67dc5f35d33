/* Reads registries.yaml: every mapping is walked pair by pair against a table of its keys. */
#include "core/auth_challenge.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/quote.h"
#include "core/registries_set.h"
#include "core/yaml_doc.h"

#include <errno.h>
#include <string.h>

enum { HOSTS_MAX = 256, HOST_MAX = 255, URL_MAX = 1024 };

struct reader {
    struct yaml_doc doc;
    struct registries *into;
    struct err *err;
};

struct reader_key {
    const char *name;
    int (*read)(struct reader *r, const yaml_node_t *value, void *into);
};

static int want(struct reader *r, const yaml_node_t *node, yaml_node_type_t type, const char *what)
{
    if (node->type == type)
        return 0;
    return yaml_doc_error(&r->doc, node, r->err, "%s is %s; it must be %s", what, yaml_node_kind(node),
                          type == YAML_MAPPING_NODE    ? "a mapping"
                          : type == YAML_SEQUENCE_NODE ? "a list"
                                                       : "text");
}

static int unknown_key(struct reader *r, const yaml_node_t *value, const char *what, const char *key,
                       const struct reader_key *known, size_t n)
{
    struct buf cleanup_buf names = {0};

    for (size_t i = 0; i < n; i++)
        buf_addf(&names, "%s%s", i ? ", " : "", known[i].name);
    return yaml_doc_error(&r->doc, value, r->err, "%s: unknown key %s; known are %s", what, QUOTED(key),
                          names.data);
}

static int read_mapping(struct reader *r, const yaml_node_t *node, const char *what,
                        const struct reader_key *known, size_t n, void *into)
{
    const char *key;
    yaml_node_t *value;

    int rc = want(r, node, YAML_MAPPING_NODE, what);
    for (size_t i = 0; rc == 0 && yaml_doc_pair(&r->doc, node, i, &key, &value); i++) {
        size_t k = 0;
        while (k < n && strcmp(known[k].name, key) != 0)
            k++;
        rc = k < n ? known[k].read(r, value, into) : unknown_key(r, value, what, key, known, n);
    }
    return rc;
}

static int read_text(struct reader *r, const yaml_node_t *node, const char *what, char **ret_text)
{
    int rc = want(r, node, YAML_SCALAR_NODE, what);

    if (rc == 0)
        *ret_text = *yaml_node_text(node) ? mem_strdup(yaml_node_text(node)) : NULL;
    return rc;
}

/* ---- mirrors ---- */

static bool has_scheme(const char *url)
{
    return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

/* "mirror.lan:5000" -> "https://mirror.lan:5000/v2"; a path that is there is taken as it is. */
static char *normal_url(const char *url)
{
    const char *host = has_scheme(url) ? strstr(url, "://") + 3 : url;
    size_t n = strlen(host);

    while (n > 0 && host[n - 1] == '/')
        n--;
    return mem_printf("%s%.*s%.*s%s", has_scheme(url) ? "" : "https://", (int)(host - url), url, (int)n, host,
                      memchr(host, '/', n) ? "" : "/v2");
}

static bool is_url(const char *url)
{
    const char *host = strstr(url, "://") + 3;

    if (strlen(url) > URL_MAX)
        return false;
    for (const char *p = url; *p; p++)
        if (*p <= 0x20 || *p == 0x7f ||
            strchr("?#@\"\\<>{}|^`", *p)) /* '@' before the host would be a password */
            return false;
    return image_domain_is_valid(host, strcspn(host, "/"));
}

static int read_endpoints(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registry_mirror *m = into;
    const yaml_node_t *item;

    int rc = want(r, node, YAML_SEQUENCE_NODE, "endpoint");
    if (rc < 0)
        return rc;
    m->urls = mem_alloc(REGISTRIES_ENDPOINTS_MAX * sizeof(*m->urls));
    for (size_t i = 0; (item = yaml_doc_item(&r->doc, node, i)); i++) {
        if (i == REGISTRIES_ENDPOINTS_MAX)
            return yaml_doc_error(&r->doc, item, r->err, "mirror %s: more than %d endpoints; remove some",
                                  QUOTED(m->host), REGISTRIES_ENDPOINTS_MAX);
        rc = want(r, item, YAML_SCALAR_NODE, "an endpoint");
        if (rc < 0)
            return rc;
        char *url = normal_url(yaml_node_text(item));
        m->urls[m->urls_n++] = (struct registry_url){url, has_scheme(yaml_node_text(item))};
        if (!is_url(url))
            return yaml_doc_error(
                &r->doc, item, r->err,
                "mirror %s: endpoint %s is not a URL; write http[s]://HOST[:PORT][/PATH], and "
                "credentials under configs",
                QUOTED(m->host), QUOTED(yaml_node_text(item)));
    }
    return 0;
}

/*
 * glibc's expressions can be made to take forever or all memory by nested bounds and back-references; neither is needed to
 * rename repositories, so they are refused and matching stays proportional to the name.
 */
static const char *refused_in_pattern(const char *p)
{
    if (strlen(p) > REGISTRIES_PATTERN_MAX)
        return "is too long";
    for (; *p; p++) {
        if (*p == '\\' && p[1]) {
            if (*++p >= '0' && *p <= '9')
                return "has a back-reference";
        } else if (*p == '{') {
            return "has a bound {n}; write the repetition out";
        }
    }
    return NULL;
}

static int compile(struct reader *r, const yaml_node_t *node, const char *pattern, regex_t *ret_regex)
{
    char why[128];
    const char *refused = refused_in_pattern(pattern);

    if (refused)
        return yaml_doc_error(&r->doc, node, r->err, "rewrite: pattern %s %s", QUOTED(pattern), refused);
    int rc = regcomp(ret_regex, pattern, REG_EXTENDED);
    if (rc == 0)
        return 0;
    regerror(rc, ret_regex, why, sizeof(why));
    return yaml_doc_error(&r->doc, node, r->err,
                          "rewrite: pattern %s is not a POSIX extended regular expression: %s", QUOTED(pattern),
                          why);
}

static int read_rewrites(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registry_mirror *m = into;
    const char *pattern;
    yaml_node_t *value;

    int rc = want(r, node, YAML_MAPPING_NODE, "rewrite");
    if (rc < 0)
        return rc;
    m->rewrites = mem_alloc(REGISTRIES_REWRITES_MAX * sizeof(*m->rewrites));
    for (size_t i = 0; yaml_doc_pair(&r->doc, node, i, &pattern, &value); i++) {
        if (i == REGISTRIES_REWRITES_MAX)
            return yaml_doc_error(&r->doc, value, r->err, "mirror %s: more than %d rewrites; remove some",
                                  QUOTED(m->host), REGISTRIES_REWRITES_MAX);
        rc = want(r, value, YAML_SCALAR_NODE, "a rewrite's replacement");
        if (rc == 0 && strlen(yaml_node_text(value)) > REGISTRIES_PATTERN_MAX)
            rc = yaml_doc_error(&r->doc, value, r->err, "rewrite: replacement %s is longer than %d bytes",
                                QUOTED(yaml_node_text(value)), REGISTRIES_PATTERN_MAX);
        if (rc == 0)
            rc = compile(r, value, pattern, &m->rewrites[m->rewrites_n].pattern);
        if (rc < 0)
            return rc;
        m->rewrites[m->rewrites_n++].replacement = mem_strdup(yaml_node_text(value));
    }
    return 0;
}

static const struct reader_key mirror_keys[] = {
    {"endpoint", read_endpoints},
    {"rewrite", read_rewrites},
};

static int check_host(struct reader *r, const yaml_node_t *node, const char *section, const char *host)
{
    if (strcmp(host, "*") == 0 || (strlen(host) <= HOST_MAX && image_domain_is_valid(host, strlen(host))))
        return 0;
    return yaml_doc_error(&r->doc, node, r->err,
                          "%s: %s is not a host; write HOST[:PORT] without https:// and path", section,
                          QUOTED(host));
}

static int read_mirrors(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registries *s = into;
    const char *host;
    yaml_node_t *value;

    int rc = want(r, node, YAML_MAPPING_NODE, "mirrors");
    for (size_t i = 0; rc == 0 && yaml_doc_pair(&r->doc, node, i, &host, &value); i++) {
        if (i == HOSTS_MAX)
            return yaml_doc_error(&r->doc, value, r->err, "mirrors: more than %d hosts; remove some",
                                  HOSTS_MAX);
        rc = check_host(r, value, "mirrors", host);
        if (rc < 0)
            return rc;
        s->mirrors = mem_grow(s->mirrors, &s->mirrors_cap, s->mirrors_n + 1, sizeof(*s->mirrors));
        struct registry_mirror *m = &s->mirrors[s->mirrors_n++];
        m->host = mem_strdup(host);
        if (!yaml_node_text(value) ||
            *yaml_node_text(value)) /* "docker.io:" alone is k3s's way to say: no mirror */
            rc = read_mapping(r, value, "mirrors", mirror_keys, countof(mirror_keys), m);
    }
    return rc;
}

/* ---- configs ---- */

#define AUTH_TEXT(field)                                                                                       \
    static int read_##field(struct reader *r, const yaml_node_t *node, void *into)                             \
    {                                                                                                          \
        return read_text(r, node, #field, &((struct registry_auth *)into)->field);                             \
    }
AUTH_TEXT(username)
AUTH_TEXT(password)
AUTH_TEXT(identity_token)

static int read_auth_pair(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registry_auth *a = into;
    char *cleanup_free user = NULL, *cleanup_free password = NULL;

    int rc = read_text(r, node, "auth", &a->auth);
    if (rc == 0 && a->auth && auth_basic_decode(a->auth, &user, &password, NULL) < 0)
        rc = yaml_doc_error(&r->doc, node, r->err,
                            "auth: auth is not base64 of USER:PASSWORD; use username and password");
    return rc;
}

static const struct reader_key auth_keys[] = {
    {"username", read_username},
    {"password", read_password},
    {"auth", read_auth_pair},
    {"identity_token", read_identity_token},
};

static int read_path(struct reader *r, const yaml_node_t *node, const char *key, char **ret_path)
{
    int rc = read_text(r, node, key, ret_path);

    if (rc == 0 && *ret_path && **ret_path != '/')
        rc = yaml_doc_error(&r->doc, node, r->err, "tls: %s: %s is not an absolute path", key,
                            QUOTED(*ret_path));
    return rc;
}

#define TLS_PATH(field)                                                                                        \
    static int read_##field(struct reader *r, const yaml_node_t *node, void *into)                             \
    {                                                                                                          \
        return read_path(r, node, #field, &((struct registry_tls *)into)->field);                              \
    }
TLS_PATH(cert_file)
TLS_PATH(key_file)
TLS_PATH(ca_file)

static int read_insecure(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registry_tls *t = into;
    const char *text = yaml_node_text(node);

    if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return yaml_doc_error(&r->doc, node, r->err,
                              "tls: insecure_skip_verify is %s; it must be true or false",
                              text ? QUOTED(text) : yaml_node_kind(node));
    t->insecure_skip_verify = strcmp(text, "true") == 0;
    return 0;
}

static const struct reader_key tls_keys[] = {
    {"cert_file", read_cert_file},
    {"key_file", read_key_file},
    {"ca_file", read_ca_file},
    {"insecure_skip_verify", read_insecure},
};

static int read_auth(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registry_host *c = into;
    int rc = read_mapping(r, node, "auth", auth_keys, countof(auth_keys), &c->auth);

    if (rc == 0 && c->auth.password && !c->auth.username)
        rc = yaml_doc_error(&r->doc, node, r->err, "configs: %s: auth has a password but no username",
                            QUOTED(c->host));
    return rc;
}

static int read_tls(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registry_host *c = into;
    int rc = read_mapping(r, node, "tls", tls_keys, countof(tls_keys), &c->tls);

    c->tls_given = true;
    if (rc == 0 && !c->tls.cert_file != !c->tls.key_file)
        rc = yaml_doc_error(&r->doc, node, r->err, "configs: %s: tls needs cert_file and key_file together",
                            QUOTED(c->host));
    return rc;
}

static const struct reader_key config_keys[] = {
    {"auth", read_auth},
    {"tls", read_tls},
};

static int read_configs(struct reader *r, const yaml_node_t *node, void *into)
{
    struct registries *s = into;
    const char *host;
    yaml_node_t *value;

    int rc = want(r, node, YAML_MAPPING_NODE, "configs");
    for (size_t i = 0; rc == 0 && yaml_doc_pair(&r->doc, node, i, &host, &value); i++) {
        if (i == HOSTS_MAX)
            return yaml_doc_error(&r->doc, value, r->err, "configs: more than %d hosts; remove some",
                                  HOSTS_MAX);
        rc = check_host(r, value, "configs", host);
        if (rc < 0)
            return rc;
        s->configs = mem_grow(s->configs, &s->configs_cap, s->configs_n + 1, sizeof(*s->configs));
        struct registry_host *c = &s->configs[s->configs_n++];
        c->host = mem_strdup(host);
        rc = read_mapping(r, value, "configs", config_keys, countof(config_keys), c);
    }
    return rc;
}

static const struct reader_key file_keys[] = {
    {"mirrors", read_mirrors},
    {"configs", read_configs},
};

static int read_file(struct reader *r, struct registries **ret_registries)
{
    int rc = 0;

    r->into = mem_new(struct registries);
    if (r->doc.root)
        rc = read_mapping(r, r->doc.root, "registries", file_keys, countof(file_keys), r->into);
    if (rc < 0)
        registries_free(r->into);
    else
        *ret_registries = r->into;
    yaml_doc_done(&r->doc);
    return rc;
}

int registries_parse(const char *text, size_t len, const char *name, struct registries **ret_registries,
                     struct err *err)
{
    struct reader r = {.err = err};

    if (len > REGISTRIES_FILE_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is larger than %d bytes", name, REGISTRIES_FILE_MAX);
    int rc = yaml_doc_parse(&r.doc, text, len, name, err);
    return rc < 0 ? rc : read_file(&r, ret_registries);
}

int registries_load(const char *path, struct registries **ret_registries, struct err *err)
{
    struct reader r = {.err = err};

    int rc = yaml_doc_open(&r.doc, path, REGISTRIES_FILE_MAX, err);
    if (rc == -ENOENT) {
        *ret_registries = mem_new(struct registries);
        return 0;
    }
    return rc < 0 ? rc : read_file(&r, ret_registries);
}
