#include "core/image_user.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken\n"
                             ":x:7:7::/:\n"
                             "big:x:4294967295:0::/:\n"
                             "neg:x:-1:0::/:\n"
                             "app:x:1000:1001::/home/app:/bin/sh\n"
                             "app:x:2000:2001::/second:\n"
                             "1234:x:55:55::/digits:\n"
                             "nohome:x:70:71\n"
                             "last:x:80:81::/last";
static const char group[] = "root:x:0:root\n"
                            "wheel:x:10:root,app\n"
                            "nobody:x:xx:app\n"
                            "dup:x:10:app\n"
                            "primary:x:1001:app\n"
                            "apple:x:11:apple,ap,app2\n"
                            "tail:x:12:app";

struct case_ {
    struct image_user_spec s;
    uint32_t uid, gid;
    const char *groups, *home;
    const char *says; /* not NULL: an error that says this */
};

static const int64_t extra[] = {5, 10, 5}, negative[] = {-1};

static const struct case_ rows[] = {
    {{0}, 0, 0, "0 10", "/root", NULL},
    {{.image_user = ""}, 0, 0, "0 10", "/root", NULL},
    {{.image_user = "app"}, 1000, 1001, "1001 10 12", "/home/app", NULL}, /* the first row counts */
    {{.image_user = "1000"}, 1000, 1001, "1001 10 12", "/home/app", NULL},
    {{.image_user = "app:wheel"}, 1000, 10, "10 1001 12", "/home/app", NULL},
    {{.image_user = "app:99"}, 1000, 99, "99 10 1001 12", "/home/app", NULL},
    {{.image_user = ":wheel"}, 0, 10, "10 0", "/root", NULL},
    {{.image_user = "app:"}, 1000, 1001, "1001 10 12", "/home/app", NULL},
    {{.image_user = "1234"}, 1234, 0, "0", "/", NULL}, /* a number, though passwd has it as a name */
    {{.image_user = "nohome"}, 70, 71, "71", "/", NULL},
    {{.image_user = "last"}, 80, 81, "81", "/last", NULL},
    {{.image_user = "app", .strict = true}, 1000, 1001, "1001", "/home/app", NULL},
    {{.image_user = "app", .strict = true, .supplemental_groups = extra, .supplemental_groups_n = 3},
     1000,
     1001,
     "1001 5 10",
     "/home/app",
     NULL},
    {{.supplemental_groups = extra, .supplemental_groups_n = 3}, 0, 0, "0 10 5", "/root", NULL},
    {{.image_user = "app", .uid_set = true, .uid = 0}, 0, 0, "0 10", "/root", NULL}, /* 0 is a choice */
    {{.image_user = "app:wheel", .uid_set = true, .uid = 70}, 70, 71, "71", "/", NULL},
    {{.uid_set = true, .uid = 4000}, 4000, 0, "0", "/", NULL},
    {{.uid_set = true, .uid = 4000, .gid_set = true, .gid = 77}, 4000, 77, "77", "/", NULL},
    {{.username = "app", .gid_set = true, .gid = 77}, 1000, 77, "77 10 1001 12", "/home/app", NULL},
    {{.username = "app", .uid_set = true, .uid = 70}, 1000, 1001, "1001 10 12", "/home/app", NULL},
    {{.uid_set = true, .uid = INT32_MAX}, INT32_MAX, 0, "0", "/", NULL},

    {{.gid_set = true, .gid = 5}, 0, 0, "", "", "run_as_group 5"},
    {{.image_user = "app", .gid_set = true, .gid = 5}, 0, 0, "", "", "run_as_group 5"},
    {{.uid_set = true, .uid = -1}, 0, 0, "", "", "run_as_user -1"},
    {{.uid_set = true, .uid = 4294967295}, 0, 0, "", "", "4294967295"},
    {{.uid_set = true, .gid_set = true, .gid = -5}, 0, 0, "", "", "run_as_group -5"},
    {{.supplemental_groups = negative, .supplemental_groups_n = 1}, 0, 0, "", "", "supplemental group -1"},
    {{.image_user = "nope"}, 0, 0, "", "", "\"nope\" is not in the image's /etc/passwd"},
    {{.image_user = "big"}, 0, 0, "", "", "\"big\""},
    {{.image_user = "neg"}, 0, 0, "", "", "\"neg\""},
    {{.image_user = "4294967295"}, 0, 0, "", "", "\"4294967295\""},
    {{.image_user = "app:nope"}, 0, 0, "", "", "\"nope\" is not in the image's /etc/group"},
    {{.username = "ap"}, 0, 0, "", "", "\"ap\""},
};

static void users(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct case_ *t = &rows[i];
        struct image_user u;
        struct err err = {0};
        char got[200] = "";
        int r = image_user_resolve(&t->s, passwd, group, &u, &err);
        if (t->says) {
            assert_int_equal(r, -EINVAL);
            if (!strstr(err.msg, t->says))
                fail_msg("row %zu: \"%s\" does not say %s", i, err.msg, t->says);
            continue;
        }
        if (r < 0)
            fail_msg("row %zu: %s", i, err.msg);
        for (size_t k = 0; k < u.groups_n; k++)
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%u", k ? " " : "", u.groups[k]);
        if (u.uid != t->uid || u.gid != t->gid || strcmp(got, t->groups) != 0 || strcmp(u.home, t->home) != 0)
            fail_msg("row %zu: %u:%u groups %s home %s", i, u.uid, u.gid, got, u.home);
        image_user_done(&u);
    }
}

static void an_image_without_files(void **state)
{
    const struct image_user_spec number = {.image_user = "5:6"}, name = {.image_user = "root"};
    struct image_user u;
    struct err err = {0};

    (void)state;
    assert_int_equal(image_user_resolve(&number, "", "", &u, &err), 0);
    assert_int_equal(u.uid, 5);
    assert_int_equal(u.gid, 6);
    image_user_done(&u);
    assert_int_equal(image_user_resolve(&name, "", "", &u, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users),
        cmocka_unit_test(an_image_without_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
