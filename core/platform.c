/* The choice among an index's images: the half of manifest.h that knows architectures. */
#include "core/buf.h"
#include "core/manifest.h"
#include "core/mem.h"
#include "core/quote.h"

#include <string.h>

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#define HOST_VARIANT      NULL
#elif defined(__aarch64__)
#define HOST_ARCHITECTURE "arm64"
#define HOST_VARIANT      "v8"
#elif defined(__arm__) && __ARM_ARCH >= 7
#define HOST_ARCHITECTURE "arm"
#define HOST_VARIANT      "v7"
#elif defined(__arm__) && __ARM_ARCH == 6
#define HOST_ARCHITECTURE "arm"
#define HOST_VARIANT      "v6"
#elif defined(__arm__)
#define HOST_ARCHITECTURE "arm"
#define HOST_VARIANT      "v5"
#elif defined(__i386__)
#define HOST_ARCHITECTURE "386"
#define HOST_VARIANT      NULL
#elif defined(__riscv) && __riscv_xlen == 64
#define HOST_ARCHITECTURE "riscv64"
#define HOST_VARIANT      NULL
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define HOST_ARCHITECTURE "ppc64le"
#define HOST_VARIANT      NULL
#elif defined(__s390x__)
#define HOST_ARCHITECTURE "s390x"
#define HOST_VARIANT      NULL
#elif defined(__loongarch64)
#define HOST_ARCHITECTURE "loong64"
#define HOST_VARIANT      NULL
#elif defined(__mips64) && defined(__MIPSEL__)
#define HOST_ARCHITECTURE "mips64le"
#define HOST_VARIANT      NULL
#else
/* cppcheck-suppress preprocessorErrorDirective */
#error "name this machine's architecture as Go does (GOARCH)"
#endif

const struct platform *platform_host(void)
{
    static char os[] = "linux", architecture[] = HOST_ARCHITECTURE;
    static struct platform host = {.os = os, .architecture = architecture, .variant = (char *)HOST_VARIANT};
    return &host;
}

/* Names that tools wrote before they agreed on Go's. */
static const char *common_architecture(const char *name)
{
    static const struct {
        const char *name, *common;
    } names[] = {
        {"x86_64", "amd64"}, {"x86-64", "amd64"}, {"aarch64", "arm64"}, {"armhf", "arm"},
        {"armel", "arm"},    {"i386", "386"},     {"i686", "386"},
    };

    for (size_t i = 0; name && i < countof(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].common;
    return name ? name : "";
}

/*
 * "v7" and "7" -> 7. Where nothing is said: arm is v7, arm64 is v8, as containerd reads it; the others count from 1, the
 * baseline (amd64's v2 and v3 need instructions that this build did not ask for).
 */
static int variant_number(const struct platform *p)
{
    const char *a = common_architecture(p->architecture), *v = p->variant;

    if (!v || !*v)
        return strcmp(a, "arm") == 0 ? 7 : strcmp(a, "arm64") == 0 ? 8 : 1;
    if (*v == 'v')
        v++;
    return v[0] >= '1' && v[0] <= '9' && v[1] == '\0' ? v[0] - '0' : -1;
}

/* How far an entry is from what is wanted: 0 is best, negative does not run here. */
static int distance(const struct platform *have, const struct platform *want)
{
    const char *architecture = common_architecture(want->architecture);

    if (!have->os || strcmp(have->os, want->os) != 0)
        return -1;
    if (strcmp(common_architecture(have->architecture), architecture) != 0)
        return -1;
    int h = variant_number(have), w = variant_number(want);
    if (h < 0 || h > w || (strcmp(architecture, "arm") == 0 && h < 5))
        return -1;
    return w - h;
}

static void list_platforms(const struct manifest *m, struct buf *b)
{
    for (size_t i = 0; i < m->entries_n; i++) {
        const struct platform *p = &m->entries[i].platform;
        if (m->entries[i].attestation)
            continue;
        buf_addf(b, "%s%s/%s%s%s", b->len ? ", " : "", p->os ? p->os : "?",
                 p->architecture ? p->architecture : "?", p->variant ? "/" : "", p->variant ? p->variant : "");
    }
}

int manifest_choose(const struct manifest *m, const struct platform *want,
                    const struct manifest_entry **ret_entry, struct err *err)
{
    const struct manifest_entry *best = NULL, *unnamed = NULL;
    int best_distance = 0;

    for (size_t i = 0; i < m->entries_n; i++) {
        const struct manifest_entry *e = &m->entries[i];
        if (e->attestation)
            continue;
        int d = distance(&e->platform, want);
        if (d >= 0 && (!best || d < best_distance)) {
            best = e;
            best_distance = d;
        }
        if (!unnamed && !e->platform.os && !e->platform.architecture)
            unnamed = e;
    }
    if (!best)
        best = unnamed;
    if (!best) {
        struct buf cleanup_buf have = {.max = QUOTE_BYTES};
        list_platforms(m, &have);
        return err_set(err, GRPC_NOT_FOUND, 0,
                       "image has nothing for %s/%s%s%s, only for %s; choose another image or tag", want->os,
                       want->architecture, want->variant ? "/" : "", want->variant ? want->variant : "",
                       QUOTED(have.data));
    }
    *ret_entry = best;
    return 0;
}
