/*
 * libarchive is asked for tar alone, and gets bytes that are decompressed already. It runs in the C locale on purpose:
 * in a UTF-8 one it normalises the names of pax archives, so that "e" with a combining accent becomes another file; in the
 * C locale it warns and leaves the bytes alone.
 */
#include "helpers/unpack_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { XATTRS_MAX = 128, TAR_BLOCK = 512 };

struct reader {
    struct tar_job *job;
    struct archive *archive;
    struct err input_err; /* what the input said; libarchive only knows that it failed */
    bool input_failed;
    bool padded;
    char path[TAR_PATH_SIZE], link[TAR_PATH_SIZE];
    struct tree_xattr xattrs[XATTRS_MAX];
};

/*
 * The zeros that fill the last block, where an archive ends without them: umoci-insert makes such layers, and every reader
 * written in Go takes them. Data that was cut short cannot hide behind it, since both digests are of the bytes that came.
 */
static la_ssize_t missing_padding(struct reader *r, const void **ret_bytes)
{
    static const char zeros[TAR_BLOCK];
    size_t over = (size_t)(r->job->input->tar_bytes % TAR_BLOCK);

    if (over == 0 || r->padded)
        return 0;
    r->padded = true;
    *ret_bytes = zeros;
    return (la_ssize_t)(TAR_BLOCK - over);
}

static la_ssize_t on_read(struct archive *a, void *data, const void **ret_bytes)
{
    struct reader *r = data;
    ssize_t n = input_read(r->job->input, ret_bytes, &r->input_err);

    if (n < 0) {
        r->input_failed = true;
        archive_set_error(a, EIO, "%s", r->input_err.msg);
    }
    return n == 0 ? missing_padding(r, ret_bytes) : n;
}

static int archive_failed(struct reader *r, const char *path, struct err *err)
{
    char q[TAR_QUOTED_SIZE];

    if (r->input_failed) {
        *err = r->input_err;
        return err_errno(err);
    }
    const char *why = archive_error_string(r->archive);
    err_set(err, GRPC_DATA_LOSS, 0, "tar archive, entry %llu%s%s: %s", (unsigned long long)r->job->files,
            path ? " " : "", path ? tar_quote(path, q) : "", why ? why : "cannot be read");
    for (char *p = err->msg; *p; p++) /* libarchive's text may quote the archive */
        if ((unsigned char)*p < 32 || (unsigned char)*p > 126)
            *p = '?';
    return err_errno(err);
}

static int entry_xattrs(struct reader *r, struct archive_entry *ae, struct tree_entry *e, struct err *err)
{
    const char *name;
    const void *value;
    size_t size;

    archive_entry_xattr_reset(ae);
    while (archive_entry_xattr_next(ae, &name, &value, &size) == ARCHIVE_OK) {
        char q[TAR_QUOTED_SIZE];
        if (!name || tar_xattr_rule(name) == TAR_XATTR_DROP)
            continue;
        if (e->xattrs_n == XATTRS_MAX || size > TAR_XATTR_VALUE_MAX)
            return err_set(err, GRPC_DATA_LOSS, 0, "entry %s: more than %d xattrs, or one longer than %d bytes",
                           tar_quote(r->path, q), XATTRS_MAX, TAR_XATTR_VALUE_MAX);
        r->xattrs[e->xattrs_n++] = (struct tree_xattr){name, value, size};
    }
    e->xattrs = r->xattrs;
    return 0;
}

static int entry_owner(struct archive_entry *ae, struct tree_entry *e, struct err *err)
{
    la_int64_t uid = archive_entry_uid(ae), gid = archive_entry_gid(ae);
    char q[TAR_QUOTED_SIZE];

    if (uid < 0 || gid < 0 || uid >= UINT32_MAX ||
        gid >= UINT32_MAX) /* the highest means "leave it" to chown(2) */
        return err_set(err, GRPC_DATA_LOSS, 0, "entry %s: owner %lld:%lld is not possible",
                       tar_quote(e->path, q), (long long)uid, (long long)gid);
    e->uid = (uid_t)uid;
    e->gid = (gid_t)gid;
    return 0;
}

static int entry_attributes(struct reader *r, struct archive_entry *ae, struct tree_entry *e, struct err *err)
{
    e->mode = archive_entry_filetype(ae) | archive_entry_perm(ae);
    if (r->job->plain) {
        e->mode = (e->mode & S_IFMT) | (S_ISDIR(e->mode) ? 0755 : 0644);
        return 0;
    }
    e->mtime = (struct timespec){archive_entry_mtime(ae), archive_entry_mtime_nsec(ae)};
    if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
        e->rdev = makedev((unsigned)archive_entry_rdevmajor(ae), (unsigned)archive_entry_rdevminor(ae));
    int rc = entry_owner(ae, e, err);
    return rc < 0 ? rc : entry_xattrs(r, ae, e, err);
}

