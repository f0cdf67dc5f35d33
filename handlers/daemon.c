#include "handlers/daemon.h"
#include "core/file.h"
#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/images.h"
#include "handlers/pod_parts.h"
#include "handlers/pods.h"
#include "handlers/runtimes.h"
#include "handlers/streaming.h"
#include "handlers/writable_layers.h"
#include "loop/enter.h"
#include "netns/cni.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

static int find_helper(const char *dir, const char *name, char **ret_path, struct err *err)
{
    char *path = mem_printf("%s/%s", dir, name);

    if (access(path, X_OK) < 0) {
        err_set(err, GRPC_FAILED_PRECONDITION, errno,
                "helper %s (set helper_dir, or install cricket completely)", path);
        free(path);
        return err_errno(err);
    }
    *ret_path = path;
    return 0;
}

/* One daemon a root and a state directory: a second one would take the first one's pods apart. */
static int lock_dir(const char *dir, struct err *err)
{
    cleanup_free char *path = mem_printf("%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "%s is in use by another cricketd: give this one its own --root and --state", dir);
    }
    return 0; /* the descriptor stays open, and the lock held, as long as the process */
}

static int make_dirs(const struct config *c, struct err *err)
{
    static const char *const below_root[] = {"", "/layers", "/containers", "/tmp"};
    static const char *const below_state[] = {"", "/pods", "/containers"};

    for (size_t i = 0; i < countof(below_root); i++) {
        cleanup_free char *dir = mem_printf("%s%s", c->root, below_root[i]);
        if (dir_make(dir, 0711, err) < 0)
            return err_errno(err);
    }
    for (size_t i = 0; i < countof(below_state); i++) {
        cleanup_free char *dir = mem_printf("%s%s", c->state, below_state[i]);
        if (dir_make(dir, 0711, err) < 0)
            return err_errno(err);
    }
    return 0;
}

struct cni *daemon_cni(const struct daemon *d, const char *handler)
{
    const char *name = handler[0] ? handler : runtime_default(d->runtimes)->config->name;

    for (size_t i = 0; i < d->config.handlers_n; i++)
        if (strcmp(d->config.handlers[i].name, name) == 0 && d->handler_cni[i])
            return d->handler_cni[i];
    return d->cni;
}

static void make_cni(struct daemon *d)
{
    const struct config *c = &d->config;
    /* below ROOT, not STATE: address leases survive a reboot, so what is needed to give them back must, too */
    cleanup_free char *cache = mem_printf("%s/cni", c->root);
    const char *subnet = c->cni_default_bridge ? c->cni_default_subnet : NULL;

    d->cni = cni_new(d->loop, c->cni_conf_dir, c->cni_bin_dirs, subnet, cache);
    d->handler_cni = mem_alloc((c->handlers_n + 1) * sizeof(struct cni *));
    for (size_t i = 0; i < c->handlers_n; i++)
        if (c->handlers[i].cni_conf_dir)
            d->handler_cni[i] = cni_new(d->loop, c->handlers[i].cni_conf_dir, c->cni_bin_dirs, NULL, cache);
}

int daemon_start(struct daemon *d, struct err *err)
{
    const struct config *c = &d->config;
    cleanup_free char *db = mem_printf("%s/store.db", c->root);

    if (make_dirs(c, err) < 0 || lock_dir(c->root, err) < 0 || lock_dir(c->state, err) < 0 ||
        find_helper(c->helper_dir, "cricket-keeper", &d->keeper_path, err) < 0 ||
        find_helper(c->helper_dir, "cricket-unpack", &d->unpack_path, err) < 0 ||
        find_helper(c->helper_dir, "cricket-pause", &d->pause_path, err) < 0 ||
        find_helper(c->helper_dir, "cricket-enter", &d->enter_path, err) < 0 ||
        enter_load(d->enter_path, err) < 0 || host_probe("", &d->host, err) < 0 ||
        infra_prepare_pause(d, err) < 0)
        return err_errno(err);
    d->config.cgroup_driver = host_cgroup_driver(&d->host, c->cgroup_driver);
    if (store_open(db, &d->store, err) < 0)
        return err_errno(err);
    d->runtimes = runtimes_new(d, &d->host);
    make_cni(d);
    d->images = images_new(d);
    if (images_load(d->images, err) < 0)
        return err_errno(err);
    d->pods = pods_new();
    d->containers = containers_new();
    d->writable_layers = writable_layers_new(d);
    return streaming_start(d, err);
}

void daemon_stop(struct daemon *d)
{
    streaming_free(d->streaming);
    writable_layers_free(d->writable_layers);
    containers_free(d->containers);
    pods_free(d->pods);
    images_free(d->images);
    for (size_t i = 0; d->handler_cni && i < d->config.handlers_n; i++)
        cni_free(d->handler_cni[i]);
    free(d->handler_cni);
    cni_free(d->cni);
    runtimes_free(d->runtimes);
    store_close(d->store);
    host_done(&d->host);
    free(d->keeper_path);
    free(d->unpack_path);
    free(d->pause_path);
    free(d->enter_path);
}
