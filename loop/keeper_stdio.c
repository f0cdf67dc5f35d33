#include "loop/keeper_conn.h"
#include "core/mem.h"

#include <string.h>
#include <unistd.h>

enum { STDIN, STDOUT }; /* in a box's descriptors */

static void wait_done(struct keeper *k, const char *id, keeper_done_fn *on_done, void *data)
{
    struct waiting *w = keeper_wait_for(k, data);

    w->on_done = on_done;
    w->name = mem_printf("container %s", id);
}

int keeper_attach(struct keeper *k, const char *container_id, int stdout_fd, int stderr_fd,
                  keeper_done_fn *on_done, void *data, struct err *err)
{
    struct keeper_attach_msg m = {.head = {.type = KEEPER_ATTACH, .seq = keeper_next_seq(k)}};
    struct keeper_builder b;
    char buf[256];
    int fds[2];
    size_t n = 0;

    if (stdout_fd >= 0) {
        m.fds |= KEEPER_FD_STDOUT;
        fds[n++] = stdout_fd;
    }
    if (stderr_fd >= 0) {
        m.fds |= KEEPER_FD_STDERR;
        fds[n++] = stderr_fd;
    }
    keeper_build(&b, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&b, container_id);
    int r = keeper_send(k, &b, fds, n, err);
    if (r < 0)
        return err_wrap(err, "container %s", container_id);
    wait_done(k, container_id, on_done, data);
    return 0;
}

int keeper_close_stdin(struct keeper *k, const char *container_id, keeper_done_fn *on_done, void *data,
                       struct err *err)
{
    int r = keeper_send_named(k, KEEPER_CLOSE_STDIN, container_id, err);

    if (r < 0)
        return err_wrap(err, "container %s", container_id);
    /* before the answer: should the keeper die instead, its successor must not get it from us */
    struct box *b = box_find(k, container_id);
    if (b && b->fds[STDIN] >= 0)
        close(steal_fd(&b->fds[STDIN]));
    wait_done(k, container_id, on_done, data);
    return 0;
}

int keeper_stdin(const struct keeper *k, const char *container_id)
{
    const struct box *b = box_find(k, container_id);

    if (!b)
        return -1;
    if (b->fds[STDIN] < 0 && b->fds[STDOUT] >= 0 && isatty(b->fds[STDOUT]))
        return b->fds[STDOUT];
    return b->fds[STDIN];
}
