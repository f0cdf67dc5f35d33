/*
 * CNI with the real plugins and with fakes that fail, hang and lie. All of it in a network namespace of its own, so that
 * links and iptables rules can be counted. Needs root.
 */
#include "netns/cni.c"
#include "netns/netns.h"
#include "netns/loopback.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "t/unit/loop/one_completion.h"

static struct cni *cni;
static char base[64], conf_dir[96], cache_dir[96], fake_dir[96], netns_dir[96], netns[112];
static char *bin_dirs[] = {fake_dir, "/usr/lib/cni", NULL};
static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static struct cni_attach pod;

/* ---- one completion ------------------------------------------------------------------------------------------------ */

static char addresses[256];

static void on_result(void *data, const struct cni_result *r, const struct err *err)
{
    const struct cni_ip *ips[4];
    size_t n = r ? cni_result_pod_ips(r, ips, 4) : 0, at = 0;

    assert_int_equal(r != NULL, err == NULL);
    *addresses = '\0';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(addresses + at, sizeof(addresses) - at, "%s%s", i ? "," : "", ips[i]->address);
    on_done(data, err);
}

static struct cni_op *add_start_ok(void)
{
    struct cni_op *op = NULL;
    struct err err = {0};

    if (cni_add(cni, &pod, on_result, NULL, &op, &err) < 0)
        fail_msg("%s", err.msg);
    return op;
}

static void add_ok(void)
{
    add_start_ok();
    wait_for_it();
    if (got.grpc)
        fail_msg("%s", got.msg);
}

static void failed_with(int grpc, const char *says)
{
    if (got.grpc != grpc || !strstr(got.msg, says))
        fail_msg("%s \"%s\"; wanted %s \"%s\"", grpc_code_name(got.grpc), got.msg, grpc_code_name(grpc), says);
}

static void add_fails(int grpc, const char *says)
{
    add_start_ok();
    wait_for_it();
    failed_with(grpc, says);
}

static void add_refused(int grpc, const char *says)
{
    got = (struct err){0};
    assert_true(cni_add(cni, &pod, on_result, NULL, NULL, &got) < 0);
    failed_with(grpc, says);
    assert_int_equal(calls, 0);
}

static void del(void)
{
    struct err err = {0};

    if (cni_del(cni, &pod, on_done, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    wait_for_it();
}

static void del_ok(void)
{
    del();
    if (got.grpc)
        fail_msg("%s", got.msg);
}

/* ---- what is there ------------------------------------------------------------------------------------------------- */

static char *output_of(const char *command)
{
    FILE *f = popen(command, "re");
    struct buf b = {0};
    char part[4096];
    size_t n;

    assert_non_null(f);
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        buf_add(&b, part, n);
    pclose(f);
    return buf_steal(&b);
}

static int lines_of(const char *command)
{
    cleanup_free char *text = output_of(command);
    int n = 0;

    for (const char *p = text; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static int entries(const char *path, const char *suffix)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d)))
        n += *e->d_name != '.' && strlen(e->d_name) >= strlen(suffix) &&
             !strcmp(e->d_name + strlen(e->d_name) - strlen(suffix), suffix);
    if (d)
        closedir(d);
    return n;
}

struct count {
    int rules, links, cached, children, leases;
};

static struct count count(void)
{
    char leases[256];
    /* a lease is a file named after its address; the network's directory also has a lock and last_reserved_ip.N */
    snprintf(leases, sizeof(leases), "find %s -path '*/ipam/*' -type f ! -name 'last*' ! -name lock", base);
    return (struct count){
        .rules = lines_of("(iptables-save; ip6tables-save) 2>/dev/null | grep '^[-:]' | sed 's/ \\[.*//'"),
        .links = lines_of("ip -o link"),
        .cached = entries(cache_dir, ".json"),
        .children = (int)child_count() + lines_of("pgrep -f 'sleep 9876[5]'"),
        .leases = lines_of(leases),
    };
}

