/* The store: what is put is there again; what it must refuse; a full disk; the checkpoint. */
#include "core/store.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64], path[96];
static struct err err;

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/cricket-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/store.db", dir);
    err = (struct err){0};
    return 0;
}

static int remove_dir(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};

    (void)state;
    for (size_t i = 0; i < countof(suffixes); i++) {
        char file[128];
        snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        unlink(file);
    }
    return rmdir(dir);
}

static struct store *open_it(void)
{
    struct store *s = NULL;

    if (store_open(path, &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static void put(struct store *s, const char *kind, const char *id, const char *json)
{
    if (store_put(s, kind, id, json, id, strlen(id), &err) < 0)
        fail_msg("%s", err.msg);
}

static char seen[4096];

static int see(void *data, const char *id, const char *json, const void *blob, size_t len, struct err *e)
{
    (void)data;
    (void)e;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s=%s/%.*s ", id, json, (int)len,
             blob ? (const char *)blob : "");
    return 0;
}

static const char *all(struct store *s, const char *kind)
{
    seen[0] = '\0';
    assert_int_equal(store_each(s, kind, see, NULL, &err), 0);
    return seen;
}

static void rows_survive(void **state)
{
    struct store *s = open_it();

    (void)state;
    put(s, "pod", "b", "1");
    put(s, "pod", "a", "2");
    put(s, "container", "a", "3");
    put(s, "pod", "b", "4"); /* replaces */
    assert_int_equal(store_put(s, "pod", "none", "5", NULL, 0, &err), 0);
    assert_int_equal(store_delete(s, "container", "absent", &err), 0);
    assert_string_equal(all(s, "pod"), "a=2/a b=4/b none=5/ ");
    store_close(s);
    s = open_it();
    assert_string_equal(all(s, "pod"), "a=2/a b=4/b none=5/ ");
    assert_string_equal(all(s, "container"), "a=3/a ");
    assert_int_equal(store_delete(s, "pod", "b", &err), 0);
    store_close(s);
    s = open_it();
    assert_string_equal(all(s, "pod"), "a=2/a none=5/ ");
    store_close(s);
}

/* What a killed daemon leaves: the log was never merged, and nobody closed anything. */
static void a_killed_writer(void **state)
{
    (void)state;
    if (fork() == 0) {
        struct store *s = open_it();
        put(s, "pod", "a", "1");
        assert_int_equal(store_begin(s, &err), 0);
        put(s, "pod", "b", "2");
        kill(getpid(), SIGKILL);
    }
    assert_true(wait(NULL) > 0);
    struct store *s = open_it();
    assert_string_equal(all(s, "pod"), "a=1/a "); /* and nothing of what was not committed */
    store_close(s);
}

static void several_as_one(void **state)
{
    struct store *s = open_it();

    (void)state;
    assert_int_equal(store_begin(s, &err), 0);
    put(s, "pod", "a", "1");
    put(s, "pod", "b", "2");
    assert_int_equal(store_commit(s, &err), 0);
    assert_string_equal(all(s, "pod"), "a=1/a b=2/b ");
    store_close(s);
}

static void sql(const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_newer_schema(void **state)
{
    struct store *s = open_it();

    (void)state;
    store_close(s);
    sql("PRAGMA user_version = 99");
    assert_true(store_open(path, &s, &err) < 0);
    assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "schema 99"));
    assert_non_null(strstr(err.msg, path));
    sql("PRAGMA user_version = 1");
    store_close(open_it());
}

/* A daemon that was killed between the table and its version. */
static void a_half_made_schema(void **state)
{
    (void)state;
    sql("CREATE TABLE objects (kind TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, blob BLOB, PRIMARY "
        "KEY "
        "(kind, id)) WITHOUT ROWID");
    struct store *s = open_it();
    put(s, "pod", "a", "1");
    store_close(s);
}

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
}

