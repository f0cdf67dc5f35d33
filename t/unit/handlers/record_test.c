/* Rows: of this version, of another one, and of none. */
#include "handlers/record.c"
#include "handlers/pods.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

struct cni *daemon_cni(const struct daemon *daemon, const char *handler);
struct cni *daemon_cni(const struct daemon *daemon, const char *handler) /* main.c has it */
{
    (void)daemon;
    (void)handler;
    return NULL;
}

static void values(void **state)
{
    json_t *o = json_loads("{\"s\":\"x\",\"n\":7,\"list\":[\"a\",1,\"b\"],\"empty\":[]}", 0, NULL);

    (void)state;
    char *s = record_string(o, "s");
    assert_string_equal(s, "x");
    free(s);
    assert_null(record_string(o, "n")); /* of another type is as if it were missing */
    assert_null(record_string(o, "absent"));
    assert_null(record_string(NULL, "s"));
    assert_int_equal(record_int(o, "n"), 7);
    assert_int_equal(record_int(o, "s"), 0);
    char **list = record_strings(o, "list");
    assert_string_equal(list[0], "a");
    assert_string_equal(list[1], "");
    assert_string_equal(list[2], "b");
    assert_null(list[3]);
    json_t *again = record_array(list);
    assert_int_equal(json_array_size(again), 3);
    json_decref(again);
    strings_free(list);
    strings_free(NULL);
    assert_null(record_strings(o, "empty"));
    assert_null(record_strings(o, "s"));
    again = record_array(NULL);
    assert_int_equal(json_array_size(again), 0);
    json_decref(again);
    json_decref(o);
}

/* ---- a pod's row ---- */
static struct daemon d;
static char dir[64];

static struct pod *new_pod(const char *name, const char *namespace, const char *uid, uint32_t attempt)
{
    Runtime__V1__PodSandboxConfig c = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
    Runtime__V1__PodSandboxMetadata m = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;

    m.name = (char *)(uintptr_t)name;
    m.namespace_ = (char *)(uintptr_t) namespace;
    m.uid = (char *)(uintptr_t)uid;
    m.attempt = attempt;
    c.metadata = &m;
    return pod_new(&d, &c, "", "crun");
}

static void a_pod_comes_back(void **state)
{
    struct pod *pod = new_pod("web", "default", "u", 3);
    struct err err;
    char id[ID_SIZE];

    (void)state;
    memcpy(id, pod->id, sizeof(id));
    pod->state = POD_READY;
    pod->infra = true;
    pod->infra_pid = 9;
    pod->cgroup_parent = mem_strdup("/a/b");
    pod->ips = strings_dup((char *[]){"10.0.0.1", "fd00::1"}, 2);
    assert_int_equal(pod_save(pod, &err), 0);
    pod_free(pod);
    d.config.default_handler = "runc"; /* changed meanwhile: not for what exists */
    assert_int_equal(pods_load(&d, &err), 0);
    pod = pod_find(d.pods, id, &err);
    assert_non_null(pod);
    assert_ptr_equal(pod_find(d.pods, "", &err), NULL);
    assert_string_equal(pod->name, "web");
    assert_int_equal(pod->attempt, 3);
    assert_string_equal(pod->handler, "");
    assert_string_equal(pod->runtime, "crun");
    assert_string_equal(pod->cgroup_parent, "/a/b");
    assert_string_equal(pod->ips[1], "fd00::1");
    assert_true(pod->infra && pod->infra_pid == 9 && !pod->step && !pod->cgroup_parent_is_ours);
    assert_int_equal(pod_delete_row(pod, &err), 0);
    pod_free(pod);
}

/* Neither keeps the daemon from starting. */
static void rows_that_cannot_be_read(void **state)
{
    char id[ID_SIZE];
    struct err err;

    (void)state;
    id_new(id);
    assert_int_equal(store_put(d.store, "pod", id, "not json", NULL, 0, &err), 0);
    assert_int_equal(store_put(d.store, "pod", "../../etc", "{}", NULL, 0, &err), 0);
    assert_int_equal(pods_load(&d, &err), 0);
    assert_null(pods_first(d.pods));
}

static void keys(void **state)
{
    struct pod *a = new_pod("c", "a/b", "u", 0), *b = new_pod("b/c", "a", "u", 0),
               *c = new_pod("c", "a/b", "u", 1);

    (void)state;
    assert_string_not_equal(a->key, b->key); /* a slash in a name makes no two pods one */
    assert_string_not_equal(a->key, c->key);
    assert_ptr_equal(pod_find_key(d.pods, b->key), b);
    pod_free(a);
    pod_free(b);
    pod_free(c);
}

static void found_by_id(void **state)
{
    struct pod *a = new_pod("a", "n", "u", 0), *b = new_pod("b", "n", "u", 0);
    struct err err;
    char prefix[8];

    (void)state;
    assert_null(pod_find(d.pods, a->id, &err)); /* while it is being made */
    assert_int_equal(err.grpc, GRPC_NOT_FOUND);
    a->state = b->state = POD_READY;
    assert_ptr_equal(pod_find(d.pods, a->id, &err), a);
    int n = 0;
    while (a->id[n] == b->id[n])
        n++;
    snprintf(prefix, sizeof(prefix), "%.*s", n + 1, a->id);
    assert_ptr_equal(pod_find(d.pods, prefix, &err), a);
    if (n > 0) {
        prefix[n] = '\0';
        assert_null(pod_find(d.pods, prefix, &err));
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    }
    assert_null(pod_find(d.pods, "zz", &err));
    assert_int_equal(err.grpc, GRPC_NOT_FOUND);
    pod_free(a);
    pod_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(a_pod_comes_back),
                                       cmocka_unit_test(rows_that_cannot_be_read), cmocka_unit_test(keys),
                                       cmocka_unit_test(found_by_id)};
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct err err;

    snprintf(dir, sizeof(dir), "/tmp/cricket-record-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    cleanup_free char *db = mem_printf("%s/store.db", dir);
    d.config.state = "/run/test";
    d.pods = pods_new();
    if (store_open(db, &d.store, &err) < 0)
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    pods_free(d.pods);
    store_close(d.store);
    for (size_t i = 0; i < countof(suffixes); i++) {
        cleanup_free char *file = mem_printf("%s%s", db, suffixes[i]);
        unlink(file);
    }
    rmdir(dir);
    return r;
}
