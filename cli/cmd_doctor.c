#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/json.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct args {
    bool json;
    const char *config;
};

static const struct opt opts[] = {
    {0, "config", OPT_STRING, offsetof(struct args, config), "FILE",
     "the daemon's configuration; default: where the daemon looks"},
    OPT_JSON(struct args, json),
    OPT_END,
};

static const struct check {
    const char *name;
    check_fn *run;
} checks[] = {
    {"user", check_root},
    {"kernel", check_kernel},
    {"cgroups", check_cgroups},
    {"cgroup controllers", check_controllers},
    {"overlayfs", check_overlay},
    {"seccomp", check_seccomp},
    {"security modules", check_lsm},
    {"user namespaces", check_userns},
    {"swap", check_swap},
    {"open files", check_files},
    {"disk", check_disk},
    {"systemd", check_systemd},
    {"crun", check_crun},
    {"runc", check_runc},
    {"runsc", check_runsc},
    {"runtime handler", check_handlers},
    {"CNI plugins", check_cni_plugins},
    {"CNI network", check_cni_conf},
    {"iptables", check_iptables},
    {"IP forwarding", check_forward},
    {"bridge filter", check_bridge},
    {"configuration", check_config},
    {"registries", check_registries},
    {"daemon", check_daemon},
    {"daemon's conditions", check_conditions},
};

static const char *const level_names[] = {[LEVEL_OK] = "ok", [LEVEL_WARN] = "warn", [LEVEL_FAIL] = "FAIL"};

void found(struct finding *f, enum level level, const char *fmt, ...)
{
    va_list ap;

    *f = (struct finding){.level = level};
    va_start(ap, fmt);
    vsnprintf(f->found, sizeof(f->found), fmt, ap);
    va_end(ap);
}

void remedy(struct finding *f, const char *fmt, ...)
{
    va_list ap;

    if (f->level == LEVEL_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(f->remedy, sizeof(f->remedy), fmt, ap);
    va_end(ap);
}

bool read_text(const char *path, char *ret, size_t size)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : -1;

    if (n > 0 && ret[n - 1] == '\n')
        n--;
    ret[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

static int examine(struct doctor *d, const char *config, struct err *err)
{
    Runtime__V1__StatusRequest req = RUNTIME__V1__STATUS_REQUEST__INIT;

    config_init(&d->config);
    d->config_ok =
        config_load(&d->config, config, &d->config_err) == 0 && config_finish(&d->config, &d->config_err) == 0;
    if (!d->config_ok) {
        config_done(&d->config);
        config_init(&d->config);
        int rc = config_finish(&d->config, err);
        if (rc < 0)
            return rc;
    }
    d->host_ok = host_probe("", &d->host, &d->host_err) == 0;
    if (!d->host_ok)
        d->host = (struct host){0};
    req.verbose = 1;
    if (cri_call(d->cli, "Status", &req, &d->status, &d->status_err) < 0)
        d->status = NULL;
    return 0;
}

static json_t *as_json(const char *name, const struct finding *f)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "check", name, "level",
                     f->level == LEVEL_FAIL ? "fail" : level_names[f->level], "found", f->found, "remedy",
                     f->remedy);
}

static void print(const char *name, const struct finding *f)
{
    printf("%-5s %-20s %s\n", level_names[f->level], name, f->found);
    if (f->remedy[0])
        printf("%-26s -> %s\n", "", f->remedy);
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    struct doctor d = {.cli = cli};
    enum level worst = LEVEL_OK;
    json_t *list = json_array();
    int rc = examine(&d, args->config, err);
    (void)argc;
    (void)argv;

    for (size_t i = 0; !rc && i < countof(checks); i++) {
        struct finding f = {0};
        checks[i].run(&d, &f);
        worst = f.level > worst ? f.level : worst;
        if (args->json)
            json_array_append_new(list, as_json(checks[i].name, &f));
        else
            print(checks[i].name, &f);
    }
    if (!rc && args->json)
        json_print(list);
    json_decref(list);
    cri_reply_free(&d.status);
    host_done(&d.host);
    config_done(&d.config);
    return rc < 0 ? rc : worst == LEVEL_FAIL ? EXIT_ERROR : EXIT_OK;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .args = "[--config FILE] [-o json]",
    .summary = "tell what this host can and cannot do, and what to do about it",
    .details = "Needs no daemon, and asks it when it runs. Exits with 1 when something fails that stops pods.",
    .opts = opts,
    .size = sizeof(struct args),
    .run = run,
};
