#include "core/registries.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct registries *parse_text(const char *text, struct err *err)
{
    struct registries *r = NULL;

    *err = (struct err){0};
    return registries_parse(text, strlen(text), "registries.yaml", &r, err) < 0 ? NULL : r;
}

/* "URL PATH ns fallback,insecure,user | ..." */
static char *drawn(const struct registry_endpoints *l)
{
    struct buf b = {0};

    for (size_t i = 0; i < l->n; i++) {
        const struct registry_endpoint *e = &l->items[i];
        buf_addf(&b, "%s%s %s %s%s%s%s%s", i ? " | " : "", e->url, e->path, e->ns ? e->ns : "-",
                 e->mirror ? " mirror" : "", e->http_fallback ? " fallback" : "",
                 e->tls.insecure_skip_verify ? " insecure" : "", e->auth.username ? " auth" : "");
        assert_non_null(strstr(e->url, e->host));
    }
    return buf_steal(&b);
}

static void resolves(void **state)
{
    static const struct {
        const char *file, *ref, *draws;
    } rows[] = {
        {"", "busybox", "https://registry-1.docker.io/v2 library/busybox -"},
        {"", "r.example:444/a/b", "https://r.example:444/v2 a/b -"},
        {"", "localhost:5000/a", "https://localhost:5000/v2 a - fallback insecure"},
        {"", "127.0.0.1:5000/a", "https://127.0.0.1:5000/v2 a - fallback insecure"},
        {"", "[::1]:5000/a", "https://[::1]:5000/v2 a - fallback insecure"},
        {"", "localhost:80/a", "http://localhost:80/v2 a -"},
        {"", "localhost:443/a", "https://localhost:443/v2 a -"},
        {"", "localhost.example/a", "https://localhost.example/v2 a -"},
        {"mirrors: {docker.io: {endpoint: [\"https://m.lan:5000\", \"http://10.0.0.1/v2/proxy/\"]}}", "busybox",
         "https://m.lan:5000/v2 library/busybox docker.io mirror | "
         "http://10.0.0.1/v2/proxy library/busybox docker.io mirror | https://registry-1.docker.io/v2 "
         "library/busybox -"},
        {"mirrors: {docker.io: {endpoint: [m]}}", "r.example/a", "https://r.example/v2 a -"},
        {"mirrors: {\"*\": {endpoint: [m.lan, \"https://n:7///\"]}}", "r.example/a",
         "https://m.lan/v2 a r.example mirror | https://n:7/v2 a r.example mirror | https://r.example/v2 a -"},
        {"mirrors:\n  \"*\": {endpoint: [m]}\n  r.example:\n", "r.example/a", "https://r.example/v2 a -"},
        {"mirrors: {r.example: {endpoint: [\"localhost:5000\"]}}", "r.example/a",
         "https://localhost:5000/v2 a r.example mirror fallback insecure | https://r.example/v2 a -"},
        {"mirrors: {r.example: {endpoint: [\"https://localhost:5000\"]}}", "r.example/a",
         "https://localhost:5000/v2 a r.example mirror | https://r.example/v2 a -"},
        {"mirrors: {r.example: {endpoint: [\"http://localhost:5000\"]}}", "r.example/a",
         "http://localhost:5000/v2 a r.example mirror | https://r.example/v2 a -"},
        {"mirrors: {r.example: {endpoint: [\"http://registry:5000\"]}}", "r.example/a",
         "http://registry:5000/v2 a r.example mirror | https://r.example/v2 a -"},
        {"mirrors: {docker.io: {endpoint: [m], rewrite: {\"^library/(.*)\": \"hub/$1/$1$9-$$x\"}}}", "a/b",
         "https://m/v2 a/b docker.io mirror | https://registry-1.docker.io/v2 a/b -"},
        {"mirrors: {docker.io: {endpoint: [m], rewrite: {\"^nothing\": x, \"^library/(.*)\": \"hub/$1/$1\", "
         "\"b\": z}}}",
         "busybox",
         "https://m/v2 hub/busybox/busybox docker.io mirror | https://registry-1.docker.io/v2 library/busybox "
         "-"},
        {"mirrors: {r.example: {endpoint: [m], rewrite: {\"a\": \"b\"}}}", "r.example/banana",
         "https://m/v2 bbnbnb r.example mirror | https://r.example/v2 banana -"},
        {"mirrors: {r.example: {endpoint: [m], rewrite: {\"x*\": \"-\"}}}", "r.example/ab",
         "!no repository's path"},
        {"configs: {registry-1.docker.io: {auth: {username: u, password: p}}}", "busybox",
         "https://registry-1.docker.io/v2 library/busybox - auth"},
        {"configs: {docker.io: {auth: {username: u}, tls: {insecure_skip_verify: true}}}", "busybox",
         "https://registry-1.docker.io/v2 library/busybox - insecure auth"},
        {"configs: {\"*\": {auth: {username: u}}}", "r.example/a", "https://r.example/v2 a - auth"},
        {"configs: {r.example: {}, \"*\": {auth: {username: u}}}", "r.example/a", "https://r.example/v2 a -"},
        {"configs: {\"localhost:5000\": {tls: {}}}", "localhost:5000/a", "https://localhost:5000/v2 a -"},
        {"configs: {\"localhost:5000\": {auth: {username: u}}}", "localhost:5000/a",
         "https://localhost:5000/v2 a - fallback insecure auth"},
        {"mirrors: {r.example: {endpoint: [\"m:5\"]}}\nconfigs: {\"m:5\": {auth: {username: u}}}",
         "r.example/a", "https://m:5/v2 a r.example mirror auth | https://r.example/v2 a -"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct registry_endpoints cleanup_registry_endpoints l = {0};
        struct image_ref cleanup_image_ref ref = {0};
        struct err err = {0};
        struct registries *r = parse_text(rows[i].file, &err);
        if (!r)
            fail_msg("%s: %s", rows[i].file, err.msg);
        assert_int_equal(image_ref_parse(rows[i].ref, &ref, &err), 0);
        int rc = registries_resolve(r, &ref, &l, &err);
        registries_free(r); /* the endpoints outlive it */
        if (rows[i].draws[0] == '!') {
            assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
            assert_non_null(strstr(err.msg, rows[i].draws + 1));
            continue;
        }
        if (rc < 0)
            fail_msg("%s: %s", rows[i].file, err.msg);
        char *cleanup_free got = drawn(&l);
        assert_string_equal(got, rows[i].draws);
    }
}

static void copies_settings(void **state)
{
    struct registry_endpoints cleanup_registry_endpoints l = {0};
    struct image_ref cleanup_image_ref ref = {0};
    struct err err;
    struct registries *r =
        parse_text("configs:\n  r.example:\n    auth: {auth: dXNlcjpwYXNz, identity_token: t}\n"
                   "    tls: {cert_file: /c, key_file: /k, ca_file: /a}\n",
                   &err);

    (void)state;
    assert_non_null(r);
    assert_int_equal(image_ref_parse("r.example/x", &ref, &err), 0);
    assert_int_equal(registries_resolve(r, &ref, &l, &err), 0);
    registries_free(r);
    assert_string_equal(l.items[0].auth.auth, "dXNlcjpwYXNz");
    assert_string_equal(l.items[0].auth.identity_token, "t");
    assert_string_equal(l.items[0].tls.cert_file, "/c");
    assert_string_equal(l.items[0].tls.key_file, "/k");
    assert_string_equal(l.items[0].tls.ca_file, "/a");
}

static void refuses(void **state)
{
    static const struct {
        const char *file, *says;
    } rows[] = {
        {"mirror: {}\n", ":1: registries: unknown key \"mirror\"; known are mirrors, configs"},
        {"mirrors: []\n", ":1: mirrors is a list; it must be a mapping"},
        {"mirrors:\n  docker.io:\n    endpoints: [x]\n",
         ":3: mirrors: unknown key \"endpoints\"; known are endpoint, rewrite"},
        {"mirrors:\n  docker.io: x\n", ":2: mirrors is text; it must be a mapping"},
        {"mirrors:\n  docker.io:\n    endpoint: x\n", ":3: endpoint is text; it must be a list"},
        {"mirrors:\n  docker.io:\n    endpoint:\n    - x\n    - [y]\n",
         ":5: an endpoint is a list; it must be text"},
        {"mirrors: {docker.io: {endpoint: [\"ftp://x\"]}}\n", "endpoint \"ftp://x\" is not a URL"},
        {"mirrors: {docker.io: {endpoint: [\"https://u:p@x\"]}}\n", "credentials under configs"},
        {"mirrors: {docker.io: {endpoint: [\"https://\"]}}\n", "is not a URL"},
        {"mirrors: {docker.io: {endpoint: [\"\"]}}\n", "is not a URL"},
        {"mirrors: {docker.io: {endpoint: [\"https://x?y\"]}}\n", "is not a URL"},
        {"mirrors: {docker.io: {endpoint: [\"https://x/a b\"]}}\n", "is not a URL"},
        {"mirrors: {\"https://docker.io\": {}}\n", ":1: mirrors: \"https://docker.io\" is not a host"},
        {"mirrors:\n  x: {rewrite: {\"(\": y}}\n", ":2: rewrite: pattern \"(\" is not a POSIX"},
        {"mirrors: {x: {rewrite: {\"a{99}\": y}}}\n", "has a bound {n}"},
        {"mirrors: {x: {rewrite: {'(a)\\1': y}}}\n", "has a back-reference"},
        {"mirrors: {x: {rewrite: {a: [y]}}}\n", "replacement is a list"},
        {"configs: {x: {auth: {user: y}}}\n",
         "auth: unknown key \"user\"; known are username, password, auth, identity_token"},
        {"configs: {x: {auth: {password: y}}}\n", "\"x\": auth has a password but no username"},
        {"configs: {x: {auth: {auth: secret}}}\n", "auth: auth is not base64 of USER:PASSWORD"},
        {"configs: {x: {auth: {username: [u]}}}\n", "username is a list; it must be text"},
        {"configs: {x: {tls: {cert_file: c}}}\n", "tls: cert_file: \"c\" is not an absolute path"},
        {"configs: {x: {tls: {cert_file: /c}}}\n", "tls needs cert_file and key_file together"},
        {"configs:\n  x:\n    tls:\n      insecure_skip_verify: yes\n",
         ":4: tls: insecure_skip_verify is \"yes\"; it must be true"},
        {"configs: {x: {tls: {insecure_skip_verify: []}}}\n", "insecure_skip_verify is a list"},
        {"configs: {x/y: {}}\n", "configs: \"x/y\" is not a host"},
        {"configs: {x: {}, x: {}}\n", "key \"x\" is there twice"},
        {"mirrors: {a: &m {}, b: *m}\n", "referred to by an alias"},
        {"mirrors: {\n", "not valid YAML"},
        {"[]", "the file is a list"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err;
        if (parse_text(rows[i].file, &err))
            fail_msg("%s is taken", rows[i].file);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, rows[i].says) || strncmp(err.msg, "registries.yaml:", 16) != 0 ||
            strstr(err.msg, "secret"))
            fail_msg("%s\n  says \"%s\"\n  not  \"%s\"", rows[i].file, err.msg, rows[i].says);
    }
}

