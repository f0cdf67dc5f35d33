/* The process object: runtime-spec config.md, "Process". */
#include "core/oci_build.h"

#include <string.h>

static json_t *cap_list(uint64_t set)
{
    json_t *a = json_array();

    for (int i = 0; cap_name(i); i++)
        if (set & CAP_BIT(i))
            json_array_append_new(a, json_string(cap_name(i)));
    return a;
}

/* Inheritable is empty but for what ambient needs: else a file with inheritable capabilities would give them to any user. */
static json_t *capabilities(const struct caps_sets *sets)
{
    json_t *o = json_object();

    json_object_set_new(o, "bounding", cap_list(sets->permitted));
    json_object_set_new(o, "effective", cap_list(sets->permitted));
    json_object_set_new(o, "permitted", cap_list(sets->permitted));
    if (sets->ambient) {
        json_object_set_new(o, "inheritable", cap_list(sets->ambient));
        json_object_set_new(o, "ambient", cap_list(sets->ambient));
    }
    return o;
}

static json_t *user(const struct oci_container *c)
{
    json_t *o = json_object();

    json_object_set_new(o, "uid", json_integer(c->uid));
    json_object_set_new(o, "gid", json_integer(c->gid));
    if (c->additional_gids_n) {
        json_t *gids = json_array();
        for (size_t i = 0; i < c->additional_gids_n; i++)
            json_array_append_new(gids, json_integer(c->additional_gids[i]));
        json_object_set_new(o, "additionalGids", gids);
    }
    return o;
}

static json_t *environment(struct oci_build *b)
{
    json_t *a = oci_strings(b, "environment", (const char *const *)b->c->env);
    bool term = false;

    for (size_t i = 0; b->c->env && b->c->env[i]; i++)
        term = term || strncmp(b->c->env[i], "TERM=", 5) == 0;
    if (b->c->tty && !term)
        json_array_append_new(a, json_string("TERM=xterm"));
    return a;
}

json_t *oci_process(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    json_t *o = json_object();

    if (c->tty)
        json_object_set_new(o, "terminal", json_true());
    json_object_set_new(o, "user", user(c));
    json_object_set_new(o, "args", oci_strings(b, "command", (const char *const *)c->args));
    json_object_set_new(o, "env", environment(b));
    json_object_set_new(o, "cwd", oci_string(b, "working directory", c->cwd && c->cwd[0] ? c->cwd : "/"));
    json_object_set_new(o, "capabilities", capabilities(&b->caps));
    json_object_set_new(o, "noNewPrivileges", json_boolean(c->no_new_privs));
    if (c->oom_score_adj_set) {
        int adj = c->oom_score_adj < b->host->min_oom_score_adj ? b->host->min_oom_score_adj : c->oom_score_adj;
        json_object_set_new(o, "oomScoreAdj", json_integer(adj > 1000 ? 1000 : adj));
    }
    if (b->host->apparmor && c->apparmor_profile && strcmp(c->apparmor_profile, "unconfined") != 0)
        oci_set_string(b, o, "apparmorProfile", c->apparmor_profile);
    if (b->host->selinux)
        oci_set_string(b, o, "selinuxLabel", c->selinux_label);
    return o;
}
