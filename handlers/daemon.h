/* The daemon's parts, made by main.c in the order of this struct and unmade in reverse. */
#pragma once
#include "core/config.h"
#include "core/oci_spec.h"
#include "core/store.h"
#include "loop/loop.h"

struct daemon {
    struct config config;
    struct loop *loop;
    struct store *store;
    struct oci_host host;
    char boot_id[40]; /* /proc/sys/kernel/random/boot_id: objects of another boot are not running */
    struct runtimes *runtimes; /* handlers/runtimes.h */
    struct images *images;     /* handlers/images.h */
    struct cni *cni;           /* netns/cni.h */
    struct pods *pods;         /* handlers/pods.h */
    struct containers *containers; /* handlers/containers.h */
    struct bridge *bridge;     /* loop/h2o_bridge.h */
};
