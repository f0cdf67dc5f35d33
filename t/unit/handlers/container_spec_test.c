/* From a CRI ContainerConfig to config.json: what is chosen, what is merged, what is refused. */
#include "handlers/container_spec.c"

#include "handlers/images.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

struct cni *daemon_cni(const struct daemon *daemon, const char *handler);
static struct daemon d;
static struct pod *pod;
static struct container *c;
static Runtime__V1__PodSandboxConfig pod_conf;
static Runtime__V1__PodSandboxMetadata pod_meta;
static Runtime__V1__LinuxPodSandboxConfig pod_linux;
static Runtime__V1__LinuxSandboxSecurityContext pod_sec;
static Runtime__V1__NamespaceOption pod_ns;
static Runtime__V1__ContainerConfig conf;
static Runtime__V1__ContainerMetadata meta;
static Runtime__V1__ImageSpec image_spec;
static Runtime__V1__LinuxContainerConfig linux_conf;
static Runtime__V1__LinuxContainerSecurityContext sec;
static Runtime__V1__NamespaceOption ns;
static struct image_config image;
static struct container_inputs in;
static struct err err;
static json_t *spec;
static char *command[] = {"/bin/app"}, *none[1], *default_caps[] = {"CAP_CHOWN", NULL};

static int setup(void **state)
{
    (void)state;
    pod_conf = (Runtime__V1__PodSandboxConfig)RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
    pod_meta = (Runtime__V1__PodSandboxMetadata)RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
    pod_linux = (Runtime__V1__LinuxPodSandboxConfig)RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
    pod_sec = (Runtime__V1__LinuxSandboxSecurityContext)RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT;
    pod_ns = (Runtime__V1__NamespaceOption)RUNTIME__V1__NAMESPACE_OPTION__INIT;
    conf = (Runtime__V1__ContainerConfig)RUNTIME__V1__CONTAINER_CONFIG__INIT;
    meta = (Runtime__V1__ContainerMetadata)RUNTIME__V1__CONTAINER_METADATA__INIT;
    image_spec = (Runtime__V1__ImageSpec)RUNTIME__V1__IMAGE_SPEC__INIT;
    linux_conf = (Runtime__V1__LinuxContainerConfig)RUNTIME__V1__LINUX_CONTAINER_CONFIG__INIT;
    sec = (Runtime__V1__LinuxContainerSecurityContext)RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT;
    ns = (Runtime__V1__NamespaceOption)RUNTIME__V1__NAMESPACE_OPTION__INIT;
    pod_meta.name = "web";
    pod_meta.namespace_ = "default";
    pod_meta.uid = "u";
    pod_conf.metadata = &pod_meta;
    pod_conf.hostname = "web-0";
    pod_conf.linux = &pod_linux;
    pod_linux.security_context = &pod_sec;
    pod_sec.namespace_options = &pod_ns;
    pod_ns.pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    meta.name = "app";
    image_spec.image = "busybox";
    conf.metadata = &meta;
    conf.image = &image_spec;
    conf.linux = &linux_conf;
    linux_conf.security_context = &sec;
    sec.namespace_options = &ns;
    ns.pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    image =
        (struct image_config){.env = none, .entrypoint = none, .cmd = none, .volumes = none, .diff_ids = none};
    conf.n_command = 1;
    conf.command = command;
    in = (struct container_inputs){.config = &conf, .pod_config = &pod_conf, .image = &image};
    err = (struct err){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(spec);
    spec = NULL;
    pool_done(&in.pool);
    container_free(c);
    pod_free(pod);
    c = NULL;
    pod = NULL;
    return 0;
}

static void make(void)
{
    pod = pod_new(&d, &pod_conf, "", "crun");
    pod->state = POD_READY;
    pod->cgroup_parent = mem_strdup("/pods/x");
    c = container_new(&d, pod, &conf);
}

static int check(void)
{
    make();
    return container_spec_check(c, &in, &err);
}

static void refused(int grpc, const char *words)
{
    assert_true(check() < 0);
    assert_int_equal(err.grpc, grpc);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" says nothing of \"%s\"", err.msg, words);
}

