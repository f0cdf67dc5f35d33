#include "core/log.h"
#include "handlers/image_table.h"
#include "handlers/methods.h"
#include "handlers/rpc.h"
#include "proto/cri.pb-c.h"

/* By any of its names goes the whole image with all of them; an unknown one is gone already. */
void handle_remove_image(struct rpc *rpc)
{
    const Runtime__V1__RemoveImageRequest *q = (const Runtime__V1__RemoveImageRequest *)rpc->request;
    Runtime__V1__RemoveImageResponse reply = RUNTIME__V1__REMOVE_IMAGE_RESPONSE__INIT;
    const char *name = q->image ? q->image->image : "";
    struct image_entry *e = *name ? image_entry_find(rpc->daemon->images, name) : NULL;
    struct err err = {0};

    if (!*name)
        err_set(&err, GRPC_INVALID_ARGUMENT, 0,
                "image.image is empty: give an id, a tag or a digest reference");
    else if (e) {
        log_info("removing image %s (%s)%s", e->i.id, name,
                 e->i.users ? ": its layers stay while it is used" : "");
        if (images_remove(rpc->daemon->images, e, &err) < 0)
            err_wrap(&err, "image %.200s", name);
    }
    if (err.grpc)
        rpc_fail(rpc, &err);
    else
        rpc_reply(rpc, &reply.base);
}
