#include "handlers/image_reply.h"

#include <stdlib.h>
#include <string.h>

static size_t len(char **list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return n;
}

/* "1000:1000" is a uid, "web:web" a name; both empty means root. */
static void set_user(struct rpc *rpc, Runtime__V1__Image *m, const char *user)
{
    size_t n = user ? strcspn(user, ":") : 0;

    if (n == 0)
        return;
    char *name = rpc_printf(rpc, "%.*s", (int)n, user);
    if (n > 18 || strspn(name, "0123456789") != n) {
        m->username = name;
        return;
    }
    m->uid = rpc_new(rpc, Runtime__V1__Int64Value);
    runtime__v1__int64_value__init(m->uid);
    m->uid->value = strtoll(name, NULL, 10);
}

Runtime__V1__Image *image_message(struct rpc *rpc, const struct image *i)
{
    Runtime__V1__Image *m = rpc_new(rpc, Runtime__V1__Image);

    runtime__v1__image__init(m);
    m->id = rpc_strdup(rpc, i->id);
    m->n_repo_tags = len(i->tags);
    m->repo_tags = i->tags;
    m->n_repo_digests = len(i->digests);
    m->repo_digests = i->digests;
    m->size = i->size;
    m->pinned = i->pinned;
    set_user(rpc, m, i->config->user);
    m->spec = rpc_new(rpc, Runtime__V1__ImageSpec);
    runtime__v1__image_spec__init(m->spec);
    m->spec->image = i->tags[0] ? i->tags[0] : i->digests[0] ? i->digests[0] : m->id;
    return m;
}
