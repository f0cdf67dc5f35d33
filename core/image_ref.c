#include "core/image_ref.h"
#include "core/mem.h"
#include "core/quote.h"

#include <string.h>

static const char hub[] = "docker.io", hub_alias[] = "index.docker.io", hub_host[] = "registry-1.docker.io";
static const char hub_library[] = "library/";

/* A piece of the text that is being parsed. */
struct span {
    const char *s;
    size_t n;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_lower(c) || is_upper(c);
}

static bool is_lower_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool all_lower_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_lower_hex(s[i]))
            return false;
    return s[n] == '\0';
}

bool digest_is_valid(const char *s)
{
    if (s && strncmp(s, "sha256:", 7) == 0 && strlen(s) == 7 + 64)
        return all_lower_hex(s + 7, 64);
    if (s && strncmp(s, "sha512:", 7) == 0 && strlen(s) == 7 + 128)
        return all_lower_hex(s + 7, 128);
    return false;
}

static bool span_is(struct span p, const char *s)
{
    return p.n == strlen(s) && memcmp(p.s, s, p.n) == 0;
}

static bool span_has(struct span p, bool (*is)(char c))
{
    for (size_t i = 0; i < p.n; i++)
        if (is(p.s[i]))
            return true;
    return false;
}

/* Behind s[from], a run of digits to the end: ":5000". */
static bool is_port(const char *s, size_t n)
{
    if (n < 2 || n > 6 || s[0] != ':')
        return false;
    for (size_t i = 1; i < n; i++)
        if (!is_digit(s[i]))
            return false;
    return true;
}

/* "[::1]" or "[::1]:5000" */
static bool is_ipv6_domain(struct span d)
{
    size_t i = 1;

    while (i < d.n && (is_digit(d.s[i]) || (d.s[i] >= 'a' && d.s[i] <= 'f') ||
                       (d.s[i] >= 'A' && d.s[i] <= 'F') || d.s[i] == ':'))
        i++;
    if (i < 3 || i >= d.n || d.s[i] != ']')
        return false;
    return i + 1 == d.n || is_port(d.s + i + 1, d.n - i - 1);
}

/* Labels of letters, digits and inner hyphens, joined by dots, and perhaps a port. */
static bool is_domain(struct span d)
{
    size_t i = 0, label = 0;

    if (d.n && d.s[0] == '[')
        return is_ipv6_domain(d);
    for (; i < d.n && d.s[i] != ':'; i++) {
        if (is_alnum(d.s[i]) || (d.s[i] == '-' && label > 0))
            label++;
        else if (d.s[i] == '.' && label > 0 && d.s[i - 1] != '-')
            label = 0;
        else
            return false;
    }
    if (label == 0 || d.s[i - 1] == '-')
        return false;
    return i == d.n || is_port(d.s + i, d.n - i);
}

/* The separators within a path's component: one '.', one or two '_', any number of '-'. */
static size_t separator(struct span p, size_t at)
{
    size_t n = 0;

    if (p.s[at] == '.')
        return 1;
    if (p.s[at] == '_')
        return at + 1 < p.n && p.s[at + 1] == '_' ? 2 : 1;
    while (at + n < p.n && p.s[at + n] == '-')
        n++;
    return n;
}

/* Components of lower-case letters and digits with single separators inside, joined by '/'. */
static bool is_path(struct span p)
{
    bool word = false; /* the last byte was a letter or a digit */

    for (size_t i = 0; i < p.n;) {
        if (is_lower(p.s[i]) || is_digit(p.s[i])) {
            word = true;
            i++;
            continue;
        }
        size_t n = p.s[i] == '/' ? 1 : separator(p, i);
        if (!word || n == 0)
            return false;
        word = false;
        i += n;
    }
    return word;
}

bool image_domain_is_valid(const char *s, size_t n)
{
    return is_domain((struct span){s, n});
}

bool image_path_is_valid(const char *s, size_t n)
{
    return is_path((struct span){s, n});
}

static bool is_tag(struct span t)
{
    if (t.n == 0 || t.n > IMAGE_REF_TAG_MAX || t.s[0] == '.' || t.s[0] == '-')
        return false;
    for (size_t i = 0; i < t.n; i++)
        if (!is_alnum(t.s[i]) && t.s[i] != '_' && t.s[i] != '.' && t.s[i] != '-')
            return false;
    return true;
}

static int refuse(const char *s, struct err *err, const char *why)
{
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "image reference %s: %s", QUOTED(s), why);
}

static int take_digest(const char *s, struct span *rest, char **ret_digest, struct err *err)
{
    const char *at = memchr(rest->s, '@', rest->n);

    if (!at)
        return 0;
    if (!digest_is_valid(at + 1))
        return refuse(
            s, err,
            "what follows '@' is not a digest; give sha256: with 64 or sha512: with 128 lower-case hex digits");
    *ret_digest = mem_strdup(at + 1);
    rest->n = (size_t)(at - rest->s);
    return 0;
}

