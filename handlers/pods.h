/*
 * Pod sandboxes: the table in memory and its rows. A pod is in the table from the moment its name is reserved; it can be
 * found by id only after it was committed.
 */
#pragma once
#include "core/cpu_rate.h"
#include "core/err.h"
#include "core/ids.h"
#include "core/kv.h"
#include "handlers/op.h"
#include "handlers/packed.h"
#include "loop/keeper.h"
#include "proto/cri.pb-c.h"
#include <uthash.h>

enum pod_state { POD_CREATING, POD_READY, POD_NOTREADY };

struct pod {
    char id[ID_SIZE];
    char *key; /* of namespace, name, uid and attempt: what may exist once */
    char *name, *namespace, *uid;
    uint32_t attempt;
    enum pod_state state;
    int64_t created_ns;
    char *handler; /* as the request named it; "" is the default one */
    char *
        runtime; /* the handler that this meant when the pod was made: the default may change, what runs does not */
    struct kv_list labels, annotations;
    char **ips; /* NULL-terminated; NULL: none. The first is the primary one */
    bool host_network, host_ipc, host_pid, shared_pid;
    bool privileged;
    char *cgroup_parent;        /* as handed to the runtime: "/a/b" or "a-b.slice" */
    char *cgroup_dir;           /* the same as a directory below each hierarchy */
    bool cgroup_parent_is_ours; /* made by us, removed with the pod */
    char *dir;                  /* STATE/pods/ID: pins, files, keeper */
    char boot_id[40];
    char *
        step; /* journal: the last step that was begun while the pod is being made; NULL once it is committed */
    void *config; /* packed PodSandboxConfig */
    size_t config_len;
    struct packed listed; /* its item of ListPodSandbox */

    /* the infra container; its id is the pod's */
    bool infra_wanted; /* a container asked for the shared PID namespace of a pod that was made without one */
    bool infra;        /* there is one */
    int infra_pid;
    int infra_pidfd;
    char *infra_image_id;  /* NULL: the built-in pause */
    bool infra_image_used; /* image_use() was called */
    bool infra_exited;

    struct cpu_rate cpu_rate;
    bool stopped; /* this daemon has stopped it, to the last step: there is no network and no namespace left */

    struct keeper *keeper;      /* NULL while none is connected */
    struct keeper *lost_keeper; /* it died, and is being started again */
    struct timer keeper_timer;  /* until the next try */
    struct flow *keeper_waiter; /* a step that waits for the restart's outcome */
    struct op *op;
    struct daemon *daemon;
    UT_hash_handle hh_id, hh_key;
};

struct pods *pods_new(void);
void pods_free(struct pods *p);

/* Reserves the name. The config is copied (packed). */
struct pod *pod_new(struct daemon *d, const Runtime__V1__PodSandboxConfig *config, const char *handler,
                    const char *runtime);
/* A pod of which only the id is known, as one that is being made: to be undone. */
struct pod *pod_unknown(struct daemon *d, const char *id);
void pod_free(struct pod *pod);                          /* takes it out of the table, too; no row is touched */
char *pod_key(const Runtime__V1__PodSandboxMetadata *m); /* caller frees */

struct pod *pod_find_key(struct pods *p, const char *key);
/* By id or unique prefix; not one that is being made. NOT_FOUND names it. */
struct pod *pod_find(struct pods *p, const char *id, struct err *err);
struct pod *pods_first(struct pods *p);
struct pod *pods_next(struct pod *pod);

int pod_save(struct pod *pod, struct err *err) must_check;
int pod_delete_row(struct pod *pod, struct err *err) must_check;
/* Makes the pods of all rows. */
int pods_load(struct daemon *d, struct err *err) must_check;

/* The unpacked config; the caller frees it with protobuf_c_message_free_unpacked(). Never NULL: a row with a bad one is refused at load. */
Runtime__V1__PodSandboxConfig *pod_config(const struct pod *pod);

/* DIR/NAME; the caller frees. */
char *pod_path(const struct pod *pod, const char *name);
