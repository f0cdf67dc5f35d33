#include "cli/container_io.h"
#include "core/json_doc.h"

#include <string.h>

enum { INFO_MAX = 4 * 1024 * 1024 };

/* containerd shows the request under "config"; others, and cricketd, the OCI configuration under "runtimeSpec". */
void container_io_parse(const char *text, struct container_io *ret)
{
    json_t *cleanup_json doc = NULL;
    struct err ignored;

    *ret = (struct container_io){0};
    if (json_doc_load("info", text, strlen(text), INFO_MAX, &doc, &ignored) < 0)
        return;
    const json_t *config = json_object_get(doc, "config");
    const json_t *process = json_object_get(json_object_get(doc, "runtimeSpec"), "process");
    ret->tty =
        json_is_true(json_object_get(config, "tty")) || json_is_true(json_object_get(process, "terminal"));
    ret->in = json_is_true(json_object_get(config, "stdin"));
    ret->in_known = json_is_boolean(json_object_get(config, "stdin"));
}

int container_io_get(struct cli *cli, const char *id, struct container_io *ret, struct err *err)
{
    cleanup_reply Runtime__V1__ContainerStatusResponse *r = NULL;
    Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

    req.container_id = (char *)id;
    req.verbose = true;
    int rc = cri_call(cli, "ContainerStatus", &req, &r, err);
    if (rc < 0)
        return rc;
    *ret = (struct container_io){0};
    for (size_t i = 0; i < r->n_info; i++)
        if (!strcmp(r->info[i]->key, "info"))
            container_io_parse(r->info[i]->value, ret);
    return 0;
}
