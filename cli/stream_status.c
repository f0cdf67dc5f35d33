#include "cli/stream_status.h"
#include "core/json_doc.h"
#include "core/quote.h"

#include <string.h>

enum { FIELD_MAX = 16 * 1024, CAUSES_MAX = 64 };

static const char what[] = "the status of the command";

/* Up to 9 digits: more is no exit code. */
static int take_code(const char *s, int *ret_code, struct err *err)
{
    size_t n = strspn(s, "0123456789");

    if (n == 0 || n > 9 || s[n])
        return err_set(err, GRPC_INTERNAL, 0, "%s has the exit code %s, which is none", what, QUOTED(s));
    *ret_code = atoi(s);
    return 0;
}

/* details.causes: [{"reason": "ExitCode", "message": "3"}] */
static int find_code(const json_t *status, int *ret_code, struct err *err)
{
    const json_t *details, *causes = NULL;
    int rc = json_doc_object(status, what, "details", &details, err);

    if (!rc && details)
        rc = json_doc_array(details, what, "causes", CAUSES_MAX, &causes, err);
    for (size_t i = 0; !rc && causes && i < json_array_size(causes); i++) {
        const char *reason, *message;
        const json_t *cause = json_array_get(causes, i);
        if (json_doc_text(cause, what, "reason", FIELD_MAX, &reason, err) < 0 ||
            json_doc_text(cause, what, "message", FIELD_MAX, &message, err) < 0)
            return err_errno(err);
        if (reason && message && !strcmp(reason, "ExitCode"))
            return take_code(message, ret_code, err);
    }
    return rc ? rc : err_set(err, GRPC_INTERNAL, 0, "%s names no exit code", what);
}

/* The runtime's words go to a terminal: what could steer it becomes a space. */
static int failure(const char *message, struct err *err)
{
    int rc = err_set(err, GRPC_UNKNOWN, 0, "%s", message && *message ? message : "the runtime named no reason");

    for (char *c = err ? err->msg : NULL; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return rc;
}

int stream_status_parse(const char *text, size_t n, int *ret_code, struct err *err)
{
    json_t *cleanup_json doc = NULL;
    const char *status, *reason, *message;

    if (json_doc_load(what, text, n, STREAM_STATUS_MAX, &doc, err) < 0 ||
        json_doc_text(doc, what, "status", FIELD_MAX, &status, err) < 0 ||
        json_doc_text(doc, what, "reason", FIELD_MAX, &reason, err) < 0 ||
        json_doc_text(doc, what, "message", FIELD_MAX, &message, err) < 0)
        return err_errno(err);
    if (status && !strcmp(status, "Success")) {
        *ret_code = 0;
        return 0;
    }
    if (reason && !strcmp(reason, "NonZeroExitCode"))
        return find_code(doc, ret_code, err);
    return failure(message, err);
}
