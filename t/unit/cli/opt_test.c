/* The option parser and the nearest word. */
#include "cli/opt.c"
#include "cli/suggest.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct args {
    bool all, quiet, json;
    const char *name;
    long n;
    int ms;
    struct opt_list list;
};

static const struct opt opts[] = {
    {'a', "all", OPT_FLAG, offsetof(struct args, all), NULL, ""},
    {'q', "quiet", OPT_FLAG, offsetof(struct args, quiet), NULL, ""},
    {0, "name", OPT_STRING, offsetof(struct args, name), "NAME", ""},
    {'n', "number", OPT_NUMBER, offsetof(struct args, n), "N", ""},
    {'t', "time", OPT_SECONDS, offsetof(struct args, ms), "TIME", ""},
    {'l', "label", OPT_LIST, offsetof(struct args, list), "L", ""},
    OPT_JSON(struct args, json),
    OPT_END,
};

struct more {
    const char *endpoint;
};
static const struct opt more_opts[] = {{0, "endpoint", OPT_STRING, offsetof(struct more, endpoint), "E", ""},
                                       OPT_END};

static struct args args;
static struct more more;
static struct err err;

/* Splits line at blanks; returns what opt_parse() does, with the words in argv. */
static int parse(const char *line, bool in_order, char *argv[16])
{
    static char copy[256];
    struct opt_parse p = {.sets = {{opts, &args}, {more_opts, &more}}, .in_order = in_order};
    int argc = 0;

    opt_list_done(&args.list);
    args = (struct args){0};
    more = (struct more){0};
    err = (struct err){0};
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    return opt_parse(&p, argc, argv, &err);
}

static void forms(void **state)
{
    char *argv[16];
    (void)state;

    assert_int_equal(
        parse("one -aq two --name=x -n5 -t 1.5s -l a --label b --endpoint=e -ojson three", false, argv), 3);
    assert_string_equal(argv[0], "one");
    assert_string_equal(argv[2], "three");
    assert_true(args.all && args.quiet && args.json);
    assert_string_equal(args.name, "x");
    assert_int_equal(args.n, 5);
    assert_int_equal(args.ms, 1500);
    assert_int_equal(args.list.n, 2);
    assert_string_equal(args.list.items[1], "b");
    assert_string_equal(more.endpoint, "e");
    opt_list_done(&args.list);
}

static void a_command_of_the_users_is_left_alone(void **state)
{
    char *argv[16];
    (void)state;

    assert_int_equal(parse("-a image ls -q --name -- x", true, argv), 6);
    assert_true(args.all && !args.quiet);
    assert_string_equal(argv[2], "-q");
    assert_string_equal(argv[4], "--");
    assert_int_equal(parse("-a -- -q", true, argv), 1);
    assert_string_equal(argv[0], "-q");
    assert_int_equal(parse("x -", false, argv), 2);
}

static void mistakes_are_named(void **state)
{
    static const char *const lines[] = {"--nome x",
                                        "-z",
                                        "--name",
                                        "-n -1",
                                        "-n 5x",
                                        "-t never",
                                        "-t 99999999",
                                        "--all=1",
                                        "-o yaml",
                                        "-t -5",
                                        "-n 99999999999999999999",
                                        "-t",
                                        "--=x"};
    char *argv[16];
    (void)state;

    for (size_t i = 0; i < countof(lines); i++) {
        assert_true(parse(lines[i], false, argv) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        assert_non_null(strchr(err.msg, '-'));
    }
}

static void times(void **state)
{
    int ms;
    (void)state;

    assert_int_equal(opt_seconds("0", &ms), 0);
    assert_int_equal(ms, 0);
    assert_int_equal(opt_seconds("500ms", &ms), 0);
    assert_int_equal(ms, 500);
    assert_int_equal(opt_seconds("2m", &ms), 0);
    assert_int_equal(ms, 120000);
    assert_int_equal(opt_seconds("24h", &ms), 0);
    assert_int_equal(opt_seconds("25h", &ms), -EINVAL);
    assert_int_equal(opt_seconds("nan", &ms), -EINVAL);
    assert_int_equal(opt_seconds("", &ms), -EINVAL);
}

static void nearest_word(void **state)
{
    static const char *const words[] = {"pods", "ps", "images", "inspect", "doctor"};
    (void)state;

    assert_string_equal(suggest("pod", words, 5), "pods");
    assert_string_equal(suggest("dcotor", words, 5), "doctor");
    assert_string_equal(suggest("insp", words, 5), "inspect");
    assert_null(suggest("kubernetes", words, 5));
    assert_null(suggest("", words, 5));
    assert_int_equal(suggest_distance("ab", "ba"), 1);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("a", "0123456789012345678901234567890123456789"), INT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(a_command_of_the_users_is_left_alone),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(times),
        cmocka_unit_test(nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
