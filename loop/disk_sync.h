/*
 * On disk before it counts, for many at once: one syncfs(2) of a file system serves all who have written what they had to
 * write before it began. It runs in a child, since it may take as long as the disk likes.
 *
 *   sync_join          sync_wait               a round begins             it ends
 *  ----------> writing ---------> gathering ------------------> in a round -------> told
 *                                     ^      nobody is writing,    |  ^
 *                                     |      or 100 ms have passed |  '-- one at a time: who comes meanwhile gathers
 *      sync_leave, from anywhere: gone; the round goes on for others
 *
 * The kernel tells a failed write once, to the next syncfs(2) of a descriptor that was open then, and not whose it was. So the
 * descriptor is opened with the first writer, and a round that fails fails everybody who had joined before its end.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stddef.h>

struct syncer;
struct sync_writer;

/* dir: of the file system; copied. It need not be there before the first sync_join(). */
struct syncer *syncer_new(struct loop *l, const char *dir);
/* No writer may be used afterwards. A child that runs is left to end by itself. NULL is fine. */
void syncer_free(struct syncer *s);
bool syncer_is_idle(const struct syncer *s); /* no child runs, nobody has joined */

/* Before the first byte is written, until sync_leave(). */
int sync_join(struct syncer *s, struct sync_writer **ret_writer, struct err *err) must_check;
/*
 * So much has been given to whoever writes for it. Where it is the only writer, a round begins after each few MiB for that alone:
 * the disk works while more comes, rather than when all has come. Several writers are busy enough with each other.
 */
void sync_wrote(struct sync_writer *w, size_t bytes);
/* All is written. on_done comes once, later: err NULL means that a sync which began after this call has succeeded. */
void sync_wait(struct sync_writer *w, void (*on_done)(void *data, const struct err *err), void *data);
/* on_done does not come any more. Frees w; NULL is fine. */
void sync_leave(struct sync_writer *w);