static void build(void)
{
    char *text = NULL;

    if (check() < 0 || container_spec_build(c, &in, &text, &err) < 0)
        fail_msg("%s", err.msg);
    spec = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(spec);
}

static json_t *at(const char *path)
{
    json_t *o = spec;
    cleanup_free char *copy = mem_strdup(path);
    char *save = NULL;

    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save))
        o = json_object_get(o, part);
    return o;
}

/* The strings of an array with a space behind each. */
static const char *words(const char *path)
{
    static char text[4096];
    size_t i, n = 0;
    json_t *v;

    text[0] = '\0';
    json_array_foreach (at(path), i, v)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ", json_string_value(v));
    return text;
}

static json_t *mount_at(const char *destination)
{
    json_t *m, *found = NULL;
    size_t i;

    json_array_foreach (at("mounts"), i, m)
        if (strcmp(json_string_value(json_object_get(m, "destination")), destination) == 0) {
            assert_null(found);
            found = m;
        }
    return found;
}

static const char *source_of(const char *destination)
{
    return json_string_value(json_object_get(mount_at(destination), "source"));
}

/* "PATH", "new" or NULL for the host's. */
static const char *namespace_of(const char *type)
{
    size_t i;
    json_t *n;

    json_array_foreach (at("linux/namespaces"), i, n)
        if (strcmp(json_string_value(json_object_get(n, "type")), type) == 0) {
            const char *path = json_string_value(json_object_get(n, "path"));
            return path ? path : "new";
        }
    return NULL;
}

/* main.c has it; no pod has a network here. */
struct cni *daemon_cni(const struct daemon *daemon, const char *handler)
{
    (void)daemon;
    (void)handler;
    return NULL;
}

/* ---- command ---- */

static void command_rules(void **state)
{
    static const struct {
        const char *entrypoint, *cmd, *command, *args, *result;
    } rows[] = {
        {"E", "C", NULL, NULL, "E C "}, {"E", "C", NULL, "a", "E a "}, {"E", "C", "c", NULL, "c "},
        {"E", "C", "c", "a", "c a "},   {NULL, "C", NULL, NULL, "C "}, {"E", NULL, NULL, NULL, "E "},
        {NULL, NULL, NULL, "a", "a "},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        setup(state);
        char *e[] = {(char *)(uintptr_t)rows[i].entrypoint, NULL},
             *m[] = {(char *)(uintptr_t)rows[i].cmd, NULL};
        image.entrypoint = e;
        image.cmd = m;
        conf.n_command = rows[i].command ? 1 : 0;
        conf.command = (char **)(uintptr_t)&rows[i].command;
        conf.n_args = rows[i].args ? 1 : 0;
        conf.args = (char **)(uintptr_t)&rows[i].args;
        build();
        assert_string_equal(words("process/args"), rows[i].result);
        teardown(state);
    }
    setup(state);
    conf.n_command = 0;
    refused(GRPC_INVALID_ARGUMENT, "busybox");
}

/* The image may be freed between the check and the build. */
static void nothing_of_the_image_is_kept(void **state)
{
    char word[] = "first", dir[] = "/srv";
    char *e[] = {word, NULL}, *text = NULL;

    (void)state;
    conf.n_command = 0;
    image.entrypoint = e;
    image.working_dir = dir;
    assert_int_equal(check(), 0);
    strcpy(word, "XXXXX");
    strcpy(dir, "/XXX");
    assert_int_equal(container_spec_build(c, &in, &text, &err), 0);
    spec = json_loads(text, 0, NULL);
    free(text);
    assert_string_equal(words("process/args"), "first ");
    assert_string_equal(json_string_value(at("process/cwd")), "/srv");
}

static void working_dir(void **state)
{
    (void)state;
    image.working_dir = "/image";
    conf.working_dir = "/request";
    build();
    assert_string_equal(json_string_value(at("process/cwd")), "/request");
    teardown(state);
    setup(state);
    conf.working_dir = "relative";
    refused(GRPC_INVALID_ARGUMENT, "relative");
}

