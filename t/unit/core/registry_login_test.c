#include "core/registry_login.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void gives_credentials_only_to_whom_they_are_for(void **state)
{
    static const struct {
        const char *host, *domain, *server_address;
        bool mirror, given;
    } cases[] = {
        {"r.example", "r.example", NULL, false, true},
        {"r.example", "r.example", "", false, true},
        {"m.example", "r.example", NULL, true, false},
        {"m.example", "r.example", "m.example", true, true},
        {"m.example", "r.example", "r.example", true, false},
        {"r.example", "r.example", "https://r.example/v1/", false, true},
        {"r.example", "r.example", "other.example", false, false},
        {"r.example:5000", "r.example:5000", "r.example", false, false},
        {"registry-1.docker.io", "docker.io", "https://index.docker.io/v1/", false, true},
        {"r.example", "r.example", "docker.io", false, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char host[64];
        struct registry_login l = {0};
        struct registry_endpoint e = {.host = host, .mirror = cases[i].mirror};
        struct registry_credentials c = {
            .username = "u", .password = "p", .server_address = cases[i].server_address};
        snprintf(host, sizeof(host), "%s", cases[i].host);
        assert_int_equal(registry_login_choose(&e, cases[i].domain, &c, &l, NULL), 0);
        if (registry_login_is_anonymous(&l) == cases[i].given)
            fail_msg("case %zu", i);
        registry_login_done(&l);
    }
}

static void prefers_the_request_over_the_file(void **state)
{
    char name[] = "file", secret[] = "x", host[] = "r.example";
    struct registry_endpoint e = {.host = host, .auth = {.username = name, .password = secret}};
    struct registry_credentials c = {.auth = "Y2Fyb2w6czNjcmV0"}, bad = {.auth = "!"};
    struct registry_login l = {0};
    struct err err;

    (void)state;
    assert_int_equal(registry_login_choose(&e, "r.example", &c, &l, &err), 0);
    assert_string_equal(l.username, "carol");
    cleanup_free char *words = registry_login_basic(&l);
    assert_string_equal(words, "Basic Y2Fyb2w6czNjcmV0");
    registry_login_done(&l);
    assert_int_equal(registry_login_choose(&e, "r.example", NULL, &l, &err), 0);
    assert_string_equal(l.username, "file");
    registry_login_done(&l);
    assert_true(registry_login_choose(&e, "r.example", &bad, &l, &err) < 0);
    assert_non_null(strstr(err.msg, "r.example"));
}

static int ask(const char *header, const struct registry_login *l, bool https, struct token_request *t,
               struct err *err)
{
    struct auth_challenges cs = {0};

    assert_int_equal(auth_challenges_add(&cs, header, err), 0);
    int r = registry_token_request(auth_challenge_find(&cs, "bearer"), l, "a/b", https, t, err);
    auth_challenges_done(&cs);
    return r;
}

static void words_the_question_for_a_token(void **state)
{
    char user[] = "u", password[] = "p", refresh[] = "r&=";
    const struct registry_login anonymous = {0}, basic = {.username = user, .password = password},
                                identity = {.identity_token = refresh};
    struct token_request t;
    struct err err;

    (void)state;
    assert_int_equal(ask("Bearer realm=\"https://t/x\",service=\"s v\"", &anonymous, true, &t, &err), 0);
    assert_string_equal(t.url, "https://t/x?scope=repository%3Aa%2Fb%3Apull&service=s%20v");
    assert_null(t.authorization);
    assert_null(t.body);
    token_request_done(&t);
    assert_int_equal(ask("Bearer realm=\"https://t/x?y=1\",scope=\"z\"", &basic, true, &t, &err), 0);
    assert_string_equal(t.url, "https://t/x?y=1&scope=z");
    assert_string_equal(t.authorization, "Basic dTpw");
    token_request_done(&t);
    assert_int_equal(ask("Bearer realm=\"https://t/x\",service=s", &identity, true, &t, &err), 0);
    assert_string_equal(t.body,
                        "grant_type=refresh_token&service=s&client_id=cricket&scope=repository%3Aa%2Fb%3Apull"
                        "&refresh_token=r%26%3D");
    assert_null(t.authorization);
    token_request_done(&t);
}

static void refuses_realms(void **state)
{
    char user[] = "u";
    const struct registry_login anonymous = {0}, basic = {.username = user};
    struct token_request t;
    struct err err;

    (void)state;
    assert_true(ask("Bearer service=s", &anonymous, true, &t, &err) < 0);
    assert_true(ask("Bearer realm=\"file:///etc/passwd\"", &anonymous, true, &t, &err) < 0);
    assert_true(ask("Bearer realm=\"http://t/\"", &basic, true, &t, &err) < 0);
    assert_int_equal(ask("Bearer realm=\"http://t/\"", &basic, false, &t, &err), 0);
    token_request_done(&t);
}

static void reads_errors(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {{"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\nway\"}]}", "DENIED: no?way"},
                 {"{\"errors\":[{\"message\":\"m\"}]}", "m"},
                 {"{\"errors\":{}}", ""},
                 {"<html>", ""},
                 {"", ""},
                 {"[1]", ""}};
    char text[32];

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        registry_error_text(cases[i].json, strlen(cases[i].json), text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
    registry_error_text(NULL, 0, text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_credentials_only_to_whom_they_are_for),
        cmocka_unit_test(prefers_the_request_over_the_file),
        cmocka_unit_test(words_the_question_for_a_token),
        cmocka_unit_test(refuses_realms),
        cmocka_unit_test(reads_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
