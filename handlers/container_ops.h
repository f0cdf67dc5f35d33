/* Operations on containers that operations on pods need, too. */
#pragma once
#include "handlers/containers.h"
#include "handlers/sub_ops.h"

/* Ends the container's process, or hastens the stop that runs; a part of the step that subs counts. Does nothing if none runs. */
void container_stop(struct container *c, int64_t timeout_s, struct sub_ops *subs);
/* Removes the container, after whatever is done to it now. */
void container_remove(struct container *c, struct sub_ops *subs);

/* then(c, subs) when c's operation has ended, unless c is gone by then. */
void container_when_free(struct container *c, struct sub_ops *subs,
                         void (*then)(struct container *c, struct sub_ops *subs));

/* The operation, made but not started. */
struct op *stop_container_op(struct container *c, int64_t timeout_s);

/* data of the flows that make and remove a container */
struct container_flow {
    struct container *container;
    Runtime__V1__ContainerConfig *config; /* NULL where it is not needed */
    struct container_inputs *inputs;      /* handlers/create_container.c */
};

/* Steps that creation undoes and removal does. */
int container_release_image(struct flow *f);
int container_remove_rootfs(struct flow *f);
int container_remove_files(struct flow *f);

/* handlers/create_container.c, for recovery */
extern const struct flow_step create_container_steps[];
struct op *create_container_op(struct container *c);
