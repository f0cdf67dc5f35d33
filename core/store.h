/*
 * What survives a restart: one SQLite file in WAL mode, synchronous=NORMAL, so that a commit is one write(2) and no fsync,
 * and the file is consistent after a power cut. Rows are (kind, id) -> JSON text and an optional blob (a packed CRI
 * message). Everything is in memory as well; the store is read once, at start.
 *
 * Checkpoints fsync, so they never happen here: store_checkpoint() is for a process of its own (`cricketd` starts itself).
 */
#pragma once
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

struct store;

/* A file of a newer schema is refused with what to do; a damaged one too. */
int store_open(const char *path, struct store **ret_store, struct err *err) must_check;
void store_close(struct store *s);

int store_put(struct store *s, const char *kind, const char *id, const char *json, const void *blob,
              size_t blob_len, struct err *err) must_check;
int store_delete(struct store *s, const char *kind, const char *id,
                 struct err *err) must_check; /* absent is fine */
typedef int store_row_fn(void *data, const char *id, const char *json, const void *blob, size_t blob_len,
                         struct err *err);
int store_each(struct store *s, const char *kind, store_row_fn *fn, void *data, struct err *err) must_check;

/* Several puts and deletes as one. */
int store_begin(struct store *s, struct err *err) must_check;
int store_commit(struct store *s, struct err *err) must_check;

/* Bytes in the write-ahead log since the last checkpoint, as far as this connection wrote them. */
uint64_t store_wal_bytes(const struct store *s);
/* fn is called after each commit that leaves `bytes` or more in the log. It must not use the store. */
void store_on_wal(struct store *s, uint64_t bytes, void (*fn)(void *data), void *data);
int store_checkpoint(const char *path, struct err *err) must_check;
