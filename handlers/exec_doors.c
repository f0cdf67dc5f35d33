#include "handlers/exec_doors.h"
#include "core/log.h"
#include "core/mem.h"

static unsigned open_doors;

/* Entering one of v1 means moving a process, and so waiting for a grace period of RCU; v2 has processes born there. */
static bool has_v1(const struct container *c)
{
    enum cgroup_kind kind = c->daemon->host.cgroups.kind;

    return kind == CGROUP_V1 || kind == CGROUP_HYBRID;
}

void exec_door_close(struct container *c)
{
    struct exec_door *d = c->exec_door;

    if (!d)
        return;
    c->exec_door = NULL;
    timer_stop(&d->idle);
    enter_door_close(d->door);
    free(d);
    open_doors--;
}

static void on_idle(void *data)
{
    exec_door_close(data);
}

struct enter_door *exec_door_get(struct container *c)
{
    struct enter_door *door;
    struct err err;

    if (c->exec_door && !enter_door_works(c->exec_door->door))
        exec_door_close(c);
    if (!c->exec_door) {
        if (!has_v1(c) || open_doors == EXEC_DOORS_MAX)
            return NULL;
        if (enter_door_open(c->daemon->loop, c->daemon->enter_path, &door, &err) < 0) {
            log_debug("container %.13s: %s", c->id, err.msg);
            return NULL;
        }
        c->exec_door = mem_new(struct exec_door);
        c->exec_door->door = door;
        open_doors++;
    }
    timer_start(&c->exec_door->idle, c->daemon->loop, EXEC_DOOR_IDLE_S, on_idle, c);
    return c->exec_door->door;
}
