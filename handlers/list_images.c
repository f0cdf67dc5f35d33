#include "handlers/image_reply.h"
#include "handlers/methods.h"

void handle_list_images(struct rpc *rpc)
{
    const Runtime__V1__ListImagesRequest *q = (const Runtime__V1__ListImagesRequest *)rpc->request;
    Runtime__V1__ListImagesResponse reply = RUNTIME__V1__LIST_IMAGES_RESPONSE__INIT;
    struct images *im = rpc->daemon->images;
    const char *want = q->filter && q->filter->image ? q->filter->image->image : "";
    const struct image *i;
    size_t n = 0;

    while (image_at(im, n))
        n++;
    reply.images = rpc_alloc(rpc, (n + 1) * sizeof(*reply.images));
    if (*want && (i = image_find(im, want)))
        reply.images[reply.n_images++] = image_message(rpc, i);
    for (size_t at = 0; !*want && (i = image_at(im, at)); at++)
        reply.images[reply.n_images++] = image_message(rpc, i);
    rpc_reply(rpc, &reply.base);
}