static void has_limits(void **state)
{
    struct buf cleanup_buf endpoints = {0}, cleanup_buf hosts = {0};
    struct err err;

    (void)state;
    buf_adds(&endpoints, "mirrors: {x: {endpoint: [m");
    for (int i = 0; i < REGISTRIES_ENDPOINTS_MAX; i++)
        buf_adds(&endpoints, ", m");
    buf_adds(&endpoints, "]}}\n");
    assert_null(parse_text(endpoints.data, &err));
    assert_non_null(strstr(err.msg, "more than 32 endpoints"));
    buf_adds(&hosts, "mirrors:\n");
    for (int i = 0; i < 257; i++)
        buf_addf(&hosts, "  h%d: {}\n", i);
    assert_null(parse_text(hosts.data, &err));
    assert_non_null(strstr(err.msg, "more than 256 hosts"));
}

static void an_absent_file_is_empty(void **state)
{
    struct registries *r = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(registries_load("/nonexistent/registries.yaml", &r, &err), 0);
    assert_non_null(r);
    assert_int_equal(r->mirrors_n, 0);
    registries_free(r);
    registries_free(NULL);
    assert_int_equal(registries_load("/", &r, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves),   cmocka_unit_test(copies_settings),         cmocka_unit_test(refuses),
        cmocka_unit_test(has_limits), cmocka_unit_test(an_absent_file_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
