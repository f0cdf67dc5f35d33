#include "core/registry_login.h"
#include "core/buf.h"
#include "core/mem.h"

#include <ctype.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

static const char *given(const char *s)
{
    return s && *s ? s : NULL;
}

/* "https://index.docker.io/v1/" -> "index.docker.io" */
static char *host_of(const char *address)
{
    const char *p = strstr(address, "://");

    p = p ? p + 3 : address;
    return mem_strndup(p, strcspn(p, "/"));
}

static bool is_docker(const char *host)
{
    static const char *const names[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};

    for (size_t i = 0; i < countof(names); i++)
        if (strcasecmp(host, names[i]) == 0)
            return true;
    return false;
}

static bool meant_for(const struct registry_endpoint *e, const char *domain, const char *server_address)
{
    if (!given(server_address))
        return !e->mirror;
    cleanup_free char *host = host_of(server_address);
    if (strcasecmp(host, e->host) == 0)
        return true;
    return !e->mirror && (strcasecmp(host, domain) == 0 || (is_docker(host) && is_docker(domain)));
}

static int take(struct registry_login *l, const char *username, const char *password, const char *auth,
                const char *identity_token, struct err *err)
{
    if (given(identity_token))
        l->identity_token = mem_strdup(identity_token);
    else if (given(username)) {
        l->username = mem_strdup(username);
        l->password = mem_strdup(password ? password : "");
    } else if (given(auth))
        return auth_basic_decode(auth, &l->username, &l->password, err);
    return 0;
}

int registry_login_choose(const struct registry_endpoint *e, const char *domain,
                          const struct registry_credentials *c, struct registry_login *ret_login,
                          struct err *err)
{
    struct registry_login l = {0};
    int r = 0;

    if (c && meant_for(e, domain, c->server_address)) {
        if (given(c->registry_token))
            l.registry_token = mem_strdup(c->registry_token);
        else if (take(&l, c->username, c->password, c->auth, c->identity_token, err) < 0)
            r = err_wrap(err, "credentials of the request for %s", e->host);
    }
    if (r == 0 && registry_login_is_anonymous(&l) &&
        take(&l, e->auth.username, e->auth.password, e->auth.auth, e->auth.identity_token, err) < 0)
        r = err_wrap(err, "registries.yaml: auth of %s", e->host);
    if (r < 0)
        registry_login_done(&l);
    else
        *ret_login = l;
    return r;
}

void registry_login_done(struct registry_login *l)
{
    free(l->username);
    free(l->password);
    free(l->identity_token);
    free(l->registry_token);
    *l = (struct registry_login){0};
}

bool registry_login_is_anonymous(const struct registry_login *l)
{
    return !l->username && !l->identity_token && !l->registry_token;
}

char *registry_login_basic(const struct registry_login *l)
{
    if (!l->username)
        return NULL;
    cleanup_free char *pair = mem_printf("%s:%s", l->username, l->password ? l->password : "");
    size_t n = strlen(pair);
    cleanup_free char *text = mem_alloc(n / 3 * 4 + 5);
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)pair, (int)n);
    return mem_printf("Basic %s", text);
}

static void add_param(struct buf *b, char separator, const char *name, const char *value)
{
    if (!given(value))
        return;
    buf_addf(b, "%c%s=", separator, name);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if (isalnum(*p) || strchr("-._~", *p))
            buf_add(b, p, 1);
        else
            buf_addf(b, "%%%02X", *p);
}

int registry_token_request(const struct auth_challenge *c, const struct registry_login *l, const char *path,
                           bool https, struct token_request *ret_request, struct err *err)
{
    const char *realm = auth_challenge_param(c, "realm"), *service = auth_challenge_param(c, "service");
    const char *scope = given(auth_challenge_param(c, "scope"));
    cleanup_free char *own = mem_printf("repository:%s:pull", path);
    struct buf url = {0}, body = {0};

    if (!realm || (strncasecmp(realm, "https://", 8) != 0 && strncasecmp(realm, "http://", 7) != 0))
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "its challenge names no token service (realm %.100s)",
                       realm ? realm : "missing");
    if (https && strncasecmp(realm, "https://", 8) != 0 && !registry_login_is_anonymous(l))
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "its token service %.100s is not https: it gets no credentials", realm);
    buf_adds(&url, realm);
    *ret_request = (struct token_request){0};
    if (l->identity_token) {
        buf_adds(&body, "grant_type=refresh_token");
        add_param(&body, '&', "service", service);
        add_param(&body, '&', "client_id", "cricket");
        add_param(&body, '&', "scope", scope ? scope : own);
        add_param(&body, '&', "refresh_token", l->identity_token);
        ret_request->body = buf_steal(&body);
    } else {
        add_param(&url, strchr(realm, '?') ? '&' : '?', "scope", scope ? scope : own);
        add_param(&url, '&', "service", service);
        ret_request->authorization = registry_login_basic(l);
    }
    ret_request->url = buf_steal(&url);
    return 0;
}

void token_request_done(struct token_request *r)
{
    free(r->url);
    free(r->body);
    free(r->authorization);
    *r = (struct token_request){0};
}

void registry_error_text(const char *json, size_t len, char *ret_text, size_t size)
{
    json_t *doc = json_loadb(json ? json : "", len, 0, NULL);
    json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
    const char *code = json_string_value(json_object_get(first, "code"));
    const char *message = json_string_value(json_object_get(first, "message"));

    snprintf(ret_text, size, "%s%s%s", code ? code : "", code && message ? ": " : "", message ? message : "");
    for (char *p = ret_text; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
    json_decref(doc);
}
