#include "core/registries.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/quote.h"
#include "core/registries_set.h"

#include <string.h>

enum { GROUPS = 10, REWRITTEN_MAX = 1024 };

static void auth_done(struct registry_auth *a)
{
    free(a->username);
    free(a->password);
    free(a->auth);
    free(a->identity_token);
}

static void tls_done(struct registry_tls *t)
{
    free(t->cert_file);
    free(t->key_file);
    free(t->ca_file);
}

static void mirror_done(struct registry_mirror *m)
{
    free(m->host);
    for (size_t i = 0; i < m->urls_n; i++)
        free(m->urls[i].url);
    free(m->urls);
    for (size_t i = 0; i < m->rewrites_n; i++) {
        regfree(&m->rewrites[i].pattern);
        free(m->rewrites[i].replacement);
    }
    free(m->rewrites);
}

void registries_free(struct registries *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->mirrors_n; i++)
        mirror_done(&r->mirrors[i]);
    free(r->mirrors);
    for (size_t i = 0; i < r->configs_n; i++) {
        free(r->configs[i].host);
        auth_done(&r->configs[i].auth);
        tls_done(&r->configs[i].tls);
    }
    free(r->configs);
    free(r);
}

void registry_endpoints_done(struct registry_endpoints *e)
{
    for (size_t i = 0; i < e->n; i++) {
        struct registry_endpoint *p = &e->items[i];
        free(p->url);
        free(p->host);
        free(p->path);
        free(p->ns);
        auth_done(&p->auth);
        tls_done(&p->tls);
    }
    free(e->items);
    *e = (struct registry_endpoints){0};
}

/* ---- rewriting ---- */

static void expand(struct buf *out, const char *replacement, const char *path, const regmatch_t *groups)
{
    for (const char *p = replacement; *p; p++) {
        if (p[0] == '$' && p[1] >= '0' && p[1] <= '9') {
            const regmatch_t *g = &groups[*++p - '0'];
            if (g->rm_so >= 0)
                buf_add(out, path + g->rm_so, (size_t)(g->rm_eo - g->rm_so));
        } else {
            if (p[0] == '$' && p[1] == '$')
                p++;
            buf_add(out, p, 1);
        }
    }
}

/* Replaces every match, as k3s does; false where there is none. An empty match moves on by one byte. */
static bool rewrite(const struct registry_rewrite *rw, const char *path, struct buf *out)
{
    regmatch_t g[GROUPS];
    bool any = false;
    const char *p = path;

    while (*p || !any) {
        if (regexec(&rw->pattern, p, GROUPS, g, p == path ? 0 : REG_NOTBOL) != 0)
            break;
        any = true;
        buf_add(out, p, (size_t)g[0].rm_so);
        expand(out, rw->replacement, p, g);
        if (g[0].rm_eo == g[0].rm_so && p[g[0].rm_eo])
            buf_add(out, p + g[0].rm_eo++, 1);
        p += g[0].rm_eo;
    }
    buf_adds(out, p);
    return any;
}

static int rewritten_path(const struct registry_mirror *m, const char *path, char **ret_path, struct err *err)
{
    for (size_t i = 0; i < m->rewrites_n; i++) {
        struct buf cleanup_buf out = {.max = REWRITTEN_MAX};
        if (!rewrite(&m->rewrites[i], path, &out))
            continue;
        if (out.len > IMAGE_REF_NAME_MAX || out.truncated ||
            !image_path_is_valid(out.data ? out.data : "", out.len))
            return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                           "mirror %s: the rewrite to %s makes %s of %s, which is no repository's path; "
                           "correct it in registries.yaml",
                           QUOTED(m->host), QUOTED(m->rewrites[i].replacement), QUOTED(out.data), QUOTED(path));
        *ret_path = buf_steal(&out);
        return 0;
    }
    *ret_path = mem_strdup(path);
    return 0;
}

/* ---- endpoints ---- */

static bool is_local(const char *host)
{
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    return (n == 9 && strncmp(host, "localhost", 9) == 0) || (n == 5 && strncmp(host, "[::1]", 5) == 0) ||
           strncmp(host, "127.", 4) == 0;
}

static bool has_port(const char *host, const char *port)
{
    const char *colon = strrchr(host, ':');
    return colon && strcmp(colon + 1, port) == 0;
}

