/* What a directory with all in it takes of its file system. Waits for the disk: call it in a child. */
#pragma once
#include "core/err.h"
#include <stdint.h>

struct tree_usage {
    uint64_t bytes;  /* allocated: st_blocks * 512, as du(1) */
    uint64_t inodes; /* with the directory itself; a file with several names counts once */
};

/*
 * Follows no link and does not cross into another file system. What changes or goes away meanwhile is counted or not.
 * Directories more than 256 levels down are counted without what is in them, so that descriptors and stack stay bounded.
 */
int tree_usage(const char *path, struct tree_usage *ret_usage, struct err *err) must_check;
