/* The half of auth_challenge.h about credentials: token answers and docker's base64 pairs. No message shows a secret. */
#include "core/auth_challenge.h"
#include "core/base64.h"
#include "core/json_doc.h"
#include "core/mem.h"

#include <string.h>

enum { TOKEN_LIFE_MIN_S = 60, TOKEN_LIFE_MAX_S = 24 * 3600, BASIC_MAX = 16 << 10 };

static bool is_header_text(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || *s == 0x7f)
            return false;
    return true;
}

static int take_token(const json_t *doc, const char *what, struct auth_token *t, struct err *err)
{
    const char *token = NULL, *access = NULL, *refresh = NULL;

    int r = json_doc_text(doc, what, "token", AUTH_TOKEN_MAX, &token, err);
    if (r == 0)
        r = json_doc_text(doc, what, "access_token", AUTH_TOKEN_MAX, &access, err);
    if (r == 0)
        r = json_doc_text(doc, what, "refresh_token", AUTH_TOKEN_MAX, &refresh, err);
    if (r < 0)
        return r;
    if (!token || !*token)
        token = access;
    if (!token || !*token)
        return err_set(
            err, GRPC_UNAUTHENTICATED, 0,
            "%s holds neither \"token\" nor \"access_token\"; check the registry's user name and password",
            what);
    if (!is_header_text(token))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: the token holds blanks or control characters", what);
    t->token = mem_strdup(token);
    t->refresh_token = refresh && *refresh ? mem_strdup(refresh) : NULL;
    return 0;
}

int auth_token_parse(const char *json, size_t len, struct auth_token *ret_token, struct err *err)
{
    static const char what[] = "token service's answer";
    json_t *cleanup_json doc = NULL;
    struct auth_token t = {0};
    uint64_t life;
    bool there;

    int r = json_doc_load(what, json, len, (size_t)4 * AUTH_TOKEN_MAX, &doc, err);
    if (r < 0)
        return r;
    if (!json_is_object(doc))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is not a JSON object", what);
    r = json_doc_number(doc, what, "expires_in", UINT32_MAX, &there, &life, err);
    if (r == 0)
        r = take_token(doc, what, &t, err);
    if (r < 0)
        return r;
    t.expires_in_s = life < TOKEN_LIFE_MIN_S   ? TOKEN_LIFE_MIN_S
                     : life > TOKEN_LIFE_MAX_S ? TOKEN_LIFE_MAX_S
                                               : (unsigned)life;
    *ret_token = t;
    return 0;
}

void auth_token_done(struct auth_token *t)
{
    free(t->token);
    free(t->refresh_token);
    *t = (struct auth_token){0};
}

int auth_basic_decode(const char *base64, char **ret_user, char **ret_password, struct err *err)
{
    size_t n = strlen(base64), len = 0;
    char *cleanup_free plain = mem_alloc(BASIC_MAX / 4 * 3 + 1);

    if (n == 0 || n > BASIC_MAX || base64_decode(base64, n, plain, &len) < 0 || memchr(plain, '\0', len))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "registry credentials: auth (%zu bytes) is not base64 of USER:PASSWORD; encode it "
                       "without line breaks",
                       n);
    char *colon = strchr(plain, ':');
    if (!colon || colon == plain)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "registry credentials: auth decodes to text without a user name before ':'; encode USER:PASSWORD");
    *ret_user = mem_strndup(plain, (size_t)(colon - plain));
    *ret_password = mem_strdup(colon + 1);
    return 0;
}
