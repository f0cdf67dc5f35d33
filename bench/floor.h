/* What the parts of a pod cost without a runtime around them. Each adds its series; a failure of one does not stop the others. */
#pragma once
#include "bench/bench.h"

int floor_kernel(struct bench *b, unsigned n,
                 struct err *err) must_check;                           /* spawn, network namespace, overlay */
int floor_cni(struct bench *b, unsigned n, struct err *err) must_check; /* the plugins of --cni-conf */
int floor_image(struct bench *b, unsigned n,
                struct err *err) must_check;                            /* the images of `pull`; not if quick */
int floor_oci(struct bench *b, unsigned n, struct err *err) must_check; /* --oci-runtime on a bundle */

/* A network namespace that a bind mount on the file pins, made by a child; and its end. */
int floor_netns_make(const char *file, struct err *err) must_check;
int floor_netns_remove(const char *file, struct err *err) must_check;
