/* The files of both versions as the kernel writes them, broken ones, and this host's own. */
#include "core/cgroup_stats.c"
#include "core/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>

static const char v1_memory[] =
    "cache 9351168\nrss 5423104\nswap 7\npgfault 3\nhierarchical_memory_limit 1000000\n"
    "hierarchical_memsw_limit 1500000\ntotal_cache 1299042304\ntotal_rss 9416704\n"
    "total_pgfault 382445123\ntotal_pgmajfault 31670\ntotal_swap 4096\n"
    "total_inactive_file 830701568\n";
static const char v1_unlimited[] =
    "hierarchical_memory_limit 9223372036854771712\n"
    "hierarchical_memsw_limit 9223372036854771712\ntotal_rss 1\ntotal_pgfault 2\n"
    "total_pgmajfault 3\ntotal_swap 4\ntotal_inactive_file 5\n";
static const char v2_memory[] = "anon 16384\nfile 4096\nanon_thp 7\ninactive_anon 9\ninactive_file 2048\n"
                                "pgfault 211\npgmajfault 12";

static void memory_v1(void **state)
{
    struct cgroup_stats s = {0};

    (void)state;
    cgroup_stats_memory_v1(&s, v1_memory);
    assert_true(s.memory_known && s.swap_known);
    assert_int_equal(s.rss_bytes, 9416704);
    assert_int_equal(s.inactive_file_bytes, 830701568);
    assert_int_equal(s.page_faults, 382445123);
    assert_int_equal(s.major_page_faults, 31670);
    assert_int_equal(s.memory_limit_bytes, 1000000);
    assert_int_equal(s.swap_bytes, 4096);
    assert_int_equal(s.swap_limit_bytes, 500000); /* v1 limits both together */

    s = (struct cgroup_stats){0};
    cgroup_stats_memory_v1(&s, v1_unlimited);
    assert_true(s.memory_limit_bytes == CGROUP_UNLIMITED && s.swap_limit_bytes == CGROUP_UNLIMITED);

    s = (struct cgroup_stats){0};
    cgroup_stats_memory_v1(&s, v2_memory);
    assert_false(s.memory_known);
    cgroup_stats_memory_v1(&s, "");
    assert_false(s.memory_known || s.swap_known);
}

static void memory_v2(void **state)
{
    struct cgroup_stats s = {0};

    (void)state;
    cgroup_stats_memory_v2(&s, v2_memory);
    assert_true(s.memory_known);
    assert_int_equal(s.rss_bytes, 16384);
    assert_int_equal(s.inactive_file_bytes, 2048);
    assert_int_equal(s.page_faults, 211);
    assert_int_equal(s.major_page_faults, 12);

    cgroup_stats_memory_v2(&s, "anon 1\ninactive_file 2\npgfault x\npgmajfault 4\n");
    assert_false(s.memory_known);
}

static void working_set(void **state)
{
    struct cgroup_stats s = {.memory_bytes = 100, .inactive_file_bytes = 30};

    (void)state;
    assert_int_equal(cgroup_working_set(&s), 70);
    s.inactive_file_bytes = 200; /* the two are not read at one moment */
    assert_int_equal(cgroup_working_set(&s), 0);
}

static void cpu_v2(void **state)
{
    struct cgroup_stats s = {0};

    (void)state;
    cgroup_stats_cpu_v2(&s, "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n");
    assert_true(s.cpu_known);
    assert_int_equal(s.cpu_ns, 1234000);
    cgroup_stats_cpu_v2(&s, "user_usec 1\n");
    assert_false(s.cpu_known);
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0\n", true, 0},
        {"18446744073709551615\n", true, UINT64_MAX},
        {"18446744073709551616\n", false, 0},
        {"max\n", true, CGROUP_UNLIMITED},
        {"max", true, CGROUP_UNLIMITED},
        {"maximum\n", false, 0},
        {"", false, 0},
        {"\n", false, 0},
        {"-1\n", false, 0},
        {"12x\n", false, 0},
        {" 1\n", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t n = 77;
        if (cgroup_number(rows[i].text, &n) != rows[i].ok || n != (rows[i].ok ? rows[i].value : 77))
            fail_msg("\"%s\": %lu", rows[i].text, (unsigned long)n);
    }
}

