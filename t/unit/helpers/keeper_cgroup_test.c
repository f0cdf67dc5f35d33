/* The parts of the keeper that read text: /proc/PID/cgroup, memory.events and the records of exits. */
#include "helpers/keeper_cgroup.c"
#include "helpers/keeper_text.c"

#include <sys/wait.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <cmocka.h>

char scratch[KEEPER_MSG_MAX];

void source_add(struct source *s, uint32_t events)
{
    s->events = events;
}

void source_close(struct source *s)
{
    s->fd = -1;
}

static const char *found(const char *text, const char *controller)
{
    static char path[256];
    const char *p;
    size_t n;

    if (!find_line(text, controller, &p, &n))
        return NULL;
    snprintf(path, sizeof(path), "%.*s", (int)n, p);
    return path;
}

static void test_find_line(void **state)
{
    static const char v1[] = "9:name=systemd:/\n8:pids:/p\n4:memory:/kube/pod:1/x\n2:cpu,cpuacct:/c\n0::/u\n";
    (void)state;
    assert_string_equal(found(v1, "memory"), "/kube/pod:1/x");
    assert_string_equal(found(v1, "cpuacct"), "/c");
    assert_string_equal(found(v1, "cpu"), "/c");
    assert_string_equal(found(v1, ""), "/u");
    assert_null(found(v1, "mem"));
    assert_null(found(v1, "memoryx"));
    assert_string_equal(found("0::/kubepods.slice/a\n", ""), "/kubepods.slice/a");
    assert_null(found("0::/kubepods.slice/a\n", "memory"));
    assert_null(found("", "memory"));
    assert_null(found("nonsense", ""));
    assert_null(found("1:nonsense\n", ""));
    assert_string_equal(found("0::/no newline", ""), "/no newline");
}

static void test_number_after(void **state)
{
    (void)state;
    assert_int_equal(number_after("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 9\n", "oom_kill"),
                     2);
    assert_int_equal(number_after("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", "oom_kill"), 5);
    assert_int_equal(number_after("oom_kill_disable 1\n", "oom_kill"), -1);
    assert_int_equal(number_after("finished_ns 1795450276234626516\n", "finished_ns"), 1795450276234626516);
    assert_true(number_after("n 99999999999999999999999999\n", "n") > 0); /* clamped, no overflow */
    assert_int_equal(number_after("n x\n", "n"), -1);
    assert_int_equal(number_after("", "n"), -1);
}

static void test_text_is_bounded(void **state)
{
    char buf[8];
    struct text t;
    (void)state;
    text_init(&t, buf, sizeof(buf));
    text_add(&t, "ab");
    text_add_number(&t, -1234567);
    assert_string_equal(buf, "ab-1234");
    text_init(&t, buf, sizeof(buf));
    text_add_number(&t, 0);
    assert_string_equal(buf, "0");
    assert_false(text_copy(buf, sizeof(buf), "12345678"));
    assert_true(text_copy(buf, sizeof(buf), "1234567"));
}

static void test_refuses_odd_paths(void **state)
{
    static const char *const paths[] = {"relative", "/a/../b"};
    int status;

    (void)state;
    for (size_t i = 0; i < countof(paths); i++) {
        pid_t child = cgroup_enter(paths[i]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_line),
        cmocka_unit_test(test_number_after),
        cmocka_unit_test(test_text_is_bounded),
        cmocka_unit_test(test_refuses_odd_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
