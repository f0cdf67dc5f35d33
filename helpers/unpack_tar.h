/* Reads the archive, entry by entry, and has the tree make each. Formats: ustar, pax, GNU (long names, sparse, base-256). */
#pragma once
#include "core/err.h"
#include "core/tar_entry.h"
#include "helpers/unpack_input.h"
#include "helpers/unpack_tree.h"

struct tar_job {
    struct input *input;
    struct tree *tree;
    struct tar_limits limits; /* with their defaults */
    bool plain;               /* see struct unpack_spec */
    uint64_t files;           /* entries so far */
    uint64_t bytes;           /* of files, written so far */
};

int tar_unpack(struct tar_job *j, struct err *err) must_check;
