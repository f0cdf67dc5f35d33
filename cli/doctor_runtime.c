#include "cli/doctor.h"
#include "cli/program.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

enum { VERSION_MS = 5000 };

static const struct handler_config *handler(const struct doctor *d, const char *name)
{
    for (size_t i = 0; i < d->config.handlers_n; i++)
        if (!strcmp(d->config.handlers[i].name, name))
            return &d->config.handlers[i];
    return NULL;
}

/* crun 1.8 and its neighbours refuse a hybrid host that has controllers on version 2. */
static const char *crun_trouble(const struct doctor *d)
{
    const struct cgroup_mount *v2 =
        d->host.cgroups.kind == CGROUP_HYBRID ? cgroup_unified(&d->host.cgroups) : NULL;

    return v2 && v2->controllers && v2->controllers[0] ? v2->controllers : NULL;
}

static bool is_crun(const char *path)
{
    const char *slash = strrchr(path, '/');

    return !strncmp(slash ? slash + 1 : path, "crun", 4);
}

/* Found and answering; *ret_version its first line. */
static bool works(const struct doctor *d, const struct handler_config *h, struct finding *f)
{
    char version[128];
    cleanup_free char *path = program_find(h->path);
    const char *controllers;

    if (!path) {
        found(f, LEVEL_OK, "not installed");
        return false;
    }
    if (program_first_line((const char *const[]){path, "--version", NULL}, VERSION_MS, version,
                           sizeof(version)) != 0) {
        found(f, LEVEL_WARN, "%s --version fails: %s", path, version);
        remedy(f, "install it anew; `%s --version` shows the whole error", path);
        return false;
    }
    if (is_crun(path) && (controllers = crun_trouble(d))) {
        found(f, LEVEL_WARN, "%s at %s refuses this hybrid host: cgroup version 2 holds %s", version, path,
              controllers);
        remedy(
            f,
            "boot with systemd.unified_cgroup_hierarchy=1, so that there is version 2 only; or install runc");
        return false;
    }
    found(f, LEVEL_OK, "%s at %s", version, path);
    return true;
}

static void check_one(const struct doctor *d, const char *name, struct finding *f)
{
    const struct handler_config *h = handler(d, name);

    if (h)
        works(d, h, f);
    else
        found(f, LEVEL_OK, "not in the configuration");
}

void check_crun(const struct doctor *d, struct finding *f)
{
    check_one(d, "crun", f);
}

void check_runc(const struct doctor *d, struct finding *f)
{
    check_one(d, "runc", f);
}

void check_runsc(const struct doctor *d, struct finding *f)
{
    check_one(d, "runsc", f);
}

void check_handlers(const struct doctor *d, struct finding *f)
{
    const char *wanted = d->config.default_handler, *usable = NULL;
    struct finding ignored;

    for (size_t i = 0; i < d->config.handlers_n; i++) {
        bool is_default = !strcmp(d->config.handlers[i].name, wanted);
        if ((is_default || !usable) && works(d, &d->config.handlers[i], &ignored))
            usable = d->config.handlers[i].name;
    }
    if (!usable) {
        found(f, LEVEL_FAIL, "no OCI runtime works here");
        remedy(f, "apt-get install crun (or runc)");
    } else if (!strcmp(usable, wanted)) {
        found(f, LEVEL_OK, "%s, the default, works", usable);
    } else if (d->config.default_handler_set) {
        found(f, LEVEL_FAIL, "the configured default, %s, does not work here; %s would", wanted, usable);
        remedy(f, "set default_handler: %s", usable);
    } else {
        found(f, LEVEL_OK, "%s, because %s does not work here", usable, wanted);
    }
}
