/*
 * cricket-unpack [--plain] [--max-files N] [--max-bytes N] [--max-path N] DIR < LAYER
 *
 * Fills the empty directory DIR with the layer on standard input, from inside a sandbox, and writes one line to
 * standard output (core/unpack_result.h). Directories that the layer implies are listed in DIR.implied.
 * Exit status: 0, or 1 with an "error" line. What it leaves after an error is for the caller to remove.
 */
#include "core/mem.h"
#include "core/unpack_result.h"
#include "helpers/unpack_sandbox.h"
#include "helpers/unpack_tar.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct options {
    struct tar_limits limits;
    bool plain;
    const char *dir;
};

static uint64_t number(const char *s, int *usage)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    if (*end || end == s || errno || *s == '-')
        *usage = 1;
    return n;
}

static int parse_options(int argc, char **argv, struct options *o, struct err *err)
{
    static const struct option names[] = {
        {"plain", no_argument, NULL, 'p'},
        {"max-files", required_argument, NULL, 'f'},
        {"max-bytes", required_argument, NULL, 'b'},
        {"max-path", required_argument, NULL, 'n'},
        {NULL, 0, NULL, 0},
    };
    int c, usage = 0;

    while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        if (c == 'p')
            o->plain = true;
        else if (c == 'f')
            o->limits.max_files = number(optarg, &usage);
        else if (c == 'b')
            o->limits.max_bytes = number(optarg, &usage);
        else if (c == 'n')
            o->limits.max_path = (uint32_t)number(optarg, &usage);
        else
            usage = 1;
    }
    if (usage || optind + 1 != argc)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "usage: cricket-unpack [--plain] [--max-files N] [--max-bytes N] [--max-path N] DIR < LAYER");
    o->dir = argv[optind];
    o->limits = tar_limits_with_defaults(o->limits);
    return 0;
}

/* The list's file is opened while there is still a way out of the directory. */
static int open_places(const struct options *o, int *ret_dir, int *ret_implied, struct err *err)
{
    assert(o->dir);
    cleanup_free char *list = mem_printf("%s.implied", o->dir);
    int dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0)
        return err_sys(err, errno, "open %s", o->dir);
    if (!o->plain) {
        *ret_implied = open(list, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (*ret_implied < 0 || fchown(dir, 0, 0) < 0 || fchmod(dir, 0755) < 0) {
            int r = err_sys(err, errno, "prepare %s", *ret_implied < 0 ? list : o->dir);
            close(dir);
            return r;
        }
    }
    *ret_dir = dir;
    return 0;
}

static int write_implied(int fd, const char *text, size_t n, struct err *err)
{
    while (n > 0) {
        ssize_t w = write(fd, text, n);
        if (w < 0 && errno != EINTR)
            return err_sys(err, errno, "write the list of implied directories");
        if (w > 0) {
            text += w;
            n -= (size_t)w;
        }
    }
    return 0;
}

static int finish(struct tar_job *j, int implied, struct unpack_result *ret_result, struct err *err)
{
    struct unpack_result r = {.files = j->files, .unpacked_bytes = j->bytes};
    const char *text;
    size_t bytes;
    int rc = input_finish(j->input, r.digest, r.diff_id, err);

    if (rc < 0 || (rc = tree_finish(j->tree, &text, &bytes, &r.implied, err)) < 0)
        return rc;
    if (!j->plain && (rc = write_implied(implied, text, bytes, err)) < 0)
        return rc;
    r.compressed = j->input->raw_bytes;
    *ret_result = r;
    return 0;
}

static int run(int argc, char **argv, struct unpack_result *ret_result, struct err *err)
{
    struct options o = {0};
    int dir = -1, implied = -1, rc = parse_options(argc, argv, &o, err);

    if (rc < 0 || (rc = open_places(&o, &dir, &implied, err)) < 0)
        return rc;
    struct tar_job j = {.limits = o.limits, .plain = o.plain};
    j.input = input_new(STDIN_FILENO, &o.limits);
    j.tree = tree_new(dir, o.plain);
    rc = sandbox_enter(dir, o.plain, err);
    if (rc == 0)
        rc = tar_unpack(&j, err);
    if (rc == 0)
        rc = finish(&j, implied, ret_result, err);
    tree_free(j.tree);
    input_free(j.input);
    return rc;
}

int main(int argc, char **argv)
{
    struct unpack_result result = {0};
    struct err err = {0};
    char line[UNPACK_RESULT_SIZE];

    sandbox_limits();
    int rc = run(argc, argv, &result, &err);
    size_t n = unpack_result_format(&result, rc < 0 ? &err : NULL, line);
    ssize_t w = write(STDOUT_FILENO, line, n);
    _exit(rc < 0 || w != (ssize_t)n); /* nothing to tidy that the kernel does not */
}