/* ---- environment ---- */

static Runtime__V1__KeyValue kv(const char *key, const void *value, size_t n)
{
    Runtime__V1__KeyValue e = RUNTIME__V1__KEY_VALUE__INIT;

    e.key = (char *)(uintptr_t)key;
    e.value = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)value};
    return e;
}

static void environment(void **state)
{
    char *env[] = {"PATH=/image", "A=image", "B=image=x", "BARE", NULL};
    Runtime__V1__KeyValue a = kv("A", "request", 7), empty = kv("E", "", 0);

    (void)state;
    image.env = env;
    conf.envs = (Runtime__V1__KeyValue *[]){&a, &empty};
    conf.n_envs = 2;
    build();
    assert_string_equal(words("process/env"), "PATH=/image HOSTNAME=web-0 A=request B=image=x BARE= E= ");
}

static void environment_that_is_refused(void **state)
{
    static const struct {
        const char *key, *value;
        size_t n;
        const char *words;
    } rows[] = {
        {"", "x", 1, "empty"}, {"A=B", "x", 1, "A=B"}, {"A", "x\0y", 3, "NUL"}, {"A", "\xff\xfe", 2, "UTF-8"}};

    for (size_t i = 0; i < countof(rows); i++) {
        setup(state);
        Runtime__V1__KeyValue e = kv(rows[i].key, rows[i].value, rows[i].n);
        char *text = NULL;
        conf.envs = (Runtime__V1__KeyValue *[]){&e};
        conf.n_envs = 1;
        if (check() == 0)
            assert_true(container_spec_build(c, &in, &text, &err) < 0);
        assert_null(text);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        assert_non_null(strstr(err.msg, rows[i].words));
        teardown(state);
    }
    setup(state);
    make();
}

/* ---- mounts ---- */

static Runtime__V1__Mount bind(const char *container_path, const char *host_path)
{
    Runtime__V1__Mount m = RUNTIME__V1__MOUNT__INIT;

    m.container_path = (char *)(uintptr_t)container_path;
    m.host_path = (char *)(uintptr_t)host_path;
    return m;
}

static void mounts(void **state)
{
    Runtime__V1__Mount hosts = bind("/etc//hosts/", "/kubelet/hosts"), data = bind("data", "/data");
    char expect[200];

    (void)state;
    data.readonly = true;
    data.propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
    conf.mounts = (Runtime__V1__Mount *[]){&data, &hosts};
    conf.n_mounts = 2;
    sec.readonly_rootfs = true;
    build();
    assert_string_equal(source_of("/etc/hosts"), "/kubelet/hosts"); /* only the request's */
    snprintf(expect, sizeof(expect), "%s/resolv.conf", pod->dir);
    assert_string_equal(source_of("/etc/resolv.conf"), expect);
    snprintf(expect, sizeof(expect), "%s/shm", pod->dir);
    assert_string_equal(source_of("/dev/shm"), expect);
    char *options = json_dumps(json_object_get(mount_at("/data"), "options"), JSON_COMPACT);
    assert_string_equal(options, "[\"rbind\",\"rslave\",\"ro\"]");
    free(options);
    assert_string_equal(json_string_value(at("linux/rootfsPropagation")), "rslave");
    assert_true(json_is_true(at("root/readonly")));
}

static void mounts_that_are_refused(void **state)
{
    Runtime__V1__Mount m;
    Runtime__V1__ImageSpec volume = RUNTIME__V1__IMAGE_SPEC__INIT;
    Runtime__V1__Mount *list[] = {&m};

    for (int i = 0; i < 5; i++) {
        static const int codes[] = {GRPC_INVALID_ARGUMENT, GRPC_INVALID_ARGUMENT, GRPC_UNIMPLEMENTED,
                                    GRPC_INVALID_ARGUMENT, GRPC_INVALID_ARGUMENT};
        static const char *const say[] = {"absolute", "container_path", "image", "without readonly",
                                          "propagation 9"};
        setup(state);
        m = bind("/x", "/y");
        if (i == 0)
            m.host_path = "y";
        if (i == 1)
            m.container_path = "";
        if (i == 2)
            m.image = &volume;
        if (i == 3)
            m.recursive_read_only = true;
        if (i == 4)
            m.propagation = (Runtime__V1__MountPropagation)9;
        conf.mounts = list;
        conf.n_mounts = 1;
        refused(codes[i], say[i]);
        teardown(state);
    }
    setup(state);
    make();
}

