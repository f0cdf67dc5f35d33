#include "core/store.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

enum { SCHEMA = 1 };

static const char schema[] = "CREATE TABLE IF NOT EXISTS objects ("
                             " kind TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, blob BLOB,"
                             " PRIMARY KEY (kind, id)) WITHOUT ROWID;";

struct store {
    sqlite3 *db;
    sqlite3_stmt *put, *delete, *each;
    uint64_t wal_bytes, wal_limit;
    void (*on_wal)(void *data); /* NULL: nobody wants to know */
    void *on_wal_data;
    char *path;
};

static int fail(struct store *s, struct err *err, const char *what)
{
    int code = sqlite3_errcode(s->db);
    int sys = code == SQLITE_FULL ? ENOSPC : code == SQLITE_READONLY ? EROFS : 0;

    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return err_set(
            err, GRPC_DATA_LOSS, 0,
            "store %s is damaged or is none: %s: move it away to start anew (what runs is then removed)",
            s->path, sqlite3_errmsg(s->db));
    return err_set(err, code == SQLITE_FULL ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL, sys, "store %s: %s: %s",
                   s->path, what, sqlite3_errmsg(s->db));
}

static int run(struct store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, err, sql);
}

/* Called by SQLite instead of its own checkpoint: pages in the log after a commit. */
static int on_wal(void *data, sqlite3 *db, const char *name, int pages)
{
    struct store *s = data;

    (void)db;
    (void)name;
    s->wal_bytes = (uint64_t)pages * 4096;
    if (s->on_wal && s->wal_bytes >= s->wal_limit)
        s->on_wal(s->on_wal_data);
    return SQLITE_OK;
}

static int check_schema(struct store *s, struct err *err)
{
    sqlite3_stmt *q;
    int version = -1;

    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK)
        return fail(s, err, "read schema version");
    if (sqlite3_step(q) == SQLITE_ROW)
        version = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    if (version < 0)
        return fail(s, err, "read schema version");
    if (version > SCHEMA)
        return err_set(
            err, GRPC_FAILED_PRECONDITION, 0,
            "store %s: written by a newer cricket (schema %d, this one knows %d): install that one, or move "
            "the file away to start anew",
            s->path, version, SCHEMA);
    if (version == SCHEMA)
        return 0;
    if (run(s, schema, err) < 0)
        return err_errno(err);
    return run(s, "PRAGMA user_version = 1", err);
}

static int open_db(struct store *s, struct err *err)
{
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return fail(s, err, "open");
    sqlite3_extended_result_codes(s->db, 0);
    sqlite3_busy_timeout(s->db,
                         0); /* waiting would block the loop; only the checkpoint child shares the file */
    if (run(s,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256; PRAGMA "
            "mmap_size = 0;",
            err) < 0)
        return err_errno(err);
    return 0;
}

int store_open(const char *path, struct store **ret_store, struct err *err)
{
    struct store *s = mem_new(struct store);

    s->path = mem_strdup(path);
    if (open_db(s, err) < 0 || check_schema(s, err) < 0)
        goto bad;
    sqlite3_wal_hook(s->db, on_wal, s); /* also turns SQLite's own checkpoint off */
    if (sqlite3_prepare_v3(s->db, "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4)", -1,
                           SQLITE_PREPARE_PERSISTENT, &s->put, NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(s->db, "DELETE FROM objects WHERE kind = ?1 AND id = ?2", -1,
                           SQLITE_PREPARE_PERSISTENT, &s->delete, NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(s->db, "SELECT id, json, blob FROM objects WHERE kind = ?1 ORDER BY id", -1, 0,
                           &s->each, NULL) != SQLITE_OK) {
        fail(s, err, "prepare");
        goto bad;
    }
    *ret_store = s;
    return 0;
bad:
    store_close(s);
    return err_errno(err);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->delete);
    sqlite3_finalize(s->each);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

static int step(struct store *s, sqlite3_stmt *q, const char *what, const char *id, struct err *err)
{
    int r = sqlite3_step(q);

    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    if (r != SQLITE_DONE) {
        fail(s, err, what);
        return err_wrap(err, "%s", id);
    }
    return 0;
}

int store_put(struct store *s, const char *kind, const char *id, const char *json, const void *blob,
              size_t blob_len, struct err *err)
{
    sqlite3_bind_text(s->put, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->put, 2, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->put, 3, json, -1, SQLITE_STATIC);
    if (blob)
        sqlite3_bind_blob64(s->put, 4, blob, blob_len, SQLITE_STATIC);
    return step(s, s->put, "put", id, err);
}

int store_delete(struct store *s, const char *kind, const char *id, struct err *err)
{
    sqlite3_bind_text(s->delete, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->delete, 2, id, -1, SQLITE_STATIC);
    return step(s, s->delete, "delete", id, err);
}

int store_each(struct store *s, const char *kind, store_row_fn *fn, void *data, struct err *err)
{
    int r, rc = 0;

    sqlite3_bind_text(s->each, 1, kind, -1, SQLITE_STATIC);
    while (rc == 0 && (r = sqlite3_step(s->each)) == SQLITE_ROW)
        rc = fn(data, (const char *)sqlite3_column_text(s->each, 0),
                (const char *)sqlite3_column_text(s->each, 1), sqlite3_column_blob(s->each, 2),
                (size_t)sqlite3_column_bytes(s->each, 2), err);
    if (rc == 0 && r != SQLITE_DONE)
        rc = fail(s, err, "read");
    sqlite3_reset(s->each);
    sqlite3_clear_bindings(s->each);
    return rc;
}

int store_begin(struct store *s, struct err *err)
{
    return run(s, "BEGIN", err);
}

int store_commit(struct store *s, struct err *err)
{
    int r = run(s, "COMMIT", err);

    if (r < 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

uint64_t store_wal_bytes(const struct store *s)
{
    return s->wal_bytes;
}

void store_on_wal(struct store *s, uint64_t bytes, void (*fn)(void *data), void *data)
{
    s->wal_limit = bytes;
    s->on_wal = fn;
    s->on_wal_data = data;
}

int store_checkpoint(const char *path, struct err *err)
{
    struct store s = {.path = mem_strdup(path)};
    int r = open_db(&s, err);

    /* PASSIVE never waits for, nor disturbs, the daemon's connection; what it leaves comes next time */
    if (r == 0 && sqlite3_wal_checkpoint_v2(s.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK)
        r = fail(&s, err, "checkpoint");
    sqlite3_db_config(s.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(s.db);
    free(s.path);
    return r;
}
