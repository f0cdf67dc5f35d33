/* The real cricket-unpack through the daemon's side of it. As root; archives come from unpack_archives.py. */
#include "loop/unpack.c"

#include "core/buf.h"
#include "core/tree.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static char top[] = "/tmp/cricket-unpack-XXXXXX", binary[PATH_MAX + 32], sources[] = "t/unit/loop";
static struct loop *loop;

/* ---- one unpacking, run to its end ---- */

struct job {
    int done;
    struct unpack_result result;
    struct err err;
    struct unpack *u;
    char *bytes;
    size_t len, sent, rooms;
};

static void on_done(void *data, const struct unpack_result *result, const struct err *err)
{
    struct job *j = data;

    j->done++;
    assert_true(!result != !err);
    if (result)
        j->result = *result;
    if (err)
        j->err = *err;
    j->u = NULL;
    loop_stop(loop);
}

static void feed(void *data)
{
    struct job *j = data;

    while (j->sent < j->len) {
        size_t n = unpack_write(j->u, j->bytes + j->sent, j->len - j->sent);
        if (n == 0) {
            j->rooms++;
            unpack_on_room(j->u, feed, j);
            return;
        }
        j->sent += n;
    }
    unpack_eof(j->u);
}

static void on_too_late(void *data)
{
    (void)data;
    fail_msg("an unpacking did not end within 60 s");
}

static void run_loop(void)
{
    struct timer limit = {0};

    timer_start(&limit, loop, 60, on_too_late, NULL);
    loop_run(loop);
    timer_stop(&limit);
}

static char *in_top(const char *name)
{
    return mem_printf("%s/%s", top, name);
}

static void slurp(const char *name, struct job *j)
{
    cleanup_free char *path = in_top(name);
    cleanup_fclose FILE *f = fopen(path, "r");
    struct stat st;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    j->len = (size_t)st.st_size;
    j->bytes = mem_alloc(j->len);
    assert_int_equal(fread(j->bytes, 1, j->len, f), j->len);
}

/* Feeds an archive of top into the directory top/NAME; only `len` bytes of it where len is set. */
static struct job unpack_with(const char *archive, struct unpack_spec spec, const char *name, size_t len)
{
    cleanup_free char *dir = in_top(name);
    struct job j = {0};
    struct err err = {0};

    spec.binary = binary;
    spec.dir = dir;
    slurp(archive, &j);
    if (len)
        j.len = len;
    assert_int_equal(unpack_start(loop, &spec, on_done, &j, &j.u, &err), 0);
    feed(&j);
    assert_int_equal(j.done, 0);
    run_loop();
    assert_int_equal(j.done, 1);
    assert_int_equal(child_count(), 0);
    free(j.bytes);
    j.bytes = NULL;
    return j;
}

static const struct unpack_spec fed = {.input_fd = -1};

static struct job unpack_to(const char *archive, const char *name)
{
    return unpack_with(archive, fed, name, 0);
}

static bool exists(const char *name)
{
    cleanup_free char *path = in_top(name);
    struct stat st;
    return lstat(path, &st) == 0;
}

/* It failed with this code and these words, and left nothing. */
static void assert_failed(const struct job *j, int grpc, const char *words, const char *name)
{
    cleanup_free char *list = mem_printf("%s.implied", name);

    if (j->err.grpc != grpc || !strstr(j->err.msg, words))
        fail_msg("\"%s\" wanted, but: %s %s", words, grpc_code_name(j->err.grpc), j->err.msg);
    assert_false(exists(name));
    assert_false(exists(list));
}

static void assert_good(const struct job *j)
{
    if (j->err.grpc)
        fail_msg("%s", j->err.msg);
}

static char *output_of(const char *cmd)
{
    FILE *f = popen(cmd, "r");
    struct buf b = {0};
    char chunk[4096];
    size_t n;

    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_add(&b, chunk, n);
    assert_int_equal(pclose(f), 0);
    return buf_steal(&b);
}

static void clean(const char *name)
{
    cleanup_free char *dir = in_top(name), *list = mem_printf("%s/%s.implied", top, name);
    struct err err = {0};

    assert_int_equal(tree_remove(dir, &err), 0);
    assert_int_equal(tree_remove(list, &err), 0);
}

static struct stat stat_of(const char *name)
{
    cleanup_free char *path = in_top(name);
    struct stat st;

