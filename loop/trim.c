#include "loop/trim.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static struct timer timer;

/* Private mappings of files that cannot have been written to: dropping their pages loses nothing. */
static void drop_clean_pages(void)
{
    cleanup_fclose FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];

    while (maps && fgets(line, sizeof(line), maps)) {
        uintptr_t start, end;
        char perms[5], path[256] = "";
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &start, &end, perms, path) < 4)
            continue;
        if (path[0] == '/' && perms[1] == '-' && perms[2] == 'x' && perms[3] == 'p')
            madvise((void *)start, end - start, MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
    }
}

static void on_time(void *data)
{
    (void)data;
    malloc_trim(0);
    drop_clean_pages();
}

void trim_later(struct loop *l)
{
    timer_start(&timer, l, TRIM_AFTER_S, on_time, NULL);
}

void trim_stop(void)
{
    timer_stop(&timer);
}
