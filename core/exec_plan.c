#include "core/exec_plan.h"

#include <string.h>

enum { MAGIC = 0x50584b43 };

/* Walks over n strings that end before `end`; NULL when there are fewer. */
static const char *skip(const char *at, const char *end, size_t n)
{
    for (; n; n--) {
        const char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
        if (!nul)
            return NULL;
        at = nul + 1;
    }
    return at;
}

static bool counts_are_good(const struct exec_plan_head *h)
{
    return h->rlimits_n <= EXEC_PLAN_RLIMITS_MAX && h->bpf_n <= EXEC_PLAN_BPF_MAX &&
           h->gids_n <= EXEC_PLAN_GIDS_MAX && h->cgroups_n <= EXEC_PLAN_CGROUPS_MAX &&
           h->env_n <= EXEC_PLAN_STRINGS_MAX && h->args_n <= EXEC_PLAN_STRINGS_MAX;
}

static bool strings_read(const char *at, const char *end, const struct exec_plan_head *h, struct exec_plan *p)
{
    if (h->flags & EXEC_PLAN_REFUSED) {
        p->refused = at;
        return skip(at, end, 1) == end;
    }
    p->cgroup_v2 = at;
    at = skip(at, end, 1);
    p->cgroups = (struct exec_plan_strings){at, h->cgroups_n};
    at = at ? skip(at, end, h->cgroups_n) : NULL;
    p->keyring = at;
    at = at ? skip(at, end, 1) : NULL;
    p->cwd = at;
    at = at ? skip(at, end, 1) : NULL;
    p->env = (struct exec_plan_strings){at, h->env_n};
    at = at ? skip(at, end, h->env_n) : NULL;
    p->args = (struct exec_plan_strings){at, h->args_n};
    return at && skip(at, end, h->args_n) == end;
}

bool exec_plan_read(const void *data, size_t len, struct exec_plan *ret_plan)
{
    const struct exec_plan_head *h = data;
    struct exec_plan p = {.head = h};

    if (len < sizeof(*h) || len > EXEC_PLAN_MAX || h->magic != MAGIC || h->version != EXEC_PLAN_VERSION ||
        h->size != len || !counts_are_good(h))
        return false;
    size_t rlimits = h->rlimits_n * sizeof(*p.rlimits), bpf = h->bpf_n * sizeof(*p.bpf),
           gids = h->gids_n * sizeof(*p.gids);
    if (rlimits + bpf + gids > len - sizeof(*h))
        return false;
    const char *at = (const char *)data + sizeof(*h);
    p.rlimits = (const struct exec_plan_rlimit *)(const void *)at;
    p.bpf = (const struct exec_plan_bpf *)(const void *)(at + rlimits);
    p.gids = (const uint32_t *)(const void *)(at + rlimits + bpf);
    if (!strings_read(at + rlimits + bpf + gids, (const char *)data + len, h, &p))
        return false;
    *ret_plan = p;
    return true;
}

const char *exec_plan_next(struct exec_plan_strings *s)
{
    const char *p = s->at;

    if (s->n == 0)
        return NULL;
    s->n--;
    s->at += strlen(p) + 1;
    return p;
}

static void put(struct exec_plan_builder *b, const void *p, size_t n)
{
    if (b->overflow || n > b->cap - b->len) {
        b->overflow = true;
        return;
    }
    if (n)
        memcpy(b->buf + b->len, p, n);
    b->len += n;
}

/* The buffer is aligned: it begins with the head. */
static struct exec_plan_head *head_of(struct exec_plan_builder *b)
{
    return (struct exec_plan_head *)(void *)b->buf;
}

static void put_counted(struct exec_plan_builder *b, const void *p, size_t size, uint32_t *count, size_t n)
{
    put(b, p, size);
    if (!b->overflow)
        *count += (uint32_t)n;
}

void exec_plan_resume(struct exec_plan_builder *b, void *buf, size_t cap, size_t len)
{
    *b = (struct exec_plan_builder){
        .buf = buf, .len = len, .cap = cap < EXEC_PLAN_MAX ? cap : EXEC_PLAN_MAX, .overflow = len > cap};
}

void exec_plan_begin(struct exec_plan_builder *b, void *buf, size_t cap, const struct exec_plan_head *head)
{
    exec_plan_resume(b, buf, cap, 0);
    put(b, head, sizeof(*head));
    if (b->overflow)
        return;
    struct exec_plan_head *h = head_of(b);
    h->magic = MAGIC;
    h->version = EXEC_PLAN_VERSION;
    h->rlimits_n = h->bpf_n = h->gids_n = h->cgroups_n = h->env_n = h->args_n = 0;
}

void exec_plan_put_rlimits(struct exec_plan_builder *b, const struct exec_plan_rlimit *r, size_t n)
{
    put_counted(b, r, n * sizeof(*r), &head_of(b)->rlimits_n, n);
}

void exec_plan_put_bpf(struct exec_plan_builder *b, const struct exec_plan_bpf *p, size_t n)
{
    put_counted(b, p, n * sizeof(*p), &head_of(b)->bpf_n, n);
}

void exec_plan_put_gids(struct exec_plan_builder *b, const uint32_t *gids, size_t n)
{
    put_counted(b, gids, n * sizeof(*gids), &head_of(b)->gids_n, n);
}

void exec_plan_put_string(struct exec_plan_builder *b, const char *s)
{
    put(b, s, strlen(s) + 1);
}

void exec_plan_put_cgroup(struct exec_plan_builder *b, const char *s)
{
    put_counted(b, s, strlen(s) + 1, &head_of(b)->cgroups_n, 1);
}

void exec_plan_put_env(struct exec_plan_builder *b, const char *s)
{
    put_counted(b, s, strlen(s) + 1, &head_of(b)->env_n, 1);
}

void exec_plan_put_arg(struct exec_plan_builder *b, const char *s)
{
    put_counted(b, s, strlen(s) + 1, &head_of(b)->args_n, 1);
}

void exec_plan_set_flags(struct exec_plan_builder *b, uint32_t flags)
{
    if (!b->overflow)
        head_of(b)->flags |= flags;
}

size_t exec_plan_finish(struct exec_plan_builder *b)
{
    if (b->overflow || b->len < sizeof(struct exec_plan_head) || !counts_are_good(head_of(b)))
        return 0;
    head_of(b)->size = (uint32_t)b->len;
    return b->len;
}
