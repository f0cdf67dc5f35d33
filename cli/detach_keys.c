#include "cli/detach_keys.h"
#include "core/quote.h"

#include <string.h>
#include <strings.h>

static const char ctrl[] = "ctrl-";

/* The byte that a terminal sends for it; -1: no key. */
static int key_of(const char *s, size_t n)
{
    size_t prefix = strlen(ctrl);

    if (n == 1)
        return (unsigned char)*s;
    if (n != prefix + 1 || strncasecmp(s, ctrl, prefix) != 0)
        return -1;
    char c = s[prefix];
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    return c >= '@' && c <= '_' ? c - '@' : -1;
}

int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *err)
{
    struct detach_keys k = {0};

    for (const char *s = text; *text; s++) {
        size_t n = strcspn(s, ",");
        int key = key_of(s, n);
        if (key < 0)
            return err_set(
                err, GRPC_INVALID_ARGUMENT, 0,
                "--detach-keys %s: %s is no key; write single characters or ctrl- and one of a to z, "
                "@ [ \\ ] ^ _, with commas between",
                QUOTED(text), QUOTED_N(s, n));
        if (k.n == DETACH_KEYS_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--detach-keys %s: more than %d keys", QUOTED(text),
                           DETACH_KEYS_MAX);
        k.keys[k.n++] = (unsigned char)key;
        s += n;
        if (!*s)
            break;
    }
    *ret = k;
    return 0;
}

/* How many of the first keys end what is held together with c, which does not continue it ("a,a,b" after a, a, a: 2). */
static size_t still_held(const struct detach_keys *k, unsigned char c)
{
    for (size_t len = k->held; len > 0; len--)
        if (k->keys[len - 1] == c && !memcmp(k->keys, k->keys + k->held - (len - 1), len - 1))
            return len;
    return 0;
}

bool detach_keys_filter(struct detach_keys *k, const void *typed, size_t n, unsigned char *ret, size_t *ret_n)
{
    const unsigned char *p = typed;
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        if (k->n && p[i] == k->keys[k->held]) {
            if (++k->held == k->n) {
                *ret_n = out;
                return true;
            }
            continue;
        }
        size_t stays = still_held(k, p[i]), goes = stays ? k->held + 1 - stays : k->held;
        memcpy(ret + out, k->keys, goes);
        out += goes;
        if (!stays)
            ret[out++] = p[i];
        k->held = stays;
    }
    *ret_n = out;
    return false;
}
