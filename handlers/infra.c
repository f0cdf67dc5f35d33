/* The infra (pause) container: PID 1 of a PID namespace that a pod's containers share. Its id is the pod's. */
#include "core/cgroup.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/images.h"
#include "handlers/methods.h"
#include "handlers/pod_files.h"
#include "handlers/pod_parts.h"
#include "handlers/record.h"
#include "handlers/runtimes.h"
#include "loop/child.h"
#include "loop/rootfs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { CREATE_TIMEOUT_MS = 60000, PAUSE_OOM_SCORE_ADJ = -998, PAUSE_CPU_SHARES = 2 };

static char *bundle_dir(const struct pod *pod)
{
    return pod_path(pod, "infra");
}

static char *data_dir(const struct pod *pod)
{
    return mem_printf("%s/containers/%s", pod->daemon->config.root, pod->id);
}

static bool wanted(const struct pod *pod)
{
    return pod->daemon->config.infra == INFRA_ALWAYS ||
           ((pod->shared_pid || pod->infra_wanted) && !pod->host_pid);
}

/* ---- image --------------------------------------------------------------------------------------------------------- */

static void use_image(struct pod *pod, const struct image *image)
{
    free(pod->infra_image_id);
    pod->infra_image_id = mem_strdup(image->id);
    image_use(pod->daemon->images, image);
    pod->infra_image_used = true;
    pod->infra = true;
}

static void on_pulled(void *data, const char *image_id, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;

    struct err gone;

    pf->pull = NULL;
    const struct image *image = err ? NULL : image_find(pf->pod->daemon->images, image_id);
    if (image)
        use_image(pf->pod, image);
    else if (!err)
        err =
            (err_set(&gone, GRPC_NOT_FOUND, 0, "sandbox_image was removed as soon as it was pulled: try again"),
             &gone);
    flow_done(f, err);
}

int infra_pull(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct images *images = pod->daemon->images;
    const char *ref = pod->daemon->config.sandbox_image;
    struct err err;

    if (!wanted(pod))
        return 0;
    if (!ref || !ref[0]) {
        pod->infra = true;
        return 0;
    }
    const struct image *image = image_find(images, ref);
    if (image) {
        use_image(pod, image);
        return 0;
    }
    if (image_pull(images, ref, NULL, on_pulled, f, &pf->pull, &err) < 0) {
        err_wrap(&err, "sandbox_image");
        return flow_error(f, &err);
    }
    return FLOW_WAIT;
}

/* ---- the built-in pause's root file system ------------------------------------------------------------------------- */

static int copy_file(const char *from, const char *to, struct err *err)
{
    cleanup_buf struct buf b = {0};

    if (file_read(from, 16 << 20, &b, err) < 0)
        return err_wrap(err, "the built-in pause (is cricket installed completely?)");
    return file_write(to, b.data ? b.data : "", b.len, 0755, err);
}