/* ---- namespaces ---- */

static void namespaces_of_the_pod(void **state)
{
    char expect[200];

    (void)state;
    build();
    snprintf(expect, sizeof(expect), "%s/ns/net", pod->dir);
    assert_string_equal(namespace_of("network"), expect);
    snprintf(expect, sizeof(expect), "%s/ns/uts", pod->dir);
    assert_string_equal(namespace_of("uts"), expect);
    snprintf(expect, sizeof(expect), "%s/ns/ipc", pod->dir);
    assert_string_equal(namespace_of("ipc"), expect);
    assert_string_equal(namespace_of("pid"), "new");
    assert_string_equal(namespace_of("mount"), "new");
    assert_false(c->shared_pid);
}

static void namespaces_of_the_host(void **state)
{
    char name[100] = "";

    (void)state;
    pod_ns.network = pod_ns.ipc = pod_ns.pid = RUNTIME__V1__NAMESPACE_MODE__NODE;
    ns.pid = RUNTIME__V1__NAMESPACE_MODE__NODE;
    pod_conf.hostname = "";
    build();
    assert_null(namespace_of("network"));
    assert_null(namespace_of("uts"));
    assert_null(namespace_of("ipc"));
    assert_null(namespace_of("pid"));
    assert_true(c->shared_pid);
    assert_string_equal(source_of("/dev/shm"), "/dev/shm");
    strcpy(name, "HOSTNAME=");
    gethostname(name + 9, sizeof(name) - 10);
    assert_non_null(strstr(words("process/env"), name));
}

static void a_shared_pid_namespace(void **state)
{
    (void)state;
    ns.pid = RUNTIME__V1__NAMESPACE_MODE__POD;
    make();
    assert_true(container_spec_check(c, &in, &err) < 0); /* there is none: it must not become the host's */
    assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
    teardown(state);
    setup(state);
    ns.pid = RUNTIME__V1__NAMESPACE_MODE__POD;
    make();
    pod->infra = true;
    pod->infra_pid = 77;
    char *text = NULL;
    assert_int_equal(container_spec_check(c, &in, &err), 0);
    assert_int_equal(container_spec_build(c, &in, &text, &err), 0);
    spec = json_loads(text, 0, NULL);
    free(text);
    assert_string_equal(namespace_of("pid"), "/proc/77/ns/pid");
    assert_true(c->shared_pid);
}

static void pid_modes_that_are_refused(void **state)
{
    (void)state;
    ns.pid = RUNTIME__V1__NAMESPACE_MODE__NODE; /* in a pod that is not in the host's */
    refused(GRPC_INVALID_ARGUMENT, "NODE");
    teardown(state);
    setup(state);
    ns.pid = (Runtime__V1__NamespaceMode)9;
    refused(GRPC_INVALID_ARGUMENT, "mode 9");
    teardown(state);
    setup(state);
    ns.pid = RUNTIME__V1__NAMESPACE_MODE__TARGET;
    ns.target_id = "ffffffffffff";
    refused(GRPC_NOT_FOUND, "target_id");
}

/* ---- security ---- */

