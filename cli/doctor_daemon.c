#include "cli/doctor.h"
#include "core/registries.h"

#include <string.h>
#include <unistd.h>

void check_config(const struct doctor *d, struct finding *f)
{
    if (!d->config_ok) {
        found(f, LEVEL_FAIL, "%s", d->config_err.msg);
        remedy(f, "correct it; `cricketd config default` shows every key");
        return;
    }
    found(f, LEVEL_OK, "valid (or none: every key has a default)");
}

void check_registries(const struct doctor *d, struct finding *f)
{
    struct registries *r = NULL;
    struct err err = {0};

    if (registries_load(d->config.registries_file, &r, &err) < 0) {
        found(f, LEVEL_FAIL, "%s", err.msg);
        remedy(f, "correct it: pulls fail until then");
        return;
    }
    registries_free(r);
    if (access(d->config.registries_file, F_OK) == 0)
        found(f, LEVEL_OK, "%s is valid", d->config.registries_file);
    else
        found(f, LEVEL_OK, "no %s: registries are asked directly", d->config.registries_file);
}

void check_daemon(const struct doctor *d, struct finding *f)
{
    if (d->status) {
        found(f, LEVEL_OK, "answers on %s", d->cli->socket);
        return;
    }
    found(f, LEVEL_WARN, "%s", d->status_err.msg);
    remedy(f, "systemctl start cricketd, or cricketd as root");
}

void check_conditions(const struct doctor *d, struct finding *f)
{
    const Runtime__V1__RuntimeStatus *s = d->status ? d->status->status : NULL;

    if (!s) {
        found(f, LEVEL_OK, "unknown: the daemon does not answer");
        return;
    }
    for (size_t i = 0; i < s->n_conditions; i++)
        if (!s->conditions[i]->status) {
            const Runtime__V1__RuntimeCondition *c = s->conditions[i];
            /* Pods with host network start without a pod network. */
            found(f, strcmp(c->type, "NetworkReady") ? LEVEL_FAIL : LEVEL_WARN, "%s is false: %s", c->type,
                  c->reason);
            remedy(f, "%s", c->message);
            return;
        }
    found(f, LEVEL_OK, "all of %zu true", s->n_conditions);
}
