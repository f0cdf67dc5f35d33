#include "core/schedule.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BACKGROUND_NICE = 10, TURN_NS = 100 * 1000 /* the least that Linux takes */ };

/* sched.h of libc and linux/sched/types.h both have parameters, which differ: hence no sched_setscheduler(3) here. */
static void set(void (*change)(struct sched_attr *a))
{
    struct sched_attr a = {0};

    if (syscall(SYS_sched_getattr, 0, &a, offsetof(struct sched_attr, sched_util_min), 0) < 0)
        return; /* what stays as it was still works */
    a.size = offsetof(struct sched_attr, sched_util_min);
    change(&a);
    (void)syscall(SYS_sched_setattr, 0, &a, 0);
}

static void ask_for_short_turns(struct sched_attr *a)
{
    if (a->sched_policy != SCHED_NORMAL) /* whoever started us knows better */
        return;
    a->sched_runtime = TURN_NS;
    a->sched_flags |= SCHED_FLAG_RESET_ON_FORK;
}

static void stand_back(struct sched_attr *a)
{
    if (a->sched_policy != SCHED_NORMAL)
        return;
    a->sched_policy = SCHED_BATCH;
    a->sched_runtime = 0; /* the usual */
    if (a->sched_nice < BACKGROUND_NICE)
        a->sched_nice = BACKGROUND_NICE;
}

void schedule_promptly(void)
{
    set(ask_for_short_turns);
}

void schedule_in_background(void)
{
    set(stand_back);
}
