#include "core/auth_challenge.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* "scheme[=token68](name=value;...)" for each challenge */
static char *drawn(const struct auth_challenges *l)
{
    struct buf b = {0};

    for (size_t i = 0; i < l->n; i++) {
        const struct auth_challenge *c = &l->items[i];
        buf_addf(&b, "%s%s%s(", c->scheme, c->token68 ? "=" : "", c->token68 ? c->token68 : "");
        for (size_t k = 0; k < c->params.n; k++)
            buf_addf(&b, "%s%s=%s", k ? ";" : "", c->params.items[k].key, c->params.items[k].value);
        buf_adds(&b, ")");
    }
    return buf_steal(&b);
}

static void good(void **state)
{
    static const struct {
        const char *header, *draws;
    } rows[] = {
        {"", ""},
        {" , ,", ""},
        {"Basic", "basic()"},
        {"Basic realm=\"x\"", "basic(realm=x)"},
        {"Basic realm=\"a \\\"b\\\" \\\\, c\"", "basic(realm=a \"b\" \\, c)"},
        {"BEARER Realm=\"https://a/t?x=1\",service=\"s\",scope=\"repository:a/b:pull,push\"",
         "bearer(realm=https://a/t?x=1;service=s;scope=repository:a/b:pull,push)"},
        {"Bearer realm=https://a/token,service=s", "bearer(realm=https://a/token;service=s)"},
        {"Bearer realm = \"x\" , error = \"invalid_token\"", "bearer(realm=x;error=invalid_token)"},
        {"Bearer realm=\"x\", Basic realm=\"y\"", "bearer(realm=x)basic(realm=y)"},
        {"Bearer realm=\"x\",Basic", "bearer(realm=x)basic()"},
        {"Negotiate, Basic realm=\"y\"", "negotiate()basic(realm=y)"},
        {"Negotiate YWJj==, Basic realm=\"y\"", "negotiate=YWJj==()basic(realm=y)"},
        {"Negotiate a/b+c", "negotiate=a/b+c()"},
        {"Basic realm=\"\"", "basic(realm=)"},
        {"Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\"",
         "newauth(realm=apps;type=1;title=Login to \"apps\")basic(realm=simple)"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct auth_challenges cleanup_auth_challenges l = {0};
        struct err err = {0};
        if (auth_challenges_add(&l, rows[i].header, &err) < 0)
            fail_msg("%s: %s", rows[i].header, err.msg);
        char *cleanup_free got = drawn(&l);
        assert_string_equal(got, rows[i].draws);
    }
}

static void bad(void **state)
{
    static const struct {
        const char *header, *says;
    } rows[] = {
        {"\"x\"", "no authentication scheme"},
        {"=x", "no authentication scheme"},
        {"Basic=x", "no blank behind the scheme"},
        {"Basic realm=\"x", "a quoted string without an end at byte 14"},
        {"Basic realm=\"x\\", "a quoted string without an end"},
        {"Basic realm=\"a\nb\"", "a control character"},
        {"Basic realm=a\x01", "a control character"},
        {"Basic a=1,b=", "a parameter without a value"},
        {"Basic realm=x, realm=y", "was there before"},
        {"Basic realm=\"x\" service=\"y\"", "no comma behind a parameter"},
        {"Basic , ,realm=x", "no blank behind the scheme"},
        {"Basic foo bar", "neither a parameter nor a token"},
        {"Basic \"x\"", "neither a parameter nor a token"},
        {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more challenges"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct auth_challenges cleanup_auth_challenges l = {0};
        struct err err = {0};
        assert_int_equal(auth_challenges_add(&l, "Basic realm=\"before\"", &err), 0);
        assert_true(auth_challenges_add(&l, rows[i].header, &err) < 0);
        assert_int_equal(l.n, 1);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].header, err.msg, rows[i].says);
        assert_null(strchr(err.msg, '\n'));
    }
}

static void has_limits(void **state)
{
    struct auth_challenges cleanup_auth_challenges l = {0};
    struct buf cleanup_buf params = {0}, cleanup_buf big = {0};
    struct err err;

    (void)state;
    buf_adds(&params, "Basic a=1");
    for (int i = 0; i < AUTH_PARAMS_MAX; i++)
        buf_addf(&params, ",a%d=1", i);
    assert_true(auth_challenges_add(&l, params.data, &err) < 0);
    assert_non_null(strstr(err.msg, "more parameters"));
    for (int i = 0; i <= AUTH_HEADER_MAX; i++)
        buf_adds(&big, "a");
    assert_true(auth_challenges_add(&l, big.data, &err) < 0);
    assert_non_null(strstr(err.msg, "at most 16384"));
}