    if (lstat(path, &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static void assert_content(const char *name, const char *content)
{
    cleanup_free char *path = in_top(name);
    cleanup_fclose FILE *f = fopen(path, "r");
    char text[100];

    if (!f)
        fail_msg("%s is not there", name);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    assert_string_equal(text, content);
}

static bool opaque(const char *name)
{
    cleanup_free char *path = in_top(name);
    char v[2];
    return lgetxattr(path, "trusted.overlay.opaque", v, sizeof(v)) == 1 && v[0] == 'y';
}

static bool whiteout(const char *name)
{
    struct stat st = stat_of(name);
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static char *sha_of(const char *archive)
{
    cleanup_free char *path = mem_printf("%s/%s.sha256", top, archive);
    char hex[65] = "";
    cleanup_fclose FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_int_equal(fread(hex, 1, 64, f), 64);
    return mem_printf("sha256:%s", hex);
}

/* ---- good archives ---- */

static void unpacks_what_tar_packed(void **state)
{
    static const struct {
        const char *archive, *flags, *inner;
    } cases[] = {
        {"tree-gnu.tar", "no-ns no-xattrs", NULL},
        {"tree-pax.tar", "", NULL},
        {"tree-pax-0.0.tar", "", NULL},
        {"tree-pax-0.1.tar", "", NULL},
        {"tree-multi.tar.gz", "", "tree-pax.tar"},
        {"tree-multi.tar.zst", "", "tree-pax.tar"},
        {"tree-garbage.tar.gz", "", "tree-pax.tar"},
        {"tree-garbage.tar.zst", "", "tree-pax.tar"},
        {"tree-trailing.tar", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        cleanup_free char *digest = sha_of(cases[i].archive);
        cleanup_free char *diff_id = sha_of(cases[i].inner ? cases[i].inner : cases[i].archive);
        struct unpack_spec spec = {.input_fd = -1, .digest = digest, .diff_id = diff_id};
        struct job j = unpack_with(cases[i].archive, spec, "out", 0);
        assert_good(&j);
        assert_string_equal(j.result.digest, digest);
        assert_string_equal(j.result.diff_id, diff_id);
        assert_int_equal(j.result.compressed, j.len);
        assert_int_equal(j.result.implied, 0);
        assert_false(exists("out.implied"));

        cleanup_free char *theirs =
            mem_printf("python3 %s/unpack_list.py %s/source %s", sources, top, cases[i].flags);
        cleanup_free char *ours =
            mem_printf("python3 %s/unpack_list.py %s/out %s", sources, top, cases[i].flags);
        cleanup_free char *a = output_of(theirs), *b = output_of(ours);
        assert_true(strlen(a) > 2000);
        assert_string_equal(a, b);
        assert_true(stat_of("out/sparse").st_blocks * 512 < 1 << 20);
        assert_true(stat_of("out/all-hole").st_blocks * 512 < 1 << 16);
        clean("out");
    }
}

static void reads_a_file_itself(void **state)
{
    cleanup_free char *path = in_top("names.tar"), *dir = in_top("out");
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct unpack_spec spec = {.binary = binary, .dir = dir, .input_fd = fd};
    struct job j = {0};

    (void)state;
    assert_int_equal(unpack_start(loop, &spec, on_done, &j, &j.u, &j.err), 0);
    run_loop();
    assert_good(&j);
    assert_content("out/absolute/file", "a");
    clean("out");
}

static void cleans_the_names(void **state)
{
    struct job j = unpack_to("names.tar", "out");

    (void)state;
    assert_good(&j);
    assert_content("out/absolute/file", "a");
    assert_content("out/dot/file", "b");
    assert_content("out/slash/file", "c");
    assert_int_equal(stat_of("out/absolute/file").st_nlink, 3);
    assert_int_equal(stat_of("out").st_mode & 07777, 0751);
    assert_int_equal(stat_of("out").st_uid, 9);
    assert_int_equal(j.result.implied, 2); /* absolute, dot */
    clean("out");
}

static void makes_whiteouts(void **state)
{
    struct job j = unpack_to("whiteouts.tar", "out");

    (void)state;
    assert_good(&j);
    assert_true(whiteout("out/d/gone"));
    assert_content("out/d/kept", "1");
    assert_content("out/d/back", "2");
    assert_true(exists("out/d/dir-after/f") && opaque("out/d/dir-after"));
    assert_int_equal(stat_of("out/d/dir-after").st_mode & 07777, 0700);
    assert_true(exists("out/d/dir-before/f") && opaque("out/d/dir-before"));
    assert_true(exists("out/d/parent/deep/f") && opaque("out/d/parent"));
    assert_true(exists("out/o/f") && opaque("out/o"));
    assert_true(exists("out/p/sub/f") && opaque("out/p"));
    assert_false(opaque("out/d"));
    assert_false(exists("out/.wh..wh.plnk"));
    assert_false(exists("out/d/.wh..wh.aufs"));
    assert_true(whiteout("out/q/implied-parent"));
    assert_int_equal(stat_of("out/d").st_mtim.tv_sec, 1234567890);
    clean("out");

    j = unpack_to("opaque-root.tar", "out");
    assert_good(&j);
    assert_true(opaque("out"));
    clean("out");
}

static void lets_the_later_entry_win(void **state)
{
    struct job j = unpack_to("duplicates.tar", "out");
    char text[10] = "";
    cleanup_free char *link2 = in_top("out/link2");

    (void)state;
    assert_good(&j);
    assert_content("out/f", "third");
    assert_content("out/hard", "second");
    assert_content("out/hard2", "third");
    assert_content("out/self", "third");
    assert_content("out/link", "replaced, f is not");
    assert_content("out/f-to-d", "now a file");
    assert_content("out/d-from-f/in", "2");
    assert_int_equal(stat_of("out/d-from-f").st_mode & 07777, 0711);
    assert_content("out/d/keep", "3");
    assert_int_equal(stat_of("out/d").st_mode & 07777, 0755);
    assert_int_equal(stat_of("out/d").st_uid, 0);
    assert_int_equal(stat_of("out/d").st_mtim.tv_sec, 1300000000);
    assert_true(readlink(link2, text, sizeof(text) - 1) == 1 && text[0] == 'b');
    assert_true(S_ISLNK(stat_of("out/tree").st_mode));
    assert_content("out/abyss", "filled"); /* after a tree 2000 directories deep */
    clean("out");
}

static void stays_inside(void **state)
{
    struct job j = unpack_to("through-links.tar", "out");

    (void)state;
    assert_good(&j);
    assert_content("out/usr/lib/via-link", "v");
    assert_content("out/usr/lib/second", "v2");
    assert_true(S_ISLNK(stat_of("out/lib").st_mode));
    assert_int_equal(stat_of("out/usr/lib").st_mtim.tv_sec, 1222222222);
    assert_content("out/run/pid", "1");
    assert_content("out/up-target/f", "u");
    clean("out");

    j = unpack_to("escape-link.tar", "out");
    assert_good(&j);
    assert_content("out/ESCAPED", "e");
    assert_content("out/ESCAPED-2", "e");
    assert_content("out/f", "e");
    clean("out");
    assert_int_not_equal(access("/ESCAPED", F_OK), 0);
    assert_int_not_equal(access("/ESCAPED-2", F_OK), 0);
    assert_false(exists("ESCAPED"));
}

static void sets_only_harmless_xattrs(void **state)
{
    struct job j = unpack_to("xattrs.tar", "out");
    cleanup_free char *f = in_top("out/f"), *d = in_top("out/d");
    char v[20] = "";

    (void)state;
    assert_good(&j);
    assert_int_equal(getxattr(f, "user.ok", v, sizeof(v)), 3);
    assert_string_equal(v, "yes");
    assert_true(getxattr(f, "trusted.overlay.redirect", v, sizeof(v)) < 0);
    assert_true(getxattr(f, "user.overlay.opaque", v, sizeof(v)) < 0);
    assert_int_equal(getxattr(d, "trusted.ok", v, sizeof(v)), 1);
    assert_false(opaque("out/d"));
    clean("out");
}

static void keeps_directory_times(void **state)
{
    struct job j = unpack_to("empty-dirs.tar", "out");

    (void)state;
    assert_good(&j);
    for (int i = 0; i < 300; i++) { /* more directories than slots, each entered twice */
        char name[64];
        snprintf(name, sizeof(name), "out/d%d", i);
        assert_int_equal(stat_of(name).st_mtim.tv_sec, 1000000000 + i);
    }
    assert_int_equal(j.result.files, 900);
    clean("out");

    j = unpack_to("empty.tar", "out");
    assert_good(&j);
    assert_int_equal(j.result.files, 0);
    assert_int_equal(j.result.implied, 1);
    clean("out");
}

static void takes_a_plain_archive_as_it_is(void **state)
{
    struct unpack_spec spec = {.input_fd = -1, .plain_archive = true};
    struct job j = unpack_with("plain-archive.tar", spec, "out", 0);

    (void)state;
    assert_good(&j);
    assert_content("out/manifest.json", "[]");
    assert_int_equal(stat_of("out/manifest.json").st_uid, 0);
    assert_int_equal(stat_of("out/manifest.json").st_mode & 07777, 0644);
    assert_content("out/two", "1");
    assert_content("out/three", "1");
    assert_content("out/.wh.kept", "w");
    assert_false(exists("out/null"));
    assert_false(exists("out/fifo"));
    assert_false(exists("out.implied"));
    clean("out");
}

/* ---- implied directories ---- */

static void on_fixed(void *data, const struct err *err)
{
    if (err)
        fail_msg("%s", err->msg);
    ++*(int *)data;
    loop_stop(loop);
}

static void fixes_implied_directories(void **state)
{
    cleanup_free char *l1 = in_top("l1"), *l2 = in_top("l2"), *l3 = in_top("l3");
    const char *const layers[] = {l1, l2, l3, NULL};
    int done = 0;

    (void)state;
    struct job j1 = unpack_to("lower.tar", "l1"), j2 = unpack_to("middle.tar", "l2"),
               j3 = unpack_to("upper.tar", "l3");
    assert_good(&j1);
    assert_good(&j2);
    assert_good(&j3);
    assert_int_equal(j3.result.implied, 8); /* ".", a, a/b, hidden, hidden/x, opq, opq/x, only-here; not late */
    assert_true(exists("l3.implied"));
    assert_int_equal(stat_of("l3/late").st_mode & 07777, 0700);
    assert_int_equal(unpack_fix_implied(loop, layers, on_fixed, &done, NULL), 0);
    run_loop();
    assert_int_equal(done, 1);

    struct stat st = stat_of("l3/a");
    assert_true((st.st_mode & 07777) == 0750 && st.st_uid == 10 && st.st_gid == 20 &&
                st.st_mtim.tv_sec == 1111111111);
    st = stat_of("l3/a/b");
    assert_true((st.st_mode & 07777) == 02701 && st.st_uid == 11);
    cleanup_free char *ab = in_top("l3/a/b");
    char v[4];
    assert_int_equal(getxattr(ab, "user.k", v, sizeof(v)), 1);
    assert_true(stat_of("l3").st_uid == 3 && (stat_of("l2").st_mode & 07777) == 0711);
    st = stat_of("l3/hidden/x"); /* a whiteout of the middle layer hides the lower one's */
    assert_true((st.st_mode & 07777) == 0755 && st.st_uid == 0);
    st = stat_of("l3/opq/x"); /* so does an opaque directory */
    assert_true((st.st_mode & 07777) == 0755 && st.st_uid == 0);
    assert_int_equal(stat_of("l3/only-here").st_mode & 07777, 0511);
    assert_false(exists("l1.implied") || exists("l2.implied") || exists("l3.implied"));

    done = 0; /* nothing to do any more */
    assert_int_equal(unpack_fix_implied(loop, layers, on_fixed, &done, NULL), 0);
    run_loop();
    assert_int_equal(done, 1);
    clean("l1");
    clean("l2");
    clean("l3");
}

/* ---- bad archives ---- */

static void refuses_hostile_archives(void **state)
{
    static const struct {
        const char *archive, *words;
        int grpc;
    } cases[] = {
        {"bad-dotdot.tar", "entry ../../etc/ESCAPED: \"..\"", GRPC_DATA_LOSS},
        {"bad-dotdot-inside.tar", "\"..\" in a name is refused", GRPC_DATA_LOSS},
        {"bad-hardlink-dotdot.tar", "hard link h: entry ../../../etc/hostname: \"..\"", GRPC_DATA_LOSS},
        {"bad-hardlink-outside.tar", "hard link h: its target etc/hostname is not in this layer",
         GRPC_DATA_LOSS},
        {"bad-root-file.tar", "root is not a directory", GRPC_DATA_LOSS},
        {"bad-component.tar", "longer than 255 bytes", GRPC_DATA_LOSS},
        {"bad-path.tar", "longer than 4095 bytes", GRPC_DATA_LOSS},
        {"bad-whiteout.tar", "a whiteout needs the name of a file", GRPC_DATA_LOSS},
        {"bad-owner.tar", "owner 4294967295:0 is not possible", GRPC_DATA_LOSS},
        {"bad-name-newline.tar", "entry a\\012b/../c", GRPC_DATA_LOSS},
        {"bad-below-file.tar", "an entry lies below f: Not a directory", GRPC_DATA_LOSS},
        {"bad-link-loop.tar", "a: Too many levels of symbolic links", GRPC_DATA_LOSS},
        {"bad-hardlink-dir.tar", "hard link h to d: Operation not permitted", GRPC_INTERNAL},
        {"bad-checksum.tar", "tar archive", GRPC_DATA_LOSS},
        {"bad-text.tar", "tar archive", GRPC_DATA_LOSS},
        {"no-bytes.tar", "no byte came", GRPC_DATA_LOSS},
        {"damaged.tar.gz", "gzip", GRPC_DATA_LOSS},
        {"wrong-crc.tar.gz", "gzip", GRPC_DATA_LOSS},
        {"damaged.tar.zst", "zstd", GRPC_DATA_LOSS},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct job j = unpack_to(cases[i].archive, "out");
        assert_failed(&j, cases[i].grpc, cases[i].words, "out");
    }
    assert_int_not_equal(access("/etc/ESCAPED", F_OK), 0);
    assert_false(exists("ESCAPED"));
}

static void notices_the_end_in_the_middle(void **state)
{
    static const char *const archives[] = {"tree-pax.tar", "tree-multi.tar.gz", "tree-multi.tar.zst"};

    (void)state;
    for (size_t i = 0; i < countof(archives); i++) {
        size_t whole = (size_t)stat_of(archives[i]).st_size;
        for (size_t part = 1; part < 8; part++) {
            cleanup_free char *digest = sha_of(archives[i]);
            struct unpack_spec spec = {.input_fd = -1, .digest = digest, .size = whole};
            struct job j = unpack_with(archives[i], spec, "out", whole * part / 8 + part);
            assert_failed(&j, GRPC_DATA_LOSS, digest, "out");
        }
    }
}

static void compares_digests_and_sizes(void **state)
{
    const char wrong[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    const size_t size = (size_t)stat_of("names.tar").st_size;
    const struct {
        struct unpack_spec spec;
        const char *words;
    } cases[] = {
        {{.input_fd = -1, .digest = wrong}, "the bytes that came have the digest sha256:"},
        {{.input_fd = -1, .diff_id = wrong}, "the image's config says sha256:0000"},
        {{.input_fd = -1, .size = size + 1}, "the manifest says"},
        {{.input_fd = -1, .size = size - 1}, "more bytes came than the manifest says"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct job j = unpack_with("names.tar", cases[i].spec, "out", 0);
        assert_failed(&j, GRPC_DATA_LOSS, cases[i].words, "out");
    }
}

static void keeps_its_limits(void **state)
{
    struct unpack_spec spec = {.input_fd = -1, .limits = {.max_files = 5000}};
    struct job j = unpack_with("many.tar", spec, "out", 0);

    (void)state;
    assert_good(&j);
    clean("out");
    spec.limits.max_files = 4999;
    j = unpack_with("many.tar", spec, "out", 0);
    assert_failed(&j, GRPC_RESOURCE_EXHAUSTED, "more than 4999 entries", "out");

    spec.limits = (struct unpack_limits){.max_bytes = 10 << 20};
    j = unpack_with("bomb.tar.gz", spec, "out", 0);
    assert_failed(&j, GRPC_RESOURCE_EXHAUSTED, "more than 10485760 bytes", "out");
    j = unpack_with("bomb-behind.tar.gz", spec, "out", 0);
    assert_failed(&j, GRPC_RESOURCE_EXHAUSTED, "more than 10485760 bytes", "out");

    spec.limits = (struct unpack_limits){.max_path = 12};
    j = unpack_with("names.tar", spec, "out", 0);
    assert_failed(&j, GRPC_DATA_LOSS, "longer than 12 bytes", "out");
}

static void says_that_the_disk_is_full(void **state)
{
    cleanup_free char *disk = in_top("disk");

    (void)state;
    assert_int_equal(unshare(CLONE_NEWNS), 0); /* the mount is gone with the test, whatever happens */
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mkdir(disk, 0755), 0);
    assert_int_equal(mount("tmpfs", disk, "tmpfs", 0, "size=2m"), 0);
    struct job j = unpack_to("bomb.tar.gz", "disk/out");
    assert_failed(&j, GRPC_RESOURCE_EXHAUSTED, "write bomb: No space left on device", "disk/out");
    assert_int_equal(umount(disk), 0);
    assert_int_equal(rmdir(disk), 0);
}

/* ---- the daemon's side ---- */

static void waits_for_room(void **state)
{
    struct job j = unpack_to("tree-pax.tar", "out");

    (void)state;
    assert_good(&j);
    assert_true(j.len > 4 << 20);
    assert_true(j.rooms > 0);
    assert_int_equal(j.sent, j.len);
    clean("out");
}

static void cancels_at_any_time(void **state)
{
    (void)state;
    for (int part = 0; part <= 4; part++) {
        cleanup_free char *dir = in_top("out");
        struct unpack_spec spec = {.binary = binary, .dir = dir, .input_fd = -1};
        struct job j = {0};
        slurp("tree-pax.tar", &j);
        assert_int_equal(unpack_start(loop, &spec, on_done, &j, &j.u, NULL), 0);
        size_t to = j.len / 4 * (size_t)part;
        for (int64_t until = time_monotonic_us() + 20000000; j.sent < to;) {
            j.sent += unpack_write(j.u, j.bytes + j.sent, to - j.sent); /* it reads while we spin */
            assert_true(time_monotonic_us() < until);
        }
        unpack_cancel(j.u);
        unpack_cancel(j.u);
        assert_int_equal(unpack_write(j.u, "x", 1), 1);
        assert_int_equal(j.done, 0);
        run_loop();
        assert_int_equal(j.done, 1);
        assert_failed(&j, GRPC_CANCELLED, "cancelled", "out");
        free(j.bytes);
    }
}

static void starts_nothing_on_error(void **state)
{
    cleanup_free char *dir = in_top("out");
    struct unpack_spec spec = {.binary = "/nonexistent/cricket-unpack", .dir = dir, .input_fd = -1};
    struct job j = {0};

    (void)state;
    assert_true(unpack_start(loop, &spec, on_done, &j, &j.u, &j.err) < 0);
    assert_non_null(strstr(j.err.msg, "cricket-unpack"));
    assert_false(exists("out"));
    spec.binary = binary;
    spec.dir = top;
    assert_int_equal(unpack_start(loop, &spec, on_done, &j, &j.u, &j.err), -EEXIST);
    assert_true(exists("names.tar"));
    spec.dir = "relative";
    assert_int_equal(unpack_start(loop, &spec, on_done, &j, &j.u, &j.err), -EINVAL);
    assert_int_equal(j.done, 0);
    assert_int_equal(child_count(), 0);
}

/* ---- the sandbox, as the kernel shows it while the helper waits for its first byte ---- */

static char *status_line(int pid, const char *key)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    cleanup_fclose FILE *f = fopen(path, "r");

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            return mem_strdup(line + strlen(key) + 2);
    return mem_strdup("");
}

static void wait_for_seccomp(int pid)
{
    for (int64_t until = time_monotonic_us() + 20000000; time_monotonic_us() < until;) {
        cleanup_free char *mode = status_line(pid, "Seccomp");
        if (strcmp(mode, "2\n") == 0)
            return;
        sched_yield();
    }
    fail_msg("the helper has no seccomp filter");
}

static void assert_link(int pid, const char *what, const char *mine, bool same)
{
    char theirs[64], a[PATH_MAX] = "", b[PATH_MAX] = "";

    snprintf(theirs, sizeof(theirs), "/proc/%d/%s", pid, what);
    assert_true(readlink(theirs, a, sizeof(a) - 1) > 0);
    if (mine[0] == '/' && strncmp(mine, "/proc", 5) == 0)
        assert_true(readlink(mine, b, sizeof(b) - 1) > 0);
    else
        strcpy(b, mine);
    assert_int_equal(strcmp(a, b) == 0, same);
}

static int count_fds(int pid)
{
    char path[64];
    int n = -2; /* . and .. */

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void locks_itself_in(void **state)
{
    cleanup_free char *dir = in_top("out");

    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        struct unpack_spec spec = {.binary = binary, .dir = dir, .input_fd = -1, .plain_archive = plain};
        struct job j = {0};
        cleanup_close int leaked = open("/", O_RDONLY | O_DIRECTORY); /* not close-on-exec */
        assert_int_equal(unpack_start(loop, &spec, on_done, &j, &j.u, NULL), 0);
        int pid = child_pid(j.u->child);
        wait_for_seccomp(pid);
        cleanup_free char *nnp = status_line(pid, "NoNewPrivs"), *eff = status_line(pid, "CapEff");
        cleanup_free char *prm = status_line(pid, "CapPrm"), *bnd = status_line(pid, "CapBnd");
        assert_string_equal(nnp, "1\n");
        /* CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, SYS_ADMIN 21, MKNOD 27, SETFCAP 31; or DAC_OVERRIDE alone */
        assert_string_equal(eff, plain ? "0000000000000002\n" : "000000008820001b\n");
        assert_string_equal(prm, eff);
        assert_string_equal(bnd, "0000000000000000\n");
        assert_link(pid, "root", dir, true);
        assert_link(pid, "cwd", dir, true);
        assert_link(pid, "ns/net", "/proc/self/ns/net", false);
        assert_int_equal(count_fds(pid), plain ? 4 : 5); /* three, the directory, the list */
        unpack_cancel(j.u);
        run_loop();
        assert_failed(&j, GRPC_CANCELLED, "cancelled", "out");
    }
}

/* ---- trees are removed whatever their depth ---- */

static void on_removed_all(void *data, const struct err *err)
{
    if (err)
        fail_msg("%s", err->msg);
    ++*(int *)data;
    loop_stop(loop);
}

static void removes_deep_trees(void **state)
{
    cleanup_free char *deep = in_top("deep"), *file = in_top("file"), *absent = in_top("absent");
    const char *const paths[] = {deep, absent, file, NULL};
    int done = 0, fd, next;

    (void)state;
    assert_int_equal(mkdir(deep, 0755), 0);
    fd = open(deep, O_PATH | O_DIRECTORY);
    for (int i = 0; i < 3000; i++) { /* a path of 33 000 bytes */
        assert_int_equal(mkdirat(fd, "directory1", 0500), 0);
        assert_int_equal(symlinkat("/", fd, "link"), 0);
        next = openat(fd, "directory1", O_PATH | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    close(creat(file, 0600));
    assert_int_equal(rmtree_start(loop, paths, on_removed_all, &done, NULL), 0);
    assert_int_equal(done, 0);
    run_loop();
    assert_int_equal(done, 1);
    assert_false(exists("deep") || exists("file"));
}

static int set_up(void **state)
{
    const char *build = getenv("CRICKET_BUILD");
    char self[PATH_MAX] = "";

    (void)state;
    if (geteuid() != 0) {
        fprintf(stderr, "unpack_test must run as root\n");
        return -1;
    }
    if (!build && readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
        for (int i = 0; i < 4 && strrchr(self, '/'); i++) /* BUILD/t/unit/loop/unpack_test */
            *strrchr(self, '/') = '\0';
        build = self;
    }
    snprintf(binary, sizeof(binary), "%s/cricket-unpack", build ? build : "build");
    if (access(binary, X_OK) < 0) {
        fprintf(stderr, "%s: %s; build it first\n", binary, strerror(errno));
        return -1;
    }
    if (!mkdtemp(top))
        return -1;
    cleanup_free char *make = mem_printf("python3 %s/unpack_archives.py %s", sources, top);
    loop = loop_new();
    return system(make);
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return tree_remove(top, &(struct err){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacks_what_tar_packed),
        cmocka_unit_test(reads_a_file_itself),
        cmocka_unit_test(cleans_the_names),
        cmocka_unit_test(makes_whiteouts),
        cmocka_unit_test(lets_the_later_entry_win),
        cmocka_unit_test(stays_inside),
        cmocka_unit_test(sets_only_harmless_xattrs),
        cmocka_unit_test(keeps_directory_times),
        cmocka_unit_test(takes_a_plain_archive_as_it_is),
        cmocka_unit_test(fixes_implied_directories),
        cmocka_unit_test(refuses_hostile_archives),
        cmocka_unit_test(notices_the_end_in_the_middle),
        cmocka_unit_test(compares_digests_and_sizes),
        cmocka_unit_test(keeps_its_limits),
        cmocka_unit_test(waits_for_room),
        cmocka_unit_test(cancels_at_any_time),
        cmocka_unit_test(starts_nothing_on_error),
        cmocka_unit_test(locks_itself_in),
        cmocka_unit_test(removes_deep_trees),
        cmocka_unit_test(says_that_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
