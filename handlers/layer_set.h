/*
 * The layers of one or several images, fetched a few at a time in the order given: the lowest first. It holds each of them
 * until layer_set_done().
 */
#pragma once
#include "handlers/layers.h"

struct layer_job {
    struct layer_set *set;
    struct layer *layer; /* held */
    char *digest;        /* of the blob; NULL: not known */
    uint64_t size;
    struct layer_fetch *fetch; /* while it runs */
    bool unpacked;             /* and waits for the disk */
};

struct layer_set {
    struct layers *layers;
    int parallel; /* at most so many are fetched and unpacked at once; those that wait for the disk do not count */
    struct layer_job *jobs;
    size_t n, cap;

    /* fills fd or session of a source that has digest and size; an error ends the set */
    int (*open_source)(void *data, size_t job, struct layer_source *source, struct err *err);
    void (*on_done)(void *data, const struct err *err); /* err NULL: every layer is ready */
    void *data;

    size_t next, running, unpacking; /* the latter are among the former */
    size_t fetched, shared;          /* shared: was there, or another fetch brought it */
    uint64_t bytes;                  /* compressed, moved for this set */
    struct err err;
    struct timer soon;
};

/* digest may be NULL. */
void layer_set_add(struct layer_set *s, const char *diff_id, const char *digest, uint64_t size);
/* on_done comes once, later. */
void layer_set_start(struct layer_set *s, struct loop *l);
void layer_set_cancel(struct layer_set *s); /* on_done still comes */
/* Lets the layers go; nothing may run. Those that nobody else holds are removed. */
void layer_set_done(struct layer_set *s);
