#define ERR_IMPLEMENTATION
#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    int sys;
} codes[] = {
    [GRPC_OK] = {"OK", 0},
    [GRPC_CANCELLED] = {"CANCELLED", ECANCELED},
    [GRPC_UNKNOWN] = {"UNKNOWN", EIO},
    [GRPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", EINVAL},
    [GRPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", ETIMEDOUT},
    [GRPC_NOT_FOUND] = {"NOT_FOUND", ENOENT},
    [GRPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", EEXIST},
    [GRPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", EACCES},
    [GRPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", ENOSPC},
    [GRPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", EBUSY},
    [GRPC_ABORTED] = {"ABORTED", EAGAIN},
    [GRPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", ERANGE},
    [GRPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", ENOSYS},
    [GRPC_INTERNAL] = {"INTERNAL", EIO},
    [GRPC_UNAVAILABLE] = {"UNAVAILABLE", EHOSTUNREACH},
    [GRPC_DATA_LOSS] = {"DATA_LOSS", EBADMSG},
    [GRPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", EPERM},
};

const char *grpc_code_name(int code)
{
    if (code < 0 || code >= (int)countof(codes))
        return "UNKNOWN";
    return codes[code].name;
}

int err_errno(const struct err *err)
{
    if (err->sys)
        return -err->sys;
    if (err->grpc < 0 || err->grpc >= (int)countof(codes))
        return -EIO;
    return -codes[err->grpc].sys;
}

static int set(struct err *err, int grpc, int sys, const char *fmt, va_list ap)
{
    struct err scratch;

    if (!err)
        err = &scratch;
    err->grpc = grpc;
    err->sys = sys;
    int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    if (sys && n >= 0 && n < (int)sizeof(err->msg))
        snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", strerror(sys));
    return err_errno(err);
}

int err_set(struct err *err, int grpc, int sys, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int r = set(err, grpc, sys, fmt, ap);
    va_end(ap);
    return r;
}

static int grpc_of_errno(int sys)
{
    switch (sys) {
    case ENOENT:
        return GRPC_NOT_FOUND;
    case EEXIST:
        return GRPC_ALREADY_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return GRPC_RESOURCE_EXHAUSTED;
    case ETIMEDOUT:
        return GRPC_DEADLINE_EXCEEDED;
    case ECANCELED:
        return GRPC_CANCELLED;
    default:
        return GRPC_INTERNAL;
    }
}

int err_sys(struct err *err, int sys, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int r = set(err, grpc_of_errno(sys), sys, fmt, ap);
    va_end(ap);
    return r;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char head[ERR_MSG_SIZE];
    va_list ap;

    if (!err)
        return -EIO;
    va_start(ap, fmt);
    vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);

    size_t n = strlen(head), m = strlen(err->msg);
    if (n + 2 + m >= sizeof(err->msg)) /* keep the head, lose the tail's end */
        m = n + 2 < sizeof(err->msg) ? sizeof(err->msg) - 1 - n - 2 : 0;
    if (n + 2 < sizeof(err->msg)) {
        memmove(err->msg + n + 2, err->msg, m);
        memcpy(err->msg, head, n);
        memcpy(err->msg + n, ": ", 2);
        err->msg[n + 2 + m] = '\0';
    }
    return err_errno(err);
}