static void the_seccomp_choice(void **state)
{
    static const struct {
        int type; /* -1: no profile */
        const char *ref, *old, *unset, *error;
        bool filtered;
    } rows[] = {
        {-1, "", "", NULL, NULL, false},
        {-1, "", "", "runtime/default", NULL, true},
        {-1, "", "runtime/default", NULL, NULL, true},
        {-1, "", "unconfined", "runtime/default", NULL, false},
        {-1, "", "nonsense", NULL, "nonsense", false},
        {0, "", "unconfined", NULL, NULL, true},     /* RuntimeDefault; the old field does not count */
        {1, "", "", "runtime/default", NULL, false}, /* Unconfined */
        {1, "/x", "", NULL, "localhost_ref", false},
        {2, "relative", "", NULL, "absolute", false},
        {2, "/nonexistent/profile", "", NULL, "/nonexistent/profile", false},
        {9, "", "", NULL, "9", false},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        Runtime__V1__SecurityProfile p = RUNTIME__V1__SECURITY_PROFILE__INIT;
        char *text = NULL;
        setup(state);
        p.profile_type = (Runtime__V1__SecurityProfile__ProfileType)rows[i].type;
        p.localhost_ref = (char *)(uintptr_t)rows[i].ref;
        sec.seccomp = rows[i].type < 0 ? NULL : &p;
        sec.seccomp_profile_path = (char *)(uintptr_t)rows[i].old;
        d.config.unset_seccomp_profile = (char *)(uintptr_t)rows[i].unset;
        assert_int_equal(check(), 0);
        int r = container_spec_build(c, &in, &text, &err);
        if (rows[i].error) {
            assert_true(r < 0);
            assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
            assert_non_null(strstr(err.msg, rows[i].error));
        } else {
            assert_int_equal(r, 0);
            spec = json_loads(text, 0, NULL);
            assert_true((at("linux/seccomp") != NULL) == rows[i].filtered);
        }
        free(text);
        d.config.unset_seccomp_profile = NULL;
        teardown(state);
    }
    setup(state);
    make();
}

static void privileged(void **state)
{
    Runtime__V1__SecurityProfile p = RUNTIME__V1__SECURITY_PROFILE__INIT; /* RuntimeDefault */

    (void)state;
    sec.privileged = true;
    refused(GRPC_INVALID_ARGUMENT, "privileged"); /* the pod is not */
    teardown(state);
    setup(state);
    pod_sec.privileged = sec.privileged = true;
    sec.seccomp = &p;
    sec.masked_paths = (char *[]){"/proc/kcore"};
    sec.n_masked_paths = 1;
    build();
    assert_null(at("linux/seccomp"));
    assert_null(at("linux/maskedPaths"));
}

static void resources(void **state)
{
    Runtime__V1__LinuxContainerResources r = RUNTIME__V1__LINUX_CONTAINER_RESOURCES__INIT;

    (void)state;
    linux_conf.resources = &r;
    r.cpu_shares = 512;
    r.memory_limit_in_bytes = 64 << 20;
    r.oom_score_adj = 500;
    build();
    assert_int_equal(json_integer_value(at("linux/resources/cpu/shares")), 512);
    assert_int_equal(json_integer_value(at("linux/resources/memory/limit")), 64 << 20);
    assert_int_equal(json_integer_value(at("process/oomScoreAdj")), 500);
    teardown(state);
    setup(state);
    linux_conf.resources = &r;
    r.oom_score_adj = 1001;
    make();
    char *text = NULL;
    assert_int_equal(container_spec_check(c, &in, &err), 0);
    assert_true(container_spec_build(c, &in, &text, &err) < 0);
    assert_non_null(strstr(err.msg, "oom_score_adj 1001"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(command_rules),
        T(nothing_of_the_image_is_kept),
        T(working_dir),
        T(environment),
        T(environment_that_is_refused),
        T(mounts),
        T(mounts_that_are_refused),
        T(namespaces_of_the_pod),
        T(namespaces_of_the_host),
        T(a_shared_pid_namespace),
        T(pid_modes_that_are_refused),
        T(the_seccomp_choice),
        T(privileged),
        T(resources),
    };
#undef T

    d.config.state = "/run/test";
    d.config.root = "/var/test";
    d.config.default_capabilities = default_caps;
    d.host.oci = (struct oci_host){.bounding_caps = ~0ULL, .min_oom_score_adj = -1000, .kernel_major = 6};
    d.pods = pods_new();
    d.containers = containers_new();
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    containers_free(d.containers);
    pods_free(d.pods);
    return r;
}
