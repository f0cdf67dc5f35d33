/*
 * Inside of loop/keeper.h: what its files share. keeper.c starts keepers and makes requests, keeper_stdio.c those about
 * a container's stdin and output, keeper_conn.c has the connection, what comes through it, and our picture of the keeper's
 * containers.
 */
#pragma once
#include "core/keeper_wire.h"
#include "loop/keeper.h"

/*
 *  start ---> STARTING --"ready"--> GREETING --all containers--> (restart: ADOPTING ---all answered--> ) CONNECTED
 *  connect --------------------------^ ^                                                               |   |
 *                                      +------------------ connection ended, but it still listens -----+   |
 *  restart <--- LOST <------------------------------------------------ connection ended, nobody listens ---+
 */
enum keeper_phase { KEEPER_STARTING, KEEPER_GREETS, KEEPER_ADOPTING, KEEPER_CONNECTED, KEEPER_LOST };

/* Our picture of a container. The descriptors keep its pipes alive when the keeper dies. */
struct box {
    struct keeper_container_state state;
    char *log_path;
    int fds[KEEPER_FDS];
    bool seen;   /* in the greeting that is being read */
    bool reaped; /* by the daemon, after the keeper had died */
    int status;
    int64_t finished_ns;
};

struct waiting {
    struct waiting *next;
    uint32_t seq;
    char *id, *log_path, *name; /* of a CREATE: container, its log, the command */
    keeper_created_fn *on_created;
    keeper_done_fn *on_done;
    void (*on_adopted)(struct keeper *k);
    void *data;
};

/* The keeper as our child. Outlives struct keeper, as the process does. */
struct process {
    struct keeper *keeper; /* NULL: nobody waits for it any more */
    struct child *child;
};

struct keeper {
    struct loop *loop;
    char *dir;
    struct keeper_events events;
    void *data;
    enum keeper_phase phase;
    bool restarting;
    uint32_t quit_seq;         /* of the QUIT that waits; 0: none */
    keeper_ready_fn *on_ready; /* NULL once called */
    void *ready_data;
    struct timer ready_timer;
    struct process *process; /* while STARTING */
    int ready_fd;
    struct watch *ready_watch;
    int fd;
    struct watch *watch;
    int pid;
    uint32_t seq, to_come; /* CONTAINERs still to come in the greeting */
    struct box **boxes;
    size_t boxes_n, boxes_cap;
    struct waiting *waiting;
    bool busy, dead; /* freed by one of several callbacks in a row: the memory goes when they are through */
};

struct box *box_find(const struct keeper *k, const char *id);
void box_drop(struct keeper *k, size_t i);

/* The start, connect or restart failed. A keeper that was to be restarted stays lost, with its descriptors. */
void keeper_ready_failed(struct keeper *k, const struct err *err);
void keeper_stop_starting(struct keeper *k);
void keeper_hang_up(struct keeper *k);
void waiting_free(struct waiting *w);

int keeper_begin_greeting(struct keeper *k,
                          struct err *err) must_check; /* connects, and waits for the GREETING */
int keeper_connect_to(const char *dir, int *ret_fd, struct err *err) must_check;

/* A request: its number, its sending, and who waits for the answer. */
uint32_t keeper_next_seq(struct keeper *k);
int keeper_send(struct keeper *k, struct keeper_builder *b, const int *fds, size_t n,
                struct err *err) must_check;
int keeper_send_named(struct keeper *k, enum keeper_type type, const char *id, struct err *err) must_check;
struct waiting *keeper_wait_for(struct keeper *k, void *data);
void keeper_send_exited(struct keeper *k, const struct box *b);
