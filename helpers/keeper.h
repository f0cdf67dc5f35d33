/*
 * cricket-keeper: one per pod, parent of the pod's containers, holder of their output, writer of their logs.
 *
 *              command succeeded            process gone         output ended, or waited long enough
 *   CREATING ---------------------> RUNNING -------------> DRAINING ---------------------> ENDED
 *      | command failed                                     (the record is on disk)          | EXIT is sent, again after
 *      v                                                                                     | each reconnect, until
 *    removed  <---------------------------------------------------------------------------- FORGET
 *
 * Memory is what this program is about: no stdio, no heap, a page a container, buffers that are given back when idle.
 */
#pragma once
#include "core/cri_log.h"
#include "core/keeper_wire.h"
#include <limits.h>
#include <sys/types.h>

/* Something that epoll watches. fd -1 while closed. */
struct source {
    int fd;
    uint32_t events; /* of a sink: what it is watched for */
    void (*on_ready)(struct source *s, uint32_t events);
    struct container *container; /* NULL for those of the keeper itself */
};

enum container_state { CONTAINER_CREATING, CONTAINER_RUNNING, CONTAINER_DRAINING, CONTAINER_ENDED };

enum { ID_MAX = 64, TAIL_MAX = 400, LOG_PATH_MAX = 1400, PID_PATH_MAX = 700, OOM_PATH_MAX = 800 };

struct container {
    struct container *next;
    enum container_state state;
    bool tty, log_is_new, forget, timed_out;
    pid_t pid, command;     /* 0: none or reaped */
    struct source out, err; /* read ends, or the pty's master in out */
    struct source pidfd;    /* of an adopted container, which is not our child */
    struct source
        oom; /* memory.events or memory.oom_control, open as its cgroup may vanish before we read it */
    struct source console; /* listens for the pty while creating */
    int in_fd, log_fd;
    uint32_t seq; /* of the CREATE that waits for its answer */
    int64_t
        deadline_ms; /* CLOCK_MONOTONIC; 0: none. Of the command, of the drain, or of an adopted exit's status */
    int64_t ooms, ooms_before; /* oom_kill as last read, and as it was when we began */
    int tries;                 /* for an adopted container's status */
    uint64_t lost; /* bytes of output that could not be written and are not yet reported in the log */
    int lost_errno;
    int32_t code, signal;
    uint32_t exit_flags;
    int64_t finished_ns;
    size_t tail_len;
    char id[ID_MAX + 1];
    char console_path[108];
    char tail[TAIL_MAX]; /* the last of what the command wrote to stderr */
    char log_path[LOG_PATH_MAX], pid_path[PID_PATH_MAX], oom_path[OOM_PATH_MAX];
};

struct keeper {
    int epoll, dir; /* dir: the pod's directory */
    struct source listener, signals, client;
    struct container *containers;
    int creating; /* commands that run: their orphans are not reaped blindly, one of them may be a container */
    pid_t mover;  /* the child that moves us into the pod's cgroup; 0: none */
    int home;     /* where commands run, out of the pod's cgroup; -1: in it */
    bool quit, reap;
    uint32_t flags;        /* of the greeting */
    int64_t sink_limit_ms; /* an attached client that takes nothing for so long is dropped */
    char oom_score_adj[8]; /* what we were started with: what we start gets it back; "" when we kept it */
};
extern struct keeper keeper;

/* Shared by all: a received message, or a chunk of output. Its pages are given back when the keeper is idle. */
extern char scratch[KEEPER_MSG_MAX];
extern char answer[4096];

/* keeper.c */
void source_add(struct source *s, uint32_t events);
void source_close(struct source *s); /* closed already is fine */
int64_t now_ms(void);                /* CLOCK_MONOTONIC */
int64_t now_ns(void);                /* CLOCK_REALTIME */
struct container *container_find(const char *id);
struct container *container_new(const char *id);
void container_free(struct container *c); /* closes all, forgets all but the record on disk */

/* keeper_text.c: bounded text without stdio */
struct text {
    char *buf;
    size_t len, cap; /* always NUL-terminated; what does not fit is dropped */
};
void text_init(struct text *t, char *buf, size_t cap);
void text_add(struct text *t, const char *s);
void text_add_n(struct text *t, const char *s, size_t n);
void text_add_number(struct text *t, int64_t n);
bool text_copy(char *to, size_t cap, const char *s);     /* false: too long, nothing copied */
int64_t text_number(const char *text);                   /* -1: it does not begin with a digit */
int64_t number_after(const char *text, const char *key); /* -1: "KEY n" is not there */
ssize_t read_text(int dir, const char *path, char *buf,
                  size_t cap); /* a whole small file, NUL-terminated; -1 */

/* keeper_msg.c */
void client_on_ready(struct source *s, uint32_t events);
void client_greet(void);
void send_flags(void); /* they have changed since the greeting */
void send_reply(uint32_t seq, int grpc, const char *message);
void send_created(struct container *c);
void send_exit(const struct container *c); /* when a daemon is connected */

/* keeper_create.c */
void create_start(const struct keeper_create_msg *m, struct keeper_strings *strings);
void create_ended(struct container *c, int status);
void create_timeout(struct container *c);

/* keeper_exit.c */
void reap(void);
void container_watch(struct container *c); /* RUNNING from now on */
void container_exited(struct container *c, int status, bool known, int64_t finished_ns);
void container_check_end(struct container *c);
void container_timeout(struct container *c);
void record_forget(struct container *c);
void records_load(void);

/* keeper_log.c */
void log_on_ready(struct source *s, uint32_t events);
bool log_drain(struct source *s);              /* true: it has ended and is closed */
int log_open(const char *path, bool *ret_new); /* -1 with errno */
void log_write_loss(struct container *c);

/*
 * keeper_attach.c: copies of what a container prints for attached clients, each with a sink of its own: the write end of a
 * pipe of the daemon's. A stream that has sinks has a page for them, at most 32. What a slow one has not taken yet is held
 * in pages of their own, 64 KiB at most while the container runs and 128 KiB when it has ended; without sinks none of it.
 */
/*
 * fds: for stdout and stderr, NULL where not wanted; those that are taken become -1. What is left of them has no stream (any
 * more), and closing it tells the client so. False: too many clients or no memory, nothing was taken.
 */
bool attach(struct container *c, int *fds[static 2]);
bool relay_may_read(const struct source *stream); /* false: a client has not taken what it was given */
void relay_watch(const struct source *stream);    /* has epoll watch it as long as it may be read */
void relay_copy(const struct source *stream, const char *bytes, size_t n);
/* The stream is closed or about to be: its sinks are, once they have taken what is held for them. */
void relay_end(const struct source *stream);
int64_t relay_deadline(void); /* CLOCK_MONOTONIC, ms; INT64_MAX: none */
void relay_timeouts(int64_t t);

/* keeper_cgroup.c */
/* cgroup.procs of where we are before we move, as far as processors are concerned; -1: not known */
int cgroup_home(void);
pid_t cgroup_enter(const char *path); /* the child that does it; its exit status 0: done. -1: none */
void oom_watch(struct container *c);
bool oom_read(struct container *c); /* false: its group is gone */
