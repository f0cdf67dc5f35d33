/* A pod's own files: what is in them, what is refused. */
#include "handlers/pod_files.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];
static struct pod pod;
static Runtime__V1__PodSandboxConfig config;
static Runtime__V1__DNSConfig dns;
static struct err err;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/cricket-pod-files-XXXXXX");
    assert_non_null(mkdtemp(dir));
    pod = (struct pod){.id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    pod.dir = mem_printf("%s/pod", dir);
    config = (Runtime__V1__PodSandboxConfig)RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
    dns = (Runtime__V1__DNSConfig)RUNTIME__V1__DNSCONFIG__INIT;
    err = (struct err){0};
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"hostname", "hosts", "resolv.conf"};

    (void)state;
    for (size_t i = 0; i < countof(names); i++) {
        cleanup_free char *path = pod_path(&pod, names[i]);
        unlink(path);
    }
    rmdir(pod.dir);
    free(pod.dir);
    return rmdir(dir);
}

static const char *content(const char *path)
{
    static char text[1 << 16];
    struct buf b = {0};

    if (file_read(path, sizeof(text) - 1, &b, &err) < 0)
        fail_msg("%s", err.msg);
    snprintf(text, sizeof(text), "%s", b.data ? b.data : "");
    buf_done(&b);
    return text;
}

static const char *file(const char *name)
{
    cleanup_free char *path = pod_path(&pod, name);
    return content(path);
}

static void write_them(void)
{
    if (pod_files_check(&config, &err) < 0 || pod_files_write(&pod, &config, &err) < 0)
        fail_msg("%s", err.msg);
}

static void what_the_request_says(void **state)
{
    (void)state;
    config.hostname = "web-0";
    config.dns_config = &dns;
    dns.servers = (char *[]){"10.0.0.10", "fd00::10"};
    dns.n_servers = 2;
    dns.searches = (char *[]){"a.svc", "svc"};
    dns.n_searches = 2;
    dns.options = (char *[]){"ndots:5"};
    dns.n_options = 1;
    write_them();
    assert_string_equal(file("resolv.conf"),
                        "nameserver 10.0.0.10\nnameserver fd00::10\nsearch a.svc svc\noptions ndots:5\n");
    assert_string_equal(file("hostname"), "web-0\n");
    assert_non_null(strstr(file("hosts"), "127.0.0.1\tlocalhost\n"));
    assert_non_null(strstr(file("hosts"), "127.0.1.1\tweb-0\n"));
    write_them(); /* again, as after a crash */
}

static void what_it_leaves_open(void **state)
{
    char host[1 << 16] = "";

    (void)state;
    if (access("/etc/resolv.conf", R_OK) == 0)
        snprintf(host, sizeof(host), "%s", content("/etc/resolv.conf"));
    for (int with = 0; with < 2; with++) {
        config.dns_config = with ? &dns : NULL; /* nothing in it is as good as none */
        write_them();
        assert_string_equal(file("resolv.conf"), host);
    }
    assert_memory_equal(file("hostname"), pod.id, ID_LEN); /* just what sethostname(2) takes */
}

static void in_the_hosts_network(void **state)
{
    char host[1 << 16] = "", name[HOST_NAME_MAX + 2] = "";

    (void)state;
    pod.host_network = true;
    write_them();
    gethostname(name, HOST_NAME_MAX);
    strcat(name, "\n");
    assert_string_equal(file("hostname"), name);
    if (access("/etc/hosts", R_OK) == 0)
        snprintf(host, sizeof(host), "%s", content("/etc/hosts"));
    assert_string_equal(file("hosts"), host);
}

static void refused_words(void **state)
{
    static const char *const bad[] = {"", "a b", "a\nnameserver 6.6.6.6", "tab\t", "cr\r"};
    char longest[300];

    (void)state;
    config.dns_config = &dns;
    for (size_t i = 0; i <= countof(bad); i++)
        for (int list = 0; list < 3; list++) {
            const char *word = i < countof(bad) ? bad[i] : longest;
            memset(longest, 'x', 256);
            longest[256] = '\0';
            dns = (Runtime__V1__DNSConfig)RUNTIME__V1__DNSCONFIG__INIT;
            char ***lists[] = {&dns.servers, &dns.searches, &dns.options};
            size_t *counts[] = {&dns.n_servers, &dns.n_searches, &dns.n_options};
            *lists[list] = (char **)(uintptr_t)&word;
            *counts[list] = 1;
            assert_true(pod_files_check(&config, &err) < 0);
            assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
            assert_non_null(strstr(err.msg, "dns_config."));
        }
}

static void refused_hostnames(void **state)
{
    static const char *const bad[] = {"a b", "a\nb", "a/b", "\xc3\xa9"};
    char name[HOST_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        config.hostname = (char *)(uintptr_t)bad[i];
        assert_true(pod_files_check(&config, &err) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    }
    memset(name, 'h', sizeof(name));
    name[HOST_NAME_MAX + 1] = '\0';
    config.hostname = name;
    assert_true(pod_files_check(&config, &err) < 0);
    name[HOST_NAME_MAX] = '\0';
    assert_int_equal(pod_files_check(&config, &err), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(what_the_request_says), T(what_it_leaves_open),
                                       T(in_the_hosts_network), T(refused_words), T(refused_hostnames)};
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