/* A tag begins at the last colon, unless a '/' follows it: then the colon belongs to a port. */
static int take_tag(const char *s, struct span *rest, char **ret_tag, struct err *err)
{
    const char *colon = memrchr(rest->s, ':', rest->n);
    const char *end = rest->s + rest->n;

    if (!colon || memchr(colon, '/', (size_t)(end - colon)))
        return 0;
    struct span tag = {colon + 1, (size_t)(end - colon) - 1};
    if (!is_tag(tag))
        return refuse(
            s, err, "the tag must be 1 to 128 letters, digits, '_', '.' or '-', and not begin with '.' or '-'");
    *ret_tag = mem_strndup(tag.s, tag.n);
    rest->n = (size_t)(colon - rest->s);
    return 0;
}

static struct span take_domain(struct span *rest)
{
    const char *slash = memchr(rest->s, '/', rest->n);
    struct span first = {rest->s, slash ? (size_t)(slash - rest->s) : 0};

    if (!slash ||
        (!memchr(first.s, '.', first.n) && !memchr(first.s, ':', first.n) && !span_is(first, "localhost")))
        return (struct span){hub, sizeof(hub) - 1};
    rest->n -= first.n + 1;
    rest->s += first.n + 1;
    return span_is(first, hub_alias) ? (struct span){hub, sizeof(hub) - 1} : first;
}

static int check_name(const char *s, struct span domain, struct span path, struct err *err)
{
    if (path.n == 0)
        return refuse(s, err, "it has no repository name; write [DOMAIN/]PATH[:TAG][@DIGEST]");
    if (!is_domain(domain))
        return refuse(s, err, "what stands before the first '/' is not a host name with an optional port");
    if (span_has(path, is_upper))
        return refuse(s, err, "repository names have no upper-case letters; write it in lower case");
    if (!is_path(path))
        return refuse(s, err,
                      "the repository name must be lower-case letters and digits, separated by '/', '.', '_', "
                      "'__' or '-'");
    return 0;
}

/* Fills a ref whose fields the caller releases in any case. */
static int parse(const char *s, struct image_ref *ref, struct err *err)
{
    struct span rest = {s, strlen(s)};

    if (rest.n == 64 && all_lower_hex(s, 64))
        return refuse(s, err,
                      "64 hex digits are an image's id, not a reference; put DOMAIN/PATH or a tag to it");
    int r = take_digest(s, &rest, &ref->digest, err);
    if (r == 0)
        r = take_tag(s, &rest, &ref->tag, err);
    if (r < 0)
        return r;
    struct span domain = take_domain(&rest);
    r = check_name(s, domain, rest, err);
    if (r < 0)
        return r;
    bool official = domain.s == hub || span_is(domain, hub);
    ref->domain = mem_strndup(domain.s, domain.n);
    ref->path =
        mem_printf("%s%.*s", official && !memchr(rest.s, '/', rest.n) ? hub_library : "", (int)rest.n, rest.s);
    if (strlen(ref->domain) + 1 + strlen(ref->path) > IMAGE_REF_NAME_MAX)
        return refuse(s, err, "the name is longer than 255 bytes; shorten it");
    if (!ref->tag && !ref->digest)
        ref->tag = mem_strdup("latest");
    return 0;
}

int image_ref_parse(const char *s, struct image_ref *ret_ref, struct err *err)
{
    struct image_ref ref = {0};

    if (!s || !*s)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "image reference is empty; give one such as \"busybox:1.36\"");
    if (strlen(s) > IMAGE_REF_NAME_MAX + 1 + IMAGE_REF_TAG_MAX + 1 + DIGEST_MAX)
        return refuse(s, err, "it is longer than any reference may be; shorten it");
    int r = parse(s, &ref, err);
    if (r < 0)
        image_ref_done(&ref);
    else
        *ret_ref = ref;
    return r;
}

void image_ref_done(struct image_ref *ref)
{
    free(ref->domain);
    free(ref->path);
    free(ref->tag);
    free(ref->digest);
    *ref = (struct image_ref){0};
}

char *image_ref_name(const struct image_ref *ref)
{
    return mem_printf("%s/%s", ref->domain, ref->path);
}

char *image_ref_tagged(const struct image_ref *ref)
{
    return ref->tag ? mem_printf("%s/%s:%s", ref->domain, ref->path, ref->tag) : NULL;
}

char *image_ref_digested(const struct image_ref *ref, const char *digest)
{
    if (!digest)
        digest = ref->digest;
    return digest ? mem_printf("%s/%s@%s", ref->domain, ref->path, digest) : NULL;
}

char *image_ref_text(const struct image_ref *ref)
{
    return mem_printf("%s/%s%s%s%s%s", ref->domain, ref->path, ref->tag ? ":" : "", ref->tag ? ref->tag : "",
                      ref->digest ? "@" : "", ref->digest ? ref->digest : "");
}

const char *image_ref_reference(const struct image_ref *ref)
{
    return ref->digest ? ref->digest : ref->tag;
}

const char *image_ref_host(const char *domain)
{
    return strcmp(domain, hub) == 0 ? hub_host : domain;
}
