#include "netns/netns_counters.h"
#include "core/file.h"
#include "core/mem.h"
#include "loop/child.h"
#include "netns/netns_child.h"

/* A namespace with a thousand interfaces still fits, so that the pod's first one is seen. */
enum { TIMEOUT_MS = 30000, TEXT_MAX = 256 << 10 };

struct reading {
    const char *const *paths; /* only until the child is forked */
    size_t n;
    netns_counters_fn *on_done;
    void *data;
};

/* In the child. A pod that goes away meanwhile has no counters, and its neighbours do. */
static int read_all(void *arg, int out_fd)
{
    const struct reading *r = arg;

    for (size_t i = 0; i < r->n; i++) {
        struct netns_counters c = {0};
        cleanup_buf struct buf text = {0};
        struct err err;
        if (netns_child_join(r->paths[i], &err) == 0 &&
            file_read("/proc/self/net/dev", TEXT_MAX, &text, &err) == 0)
            c.n = net_dev_parse(text.data ? text.data : "", c.devs, countof(c.devs));
        if (fd_write_all(out_fd, &c, sizeof(c)) < 0)
            return 1;
    }
    return 0;
}

static void on_child(void *data, struct child_result *result)
{
    struct reading *r = data;
    struct err err = {0};

    if (child_check(result, "read network counters", &err) == 0 &&
        result->out.len != r->n * sizeof(struct netns_counters))
        err_set(&err, GRPC_INTERNAL, 0, "network counters: %zu bytes instead of %zu", result->out.len,
                r->n * sizeof(struct netns_counters));
    r->on_done(r->data, err.grpc ? NULL : (struct netns_counters *)(void *)buf_steal(&result->out),
               err.grpc ? &err : NULL);
    free(r);
}

int netns_counters_read(struct loop *l, const char *const *paths, size_t n, netns_counters_fn *on_done,
                        void *data, struct err *err)
{
    struct reading *r = mem_new(struct reading);
    const struct child_spec spec = {
        .name = "read network counters",
        .run = read_all,
        .arg = r,
        .out_max = n * sizeof(struct netns_counters) + 1,
        .timeout_ms = TIMEOUT_MS,
    };

    *r = (struct reading){.paths = paths, .n = n, .on_done = on_done, .data = data};
    int rc = child_start(l, &spec, on_child, r, NULL, err);
    if (rc < 0)
        free(r);
    return rc;
}
