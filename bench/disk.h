/*
 * What a runtime writes and keeps on disk: figures of the file system that --root is on and of the block device under it. They
 * are the runtime's alone only where it has that file system for itself.
 */
#pragma once
#include "bench/bench.h"

struct disk {
    double used_kib;    /* of the file system */
    double written_kib; /* by the device since the machine started; negative: no block device is under it */
};

int disk_take(const struct bench *b, struct disk *ret,
              struct err *err) must_check; /* writes everything out before */
unsigned long
disk_files(const char *dir); /* below a directory, on its file system, directories included; 0 for NULL */
