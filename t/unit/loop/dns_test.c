/* The resolver against a name server of our own on the same loop. */
#include "loop/dns.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/socket.h>

static struct loop *l;
static struct dns *d;
static int server;
static struct watch *server_watch;
static int asked, done, dropped;
static bool silent;
static struct dns_addrs got;
static struct err why;

/* Answers A with 10.1.2.3 and AAAA with fd00::3; names that begin with 'n' do not exist. */
static void on_question(void *data, int events)
{
    unsigned char m[600];
    struct sockaddr_in peer;
    socklen_t len = sizeof(peer);
    ssize_t n = recvfrom(server, m, 500, 0, (struct sockaddr *)&peer, &len);
    static const unsigned char v4[] = {10, 1, 2, 3}, v6[16] = {0xfd, [15] = 3};

    (void)data;
    (void)events;
    assert_true(n > 17);
    asked++;
    if (silent)
        return;
    size_t end = 12;
    while (m[end])
        end += m[end] + 1u;
    unsigned type = m[end + 2], size = type == 1 ? 4 : 16;
    bool exists = m[13] != 'n';
    end += 5;
    m[2] = 0x81;
    m[3] = exists ? 0x80 : 0x83;
    m[6] = 0;
    m[7] = exists;
    m[8] = m[9] = m[10] = m[11] = 0;
    if (exists) {
        const unsigned char record[] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0,
                                        0,    60, 0, (unsigned char)size};
        memcpy(m + end, record, sizeof(record));
        memcpy(m + end + sizeof(record), type == 1 ? v4 : v6, size);
        end += sizeof(record) + size;
    }
    assert_int_equal(sendto(server, m, end, 0, (struct sockaddr *)&peer, len), (ssize_t)end);
}

static int setup(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    char where[64];

    (void)state;
    asked = done = dropped = 0;
    silent = false;
    memset(&got, 0, sizeof(got));
    memset(&why, 0, sizeof(why));
    l = loop_new();
    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&a, len) < 0 || getsockname(server, (struct sockaddr *)&a, &len) < 0)
        return -1;
    server_watch = watch_start(l, server, WATCH_READ, on_question, NULL);
    snprintf(where, sizeof(where), "127.0.0.1:%d", ntohs(a.sin_port));
    d = dns_new(l, where);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_free(d);
    watch_stop(server_watch);
    close(server);
    loop_free(l);
    return 0;
}

static void on_done(void *data, const struct dns_addrs *addrs, const struct err *err)
{
    int *wanted = data;

    assert_true(!addrs != !err);
    if (addrs)
        got = *addrs;
    else
        why = *err;
    if (++done == *wanted)
        loop_stop(l);
}

static void ask(const char *name, double timeout)
{
    int one = 1;

    done = 0;
    assert_non_null(dns_resolve(d, name, timeout, on_done, &one));
    assert_int_equal(done, 0);
    loop_run(l);
    assert_int_equal(done, 1);
}

static void knows_literals_and_localhost(void **state)
{
    static const char *const names[][2] = {{"192.0.2.1", "192.0.2.1"},
                                           {"fe80::1", "fe80::1"},
                                           {"LOCALHOST", "127.0.0.1"},
                                           {"a.localhost", "127.0.0.1"}};

    (void)state;
    for (size_t i = 0; i < countof(names); i++) {
        ask(names[i][0], 5);
        assert_string_equal(got.text[0], names[i][1]);
    }
    assert_int_equal(asked, 0);
    assert_false(dns_busy(d));
}

static bool has(const char *text)
{
    for (size_t i = 0; i < got.n; i++)
        if (strcmp(got.text[i], text) == 0)
            return true;
    return false;
}

static void wait_idle(void *data)
{
    (void)data;
    if (dns_busy(d))
        loop_defer(l, wait_idle, NULL);
    else
        loop_stop(l);
}

static void asks_both_families_and_remembers(void **state)
{
    (void)state;
    ask("registry.example.", 5);
    assert_int_equal(got.n, 2);
    assert_true(has("10.1.2.3") && has("fd00::3"));
    assert_int_equal(asked, 2);
    loop_defer(l, wait_idle, NULL);
    loop_run(l);
    ask("Registry.Example.", 5);
    assert_int_equal(got.n, 2);
    assert_int_equal(asked, 2);
}

static void shares_a_question(void **state)
{
    int three = 3;

    (void)state;
    for (int i = 0; i < 3; i++)
        dns_resolve(d, "registry.example.", 5, on_done, &three);
    loop_run(l);
    assert_int_equal(asked, 2);
}

static void tells_what_does_not_exist(void **state)
{
    (void)state;
    ask("nothing.example.", 5);
    assert_int_equal(why.grpc, GRPC_NOT_FOUND);
    assert_non_null(strstr(why.msg, "nothing.example"));
}

static void gives_up_on_a_silent_server(void **state)
{
    (void)state;
    silent = true;
    ask("registry.example.", 0.3);
    assert_int_equal(why.grpc, GRPC_UNAVAILABLE);
    assert_non_null(strstr(why.msg, "registry.example"));
}

static void never(void *data, const struct dns_addrs *addrs, const struct err *err)
{
    (void)data;
    (void)addrs;
    (void)err;
    dropped++;
}

static void forgets_who_cancelled(void **state)
{
    struct dns_query *q = dns_resolve(d, "registry.example.", 5, never, NULL);

    (void)state;
    dns_cancel(q);
    ask("other.example.", 5);
    assert_int_equal(asked, 2);
    assert_int_equal(dropped, 0);
    dns_resolve(d, "late.example.", 5, never, NULL); /* teardown frees it while it is asked */
}

static void reads_the_hosts_file(void **state)
{
    char path[] = "/tmp/hosts-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "192.0.2.77 in-hosts.example in-hosts\n";

    (void)state;
    assert_int_equal(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
    close(fd);
    setenv("CARES_HOSTS", path, 1);
    ask("in-hosts.example", 5);
    unsetenv("CARES_HOSTS");
    unlink(path);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.text[0], "192.0.2.77");
    assert_int_equal(asked, 0);
}

static void keeps_the_cache_small(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * DNS_CACHE_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "h%d.example.", i);
        ask(name, 5);
    }
    assert_true(d->lookups_n <= DNS_CACHE_MAX + 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(knows_literals_and_localhost),
        T(asks_both_families_and_remembers),
        T(shares_a_question),
        T(tells_what_does_not_exist),
        T(gives_up_on_a_silent_server),
        T(forgets_who_cancelled),
        T(reads_the_hosts_file),
        T(keeps_the_cache_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
