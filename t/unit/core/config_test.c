/* Files in a directory of their own below /tmp; the table, the schema and the dump hold each other. */
#include "core/config.c"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static char dir[] = "/tmp/cricket-config-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char *cleanup_free path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    return at->level ? remove(path) : 0;
}

static void clear(void)
{
    assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Loads main, then the fragments a.yaml and b.yaml; NULL: no such file. */
static int load_texts(struct config *c, const char *text, const char *a, const char *b, struct err *err)
{
    char *cleanup_free path = mem_printf("%s/config.yaml", dir),
                       *cleanup_free sub = mem_printf("%s/conf.d", dir);

    clear();
    assert_int_equal(mkdir(sub, 0700), 0);
    write_file("config.yaml", text);
    if (a)
        write_file("conf.d/a.yaml", a);
    if (b)
        write_file("conf.d/b.yaml", b);
    config_init(c);
    *err = (struct err){0};
    return config_load(c, path, err);
}

static void must_load(struct config *c, const char *text, const char *a, const char *b)
{
    struct err err;
    if (load_texts(c, text, a, b, &err) < 0)
        fail_msg("%s", err.msg);
}

static void defaults_are_valid(void **state)
{
    struct config cleanup_with(config_done) c = {0};
    struct err err = {0};

    (void)state;
    config_init(&c);
    assert_int_equal(config_check(&c, &err), 0);
    assert_string_equal(c.root, "/var/lib/cricket");
    assert_int_equal(c.handlers_n, 3);
    assert_null(c.handlers[0].root);
    assert_null(c.listen);
    size_t caps = 0;
    while (c.default_capabilities[caps])
        caps++;
    assert_int_equal(caps, 14);
    assert_int_equal(config_finish(&c, &err), 0);
    assert_string_equal(c.listen, "unix:///run/cricket/cricket.sock");
    assert_string_equal(c.handlers[1].root, "/run/cricket/runtime/runc");
    assert_non_null(c.helper_dir);
}

static void reads_every_key(void **state)
{
    struct config cleanup_with(config_done) c = {0};

    (void)state;
    must_load(
        &c,
        "root: /r\nstate: /s\nlisten: unix:///s/x.sock\nlog_level: debug\nhelper_dir: /h\ninfra: always\n"
        "sandbox_image: r.example/pause:3.9\ncgroup_driver: systemd\ndefault_handler: mine\n"
        "handlers:\n- name: mine\n  path: /opt/mine\n  root: /s/mine\n  cni_conf_dir: /c\n"
        "  privileged_without_host_devices: true\n- name: runc\n  path: /opt/runc\n"
        "cni:\n  conf_dir: /c\n  bin_dirs: [/b, /d]\n  default_bridge: false\n  default_subnet: fd00::/64\n"
        "registries_file: /etc/r.yaml\npull: {max_parallel_layers: 5, idle_timeout_s: 60}\n"
        "containers:\n  default_capabilities: [CAP_KILL]\n  unset_seccomp_profile: runtime/default\n"
        "  enable_unprivileged_ports: false\n  enable_unprivileged_icmp: false\n  exec: runtime\n  pids_limit: "
        "4096\n",
        NULL, NULL);
    assert_string_equal(c.root, "/r");
    assert_string_equal(c.state, "/s");
    assert_string_equal(c.listen, "unix:///s/x.sock");
    assert_string_equal(c.log_level, "debug");
    assert_string_equal(c.helper_dir, "/h");
    assert_int_equal(c.infra, INFRA_ALWAYS);
    assert_string_equal(c.sandbox_image, "r.example/pause:3.9");
    assert_int_equal(c.cgroup_driver, CGROUP_DRIVER_SYSTEMD);
    assert_string_equal(c.default_handler, "mine");
    assert_true(c.default_handler_set);
    assert_int_equal(c.handlers_n, 4);
    assert_string_equal(c.handlers[1].path, "/opt/runc");
    assert_string_equal(c.handlers[3].name, "mine");
    assert_string_equal(c.handlers[3].path, "/opt/mine");
    assert_string_equal(c.handlers[3].root, "/s/mine");
    assert_string_equal(c.handlers[3].cni_conf_dir, "/c");
    assert_true(c.handlers[3].privileged_without_host_devices);
    assert_string_equal(c.cni_conf_dir, "/c");
    assert_string_equal(c.cni_bin_dirs[1], "/d");
    assert_null(c.cni_bin_dirs[2]);
    assert_false(c.cni_default_bridge);
    assert_string_equal(c.cni_default_subnet, "fd00::/64");
    assert_string_equal(c.registries_file, "/etc/r.yaml");
    assert_int_equal(c.max_parallel_layers, 5);
    assert_int_equal(c.pull_idle_timeout_s, 60);
    assert_string_equal(c.default_capabilities[0], "CAP_KILL");
    assert_null(c.default_capabilities[1]);
    assert_string_equal(c.unset_seccomp_profile, "runtime/default");
    assert_false(c.enable_unprivileged_ports);
    assert_false(c.enable_unprivileged_icmp);
    assert_int_equal(c.exec, EXEC_RUNTIME);
    assert_int_equal(c.pids_limit, 4096);
}

static void later_files_win_key_by_key(void **state)
{
    struct config cleanup_with(config_done) c = {0};

    (void)state;
    must_load(&c,
              "root: /r1\nsandbox_image: x\ncni: {conf_dir: /c1, bin_dirs: [/b1]}\nhandlers: [{name: m, root: "
              "/m1}]\n",
              "root: /r2\ncni: {bin_dirs: []}\nsandbox_image: \"\"\nhandlers: [{name: m, path: /m2}]\n",
              "# nothing but words\n");
    assert_string_equal(c.root, "/r2");
    assert_string_equal(c.sandbox_image, "");
    assert_string_equal(c.cni_conf_dir, "/c1");
    assert_null(c.cni_bin_dirs[0]);
    assert_string_equal(c.handlers[3].root, "/m1");
    assert_string_equal(c.handlers[3].path, "/m2");
    assert_string_equal(c.handlers[0].path, "crun");
    assert_string_equal(c.state, "/run/cricket");
    assert_false(c.default_handler_set);
}

static void only_yaml_fragments_count(void **state)
{
    struct config cleanup_with(config_done) c = {0};

    (void)state;
    must_load(&c, "", NULL, NULL);
    write_file("conf.d/.hidden.yaml", "root: /no\n");
    write_file("conf.d/x.yaml~", "root: /no\n");
    write_file("conf.d/z.yaml", "root: /z\n");
    write_file("conf.d/B.yaml", "root: /B\n");
    char *cleanup_free path = mem_printf("%s/config.yaml", dir);
    struct err err;
    assert_int_equal(config_load(&c, path, &err), 0);
    assert_string_equal(c.root, "/z");
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *says; /* behind "config.yaml:" */
    } rows[] = {
        {"rot: /a\n", "1: unknown key \"rot\"; known are root, state, listen"},
        {"root: /a\n\ncni:\n  conf_dir: /x\n  # words\n  bad: 1\n",
         "6: cni: unknown key \"bad\"; known are conf_dir, bin_dirs, default_bridge, default_subnet"},
        {"handlers:\n- name: a\n- name: b\n  nme: x\n",
         "4: handlers[2]: unknown key \"nme\"; known are name, path, root"},
        {"root: [a]\n", "1: root is a list; it must be an absolute path"},
        {"cni: x\n", "1: cni is \"x\"; it must be a mapping"},
        {"cni:\n", "1: cni is \"\"; it must be a mapping of keys, or absent"},
        {"\ncni:\n  bin_dirs: /x\n", "3: cni.bin_dirs is \"/x\"; it must be a list of absolute paths"},
        {"cni:\n  bin_dirs:\n  - /x\n  - [y]\n", "4: cni.bin_dirs[2] is a list; it must be a list of absolute"},
        {"\ninfra: never\n", "2: infra is \"never\"; it must be auto or always"},
        {"cni:\n  default_bridge: maybe\n", "2: cni.default_bridge is \"maybe\"; it must be true or false"},
        {"handlers:\n- foo\n", "2: handlers[1] is \"foo\"; it must be a list of mappings"},
        {"handlers:\n- {name: a, privileged_without_host_devices: 1}\n",
         "2: handlers[1].privileged_without_host_devices is \"1\"; it must be true or false"},
        {"handlers:\n- {path: a}\n", "2: handlers[1].name: nothing is not valid"},
        {"handlers:\n- name: A\n", "2: handlers[1].name: \"A\" is not valid; it must be a handler's name"},
        {"handlers:\n- name: a\n  path: b/c\n", "3: handlers[1].path: \"b/c\" is not valid"},
        {"handlers:\n- name: a\n  root: b\n", "3: handlers[1].root: \"b\" is not valid"},
        {"handlers:\n- name: a\n- name: a\n",
         "3: handlers[2].name: \"a\" is not valid; it must be another one"},
        {"root: a\n", "1: root: \"a\" is not valid; it must be an absolute path"},
        {"root:\n", "1: root: \"\" is not valid"},
        {"root: /a/../b\n", "1: root: \"/a/../b\" is not valid"},
        {"listen: tcp://1\n", "1: listen: \"tcp://1\" is not valid; it must be unix://"},
        {"log_level: loud\n", "1: log_level: \"loud\" is not valid; it must be error, warn, info or debug"},
        {"sandbox_image: Up\n", "1: sandbox_image: \"Up\" is not valid"},
        {"\n\npull:\n  max_parallel_layers: 1.5\n",
         "4: pull.max_parallel_layers: \"1.5\" is not valid; it must be a whole number from 1 to 32"},
        {"pull: {max_parallel_layers: 0}\n", "1: pull.max_parallel_layers: \"0\""},
        {"pull: {max_parallel_layers: 33}\n", "1: pull.max_parallel_layers: \"33\""},
        {"pull: {max_parallel_layers: 0x3}\n", "1: pull.max_parallel_layers: \"0x3\""},
        {"pull: {max_parallel_layers: 010}\n", "1: pull.max_parallel_layers: \"010\""},
        {"containers: {exec: maybe}\n", "1: containers.exec is \"maybe\"; it must be auto or runtime"},
        {"containers: {pids_limit: 0}\n", "1: containers.pids_limit: \"0\""},
        {"containers: {pids_limit: 99999999999999999999}\n", "1: containers.pids_limit: \"9999"},
        {"cni: {default_subnet: 10.85.0.1/16}\n",
         "1: cni.default_subnet: \"10.85.0.1/16\" is not valid; it must be a subnet"},
        {"cni: {default_subnet: 10.85.0.0}\n", "1: cni.default_subnet"},
        {"cni: {default_subnet: 10.85.0.0/31}\n", "1: cni.default_subnet"},
        {"cni: {default_subnet: 10.85.0.0/}\n", "1: cni.default_subnet"},
        {"cni: {default_subnet: 10.85.0.0/+9}\n", "1: cni.default_subnet"},
        {"cni: {default_subnet: 'fd00::1/64'}\n", "1: cni.default_subnet"},
        {"containers:\n  default_capabilities: [CAP_KILL, CAP_FLY]\n",
         "2: containers.default_capabilities: \"CAP_FLY\""},
        {"containers: {unset_seccomp_profile: none}\n", "1: containers.unset_seccomp_profile: \"none\""},
        {"root: /a\nroot: /b\n", "2: key \"root\" is there twice; remove one"},
        {"root: &a /x\nstate: *a\n", "1: the anchor here is referred to by an alias"},
        {"root: /a\n---\nroot: /b\n", "3: a second document begins"},
        {"- a\n", "1: the file is a list; it must be a mapping"},
        {"x\n", "1: the file is text; it must be a mapping"},
        {"root: 'a\n", "2: not valid YAML: found unexpected end of stream"},
        {"a: b: c\n", "1: not valid YAML"},
        {"root: \"/a\\0b\"\n", "1: text with a NUL"},
        {"? [a]\n: b\n", "1: a key that is a list"},
        {"a: [[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]\n", "1: nests deeper than 16"},
        {"\xff\n", " not valid YAML"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct config cleanup_with(config_done) c = {0};
        char *cleanup_free says = mem_printf("%s/config.yaml:%s", dir, rows[i].says);
        struct err err;
        if (load_texts(&c, rows[i].text, NULL, NULL, &err) == 0)
            fail_msg("%s is taken", rows[i].text);
        if (err.grpc != GRPC_INVALID_ARGUMENT || strncmp(err.msg, says, strlen(says)) != 0)
            fail_msg("%s\n  says \"%s\"\n  not  \"%s\"", rows[i].text, err.msg, says);
    }
}

static void refuses_the_whole(void **state)
{
    struct config cleanup_with(config_done) c = {0}, cleanup_with(config_done) d = {0},
                                            cleanup_with(config_done) e = {0};
    struct err err;

    (void)state;
    assert_true(load_texts(&c, "default_handler: kata\n", NULL, NULL, &err) < 0);
    assert_string_equal(
        err.msg,
        "default_handler: \"kata\" is no handler; known are \"crun, runc, runsc\"; add it to handlers");
    assert_true(load_texts(&d, "root: /same\nstate: /same\n", NULL, NULL, &err) < 0);
    assert_non_null(strstr(err.msg, "they must differ"));
    config_init(&e);
    free(e.state); /* as a command line would */
    e.state = mem_strdup("relative");
    assert_true(config_finish(&e, &err) < 0);
    assert_non_null(strstr(err.msg, "state: \"relative\" is not valid"));
}

static void files_that_cannot_be_read(void **state)
{
    char *cleanup_free path = mem_printf("%s/config.yaml", dir);
    char *cleanup_free big = mem_alloc(CONFIG_FILE_MAX + 2);
    struct config cleanup_with(config_done) c = {0};
    struct err err = {0};

    (void)state;
    clear();
    config_init(&c);
    assert_int_equal(config_load(&c, path, &err), -ENOENT);
    assert_int_equal(err.grpc, GRPC_NOT_FOUND);
    assert_non_null(strstr(err.msg, path));
    assert_true(config_load(&c, dir, &err) < 0);
    assert_non_null(strstr(err.msg, "not a regular file"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(config_load(&c, path, &err) < 0); /* and does not wait for a writer */
    assert_non_null(strstr(err.msg, "not a regular file"));
    assert_int_equal(unlink(path), 0);
    memset(big, '#', CONFIG_FILE_MAX + 1);
    write_file("config.yaml", big);
    assert_true(config_load(&c, path, &err) < 0);
    assert_non_null(strstr(err.msg, "larger than 1048576"));
}

static void round_trip(const char *text)
{
    struct config cleanup_with(config_done) c = {0}, cleanup_with(config_done) again = {0};

    must_load(&c, text, NULL, NULL);
    char *cleanup_free dump = config_dump(&c);
    must_load(&again, dump, NULL, NULL);
    char *cleanup_free second = config_dump(&again);
    assert_string_equal(dump, second);
    assert_int_equal(c.default_handler_set, again.default_handler_set);
    assert_int_equal(c.handlers_n, again.handlers_n);
    assert_int_equal(!c.listen, !again.listen);
}

static void dump_loads_back(void **state)
{
    struct config cleanup_with(config_done) c = {0}, cleanup_with(config_done) again = {0};
    struct err err;

    (void)state;
    round_trip("");
    round_trip("default_handler: runc\n");
    /* what YAML refuses or folds when it is not escaped */
    round_trip("root: \"/\\x80\\u2028\\u0085\\ufeff\\uffff\\U0001f600\"\n");
    round_trip("root: \"/a b#c: \\\"\\\\\\u00fc\\x01\"\nstate: '/true'\nsandbox_image: x@sha256:"
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
    round_trip(
        "handlers:\n- {name: m, path: /m, root: /s/m, cni_conf_dir: /c, privileged_without_host_devices: "
        "true}\n"
        "cni: {bin_dirs: [], default_bridge: false}\ncontainers: {pids_limit: 7, default_capabilities: []}\n");

    must_load(&c, "root: \"/a b#c: \\\"\\\\\\u00fc\\x01\"\n", NULL, NULL);
    assert_int_equal(config_finish(&c, &err), 0); /* derived values are written, too */
    char *cleanup_free dump = config_dump(&c);
    must_load(&again, dump, NULL, NULL);
    assert_string_equal(again.root, "/a b#c: \"\\\xc3\xbc\x01");
    assert_string_equal(again.listen, c.listen);
    assert_string_equal(again.handlers[2].root, "/run/cricket/runtime/runsc");
}

static void streaming_is_not_open_by_mistake(void **state)
{
    static const struct {
        const char *text, *says; /* NULL: valid */
    } rows[] = {
        {"streaming: {address: 0.0.0.0}\n", "streaming.address 0.0.0.0 is not a loopback address"},
        {"streaming: {address: '::'}\n", "streaming.allow_plain_remote: true"},
        {"streaming: {address: 10.0.0.1, allow_plain_remote: true}\n", NULL},
        {"streaming: {address: '::1'}\n", NULL},
        {"streaming: {address: 127.0.0.2, port: 10010}\n", NULL},
        {"streaming: {address: localhost}\n", "it must be an IP address"},
        {"streaming: {address: 0.0.0.0, tls_cert: /a.crt, tls_key: /a.key}\n", NULL},
        {"streaming: {tls_cert: /a.crt}\n", "streaming.tls_cert is set and streaming.tls_key is not"},
        {"streaming: {tls_key: /a.key}\n", "streaming.tls_key is set and streaming.tls_cert is not"},
        {"streaming: {tls_client_ca: /ca.crt}\n", "without TLS"},
        {"streaming: {tls_cert: a.crt}\n", "an absolute path"},
        {"streaming: {port: 65536}\n", "0 to 65535"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct config c;
        struct err err;
        int r = load_texts(&c, rows[i].text, NULL, NULL, &err);
        if ((r < 0) != (rows[i].says != NULL) || (rows[i].says && !strstr(err.msg, rows[i].says)))
            fail_msg("%s gives %d, %s", rows[i].text, r, err.msg);
        config_done(&c);
    }
}

static void every_row_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_keys_n; i++) {
        const struct config_key *k = &config_keys[i];
        assert_non_null(k->must_be);
        assert_non_null(k->comment);
        assert_ptr_equal(config_key_find(k->section, k->name), k);
        for (size_t n = i + 1; n < config_keys_n; n++)
            assert_int_not_equal(config_keys[n].offset, k->offset);
    }
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    clear();
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_valid),
        cmocka_unit_test(reads_every_key),
        cmocka_unit_test(later_files_win_key_by_key),
        cmocka_unit_test(only_yaml_fragments_count),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_the_whole),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(dump_loads_back),
        cmocka_unit_test(streaming_is_not_open_by_mistake),
        cmocka_unit_test(every_row_is_complete),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
