#include "core/mem.h"
#include "handlers/image_reply.h"
#include "handlers/image_table.h"
#include "handlers/methods.h"

#include <jansson.h>

/* {"chain": [diff IDs], "imageSpec": the config document}, as containerd's clients expect it under "info". */
static char *info_text(const struct image_entry *e)
{
    json_t *chain = json_array();
    json_t *spec = json_loadb(e->config_json, e->config_len, 0, NULL);

    for (size_t i = 0; i < e->held_n; i++)
        json_array_append_new(chain, json_string(e->held[i]->diff_id));
    json_t *doc = json_pack("{s:o,s:o}", "chain", chain, "imageSpec", spec ? spec : json_object());
    char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    return text;
}

static void add_info(struct rpc *rpc, Runtime__V1__ImageStatusResponse *reply, const struct image_entry *e)
{
    Runtime__V1__ImageStatusResponse__InfoEntry *info =
        rpc_new(rpc, Runtime__V1__ImageStatusResponse__InfoEntry);
    cleanup_free char *text = info_text(e);

    runtime__v1__image_status_response__info_entry__init(info);
    info->key = rpc_strdup(rpc, "info");
    info->value = rpc_strdup(rpc, text);
    reply->info = rpc_alloc(rpc, sizeof(*reply->info));
    reply->info[0] = info;
    reply->n_info = 1;
}

void handle_image_status(struct rpc *rpc)
{
    const Runtime__V1__ImageStatusRequest *q = (const Runtime__V1__ImageStatusRequest *)rpc->request;
    Runtime__V1__ImageStatusResponse reply = RUNTIME__V1__IMAGE_STATUS_RESPONSE__INIT;
    const char *name = q->image ? q->image->image : "";
    struct image_entry *e = *name ? image_entry_find(rpc->daemon->images, name) : NULL;
    struct err err;

    if (!*name) {
        err_set(&err, GRPC_INVALID_ARGUMENT, 0,
                "image.image is empty: give an id, a tag or a digest reference");
        rpc_fail(rpc, &err);
        return;
    }
    if (e) { /* an unknown image is an empty reply, not an error */
        reply.image = image_message(rpc, &e->i);
        if (q->verbose)
            add_info(rpc, &reply, e);
    }
    rpc_reply(rpc, &reply.base);
}
