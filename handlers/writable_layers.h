/*
 * How much the running containers have written: their overlays' upper directories are walked by one child at a time, at
 * low priority, and only when somebody asks for statistics. An answer has what the last walk found.
 *
 * A layer is walked again after 10 s, and not before 50 times as long as its walk took: a walk costs at most 2% of a
 * processor, however much a container has written.
 */
#pragma once
#include "core/tree_usage.h"
#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct writable_layers;

/* A part of struct container; zero at first. */
struct writable_layer {
    bool known;
    int64_t at_ns;   /* of the result, real time */
    int64_t next_us; /* monotonic: not walked again before */
    struct tree_usage usage;
};

struct writable_layers *writable_layers_new(struct daemon *d);
void writable_layers_free(struct writable_layers *w);

/* Has the layers walked that are due, unless a walk runs. */
void writable_layers_look(struct writable_layers *w);
