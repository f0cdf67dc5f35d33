/*
 * On hosts with cgroup v1: the cricket-enter that waits in a container for its next command (loop/enter.h), from the first
 * command until a minute without one, or the container's end. At most EXEC_DOORS_MAX of them.
 */
#pragma once
#include "handlers/containers.h"
#include "loop/enter.h"

enum { EXEC_DOORS_MAX = 64, EXEC_DOOR_IDLE_S = 60 };

struct exec_door {
    struct enter_door *door; /* NULL: none */
    struct timer idle;
};

/* One that may be used for a command now; NULL: there is none, so that the command needs a cricket-enter of its own. */
struct enter_door *exec_door_get(struct container *c);
/* The container has ended. None there is fine. */
void exec_door_close(struct container *c);