static void pressures(void **state)
{
    static const char good[] = "some avg10=1.50 avg60=2.25 avg300=100.00 total=123456\n"
                               "full avg10=0.00 avg60=0.00 avg300=0.50 total=7\n";
    static const char *const bad[] = {
        "",
        "some avg10=1.50 avg60=2.25 avg300=3.00 total=123456\n",
        "some avg10=1.50 avg60=2.25 avg300=3.00 total=\nfull avg10=0.00 avg60=0.00 avg300=0.50 total=7\n",
        "some avg10=101.0 avg60=2.25 avg300=3.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.50 total=7\n",
        "some avg10=nan avg60=2.25 avg300=3.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.50 total=7\n",
        "some avg10=1.5\nfull avg10=0.00 avg60=0.00 avg300=0.50 total=7\n",
        "something avg10=1.50 avg60=2.25 avg300=3.00 total=1\nfully avg10=0.00\n",
    };
    struct cgroup_pressure p = {0};

    (void)state;
    assert_true(cgroup_pressure_parse(good, &p));
    assert_true(p.known && p.some.avg10 == 1.5 && p.some.avg60 == 2.25 && p.some.avg300 == 100);
    assert_true(p.full.avg300 == 0.5);
    assert_int_equal(p.some.total_us, 123456);
    assert_int_equal(p.full.total_us, 7);
    for (size_t i = 0; i < countof(bad); i++) {
        p = (struct cgroup_pressure){0};
        if (cgroup_pressure_parse(bad[i], &p) || p.known)
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

/* Files of a cgroup in a directory of ours: which are read, and where. */
static char base[64];

static void put(const char *name, const char *text)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/pod/%s", base, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_dir(void **state)
{
    char path[96];

    (void)state;
    snprintf(base, sizeof(base), "/tmp/cricket-cgroup-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(path, sizeof(path), "%s/pod", base);
    return mkdir(path, 0700);
}

static int remove_dir(void **state)
{
    struct err err;

    (void)state;
    return tree_remove(base, &err);
}

static void files_v2(void **state)
{
    char root[] = "/", controllers[] = "cpu,memory,pids";
    struct cgroup_mount m = {.path = base, .root = root, .controllers = controllers, .v2 = true};
    const struct cgroups c = {.kind = CGROUP_V2, .mounts = &m, .n = 1};
    struct cgroup_stats s;

    (void)state;
    put("cpu.stat", "usage_usec 5\n");
    put("memory.stat", v2_memory);
    put("memory.current", "40960\n");
    put("memory.max", "max\n");
    put("pids.current", "3\n");
    put("io.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=8\n");
    cgroup_stats_read(&c, "/pod", CGROUP_STATS_USAGE | CGROUP_STATS_PIDS, &s);
    assert_true(s.cpu_known && s.memory_known && s.pids_known && s.io.known);
    assert_false(s.swap_known || s.cpu.known || s.memory.known);
    assert_int_equal(s.cpu_ns, 5000);
    assert_int_equal(s.memory_bytes, 40960);
    assert_true(s.memory_limit_bytes == CGROUP_UNLIMITED);
    assert_int_equal(s.pids, 3);
    assert_int_equal(s.io.full.total_us, 8);
    put("memory.swap.current", "512\n");
    put("memory.swap.max", "1024\n");
    cgroup_stats_read(&c, "/pod", CGROUP_STATS_USAGE, &s);
    assert_true(s.swap_known && !s.pids_known);
    assert_int_equal(s.swap_bytes, 512);
    assert_int_equal(s.swap_limit_bytes, 1024);
    cgroup_stats_read(&c, "/gone", CGROUP_STATS_USAGE | CGROUP_STATS_PIDS, &s);
    assert_false(s.cpu_known || s.memory_known || s.pids_known || s.swap_known);
}

static void files_v1(void **state)
{
    char root[] = "/a", controllers[] = "cpuacct,memory,pids";
    struct cgroup_mount m = {.path = base, .root = root, .controllers = controllers};
    const struct cgroups c = {.kind = CGROUP_HYBRID, .mounts = &m, .n = 1};
    struct cgroup_stats s;

    (void)state;
    put("cpuacct.usage", "12345\n");
    put("memory.stat", v1_memory);
    put("memory.usage_in_bytes", "2000\n");
    cgroup_stats_read(&c, "/a/pod", CGROUP_STATS_USAGE, &s); /* the mount shows the hierarchy from /a on */
    assert_true(s.cpu_known && s.memory_known && s.swap_known && !s.pids_known);
    assert_int_equal(s.cpu_ns, 12345);
    assert_int_equal(s.memory_bytes, 2000);
    const struct cgroups none = {.kind = CGROUP_NONE};
    cgroup_stats_read(&none, "/a/pod", CGROUP_STATS_USAGE | CGROUP_STATS_PIDS, &s);
    assert_false(s.cpu_known || s.memory_known || s.pids_known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_v1),
        cmocka_unit_test(memory_v2),
        cmocka_unit_test(working_set),
        cmocka_unit_test(cpu_v2),
        cmocka_unit_test(numbers),
        cmocka_unit_test(pressures),
        cmocka_unit_test_setup_teardown(files_v2, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(files_v1, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