static int unpack_file(struct reader *r, struct archive_entry *ae, const struct tree_entry *e, struct err *err)
{
    const void *bytes;
    size_t n;
    la_int64_t offset;
    int a, rc = tree_file_open(r->job->tree, e, err);

    if (rc < 0)
        return rc;
    while ((a = archive_read_data_block(r->archive, &bytes, &n, &offset)) == ARCHIVE_OK) {
        rc = tree_file_write(r->job->tree, e, bytes, n, (uint64_t)offset, err);
        if (rc < 0)
            return rc;
        r->job->bytes += n;
    }
    if (a != ARCHIVE_EOF)
        return archive_failed(r, e->path, err);
    return tree_file_close(r->job->tree, e, (uint64_t)archive_entry_size(ae), err);
}

/* A target outside of the layer ("..") gets the same message as one that the layer does not have. */
static int unpack_hardlink(struct reader *r, const char *target, struct tree_entry *e, struct err *err)
{
    char q[TAR_QUOTED_SIZE];
    int rc = tar_path_clean(target, r->job->limits.max_path, r->link, err);

    if (rc < 0)
        return err_wrap(err, "hard link %s", tar_quote(e->path, q));
    e->link = r->link;
    return tree_hardlink(r->job->tree, e, err);
}

static int unpack_symlink(struct reader *r, struct archive_entry *ae, struct tree_entry *e, struct err *err)
{
    const char *text = archive_entry_symlink(ae);
    char q[TAR_QUOTED_SIZE];

    if (!text || !*text || strlen(text) > TAR_PATH_MAX)
        return err_set(err, GRPC_DATA_LOSS, 0, "symbolic link %s: its target is empty or longer than %d bytes",
                       tar_quote(e->path, q), TAR_PATH_MAX);
    e->link = text;
    return tree_make(r->job->tree, e, err);
}

static int unpack_by_type(struct reader *r, struct archive_entry *ae, struct err *err)
{
    struct tree_entry e = {.path = r->path};
    const char *target = archive_entry_hardlink(ae);
    int rc;

    if (!target && (rc = entry_attributes(r, ae, &e, err)) < 0)
        return rc;
    if (!*r->path && (target || !S_ISDIR(e.mode)))
        return err_set(err, GRPC_DATA_LOSS, 0, "the entry of the root is not a directory");
    if (target)
        return unpack_hardlink(r, target, &e, err);
    switch (e.mode & S_IFMT) {
    case S_IFREG:
        return unpack_file(r, ae, &e, err);
    case S_IFLNK:
        return unpack_symlink(r, ae, &e, err);
    case S_IFDIR:
        return tree_make(r->job->tree, &e, err);
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
        return r->job->plain ? 0 : tree_make(r->job->tree, &e, err);
    default: /* sockets and what is to come: nothing that a layer needs */
        return 0;
    }
}

static int unpack_entry(struct reader *r, struct archive_entry *ae, struct err *err)
{
    const char *name = archive_entry_pathname(ae);
    int rc;

    if (!name)
        return err_set(err, GRPC_DATA_LOSS, 0, "tar archive, entry %llu: has no name",
                       (unsigned long long)r->job->files);
    rc = tar_path_clean(name, r->job->limits.max_path, r->path, err);
    if (rc < 0)
        return rc;
    rc = r->job->plain ? TAR_NO_WHITEOUT : tar_whiteout_take(r->path, err);
    switch (rc) {
    case TAR_NO_WHITEOUT:
        return unpack_by_type(r, ae, err);
    case TAR_WHITEOUT_NAME:
        return tree_whiteout(r->job->tree, r->path, err);
    case TAR_WHITEOUT_OPAQUE:
        return tree_opaque(r->job->tree, r->path, err);
    case TAR_WHITEOUT_OTHER:
        return 0;
    default:
        return rc;
    }
}

static int unpack_all(struct reader *r, struct err *err)
{
    struct archive_entry *ae;
    int a, rc;

    if (archive_read_support_format_tar(r->archive) != ARCHIVE_OK ||
        archive_read_open(r->archive, r, NULL, on_read, NULL) != ARCHIVE_OK)
        return archive_failed(r, NULL, err);
    /* a warning says that a name is no UTF-8 or an unknown attribute is left out */
    while ((a = archive_read_next_header(r->archive, &ae)) == ARCHIVE_OK || a == ARCHIVE_WARN) {
        rc = tar_limits_check(&r->job->limits, ++r->job->files, 0, err);
        if (rc < 0 || (rc = unpack_entry(r, ae, err)) < 0)
            return rc;
    }
    return a == ARCHIVE_EOF ? 0 : archive_failed(r, NULL, err);
}

int tar_unpack(struct tar_job *j, struct err *err)
{
    struct reader *r = calloc(1, sizeof(*r));

    if (!r || !(r->archive = archive_read_new()))
        abort();
    r->job = j;
    int rc = unpack_all(r, err);
    archive_read_free(r->archive);
    free(r);
    return rc;
}
