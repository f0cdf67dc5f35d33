/* An OCI runtime's commands on a bundle: `sleep` in namespaces of its own but for the network, in a cgroup below --cgroup-parent. */
#include "bench/floor.h"
#include "bench/program.h"
#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct oci {
    struct bench *b;
    char *bundle, *root, *pid_file;
};

static int command(struct oci *o, const char *series, const char *const words[], double *ret_ms,
                   struct err *err)
{
    const char *argv[12] = {o->b->oci_runtime, "--root", o->root};
    size_t n = 3;

    while (*words)
        argv[n++] = *words++;
    int rc = program_run(argv, NULL, NULL, NULL, ret_ms, err);
    if (!rc && series)
        series_add(series_get(&o->b->results, "ms", "%s", series), *ret_ms);
    return rc;
}

static int copy_busybox(const char *bin, struct err *err)
{
    static const char *const names[] = {"sleep", "true"};
    cleanup_free char *target = mem_printf("%s/busybox", bin);
    const char *const argv[] = {"cp", "/bin/busybox", target, NULL};
    int rc = program_run(argv, NULL, NULL, NULL, NULL, err);

    for (size_t i = 0; !rc && i < countof(names); i++) {
        cleanup_free char *link_path = mem_printf("%s/%s", bin, names[i]);
        if (link(target, link_path) < 0 && errno != EEXIST)
            rc = err_sys(err, errno, "%s", link_path);
    }
    return rc;
}

static void without_network(json_t *namespaces)
{
    for (size_t i = json_array_size(namespaces); i-- > 0;) {
        const char *type = json_string_value(json_object_get(json_array_get(namespaces, i), "type"));
        if (type && !strcmp(type, "network"))
            json_array_remove(namespaces, i);
    }
}

/* What `spec` writes, with our command and without a terminal. */
static int write_spec(struct oci *o, struct err *err)
{
    cleanup_free char *path = mem_printf("%s/config.json", o->bundle);
    cleanup_free char *cgroup = mem_printf("%s/floor", o->b->cgroup_parent);
    const char *const spec[] = {o->b->oci_runtime, "spec", "--bundle", o->bundle, NULL};

    unlink(path);
    int rc = program_run(spec, NULL, NULL, NULL, NULL, err);
    if (rc < 0)
        return rc;
    json_t *j = json_load_file(path, 0, NULL), *process = json_object_get(j, "process"),
           *linux_part = json_object_get(j, "linux");
    without_network(json_object_get(linux_part, "namespaces"));
    json_object_set_new(linux_part, "cgroupsPath", json_string(cgroup));
    json_object_set_new(process, "terminal", json_false());
    json_object_set_new(process, "args", json_pack("[ss]", "sleep", "1000000"));
    json_object_set_new(process, "env", json_pack("[s]", "PATH=/bin"));
    if (json_dump_file(j, path, 0) < 0)
        rc = err_set(err, GRPC_INTERNAL, errno, "%s", path);
    json_decref(j);
    return rc;
}

/* The container's init is our child after `create` has ended: its exit is what `kill` leads to. */
static int wait_init(struct oci *o, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = file_read(o->pid_file, 32, &text, err);

    if (!rc && waitpid((pid_t)strtol(text.data ? text.data : "", NULL, 10), NULL, 0) < 0)
        rc = err_sys(err, errno, "waiting for the container of %s", o->pid_file);
    return rc;
}

static int once(struct oci *o, struct err *err)
{
    const char *const create[] = {"create", "--bundle", o->bundle, "--pid-file", o->pid_file, "floor", NULL};
    const char *const start[] = {"start", "floor", NULL}, *const exec[] = {"exec", "floor", "true", NULL};
    const char *const stop[] = {"kill", "floor", "KILL", NULL}, *const delete[] = {"delete", "--force", "floor",
                                                                                   NULL};
    double created, ms;
    int rc = command(o, "OCI create", create, &created, err);

    if (rc < 0)
        return rc;
    if (!(rc = command(o, "OCI start", start, &ms, err)))
        series_add(series_get(&o->b->results, "ms", "OCI create + start"), created + ms);
    if (!rc)
        rc = command(o, "OCI exec", exec, &ms, err);
    if (!rc)
        rc = command(o, "OCI kill", stop, &ms, err);
    if (!rc)
        rc = wait_init(o, err);
    if (command(o, rc ? NULL : "OCI delete", delete, &ms, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    return rc;
}

int floor_oci(struct bench *b, unsigned n, struct err *err)
{
    cleanup_free char *bundle = mem_printf("%s/floor/bundle", b->work);
    cleanup_free char *bin = mem_printf("%s/rootfs/bin", bundle);
    cleanup_free char *root = mem_printf("%s/floor/oci", b->work);
    cleanup_free char *pid_file = mem_printf("%s/floor/pid", b->work);
    struct oci o = {b, bundle, root, pid_file};
    int rc = dir_make(bin, 0755, err);

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!rc)
        rc = copy_busybox(bin, err);
    if (!rc)
        rc = write_spec(&o, err);
    for (unsigned i = 0; !rc && i < n; i++)
        rc = once(&o, err);
    return rc;
}
