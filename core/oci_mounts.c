/* Mounts: runtime-spec config.md, "Mounts". The standard ones are those that containerd's CRI plugin gives. */
#include "core/oci_build.h"
#include "core/mem.h"

#include <limits.h>
#include <string.h>

enum { OPTIONS_MAX = 8 };

struct standard {
    const char *destination, *type, *source;
    const char *options[OPTIONS_MAX];
    bool read_only; /* but for a privileged container */
};

/* /dev/shm, /etc/hosts and the like are the pod's: the caller gives them. */
static const struct standard standards[] = {
    {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, false},
    {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, false},
    {"/dev/pts",
     "devpts",
     "devpts",
     {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
     false},
    {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, false},
    {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev"}, true},
    {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime"}, true},
};

struct entry {
    const char *path; /* clean */
    size_t depth, order;
    json_t *json;
};

/* "/a//b/./c/" gives "/a/b/c". ".." is refused: which directory it means depends on the image's links. */
static char *clean_path(struct oci_build *b, const char *path)
{
    size_t n = path ? strnlen(path, PATH_MAX) : 0, out = 0;
    bool up = false;
    char *s = mem_alloc(n + 2);

    for (size_t i = 0; i < n;) {
        while (i < n && path[i] == '/')
            i++;
        size_t start = i;
        while (i < n && path[i] != '/')
            i++;
        size_t len = i - start;
        up = up || (len == 2 && memcmp(path + start, "..", 2) == 0);
        if (len == 0 || (len == 1 && path[start] == '.'))
            continue;
        s[out++] = '/';
        memcpy(s + out, path + start, len);
        out += len;
    }
    if ((n == 0 || n == PATH_MAX || path[0] != '/' || out == 0 || up) && b->rc == 0)
        b->rc = err_set(b->err, GRPC_INVALID_ARGUMENT, 0,
                        "mount: container path \"%.200s\" must be absolute, below / and without \"..\"",
                        path ? path : "");
    return s;
}

static size_t depth_of(const char *path)
{
    size_t n = 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

static bool is_below(const char *path, const char *parent)
{
    size_t n = strlen(parent);
    return strncmp(path, parent, n) == 0 && path[n] == '/';
}

/* A mount of the request replaces the standard one of the same place; one at /dev also those below it. */
static bool is_replaced(const char *standard, char *const *given, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(standard, given[i]) == 0 || (strcmp(given[i], "/dev") == 0 && is_below(standard, "/dev")))
            return true;
    return false;
}

static json_t *standard_json(struct oci_build *b, const struct standard *s)
{
    json_t *o = json_object(), *options = oci_strings(b, "mount", s->options);

    if (s->read_only)
        json_array_append_new(options, json_string(b->c->privileged ? "rw" : "ro"));
    oci_set_string(b, o, "destination", s->destination);
    oci_set_string(b, o, "type", s->type);
    oci_set_string(b, o, "source", s->source);
    json_object_set_new(o, "options", options);
    return o;
}

/* A bind mount is one by its option; the type is for the reader. */
static json_t *given_json(struct oci_build *b, const struct oci_mount *m, const char *destination)
{
    json_t *o = json_object(), *options = oci_strings(b, "mount option", (const char *const *)m->options);
    bool bind = false;

    for (size_t i = 0; m->options && m->options[i]; i++)
        bind = bind || strcmp(m->options[i], "bind") == 0 || strcmp(m->options[i], "rbind") == 0;
    if (!bind && (!m->type || strcmp(m->type, "bind") == 0))
        json_array_append_new(options, json_string("rbind"));
    oci_set_string(b, o, "destination", destination);
    oci_set_string(b, o, "type", m->type ? m->type : "bind");
    oci_set_string(b, o, "source", m->source);
    json_object_set_new(o, "options", options);
    return o;
}

/* Parents first; otherwise the order in which they came. */
static int by_depth(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;

    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

json_t *oci_mounts(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    size_t n = 0, all = countof(standards) + c->mounts_n;
    cleanup_free struct entry *list = mem_alloc(all * sizeof(*list));
    cleanup_free char **given = mem_alloc(c->mounts_n * sizeof(*given));
    json_t *array = json_array();

    for (size_t i = 0; i < c->mounts_n; i++)
        given[i] = clean_path(b, c->mounts[i].destination);
    for (size_t i = 0; i < countof(standards); i++)
        if (!is_replaced(standards[i].destination, given, c->mounts_n)) {
            list[n] = (struct entry){.path = standards[i].destination, .json = standard_json(b, &standards[i])};
            n++;
        }
    for (size_t i = 0; i < c->mounts_n; i++)
        list[n++] = (struct entry){.path = given[i], .json = given_json(b, &c->mounts[i], given[i])};
    for (size_t i = 0; i < n; i++) {
        list[i].depth = depth_of(list[i].path);
        list[i].order = i;
    }
    qsort(list, n, sizeof(*list), by_depth);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, list[i].json);
    for (size_t i = 0; i < c->mounts_n; i++)
        free(given[i]);
    return array;
}