static void no_database(void **state)
{
    char garbage[8192];
    struct store *s;

    (void)state;
    memset(garbage, 'x', sizeof(garbage));
    write_file(garbage, sizeof(garbage));
    assert_true(store_open(path, &s, &err) < 0);
    assert_int_equal(err.grpc, GRPC_DATA_LOSS);
    assert_non_null(strstr(err.msg, "move it away"));
    write_file("", 0); /* an empty file is a new store */
    store_close(open_it());
}

static void a_damaged_page(void **state)
{
    struct store *s = open_it();
    char id[16];

    (void)state;
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "%d", i);
        put(s, "pod", id, "a row with some text so that the table has many pages");
    }
    store_close(s);
    assert_int_equal(store_checkpoint(path, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", path);
    assert_int_equal(unlink(wal), 0); /* it has all pages, too */
    FILE *f = fopen(path, "r+");
    for (long at = 4096; at + 4096 <= st.st_size; at += 4096) {
        fseek(f, at, SEEK_SET);
        for (int i = 0; i < 64; i++)
            fputc(0xff, f);
    }
    fclose(f);
    if (store_open(path, &s, &err) == 0) {
        seen[0] = '\0';
        assert_true(store_each(s, "pod", see, NULL, &err) < 0);
        store_close(s);
    }
    assert_int_equal(err.grpc, GRPC_DATA_LOSS);
}

static void an_absent_directory(void **state)
{
    struct store *s;

    (void)state;
    assert_true(store_open("/nonexistent/dir/store.db", &s, &err) < 0);
    assert_non_null(strstr(err.msg, "/nonexistent/dir/store.db"));
}

static void a_full_disk(void **state)
{
    struct store *s;
    char id[16];
    size_t n = 1 << 16;
    char *big = memset(mem_alloc(n), 'x', n);
    int r = 0, put_n = 0;

    (void)state;
    big[n - 1] = '\0';
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0) {
        free(big);
        skip(); /* only root may */
    }
    s = open_it();
    while (r == 0 && put_n < 100) {
        snprintf(id, sizeof(id), "%d", put_n);
        r = store_put(s, "pod", id, big, NULL, 0, &err);
        put_n += r == 0;
    }
    assert_true(r < 0);
    assert_int_equal(err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(err.sys, ENOSPC);
    assert_true(put_n > 3);
    /* with room again it goes on, without a restart, and has what it had */
    assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=8m"), 0);
    put(s, "container", "c", "1");
    assert_string_equal(all(s, "container"), "c=1/c ");
    store_close(s);
    s = open_it();
    assert_string_equal(all(s, "container"), "c=1/c ");
    store_close(s);
    free(big);
    assert_int_equal(umount(dir), 0);
}

static int long_wal;

static void on_long(void *data)
{
    ++*(int *)data;
}

static void the_checkpoint(void **state)
{
    struct store *s = open_it();
    char id[16];

    (void)state;
    store_on_wal(s, 100 << 10, on_long, &long_wal);
    put(s, "pod", "a", "1");
    assert_int_equal(long_wal, 0); /* a short log asks for nothing */
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "%d", i);
        put(s, "pod", id, "a row");
    }
    assert_true(long_wal > 0);
    uint64_t before = store_wal_bytes(s);
    assert_true(before >= 100 << 10);
    assert_int_equal(store_checkpoint(path, &err),
                     0); /* beside the open connection, as a process of its own has it */
    long_wal = 0;
    put(s, "pod", "a", "2"); /* the log begins anew */
    assert_true(store_wal_bytes(s) < before / 10);
    assert_int_equal(long_wal, 0);
    store_close(s);
    s = open_it();
    assert_non_null(strstr(all(s, "pod"), "a=2/a "));
    store_close(s);
    assert_true(store_checkpoint("/nonexistent/store.db", &err) < 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(rows_survive), T(a_killed_writer), T(several_as_one),      T(a_newer_schema), T(a_half_made_schema),
        T(no_database),  T(a_damaged_page),  T(an_absent_directory), T(a_full_disk),    T(the_checkpoint),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