int infra_prepare_pause(struct daemon *d, struct err *err)
{
    static const char *const dirs[] = {"", "/proc", "/sys", "/dev", "/etc"};
    cleanup_free char *pause = mem_printf("%s/pause/cricket-pause", d->config.root);

    for (size_t i = 0; i < countof(dirs); i++) {
        cleanup_free char *path = mem_printf("%s/pause%s", d->config.root, dirs[i]);
        if (dir_make(path, 0755, err) < 0)
            return err_errno(err);
    }
    return copy_file(d->pause_path, pause, err);
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

struct infra_image {
    char *rootfs;
    char **args, **env;
    const char *cwd;
};

static int write_spec(struct pod_flow *pf, const struct infra_image *im, const struct image_user *user,
                      struct err *err)
{
    struct pod *pod = pf->pod;
    struct daemon *d = pod->daemon;
    cleanup_free char *net = pod_path(pod, "ns/net");
    cleanup_free char *ipc = pod_path(pod, "ns/ipc");
    cleanup_free char *uts = pod_path(pod, "ns/uts");
    cleanup_free char *cgroups_path = cgroup_spec_path(d->config.cgroup_driver, pod->cgroup_parent, pod->id);
    cleanup_free char *dir = bundle_dir(pod);
    cleanup_free char *file = mem_printf("%s/config.json", dir);
    cleanup_free char *json = NULL;
    char *no_caps[] = {"ALL", NULL};
    struct oci_container c = {
        .id = pod->id,
        .args = im->args,
        .env = im->env,
        .cwd = im->cwd,
        .uid = user ? user->uid : 65535,
        .gid = user ? user->gid : 65535,
        .rootfs = im->rootfs,
        .readonly_rootfs = true,
        .cap_drop = no_caps,
        .cap_default = d->config.default_capabilities,
        .no_new_privs = true,
        .seccomp = SECCOMP_RUNTIME_DEFAULT,
        .masked_paths = (char **)(uintptr_t)oci_default_masked_paths,
        .readonly_paths = (char **)(uintptr_t)oci_default_readonly_paths,
        .oom_score_adj = PAUSE_OOM_SCORE_ADJ,
        .oom_score_adj_set = true,
        .resources = {.cpu_shares = PAUSE_CPU_SHARES},
        .cgroups_path = cgroups_path,
        .ns_net = {.path = pod->host_network ? NULL : net},
        .ns_uts = {.path = pod->host_network ? NULL : uts},
        .ns_ipc = {.path = pod->host_ipc ? NULL : ipc},
        .ns_pid = {.create = !pod->host_pid},
        .ns_mnt = {.create = true},
    };

    if (oci_spec_build(&c, &d->host.oci, &json, err) < 0 || dir_make(dir, 0700, err) < 0)
        return err_errno(err);
    return file_write(file, json, strlen(json), 0600, err);
}

static void close_pidfd(struct pod *pod)
{
    if (pod->infra_pidfd >= 0)
        close(steal_fd(&pod->infra_pidfd));
}

void infra_runs(struct pod *pod, int pid)
{
    close_pidfd(pod);
    pod->infra_pid = pid;
    pod->infra_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

static void on_created(void *data, int pid, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;

    if (!err)
        infra_runs(pf->pod, pid);
    flow_done(f, err);
}

static int run_it(struct flow *f, const struct infra_image *im, const struct image_user *user)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    const struct runtime *rt;
    struct err err;
    cleanup_free char *dir = bundle_dir(pod);
    cleanup_free char *pid_file = mem_printf("%s/pid", dir);
    cleanup_free char *log_file = mem_printf("%s/runtime.log", dir);

    if (runtime_find(pod->daemon->runtimes, pod->runtime, &rt, &err) < 0 || write_spec(pf, im, user, &err) < 0)
        return flow_error(f, &err);
    if (!pod->keeper) {
        err_set(&err, GRPC_UNAVAILABLE, 0, "pod %s/%s: its keeper died: try again", pod->namespace, pod->name);
        return flow_error(f, &err);
    }
    struct runtime_create rc = {
        .id = pod->id, .bundle = dir, .pid_file = pid_file, .log_file = log_file, .run = true};
    cleanup_free char **argv = runtime_create_argv(rt, &rc);
    struct keeper_create kc = {
        .container_id = pod->id,
        .argv = (const char *const *)argv,
        .pid_file = pid_file,
        .program_mount = runtime_mounts_itself(rt),
        .timeout_ms = CREATE_TIMEOUT_MS,
    };
    if (keeper_create(pod->keeper, &kc, on_created, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

static int no_image(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    err_set(&err, GRPC_NOT_FOUND, 0, "sandbox_image %s was removed meanwhile: try again",
            pf->pod->daemon->config.sandbox_image);
    return flow_error(f, &err);
}

static void on_rootfs(void *data, struct image_user *user, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;

    if (err) {
        flow_done(f, err);
        return;
    }
    const struct image *image = image_find_used(pod->daemon->images, pod->infra_image_id);
    size_t n = 0, e = 0, k = 0;
    if (!image) {
        flow_resume(f, no_image(f));
        return;
    }
    while (image->config->entrypoint[n])
        n++;
    while (image->config->cmd[e])
        e++;
    char **args = mem_alloc((n + e + 2) * sizeof(*args));
    for (size_t i = 0; i < n; i++)
        args[k++] = image->config->entrypoint[i];
    for (size_t i = 0; i < e; i++)
        args[k++] = image->config->cmd[i];
    if (k == 0)
        args[k++] = "/pause";
    cleanup_free char *dir = bundle_dir(pod);
    struct infra_image im = {
        .rootfs = mem_printf("%s/rootfs", dir),
        .args = args,
        .env = image->config->env,
        .cwd = image->config->working_dir ? image->config->working_dir : "/",
    };
    int r = run_it(f, &im, user);
    free(im.rootfs);
    free(args);
    if (r != FLOW_WAIT)
        flow_resume(f, r);
}

static int start_from_image(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    const struct image *image = image_find_used(pod->daemon->images, pod->infra_image_id);
    struct err err;

    if (!image)
        return no_image(f);
    cleanup_free char *dir = bundle_dir(pod);
    cleanup_free char *target = mem_printf("%s/rootfs", dir);
    cleanup_free char *data = data_dir(pod);
    struct image_user_spec user = {.image_user = image->config->user};
    struct rootfs_spec spec = {
        .name = pod->id,
        .layers = (const char *const *)image->layers,
        .data_dir = data,
        .target = target,
        .user = &user,
        .working_dir = image->config->working_dir,
    };
    if (rootfs_prepare(f->loop, &spec, on_rootfs, f, NULL, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

int infra_start(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;

    if (!pod->infra)
        return 0;
    if (pod->infra_image_id)
        return start_from_image(f);
    char *args[] = {"/cricket-pause", NULL}, *env[] = {"PATH=/", NULL};
    struct infra_image im = {
        .rootfs = mem_printf("%s/pause", pod->daemon->config.root), .args = args, .env = env, .cwd = "/"};
    int r = run_it(f, &im, NULL);
    free(im.rootfs);
    return r;
}

/* ---- removal ------------------------------------------------------------------------------------------------------- */

void infra_exited(struct pod *pod)
{
    struct err err;

    close_pidfd(pod);
    pod->infra_pid = 0;
    pod->infra_exited = true;
    if (!pod->op) {
        log_warn("pod %s/%s: its infra container ended; the pod is not ready any more", pod->namespace,
                 pod->name);
        pod->state = POD_NOTREADY;
    }
    if (pod->state != POD_CREATING && pod_save(pod, &err) < 0)
        log_error("pod %s: %s", pod->id, err.msg);
    if (pod->keeper)
        keeper_forget(pod->keeper, pod->id);
}

/* The undo of infra_pull(): the image may have been taken long before there is a container. */
int infra_release_image(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;

    if (pod->infra_image_used)
        image_unuse(pod->daemon->images, pod->infra_image_id);
    pod->infra_image_used = false;
    return 0;
}

static void on_rootfs_removed(void *data, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;

    if (!err) {
        pf->pod->infra = false;
        (void)!infra_release_image(f);
    }
    flow_done(f, err);
}

static int remove_files(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct err err;
    cleanup_free char *dir = bundle_dir(pod);
    cleanup_free char *target = mem_printf("%s/rootfs", dir);
    cleanup_free char *data_path = data_dir(pod);

    close_pidfd(pod);
    pod->infra_pid = 0;
    if (rootfs_remove(f->loop, data_path, target, NULL, on_rootfs_removed, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

/* SIGKILL; true if it was alive. */
static bool kill_infra(const struct pod *pod)
{
    struct pollfd p = {.fd = pod->infra_pidfd, .events = POLLIN}; /* readable once it has ended */

    return pod->infra_pidfd >= 0 && poll(&p, 1, 0) == 0 &&
           syscall(SYS_pidfd_send_signal, pod->infra_pidfd, SIGKILL, NULL, 0) == 0;
}

static void on_runtime_deleted(void *data, struct child_result *r)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct err err;

    /* that the runtime does not know it is no news; that it still runs is */
    if (child_check(r, "the runtime's delete", &err) < 0 && kill_infra(pod)) {
        err_wrap(&err, "infra container");
        flow_done(f, &err);
        return;
    }
    int rc = remove_files(f);
    if (rc != FLOW_WAIT)
        flow_resume(f, rc);
}

int infra_remove(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    const struct runtime *rt;
    struct err err;

    if (!pod->infra)
        return 0;
    if (runtime_find(pod->daemon->runtimes, pod->runtime, &rt, &err) < 0) {
        /* its handler is gone from the configuration: the pod must be able to go, too */
        log_error("%s: infra container: %s", f->name, err.msg);
        (void)!kill_infra(pod);
        return remove_files(f);
    }
    cleanup_free char **argv = runtime_delete_argv(rt, pod->id, NULL);
    struct child_spec spec = {
        .argv = (const char *const *)argv, .file = runtime_file(rt), .timeout_ms = CREATE_TIMEOUT_MS};
    if (child_start(f->loop, &spec, on_runtime_deleted, f, NULL, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

/* ---- for a pod that was made without one --------------------------------------------------------------------------- */

static int commit_late(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    free(pf->pod->step);
    pf->pod->step = NULL;
    return pod_save(pf->pod, &err) < 0 ? flow_error(f, &err) : 0;
}

static const struct flow_step late_infra_steps[] = {
    {"pull pause", infra_pull, infra_release_image},
    {"infra container", infra_start, infra_remove},
    {"commit", commit_late, NULL},
    {0},
};

static void ask_again(struct op *op, struct rpc *rpc)
{
    (void)op;
    rpc->method->handle(rpc);
}

/* A ready pod with a step in its row: a daemon that is killed meanwhile undoes it at its next start. */
static void journal_late(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    free(pf->pod->step);
    pf->pod->step = mem_strdup(f->steps[f->at].name);
    if (pod_save(pf->pod, &err) < 0)
        log_error("%s: cannot journal: %s", f->name, err.msg);
}

static void on_late_end(struct op *op)
{
    struct pod_flow *pf = op->flow.data;
    struct err err;

    pf->pod->infra_wanted = op->flow.rc == 0;
    if (op->flow.rc == 0)
        return;
    free(pf->pod->step);
    pf->pod->step = NULL;
    if (pod_save(pf->pod, &err) < 0)
        log_error("%s: %s", op->name, err.msg);
}

struct op *infra_late_op(struct pod *pod)
{
    char *name = mem_printf("infra container of %s/%s", pod->namespace, pod->name);
    struct op *op = op_new(pod->daemon, &pod->op, late_infra_steps, name, pod_flow_new(pod));

    pod->infra_wanted = true;
    op->flow.on_step = journal_late;
    op->reply = ask_again;
    op->on_end = on_late_end;
    op->on_free = pod_flow_free;
    return op;
}