static void same(struct count a, struct count b)
{
    if (memcmp(&a, &b, sizeof(a)) != 0)
        fail_msg("before: rules %d links %d cached %d children %d leases %d; after: %d %d %d %d %d", a.rules,
                 a.links, a.cached, a.children, a.leases, b.rules, b.links, b.cached, b.children, b.leases);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static void put(const char *dir, const char *name, int mode, const char *text)
{
    cleanup_free char *path = mem_printf("%s/%s", dir, name);
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* A plugin that notes how it was called and then does as told; $V is the verb. */
static void fake(const char *name, const char *does)
{
    cleanup_free char *script =
        mem_printf("#!/bin/sh\nV=$CNI_COMMAND\ncat >%s/stdin-%s-$V\necho \"$CNI_ARGS $CNI_PATH\" >%s/env\n"
                   "echo \"%s $V $CNI_IFNAME ${CNI_NETNS:-none}\" >>%s/log\n%s\n",
                   base, name, base, name, base, does);
    put(fake_dir, name, 0755, script);
}

static const char ok_100[] =
    "[ $V = ADD ] && echo '{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":\"/x\"}],"
    "\"ips\":[{\"address\":\"10.99.9.9/24\",\"interface\":0}]}'; exit 0";

static void list_of(const char *version, const char *a, const char *b, const char *c)
{
    cleanup_free char *text = mem_printf("{\"cniVersion\":\"%s\",\"name\":\"fakes\",\"plugins\":[{\"type\":\"%"
                                         "s\"},{\"type\":\"%s\"},{\"type\":\"%s\"}]}",
                                         version, a, b, c);
    put(conf_dir, "10-fakes.conflist", 0644, text);
}

static char *slurp(const char *name)
{
    cleanup_free char *command = mem_printf("cat %s/%s 2>/dev/null", base, name);
    return output_of(command);
}

/* The plugins that ran since the last call: "a ADD,b ADD,". */
static void expect_log(const char *want)
{
    cleanup_free char *log = output_of("true"), *path = mem_printf("%s/log", base);
    cleanup_free char *command = mem_printf("cut -d' ' -f1,2 %s 2>/dev/null | tr '\\n' ','", path);

    free(log);
    log = output_of(command);
    assert_string_equal(log, want);
    unlink(path);
}

/* ---- a test's ground ----------------------------------------------------------------------------------------------- */

static struct count before;

static void renew(const char *subnet)
{
    cni_free(cni);
    cni = cni_new(loop, conf_dir, bin_dirs, subnet, cache_dir);
}

static int setup(void **state)
{
    struct netns_spec spec = {.dir = netns_dir, .net = true};
    struct err err = {0};

    (void)state;
    strcpy(base, "/tmp/cni_test.XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(conf_dir, sizeof(conf_dir), "%s/net.d", base);
    snprintf(cache_dir, sizeof(cache_dir), "%s/cni", base);
    snprintf(fake_dir, sizeof(fake_dir), "%s/bin", base);
    snprintf(netns_dir, sizeof(netns_dir), "%s/ns", base);
    snprintf(netns, sizeof(netns), "%s/net", netns_dir);
    if (mkdir(conf_dir, 0755) < 0 || mkdir(fake_dir, 0755) < 0)
        return -1;
    pod = (struct cni_attach){.container_id = id,
                              .netns = netns,
                              .ifname = "eth0",
                              .pod_name = "web",
                              .pod_namespace = "default",
                              .pod_uid = "u-1"};
    renew(NULL);
    if (netns_pin(loop, &spec, on_done, NULL, &err) < 0)
        return -1;
    wait_for_it();
    before = count();
    return got.grpc ? -1 : 0;
}

static void unpin(void)
{
    struct err err = {0};

    assert_int_equal(netns_unpin(loop, netns_dir, NULL, on_done, NULL, &err), 0);
    wait_for_it();
    assert_int_equal(got.grpc, 0);
}

static int teardown(void **state)
{
    cleanup_free char *rm = mem_printf("rm -rf %s", base);

    (void)state;
    unpin();
    cni_free(cni);
    cni = NULL;
    assert_int_equal(child_count(), 0);
    return lines_of(rm);
}

/* ---- the real plugins ---------------------------------------------------------------------------------------------- */

static void put_bridge_list(void)
{
    cleanup_free char *text =
        mem_printf("{\"cniVersion\":\"1.0.0\",\"name\":\"cnitest\",\"plugins\":[{\"type\":\"bridge\","
                   "\"bridge\":\"cnitest0\",\"isGateway\":true,"
                   "\"ipMasq\":true,\"hairpinMode\":true,\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"%s/"
                   "ipam\",\"ranges\":[[{\"subnet\":"
                   "\"10.99.7.0/24\"}],[{\"subnet\":\"fd00:99:7::/64\"}]],\"routes\":[{\"dst\":\"0.0.0.0/"
                   "0\"},{\"dst\":\"::/0\"}]}},"
                   "{\"type\":\"portmap\",\"snat\":true,\"capabilities\":{\"portMappings\":true}},"
                   "{\"type\":\"bandwidth\",\"capabilities\":{\"bandwidth\":true}}]}",
                   base);
    put(conf_dir, "10-bridge.conflist", 0644, text);
}

static void a_dual_stack_pod(void **state)
{
    const struct cni_port_mapping ports[] = {{"TCP", 80, 18080, ""}, {"UDP", 53, 18053, ""}};
    struct kv_list notes = {0};

    (void)state;
    put_bridge_list();
    kv_set(&notes, "kubernetes.io/ingress-bandwidth", "10M");
    kv_set(&notes, "kubernetes.io/egress-bandwidth", "1Gi");
    pod.ports = ports;
    pod.ports_n = countof(ports);
    pod.annotations = &notes;
    add_ok();
    del_ok(); /* what stays for good after the first: the bridge, portmap's own chains */
    struct count clean = count();
    assert_int_equal(clean.cached + clean.leases + clean.children, 0);

    add_ok();
    assert_string_equal(addresses, "10.99.7.3,fd00:99:7::3");
    struct count up = count();
    assert_int_equal(up.cached, 1);
    assert_int_equal(up.leases, 2);
    assert_int_equal(up.links,
                     clean.links +
                         2); /* the host's end of the veth, and the ifb that bandwidth shapes egress with */
    assert_int_equal(lines_of("iptables-save | grep -e '--dport 18080 -j DNAT --to-destination 10.99.7.3:80'"),
                     1);
    assert_int_equal(
        lines_of("iptables-save | grep -e '-p udp.*--dport 18053 -j DNAT --to-destination 10.99.7.3:53'"), 1);
    del_ok();
    same(clean, count());
    del_ok(); /* again: nothing cached */
    assert_int_equal(lines_of("ip link del cnitest0 && echo done"), 1);
    kv_done(&notes);
}

static void the_built_in_network_works(void **state)
{
    char bridge[CNI_BRIDGE_SIZE], command[64];
    struct err err = {0};

    (void)state;
    renew("10.99.8.0/24");
    assert_string_equal(cni_network(cni, &err)->file, "built-in");
    add_ok();
    assert_string_equal(addresses, "10.99.8.2");
    assert_int_equal(count().leases, 1);
    cni_bridge_name(base, bridge);
    snprintf(command, sizeof(command), "ip link show %s | grep cricket", bridge);
    assert_int_equal(lines_of(command), 1);
    renew("10.99.9.0/24"); /* a restart with another configuration: DEL goes by the cache */
    del_ok();
    assert_int_equal(count().leases + count().cached, 0);
    snprintf(command, sizeof(command), "ip link del %s && echo done", bridge);
    assert_int_equal(lines_of(command), 1);
}

static void a_refusal_of_a_real_plugin(void **state)
{
    (void)state;
    put(conf_dir, "10.conflist", 0644,
        "{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[{\"type\":\"bridge\",\"bridge\":\"cnitest0\","
        "\"ipam\":{\"type\":"
        "\"host-local\",\"dataDir\":\"/proc/no\",\"ranges\":[[{\"subnet\":\"10.99.1.0/24\"}]]}}]}");
    add_start_ok();
    wait_for_it();
    assert_non_null(strstr(got.msg, "CNI plugin bridge: "));
    assert_non_null(strstr(got.msg, "/proc/no"));
    assert_int_equal(lines_of("ip link del cnitest0 && echo done"), 1);
}

/* ---- fakes --------------------------------------------------------------------------------------------------------- */

static void what_a_plugin_is_told(void **state)
{
    (void)state;
    fake("a", ok_100);
    fake("b", ok_100);
    fake("c", "[ $V = ADD ] && cat >/dev/null; [ $V = ADD ] && echo "
              "'{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.1.1.1/8\"}]}'; exit 0");
    list_of("1.0.0", "a", "b", "c");
    add_ok();
    assert_string_equal(addresses, "10.1.1.1"); /* the last one's result is the network's */
    expect_log("a ADD,b ADD,c ADD,");
    cleanup_free char *a = slurp("stdin-a-ADD"), *b = slurp("stdin-b-ADD"), *env = slurp("env");
    assert_string_equal(a, "{\"type\":\"a\",\"name\":\"fakes\",\"cniVersion\":\"1.0.0\"}");
    assert_non_null(strstr(b, "\"prevResult\":{\"cniVersion\":\"1.0.0\",\"interfaces\""));
    cleanup_free char *want =
        mem_printf("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=%s;"
                   "K8S_POD_UID=u-1 %s:/usr/lib/cni\n",
                   id, fake_dir);
    assert_string_equal(env, want);

    list_of("1.0.0", "c", "c", "c"); /* a changed directory changes nothing for what is there */
    del_ok();
    expect_log("c DEL,b DEL,a DEL,");
    cleanup_free char *c = slurp("stdin-a-DEL");
    assert_non_null(
        strstr(c, "\"prevResult\":{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.1.1.1/8\"}]}"));
    same(before, count());
}

static void results_of_old_versions(void **state)
{
    static const struct {
        const char *version, *result, *addresses;
    } cases[] = {
        {"0.2.0", "\"ip4\":{\"ip\":\"10.2.0.2/8\"}", "10.2.0.2"},
        {"0.4.0", "\"ips\":[{\"version\":\"4\",\"address\":\"10.4.0.4/8\"}]", "10.4.0.4"},
        {"1.0.0", "\"ips\":[{\"address\":\"fd00::1/64\"},{\"address\":\"10.1.0.0/8\"}]", "fd00::1,10.1.0.0"},
        {"1.1.0", "\"ips\":[{\"address\":\"10.1.1.0/8\"}],\"routes\":[{\"dst\":\"0.0.0.0/0\",\"mtu\":1400}]",
         "10.1.1.0"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        cleanup_free char *does = mem_printf("[ $V = ADD ] && echo '{\"cniVersion\":\"%s\",%s}'; exit 0",
                                             cases[i].version, cases[i].result);
        fake("a", does);
        list_of(cases[i].version, "a", "a", "a");
        add_ok();
        assert_string_equal(addresses, cases[i].addresses);
        del_ok();
        expect_log("a ADD,a ADD,a ADD,a DEL,a DEL,a DEL,");
        same(before, count());
    }
}

static void failures_of_add(void **state)
{
    static const struct {
        const char *does;
        int grpc;
        const char *says;
    } cases[] = {
        {"[ $V = DEL ] && exit 0; echo '{\"code\":7,\"msg\":\"no way\",\"details\":\"at all\"}'; exit 1",
         GRPC_FAILED_PRECONDITION, "CNI plugin b: no way; at all (code 7)"},
        {"[ $V = DEL ] && exit 0; echo 'log' >&2; echo 'why' >&2; exit 3", GRPC_INTERNAL,
         "CNI plugin b: exit status 3: why"},
        {"[ $V = DEL ] && exit 0; echo 'panic: oh'; echo more; exit 2", GRPC_INTERNAL,
         "CNI plugin b: panic: oh"},
        {"[ $V = DEL ] && exit 0; kill -SEGV $$", GRPC_INTERNAL, "killed by signal 11"},
        {"[ $V = DEL ] && exit 0; echo garbage", GRPC_INTERNAL, "printed what is not JSON: \"garbage\""},
        {"exit 0", GRPC_INTERNAL, "CNI plugin b: printed no result"},
        {"[ $V = DEL ] && exit 0; head -c 2097152 /dev/zero | tr '\\0' ' '; echo '{}'", GRPC_INTERNAL,
         "printed more than 1048576"},
        {"[ $V = DEL ] && exit 0; echo '{\"ips\":[{\"address\":\"10.0.0.1\"}]}'", GRPC_INTERNAL,
         "address \"10.0.0.1\""},
    };
    (void)state;
    fake("a", ok_100);
    fake("c", ok_100);
    for (size_t i = 0; i < countof(cases); i++) {
        fake("b", cases[i].does);
        list_of("1.0.0", "a", "b", "c");
        add_fails(cases[i].grpc, cases[i].says);
        expect_log("a ADD,b ADD,c DEL,b DEL,a DEL,");
        same(before, count());
    }
}

static void a_plugin_that_hangs(void **state)
{
    (void)state;
    fake("a", ok_100);
    /* with a grandchild: the whole group goes */
    fake("b", "[ $V = DEL ] && exit 0; sleep 98765 & sleep 98765");
    list_of("1.0.0", "a", "b", "a");
    cni->plugin_timeout_ms = 700;
    add_fails(GRPC_DEADLINE_EXCEEDED, "CNI plugin b: not done after 700 ms");
    expect_log("a ADD,b ADD,a DEL,b DEL,a DEL,");
    same(before, count());

    cni->plugin_timeout_ms = PLUGIN_TIMEOUT_MS;
    pod.timeout_ms = 900; /* of the whole; the clean-up has its own */
    add_fails(GRPC_DEADLINE_EXCEEDED, "CNI plugin b: not done");
    expect_log("a ADD,b ADD,a DEL,b DEL,a DEL,");
    same(before, count());
}

static bool b_runs;
static struct cni_op *to_cancel;
static struct timer poll_timer;

static void cancel_when_b_runs(void *data)
{
    cleanup_free char *path = mem_printf("%s/stdin-b-ADD", base);

    (void)data;
    b_runs = access(path, F_OK) == 0;
    if (b_runs)
        cni_cancel(to_cancel);
    else
        timer_start(&poll_timer, loop, .002, cancel_when_b_runs, NULL);
}

static void cancelled(void **state)
{
    (void)state;
    fake("a", ok_100);
    fake("b", "[ $V = DEL ] && exit 0; sleep 98765");
    list_of("1.0.0", "a", "b", "a");
    to_cancel = add_start_ok();
    timer_start(&poll_timer, loop, .002, cancel_when_b_runs, NULL);
    wait_for_it();
    assert_true(b_runs);
    failed_with(GRPC_CANCELLED, "CNI plugin b: cancelled");
    same(before, count());

    to_cancel = add_start_ok(); /* at once, in the first plugin */
    cni_cancel(to_cancel);
    wait_for_it();
    failed_with(GRPC_CANCELLED, "CNI plugin a: cancelled");
    same(before, count());
}

static void a_failed_del_is_tried_again(void **state)
{
    (void)state;
    fake("a", ok_100);
    fake("b", "[ $V = DEL ] && { echo '{\"code\":11,\"msg\":\"later\"}'; exit 1; }\necho '{}'");
    fake("c", "[ $V = DEL ] && exit 5\necho '{}'");
    list_of("1.0.0", "a", "b", "c");
    add_ok();
    expect_log("a ADD,b ADD,c ADD,");
    del();
    failed_with(GRPC_INTERNAL, "CNI plugin c: exit status 5"); /* the first; all were tried */
    expect_log("c DEL,b DEL,a DEL,");
    assert_int_equal(count().cached, 1);

    fake("c", "exit 0");
    del();
    failed_with(GRPC_UNAVAILABLE, "CNI plugin b: later");
    assert_int_equal(count().cached, 1);
    fake("b", "exit 0");
    expect_log("c DEL,b DEL,a DEL,");
    unpin(); /* and meanwhile the namespace is gone */
    del_ok();
    cleanup_free char *log = slurp("log");
    assert_string_equal(log, "c DEL eth0 none\nb DEL eth0 none\na DEL eth0 none\n");
    same(before, count());
}

/* A daemon that was killed in the middle of an ADD finds what it needs for DEL. */
static void after_a_crash(void **state)
{
    struct cni_cached made;
    struct err err = {0};

    (void)state;
    fake("a", ok_100);
    list_of("1.0.0", "a", "a", "a");
    add_start_ok();
    assert_int_equal(count().cached, 1); /* before the first plugin has run */
    assert_int_equal(cni_cache_load(cache_dir, id, "eth0", &made, &err), 0);
    assert_null(made.result);
    assert_int_equal(made.conf->plugins_n, 3);
    cni_cached_done(&made);
    wait_for_it();
    assert_int_equal(cni_cache_load(cache_dir, id, "eth0", &made, &err), 0);
    assert_non_null(made.result);
    cni_cached_done(&made);

    /* a torn file: the network of now is used, rather than leaving the pod for ever */
    cleanup_free char *name = mem_printf("%s-eth0.json", id);
    put(cache_dir, name, 0600, "{\"cricket\":");
    expect_log("a ADD,a ADD,a ADD,");
    del_ok();
    expect_log("a DEL,a DEL,a DEL,");
    same(before, count());
}

static int old_plugin = -1;
static bool del_ran_beside_it;

static void end_the_old_plugin(void *data)
{
    cleanup_free char *log = slurp("log");

    (void)data;
    del_ran_beside_it = log && strstr(log, "DEL");
    close(old_plugin); /* its last descriptor, as its exit would */
}

static void a_plugin_of_a_killed_daemon(void **state)
{
    struct timer t = {0};
    struct err err = {0};

    (void)state;
    fake("a", ok_100);
    list_of("1.0.0", "a", "a", "a");
    add_ok();
    expect_log("a ADD,a ADD,a ADD,");
    put(cache_dir, "half.json.tmp", 0600, "{");
    cni_cache_tidy(cache_dir);
    assert_int_equal(entries(cache_dir, ".tmp"), 0);
    assert_int_equal(entries(cache_dir, ".json"), 1);
    assert_false(cni_cache_plugin_runs(cache_dir, id, "eth0"));
    assert_int_equal(cni_cache_stdin(cache_dir, id, "eth0", "{}", &old_plugin, &err), 0);
    assert_true(cni_cache_plugin_runs(cache_dir, id, "eth0"));
    timer_start(&t, loop, 0.1, end_the_old_plugin, NULL);
    del_ok(); /* waits for it */
    assert_false(timer_active(&t));
    assert_false(del_ran_beside_it);
    expect_log("a DEL,a DEL,a DEL,");
    same(before, count());
}

static void refused_before_anything_runs(void **state)
{
    const struct cni_port_mapping bad_port = {"tcp", 0, 80, ""};

    (void)state;
    add_refused(GRPC_FAILED_PRECONDITION, "no CNI configuration: put a *.conflist into");
    fake("a", ok_100);
    list_of("1.0.0", "a", "gone", "a");
    add_refused(GRPC_FAILED_PRECONDITION, "CNI plugin gone ");
    failed_with(GRPC_FAILED_PRECONDITION, "/usr/lib/cni: install it (Debian: containernetworking-plugins)");
    list_of("1.0.0", "a", "a", "a");
    pod.pod_name = "x;K8S_POD_NAME=y";
    add_refused(GRPC_INVALID_ARGUMENT, "K8S_POD_NAME");
    pod.pod_name = "web";
    pod.ports = &bad_port;
    pod.ports_n = 1;
    add_refused(GRPC_INVALID_ARGUMENT, "container port 0");
    pod.ports_n = 0;
    pod.container_id = "../../etc/x";
    add_refused(GRPC_INVALID_ARGUMENT, "container id");
    pod.container_id = id;
    expect_log("");
    same(before, count());
}

/* ---- the directory ------------------------------------------------------------------------------------------------- */

static const char *network(void)
{
    static char name[64];
    struct err err = {0};
    const struct cni_conf *c = cni_network(cni, &err);

    snprintf(name, sizeof(name), "%.63s", c ? c->name : "");
    if (!c)
        got = err;
    return name;
}

static void one(const char *file, const char *name)
{
    cleanup_free char *text = mem_printf("{\"name\":\"%s\",\"type\":\"a\"}", name);
    put(conf_dir, file, 0644, text);
}

static void gone(const char *file)
{
    cleanup_free char *path = mem_printf("%s/%s", conf_dir, file);
    assert_int_equal(unlink(path), 0);
}

static void the_directory(void **state)
{
    struct err err = {0};

    (void)state;
    fake("a", ok_100);
    assert_string_equal(network(), "");
    failed_with(GRPC_FAILED_PRECONDITION, conf_dir);
    one("20-b.conf", "b");
    assert_string_equal(network(), "b");
    const struct cni_conf *same_one = cni_network(cni, &err);
    assert_ptr_equal(cni_network(cni, &err), same_one); /* not read again */
    one("10-a.json", "a");
    assert_string_equal(network(), "a");
    one("05.conflist.bak", "no");
    assert_string_equal(network(), "a");
    put(conf_dir, "00.conflist", 0644, "{\"name\":"); /* broken: the next one serves */
    assert_string_equal(network(), "a");
    one("00.conflist", "repaired"); /* in place */
    assert_string_equal(network(), "repaired");
    gone("00.conflist");
    gone("10-a.json");
    assert_string_equal(network(), "b");
    put(conf_dir, "20-b.conf", 0644, "{\"name\":\"b\",\"plugins\":7}");
    assert_string_equal(network(), "");
    failed_with(GRPC_FAILED_PRECONDITION, "20-b.conf: plugins is not an array");

    renew("10.99.8.0/24"); /* a broken file is not an empty directory */
    assert_string_equal(network(), "");
    gone("20-b.conf");
    assert_string_equal(network(), "cricket");
    gone("05.conflist.bak");
    assert_int_equal(rmdir(conf_dir), 0);
    assert_string_equal(network(), "cricket");
    assert_int_equal(mkdir(conf_dir, 0755), 0);
    one("1.conf", "back");
    assert_string_equal(network(), "back");
}

/* ---- side by side --------------------------------------------------------------------------------------------------- */

enum { PODS = 4 };
static int waiting;
static char pod_ips[PODS][256];

static void count_down(const struct err *err)
{
    if (err)
        fail_msg("%s", err->msg);
    if (--waiting == 0)
        loop_stop(loop);
}

static void on_pinned_one(void *data, const struct err *err)
{
    (void)data;
    count_down(err);
}

static void on_added_one(void *data, const struct cni_result *r, const struct err *err)
{
    const struct cni_ip *ip;

    if (r && cni_result_pod_ips(r, &ip, 1) == 1)
        snprintf(data, sizeof(pod_ips[0]), "%s", ip->address);
    count_down(err);
}

static void reset_turns(void *data)
{
    (void)data;
    loop_turns_reset(loop);
}

static void several_pods_at_once(void **state)
{
    char *ids[PODS], *dirs[PODS], *pins[PODS];
    struct cni_attach pods[PODS];
    struct err err = {0};

    (void)state;
    renew("10.99.8.0/24");
    add_ok(), del_ok();
    struct count clean = count();
    for (int i = 0; i < PODS; i++) {
        ids[i] = mem_printf("%d%s", i, id + 1);
        dirs[i] = mem_printf("%s%d", netns_dir, i);
        pins[i] = mem_printf("%s/net", dirs[i]);
        pods[i] = pod;
        pods[i].container_id = ids[i];
        pods[i].netns = pins[i];
        assert_int_equal(
            netns_pin(loop, &(struct netns_spec){.dir = dirs[i], .net = true}, on_pinned_one, NULL, &err), 0);
    }
    waiting = PODS;
    loop_run(loop);
    for (int i = 0; i < PODS; i++)
        assert_int_equal(cni_add(cni, &pods[i], on_added_one, pod_ips[i], NULL, &err), 0);
    waiting = PODS;
    loop_defer(loop, reset_turns, NULL); /* the time before loop_run() is this test's */
    loop_run(loop);
    print_message("# longest loop turn of %d ADD at once: %llu us\n", PODS,
                  (unsigned long long)loop_turns(loop).longest_us);
    assert_int_equal(count().leases, PODS);
    for (int i = 0; i < PODS; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(pod_ips[i], pod_ips[k]);
    for (int i = 0; i < PODS; i++)
        assert_int_equal(cni_del(cni, &pods[i], on_pinned_one, NULL, &err), 0);
    waiting = PODS;
    loop_run(loop);
    same(clean, count());
    for (int i = 0; i < PODS; i++)
        assert_int_equal(netns_unpin(loop, dirs[i], NULL, on_pinned_one, NULL, &err), 0);
    waiting = PODS;
    loop_run(loop);
    for (int i = 0; i < PODS; i++) {
        free(ids[i]);
        free(dirs[i]);
        free(pins[i]);
    }
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

static void times(void **state)
{
    int64_t add_us[7], del_us[7];

    (void)state;
    renew("10.99.8.0/24");
    add_ok(), del_ok();
    for (size_t i = 0; i < countof(add_us); i++) {
        int64_t t0 = time_monotonic_us();
        add_ok();
        int64_t t1 = time_monotonic_us();
        del_ok();
        del_us[i] = time_monotonic_us() - t1;
        add_us[i] = t1 - t0;
    }
    qsort(add_us, countof(add_us), sizeof(*add_us), compare);
    qsort(del_us, countof(del_us), sizeof(*del_us), compare);
    print_message("# p50, built-in network: ADD %.1f ms, DEL %.1f ms\n", add_us[3] / 1e3, del_us[3] / 1e3);
    assert_true(add_us[3] < 10000000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What cni_plugin_is_idle() says of it: such a call prints what it was given, and its DEL starts nothing and says nothing. */
static void portmap_without_ports_is_the_identity(void **state)
{
    static const char prev[] =
        "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":\"/x\"}],"
        "\"ips\":[{\"interface\":0,\"address\":\"10.1.2.3/16\",\"gateway\":\"10.1.0.1\"}],"
        "\"routes\":[{\"dst\":\"0.0.0.0/0\"}],\"dns\":{}}";
    char out[4096];

    (void)state;
    for (int del = 0; del < 2; del++) {
        cleanup_free char *command = mem_printf(
            "echo '{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"type\":\"portmap\",\"prevResult\":%s}' | "
            "CNI_COMMAND=%s "
            "CNI_CONTAINERID=a CNI_NETNS=/x CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni PATH=/none "
            "/usr/lib/cni/portmap",
            prev, del ? "DEL" : "ADD"); /* without a PATH it would find no iptables */
        FILE *f = popen(command, "r");
        assert_non_null(f);
        size_t n = fread(out, 1, sizeof(out) - 1, f);
        assert_int_equal(pclose(f), 0);
        out[n] = '\0';
        json_t *printed = json_loads(out, 0, NULL), *given = json_loads(prev, 0, NULL);
        if (del)
            assert_string_equal(out, "");
        else if (!json_equal(printed, given))
            fail_msg("%s is not %s", out, prev);
        json_decref(printed);
        json_decref(given);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_dual_stack_pod),
        T(the_built_in_network_works),
        T(a_refusal_of_a_real_plugin),
        T(what_a_plugin_is_told),
        T(results_of_old_versions),
        T(failures_of_add),
        T(a_plugin_that_hangs),
        T(cancelled),
        T(a_failed_del_is_tried_again),
        T(after_a_crash),
        T(a_plugin_of_a_killed_daemon),
        T(refused_before_anything_runs),
        T(the_directory),
        T(several_pods_at_once),
        T(portmap_without_ports_is_the_identity),
        T(times),
    };
    struct err err;

    if (unshare(CLONE_NEWNET) < 0 || loopback_up(&err) < 0)
        return 1;
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
