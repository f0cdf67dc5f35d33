/* The daemon's parts, made by daemon_start() in the order of this struct and unmade in reverse. */
#pragma once
#include "core/config.h"
#include "core/host.h"
#include "core/store.h"
#include "loop/loop.h"

struct daemon {
    struct config config;                                      /* cgroup_driver is resolved: never AUTO */
    char *keeper_path, *unpack_path, *pause_path, *enter_path; /* the helpers */
    struct host host;
    struct loop *loop;
    struct store *store;
    struct runtimes *runtimes; /* handlers/runtimes.h */
    struct images *images;     /* handlers/images.h */
    struct cni *cni;           /* netns/cni.h: the common one */
    struct cni **handler_cni;  /* one for each config.handlers[i]; NULL where it has no directory of its own */
    struct pods *pods;         /* handlers/pods.h */
    struct containers *containers;           /* handlers/containers.h */
    struct writable_layers *writable_layers; /* handlers/writable_layers.h */
    struct bridge *bridge;                   /* loop/h2o_bridge.h */
    struct streaming *streaming;             /* handlers/streaming.h */
    bool stopping;
};

/* Takes the directories and makes all parts but the loop, the config and the bridge, which are there. Call daemon_stop()
 * after a failure, too. */
int daemon_start(struct daemon *d, struct err *err) must_check;
void daemon_stop(struct daemon *d); /* the bridge goes before it, the loop after it */

/* The network of a handler; "" is the default one. */
struct cni *daemon_cni(const struct daemon *d, const char *handler);