/* The entry of a host, by either of its names, else that of "*"; NULL where there is none. */
static const struct registry_host *find_config(const struct registries *r, const char *host, const char *alias)
{
    const struct registry_host *by_alias = NULL, *any = NULL;

    for (size_t i = 0; r && i < r->configs_n; i++) {
        const struct registry_host *c = &r->configs[i];
        if (strcmp(c->host, host) == 0)
            return c;
        if (strcmp(c->host, alias) == 0)
            by_alias = c;
        if (strcmp(c->host, "*") == 0)
            any = c;
    }
    return by_alias ? by_alias : any;
}

static void copy_config(struct registry_endpoint *e, const struct registry_host *c)
{
    e->auth = (struct registry_auth){mem_strdup(c->auth.username), mem_strdup(c->auth.password),
                                     mem_strdup(c->auth.auth), mem_strdup(c->auth.identity_token)};
    e->tls = (struct registry_tls){mem_strdup(c->tls.cert_file), mem_strdup(c->tls.key_file),
                                   mem_strdup(c->tls.ca_file), c->tls.insecure_skip_verify};
}

/*
 * A registry on this host without a scheme or TLS settings may speak TLS or not: https is tried first, with any certificate,
 * because a wrong guess the other way would send credentials in the clear.
 */
static void guess_local(struct registry_endpoint *e, const struct registry_host *c)
{
    if (!is_local(e->host) || (c && c->tls_given) || has_port(e->host, "443"))
        return;
    if (has_port(e->host, "80")) {
        char *plain = mem_printf("http://%s", e->url + strlen("https://"));
        free(e->url);
        e->url = plain;
        return;
    }
    e->http_fallback = true;
    e->tls.insecure_skip_verify = true;
}

static struct registry_endpoint *add_endpoint(struct registry_endpoints *l, const char *url)
{
    const char *host = strstr(url, "://") + 3;
    struct registry_endpoint *e = &l->items[l->n++];

    e->url = mem_strdup(url);
    e->host = mem_strndup(host, strcspn(host, "/"));
    return e;
}

static int add_mirror(const struct registries *r, const struct registry_mirror *m, const struct image_ref *ref,
                      struct registry_endpoints *l, struct err *err)
{
    for (size_t i = 0; i < m->urls_n; i++) {
        struct registry_endpoint *e = add_endpoint(l, m->urls[i].url);
        const struct registry_host *c = find_config(r, e->host, e->host);
        int rc = rewritten_path(m, ref->path, &e->path, err);
        if (rc < 0)
            return rc;
        e->mirror = true;
        e->ns = mem_strdup(ref->domain);
        if (c)
            copy_config(e, c);
        if (!m->urls[i].scheme_given)
            guess_local(e, c);
    }
    return 0;
}

/* Settings for a registry under another name than its host's are found by either; k3s's users write both. */
static void add_registry(const struct registries *r, const struct image_ref *ref, struct registry_endpoints *l)
{
    const char *host = image_ref_host(ref->domain);
    char *cleanup_free url = mem_printf("https://%s/v2", host);
    struct registry_endpoint *e = add_endpoint(l, url);
    const struct registry_host *c = find_config(r, host, ref->domain);

    e->path = mem_strdup(ref->path);
    if (c)
        copy_config(e, c);
    guess_local(e, c);
}

static const struct registry_mirror *find_mirror(const struct registries *r, const char *domain)
{
    const struct registry_mirror *any = NULL;

    for (size_t i = 0; r && i < r->mirrors_n; i++) {
        if (strcmp(r->mirrors[i].host, domain) == 0)
            return &r->mirrors[i];
        if (strcmp(r->mirrors[i].host, "*") == 0)
            any = &r->mirrors[i];
    }
    return any;
}

int registries_resolve(const struct registries *r, const struct image_ref *ref,
                       struct registry_endpoints *ret_endpoints, struct err *err)
{
    const struct registry_mirror *m = find_mirror(r, ref->domain);
    struct registry_endpoints l = {.items = mem_alloc(((m ? m->urls_n : 0) + 1) * sizeof(*l.items))};
    int rc = m ? add_mirror(r, m, ref, &l, err) : 0;

    if (rc < 0) {
        registry_endpoints_done(&l);
        return rc;
    }
    add_registry(r, ref, &l);
    *ret_endpoints = l;
    return 0;
}
