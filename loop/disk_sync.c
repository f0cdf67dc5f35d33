#include "loop/disk_sync.h"
#include "core/mem.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What small layers need to come together; nothing beside the time that a large one takes. */
#define GATHER_S .1

enum { EARLY_BYTES = 2 << 20 }; /* compressed: some dozen MiB where files are small */

enum stage { WRITING, GATHERING, IN_ROUND, TOLD };

struct sync_writer {
    struct syncer *syncer;
    struct sync_writer *next;
    enum stage stage;
    struct err err; /* of a round that failed after it had joined */
    void (*on_done)(void *data, const struct err *err);
    void *data;
};

/* The child's own: it outlives a syncer that is freed. */
struct round {
    struct syncer *syncer; /* NULL: freed meanwhile */
};

struct syncer {
    struct loop *loop;
    char *dir;
    int fd;                      /* of dir while anybody is there; else -1 */
    struct sync_writer *writers; /* the latest first */
    struct round *round;         /* NULL: none runs */
    struct timer gather;
    struct timer telling; /* the rest of a round that is over */
    bool due;             /* who gathers has waited long enough */
    size_t wrote;         /* since a round began last */
};

static void round_over(struct syncer *s, const struct err *err);

struct syncer *syncer_new(struct loop *l, const char *dir)
{
    struct syncer *s = mem_new(struct syncer);

    *s = (struct syncer){.loop = l, .dir = mem_strdup(dir), .fd = -1};
    return s;
}

void syncer_free(struct syncer *s)
{
    if (!s)
        return;
    if (s->round)
        s->round->syncer = NULL;
    timer_stop(&s->gather);
    timer_stop(&s->telling);
    if (s->fd >= 0)
        close(s->fd);
    free(s->dir);
    free(s);
}

bool syncer_is_idle(const struct syncer *s)
{
    return !s->round && !s->writers; /* who is still to be told is a writer */
}

/* A round runs, or not all have been told of it. */
static bool is_in_round(const struct syncer *s)
{
    return s->round || timer_active(&s->telling);
}

static struct sync_writer *any(const struct syncer *s, enum stage stage)
{
    struct sync_writer *w = s->writers;

    while (w && w->stage != stage)
        w = w->next;
    return w;
}

/* ---- a round ---- */

/* Descriptor 0 is the file system's. The answer is an errno. */
static int sync_in_child(void *arg, int out_fd)
{
    int sys;

    (void)arg;
    sys = syncfs(STDIN_FILENO) < 0 ? errno : 0;
    return write(out_fd, &sys, sizeof(sys)) != (ssize_t)sizeof(sys);
}

static int round_outcome(const struct syncer *s, const struct child_result *r, struct err *err)
{
    int sys;

    if (child_check(r, "sync", err) < 0)
        return err_wrap(err, "sync %s to disk", s->dir);
    if (r->out.len != sizeof(sys))
        return err_set(err, GRPC_INTERNAL, 0, "sync %s to disk: its child ended without an answer", s->dir);
    memcpy(&sys, r->out.data, sizeof(sys));
    return sys ? err_sys(err, sys, "sync %s to disk", s->dir) : 0;
}

static void on_child(void *data, struct child_result *result)
{
    struct round *r = data;
    struct syncer *s = r->syncer;
    struct err err;

    free(r);
    if (!s)
        return;
    s->round = NULL;
    round_over(s, round_outcome(s, result, &err) < 0 ? &err : NULL);
}

static void round_begin(struct syncer *s)
{
    struct round *r = mem_new(struct round);
    const struct child_spec spec = {
        .name = "sync", .run = sync_in_child, .stdin_fd = s->fd, .out_max = sizeof(int)};
    struct err err;

    for (struct sync_writer *w = s->writers; w; w = w->next)
        if (w->stage == GATHERING)
            w->stage = IN_ROUND;
    s->due = false;
    s->wrote = 0;
    timer_stop(&s->gather);
    r->syncer = s;
    s->round = r;
    if (child_start(s->loop, &spec, on_child, r, NULL, &err) == 0)
        return;
    s->round = NULL;
    free(r);
    if (any(s, IN_ROUND)) /* else it was an early one: nothing is lost but its time */
        round_over(s, &err);
}

static void on_gathered(void *data)
{
    struct syncer *s = data;

    s->due = true;
    if (!is_in_round(s) && any(s, GATHERING))
        round_begin(s);
}

/* The next round: now, where nobody is left who could join it, or it has been waited for long enough. */
static void plan_round(struct syncer *s)
{
    bool was_due = s->due;

    if (is_in_round(s) || !any(s, GATHERING))
        return;
    s->due = was_due || !any(s, WRITING);
    if (!timer_active(&s->gather) || (s->due && !was_due))
        timer_start(&s->gather, s->loop, s->due ? 0 : GATHER_S, on_gathered, s);
}

static void tell(struct sync_writer *w)
{
    struct err err = w->err;

    w->stage = TOLD;
    w->on_done(w->data, err.grpc ? &err : NULL);
}

/* Forty layers that are renamed and recorded in one turn are too long a one. */
static void tell_round(void *data)
{
    struct syncer *s = data;
    struct sync_writer *w;

    while ((w = any(s, IN_ROUND))) { /* whoever is told may leave, and may make others leave */
        if (loop_turn_is_long(s->loop)) {
            timer_start(&s->telling, s->loop, 0, tell_round, s);
            return;
        }
        tell(w);
    }
    plan_round(s);
}

static void round_over(struct syncer *s, const struct err *err)
{
    struct sync_writer *w;

    for (w = s->writers; err && w; w = w->next)
        if (w->stage != TOLD)
            w->err = *err;
    tell_round(s);
}

/* ---- a writer ---- */

int sync_join(struct syncer *s, struct sync_writer **ret_writer, struct err *err)
{
    if (s->fd < 0)
        s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0)
        return err_sys(err, errno, "open %s", s->dir);
    struct sync_writer *w = mem_new(struct sync_writer);
    *w = (struct sync_writer){.syncer = s, .next = s->writers};
    s->writers = w;
    *ret_writer = w;
    return 0;
}

void sync_wrote(struct sync_writer *w, size_t bytes)
{
    struct syncer *s = w->syncer;

    s->wrote += bytes;
    if (s->wrote >= EARLY_BYTES && !is_in_round(s) && s->writers == w && !w->next)
        round_begin(s);
}

void sync_wait(struct sync_writer *w, void (*on_done)(void *data, const struct err *err), void *data)
{
    w->on_done = on_done;
    w->data = data;
    w->stage = GATHERING;
    plan_round(w->syncer);
}

void sync_leave(struct sync_writer *w)
{
    if (!w)
        return;
    struct syncer *s = w->syncer;
    for (struct sync_writer **p = &s->writers; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    free(w);
    plan_round(s); /* it may have been the last that wrote */
    if (!s->writers) {
        timer_stop(&s->gather);
        s->due = false;
        close(steal_fd(&s->fd)); /* the child of a round has its own */
    }
}
