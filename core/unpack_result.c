#include "core/unpack_result.h"
#include "core/ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

size_t unpack_result_format(const struct unpack_result *r, const struct err *err,
                            char ret_line[static UNPACK_RESULT_SIZE])
{
    int n;

    if (err)
        n = snprintf(ret_line, UNPACK_RESULT_SIZE, "error %d %d %s\n", err->grpc, err->sys, err->msg);
    else
        n = snprintf(ret_line, UNPACK_RESULT_SIZE,
                     "ok digest=%s diff_id=%s compressed=%" PRIu64 " unpacked=%" PRIu64 " files=%" PRIu64
                     " implied=%" PRIu64 "\n",
                     r->digest, r->diff_id, r->compressed, r->unpacked_bytes, r->files, r->implied);
    return (size_t)n;
}

static bool digest_is_valid(const char *s)
{
    return strncmp(s, "sha256:", 7) == 0 && id_is_valid(s + 7);
}

/* Only what unpack_result_format() writes: no signs, no other spaces, nothing behind it. */
static int parse_ok(const char *line, struct unpack_result *ret_result)
{
    struct unpack_result r = {0};
    char again[UNPACK_RESULT_SIZE];

    if (sscanf(line,
               "ok digest=%71s diff_id=%71s compressed=%20" SCNu64 " unpacked=%20" SCNu64 " files=%20" SCNu64
               " implied=%20" SCNu64,
               r.digest, r.diff_id, &r.compressed, &r.unpacked_bytes, &r.files, &r.implied) != 6 ||
        !digest_is_valid(r.digest) || !digest_is_valid(r.diff_id))
        return -EBADMSG;
    size_t n = unpack_result_format(&r, NULL, again);
    if (strncmp(line, again, n - 1) != 0 || line[n - 1])
        return -EBADMSG;
    *ret_result = r;
    return 0;
}

static int parse_error(const char *line, struct err *err)
{
    int grpc = 0, sys = 0, at = 0;

    if (sscanf(line, "error %2d %3d %n", &grpc, &sys, &at) != 2 || at == 0 || grpc < 1 ||
        grpc > GRPC_UNAUTHENTICATED || sys < 0)
        return 0;
    int r = err_set(err, grpc, 0, "%s", line + at); /* the errno's text is in the message already */
    if (err)
        err->sys = sys;
    return sys ? -sys : r;
}

int unpack_result_parse(const char *text, size_t len, struct unpack_result *ret_result, struct err *err)
{
    char line[UNPACK_RESULT_SIZE];
    int r;

    if (len > 0 && len < sizeof(line) && text[len - 1] == '\n' && !memchr(text, '\0', len)) {
        memcpy(line, text, len - 1);
        line[len - 1] = '\0';
        if (strncmp(line, "ok ", 3) == 0 && parse_ok(line, ret_result) == 0)
            return 0;
        if (strncmp(line, "error ", 6) == 0 && (r = parse_error(line, err)) < 0)
            return r;
    }
    return err_set(err, GRPC_INTERNAL, 0, "cricket-unpack gave no answer that is understood (%zu bytes)", len);
}