static void finds(void **state)
{
    struct auth_challenges cleanup_auth_challenges l = {0};
    struct err err;

    (void)state;
    assert_int_equal(auth_challenges_add(&l, "Basic realm=\"y\"", &err), 0);
    assert_int_equal(auth_challenges_add(&l, "Bearer Realm=\"x\"", &err), 0); /* a second header */
    const struct auth_challenge *c = auth_challenge_find(&l, "bearer");
    assert_non_null(c);
    assert_string_equal(auth_challenge_param(c, "realm"), "x");
    assert_null(auth_challenge_param(c, "scope"));
    assert_null(auth_challenge_find(&l, "negotiate"));
}

static void tokens(void **state)
{
    static const struct {
        const char *json, *token;
        unsigned life;
    } good_rows[] = {
        {"{\"token\":\"t\"}", "t", 60},
        {"{\"access_token\":\"a\",\"expires_in\":300}", "a", 300},
        {"{\"token\":\"t\",\"access_token\":\"a\",\"expires_in\":1}", "t", 60},
        {"{\"token\":\"\",\"access_token\":\"a\",\"expires_in\":4000000000,\"x\":[]}", "a", 86400},
    };
    static const struct {
        const char *json, *says;
    } bad_rows[] = {
        {"", "not valid JSON"},
        {"[]", "not a JSON object"},
        {"{}", "check the registry's user name"},
        {"{\"token\":7}", "token is a number"},
        {"{\"token\":\"se cret\"}", "blanks or control characters"},
        {"{\"token\":\"secret\\n\"}", "blanks or control characters"},
        {"{\"token\":\"secret\",\"expires_in\":-1}", "expires_in is -1"},
        {"{\"token\":\"secret\",\"expires_in\":\"60\"}", "expires_in is a string"},
    };
    struct auth_token t;
    struct err err;

    (void)state;
    for (size_t i = 0; i < countof(good_rows); i++) {
        assert_int_equal(auth_token_parse(good_rows[i].json, strlen(good_rows[i].json), &t, &err), 0);
        assert_string_equal(t.token, good_rows[i].token);
        assert_int_equal(t.expires_in_s, good_rows[i].life);
        auth_token_done(&t);
    }
    for (size_t i = 0; i < countof(bad_rows); i++) {
        assert_true(auth_token_parse(bad_rows[i].json, strlen(bad_rows[i].json), &t, &err) < 0);
        if (!strstr(err.msg, bad_rows[i].says) || strstr(err.msg, "secret"))
            fail_msg("row %zu: \"%s\"", i, err.msg);
    }
}

static void basic(void **state)
{
    static const struct {
        const char *text, *user, *password; /* user NULL: refused */
    } rows[] = {
        {"dXNlcjpwYXNz", "user", "pass"},
        {"dTo=", "u", ""},
        {"dTpwOnE=", "u", "p:q"},
        {"dTpwcA==", "u", "pp"},
        {"", NULL, NULL},
        {"dXNlcg==", NULL, NULL}, /* no colon */
        {"OnBhc3M=", NULL, NULL}, /* no user */
        {"dTo", NULL, NULL},      /* padding missing */
        {"dTp=", NULL, NULL},     /* spare bits set */
        {"dTo=\n", NULL, NULL},
        {"dT o=", NULL, NULL},
        {"d===", NULL, NULL},
        {"====", NULL, NULL},
        {"dTo=dTo=", NULL, NULL},
        {"dTpwAA==", NULL, NULL}, /* a NUL inside */
        {"dTpw-_8=", NULL, NULL}, /* the other alphabet */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        char *cleanup_free user = NULL, *cleanup_free password = NULL;
        struct err err = {0};
        int r = auth_basic_decode(rows[i].text, &user, &password, &err);
        if ((r == 0) != (rows[i].user != NULL))
            fail_msg("\"%s\" gives %d", rows[i].text, r);
        if (r < 0) {
            assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
            assert_non_null(strstr(err.msg, "USER:PASSWORD"));
            continue;
        }
        assert_string_equal(user, rows[i].user);
        assert_string_equal(password, rows[i].password);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),  cmocka_unit_test(bad),    cmocka_unit_test(has_limits),
        cmocka_unit_test(finds), cmocka_unit_test(tokens), cmocka_unit_test(basic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
