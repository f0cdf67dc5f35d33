/* Finding the hierarchies, and paths: everything here is computation but cgroups_read(). */
#include "core/cgroup.h"
#include "core/file.h"
#include "core/mem.h"

#include <string.h>

enum { MOUNTINFO_MAX = 4 << 20 };

/* Mount options of a cgroup file system that are no controllers. */
static const char *const no_controllers[] = {
    "rw",       "ro",         "xattr",        "noprefix", "clone_children", "cpuset_v2_mode",
    "seclabel", "nsdelegate", "favordynmods",
};

static bool is_controller(const char *option)
{
    for (size_t i = 0; i < countof(no_controllers); i++)
        if (strcmp(no_controllers[i], option) == 0)
            return false;
    return strncmp(option, "release_agent=", 14) != 0;
}

/* "rw,cpu,cpuacct" gives "cpu,cpuacct". */
static char *controllers_of(char *options)
{
    char *out = mem_alloc(strlen(options) + 1), *save = NULL;

    for (char *o = strtok_r(options, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
        if (!is_controller(o))
            continue;
        if (out[0])
            strcat(out, ",");
        strcat(out, o);
    }
    return out;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static char *unescape(const char *s)
{
    char *out = mem_alloc(strlen(s) + 1), *p = out;

    while (*s) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
            s[3] <= '7') {
            *p++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *p++ = *s++;
        }
    }
    return out;
}

/* proc(5): id parent major:minor root mountpoint options [tags] - type source superoptions */
struct line {
    char *device, *root, *path, *type, *super;
};

static bool line_split(char *text, struct line *ret)
{
    char *field[6], *save = NULL, *dash = strstr(text, " - ");
    size_t n = 0;

    if (!dash)
        return false;
    *dash = '\0';
    for (char *f = strtok_r(text, " ", &save); f && n < countof(field); f = strtok_r(NULL, " ", &save))
        field[n++] = f;
    char *type = strtok_r(dash + 3, " ", &save), *source = type ? strtok_r(NULL, " ", &save) : NULL;
    char *super = source ? strtok_r(NULL, " ", &save) : NULL;
    if (n < countof(field) || !super)
        return false;
    *ret = (struct line){.device = field[2], .root = field[3], .path = field[4], .type = type, .super = super};
    return true;
}

static void add_mount(struct cgroups *c, size_t *cap, struct line *l)
{
    bool v2 = strcmp(l->type, "cgroup2") == 0;

    c->mounts = mem_grow(c->mounts, cap, c->n + 1, sizeof(*c->mounts));
    c->mounts[c->n++] = (struct cgroup_mount){
        .path = unescape(l->path),
        .root = unescape(l->root),
        .controllers = v2 ? mem_strdup("") : controllers_of(l->super),
        .v2 = v2,
    };
}

static enum cgroup_kind kind_of(const struct cgroups *c)
{
    bool v1 = false, v2 = false;

    for (size_t i = 0; i < c->n; i++) {
        v1 = v1 || !c->mounts[i].v2;
        v2 = v2 || c->mounts[i].v2;
    }
    if (v1)
        return v2 ? CGROUP_HYBRID : CGROUP_V1;
    return v2 ? CGROUP_V2 : CGROUP_NONE;
}

void cgroups_parse(const char *mountinfo, struct cgroups *ret_cgroups)
{
    cleanup_free char *text = mem_strdup(mountinfo), *seen = mem_alloc(strlen(mountinfo) + 2);
    char *save = NULL;
    struct cgroups c = {0};
    size_t cap = 0;
    struct line l;

    for (char *s = strtok_r(text, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
        if (!line_split(s, &l) || (strcmp(l.type, "cgroup") != 0 && strcmp(l.type, "cgroup2") != 0))
            continue;
        cleanup_free char *device = mem_printf(" %s ", l.device);
        if (strstr(seen, device)) /* a bind mount of one that is known */
            continue;
        strcat(seen, device + (seen[0] ? 1 : 0));
        add_mount(&c, &cap, &l);
    }
    c.kind = kind_of(&c);
    *ret_cgroups = c;
}

static void read_v2_controllers(const char *prefix, struct cgroup_mount *m)
{
    cleanup_free char *path = mem_printf("%s%s/cgroup.controllers", prefix, m->path);
    cleanup_buf struct buf b = {0};

    if (file_read(path, 4096, &b, NULL) < 0)
        return;
    char *text = buf_steal(&b);
    text[strcspn(text, "\n")] = '\0';
    for (char *p = text; *p; p++)
        if (*p == ' ')
            *p = ',';
    free(m->controllers);
    m->controllers = text;
}

int cgroups_read(const char *prefix, struct cgroups *ret_cgroups, struct err *err)
{
    cleanup_free char *path = mem_printf("%s/proc/self/mountinfo", prefix);
    cleanup_buf struct buf b = {0};
    int r = file_read(path, MOUNTINFO_MAX, &b, NULL);

    if (r < 0)
        return err_set(err, GRPC_INTERNAL, -r, "cannot read %s; is /proc mounted?", path);
    cgroups_parse(b.data ? b.data : "", ret_cgroups);
    for (size_t i = 0; i < ret_cgroups->n; i++)
        if (ret_cgroups->mounts[i].v2)
            read_v2_controllers(prefix, &ret_cgroups->mounts[i]);
    return 0;
}

void cgroups_done(struct cgroups *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->mounts[i].path);
        free(c->mounts[i].root);
        free(c->mounts[i].controllers);
    }
    free(c->mounts);
    *c = (struct cgroups){0};
}

static bool list_has(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

const struct cgroup_mount *cgroup_controller(const struct cgroups *c, const char *controller)
{
    for (size_t i = 0; i < c->n; i++)
        if (list_has(c->mounts[i].controllers, controller))
            return &c->mounts[i];
    return NULL;
}

const struct cgroup_mount *cgroup_unified(const struct cgroups *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->mounts[i].v2)
            return &c->mounts[i];
    return NULL;
}
