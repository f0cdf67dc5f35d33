/* Containers: the table in memory and its rows. The process belongs to the pod's keeper. */
#pragma once
#include "core/cpu_rate.h"
#include "core/err.h"
#include "core/ids.h"
#include "core/kv.h"
#include "handlers/op.h"
#include "handlers/packed.h"
#include "handlers/pods.h"
#include "handlers/writable_layers.h"
#include "proto/cri.pb-c.h"
#include <uthash.h>

enum container_state {
    CONTAINER_STATE_CREATING,
    CONTAINER_STATE_CREATED,
    CONTAINER_STATE_RUNNING,
    CONTAINER_STATE_EXITED
};

struct container {
    char id[ID_SIZE];
    char *key; /* pod id/name/attempt */
    char pod_id[ID_SIZE];
    char *name;
    uint32_t attempt;
    enum container_state state;
    int64_t created_ns, started_ns, finished_ns;
    int exit_code;
    char *reason, *message; /* NULL: none */
    char *image;            /* as the request named it */
    char *image_id;         /* "sha256:..." */
    char *image_ref;        /* repo digest when there is one, else the id */
    struct kv_list labels, annotations;
    char *log_path; /* absolute; NULL: none */
    uint32_t uid, gid;
    uint32_t *gids;
    size_t gids_n;
    int stop_signal; /* Linux number */
    bool shared_pid; /* its init is not PID 1 of a namespace of its own */
    bool tty;
    int pid;   /* of init while it runs */
    int pidfd; /* -1 */
    char *dir; /* STATE/containers/ID: the bundle */
    char boot_id[40];
    char *step;      /* journal, as in struct pod */
    bool in_runtime; /* the OCI runtime may know it: delete it there before the files go */
    void *config;    /* packed ContainerConfig */
    size_t config_len;
    bool image_used;      /* image_use() was called */
    struct packed listed; /* its item of ListContainers */

    void (*on_exit)(void *data); /* a flow that waits for the end of the process */
    void *on_exit_data;
    struct cpu_rate cpu_rate;
    struct writable_layer writable_layer;
    struct exec_door *exec_door; /* handlers/exec_doors.h; NULL: none */
    struct child *deleting;      /* the runtime's delete that follows an exit */
    char *undeleted;             /* why the latest one failed; NULL: it did not */
    void (*on_deleted)(void *data);
    void *on_deleted_data;
    struct op *op;
    struct daemon *daemon;
    UT_hash_handle hh_id, hh_key;
};

struct containers *containers_new(void);
void containers_free(struct containers *c);

struct container *container_new(struct daemon *d, struct pod *pod, const Runtime__V1__ContainerConfig *config);
void container_free(struct container *c);
char *container_key(const char *pod_id, const Runtime__V1__ContainerMetadata *m);

struct container *container_find_key(struct containers *t, const char *key);
struct container *container_find(struct containers *t, const char *id, struct err *err);
/* One that runs; FAILED_PRECONDITION for another: "... is not running: there is nothing to WHAT". */
struct container *container_find_running(struct containers *t, const char *id, const char *what,
                                         struct err *err);
struct container *containers_first(struct containers *t);
struct container *containers_next(struct container *c);

int container_save(struct container *c, struct err *err) must_check;
int container_delete_row(struct container *c, struct err *err) must_check;
int containers_load(struct daemon *d, struct err *err) must_check;
Runtime__V1__ContainerConfig *container_config(const struct container *c);
char *container_path(const struct container *c, const char *name);
struct pod *container_pod(const struct container *c); /* never NULL: a container goes before its pod */

/* Its process runs from now on: opens the pidfd. */
void container_set_running(struct container *c, int pid, int64_t started_ns);
/* Its start failed after all: as before container_set_running(). */
void container_unset_running(struct container *c);
/* Records the exit, saves, wakes who waits, and has the OCI runtime delete what is left of it. */
void container_exited(struct container *c, const struct keeper_exit *x);
/* Calls fn when the runtime's delete is over; at once through the loop when none runs. */
void container_after_delete(struct container *c, void (*fn)(void *data), void *data);
/* Has the runtime forget it (delete --force): in_runtime is false afterwards, or undeleted says why not. The completion
 * comes as on_deleted. */
void container_delete_from_runtime(struct container *c);
/* Where the runtime keeps its own record; NULL when the handler is gone. The caller frees. */
char *container_runtime_dir(const struct container *c);
/* Sends a signal to init, or for SIGKILL without an own PID namespace to all its processes. */
int container_signal(struct container *c, int signal, struct err *err) must_check;
