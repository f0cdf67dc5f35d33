#include "core/tar_entry.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char WH[] = ".wh.";
enum { WH_LEN = sizeof(WH) - 1 };

const char *tar_quote(const char *name, char ret_text[static TAR_QUOTED_SIZE])
{
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        bool plain = *p >= 32 && *p < 127 && *p != '\\';
        if (n + (plain ? 1 : 4) + 3 >= TAR_QUOTED_SIZE) { /* room for the dots stays */
            memcpy(ret_text + n, "...", 3);
            n += 3;
            break;
        }
        if (plain)
            ret_text[n++] = (char)*p;
        else
            n += (size_t)snprintf(ret_text + n, 5, "\\%03o", *p);
    }
    ret_text[n] = '\0';
    return ret_text;
}

static int refuse(struct err *err, const char *name, const char *why)
{
    char q[TAR_QUOTED_SIZE];
    return err_set(err, GRPC_DATA_LOSS, 0, "entry %s: %s", tar_quote(name, q), why);
}

int tar_path_clean(const char *name, size_t max, char ret_path[static TAR_PATH_SIZE], struct err *err)
{
    size_t len = strlen(name), out = 0, from = 0;

    if (len == 0)
        return refuse(err, "\"\"", "has no name");
    if (max > TAR_PATH_MAX)
        max = TAR_PATH_MAX;
    while (from < len) {
        size_t n = strcspn(name + from, "/");
        if (n > TAR_NAME_MAX)
            return refuse(err, name, "a component of the name is longer than 255 bytes");
        if (n == 2 && memcmp(name + from, "..", 2) == 0)
            return refuse(err, name, "\"..\" in a name is refused");
        if (n > 0 && !(n == 1 && name[from] == '.')) {
            if (out + (out > 0) + n > max) {
                char q[TAR_QUOTED_SIZE];
                return err_set(err, GRPC_DATA_LOSS, 0, "entry %s: the name is longer than %zu bytes",
                               tar_quote(name, q), max);
            }
            if (out > 0)
                ret_path[out++] = '/';
            memmove(ret_path + out, name + from, n); /* never ahead of what is read: name may be ret_path */
            out += n;
        }
        from += n + 1;
    }
    ret_path[out] = '\0';
    return 0;
}

/* Some component, the last one or one above it, begins with ".wh..wh." and is not the opaque mark. */
static bool has_aufs_mark(const char *path)
{
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, ".wh..wh.", 8) == 0 && strcmp(p, ".wh..wh..opq") != 0)
            return true;
    }
    return false;
}

int tar_whiteout_take(char *path, struct err *err)
{
    char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    if (has_aufs_mark(path))
        return TAR_WHITEOUT_OTHER;
    if (strncmp(base, WH, WH_LEN) != 0)
        return TAR_NO_WHITEOUT;
    if (strcmp(base, ".wh..wh..opq") == 0) {
        *(slash ? slash : base) = '\0';
        return TAR_WHITEOUT_OPAQUE;
    }
    const char *name = base + WH_LEN;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return refuse(err, path, "a whiteout needs the name of a file");
    memmove(base, name, strlen(name) + 1);
    return TAR_WHITEOUT_NAME;
}

enum tar_xattr tar_xattr_rule(const char *name)
{
    static const struct {
        const char *prefix;
        enum tar_xattr rule;
    } rules[] = {
        {"security.capability", TAR_XATTR_REQUIRED},
        {"security.", TAR_XATTR_DROP},
        {"trusted.overlay.", TAR_XATTR_DROP},
        {"user.overlay.", TAR_XATTR_DROP},
        {"user.", TAR_XATTR_OPTIONAL},
        {"trusted.", TAR_XATTR_OPTIONAL},
        {"system.posix_acl_", TAR_XATTR_OPTIONAL},
    };

    if (strlen(name) > TAR_XATTR_NAME_MAX)
        return TAR_XATTR_DROP;
    for (size_t i = 0; i < countof(rules); i++)
        if (strncmp(name, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].rule;
    return TAR_XATTR_DROP;
}

struct tar_limits tar_limits_with_defaults(struct tar_limits l)
{
    if (l.max_files == 0)
        l.max_files = 1000000;
    if (l.max_bytes == 0)
        l.max_bytes = (uint64_t)64 << 30;
    if (l.max_path == 0 || l.max_path > TAR_PATH_MAX)
        l.max_path = TAR_PATH_MAX;
    return l;
}

int tar_limits_check(const struct tar_limits *l, uint64_t files, uint64_t bytes, struct err *err)
{
    if (files > l->max_files)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0, "the archive has more than %llu entries, the limit",
                       (unsigned long long)l->max_files);
    if (bytes > l->max_bytes)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0,
                       "the archive has more than %llu bytes unpacked, the limit",
                       (unsigned long long)l->max_bytes);
    return 0;
}
