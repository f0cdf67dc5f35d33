#include "cli/follow.h"
#include "cli/format.h"

#include <stdio.h>

enum {
    ASK_FIRST_MS = 10,      /* a short command's end is seen soon */
    ASK_LAST_MS = 1000,     /* a long one costs a call a second */
    PATIENCE_MS = 60 * 1000 /* with a runtime that is away */
};

enum answer { RUNS, EXITED, GONE, AWAY };

static enum answer ask(struct cli *cli, const char *id, struct follow_end *ret, struct err *err)
{
    cleanup_reply Runtime__V1__ContainerStatusResponse *r = NULL;
    Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

    req.container_id = (char *)id;
    if (cri_call(cli, "ContainerStatus", &req, &r, err) < 0)
        return err->grpc == GRPC_NOT_FOUND ? GONE : AWAY;
    if (!r->status || r->status->state != RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED)
        return RUNS;
    ret->exit_code = r->status->exit_code;
    snprintf(ret->reason, sizeof(ret->reason), "%s", r->status->reason);
    return EXITED;
}

int follow_container(struct cli *cli, const char *id, struct log_file *log, int wake_fd, struct follow_end *ret,
                     struct err *err)
{
    int64_t next = now_ns() / 1000000, answered = next;
    int interval = ASK_FIRST_MS;
    ssize_t n;

    *ret = (struct follow_end){0};
    for (;;) {
        if ((n = log_file_read(log, err)) < 0)
            return (int)n;
        int64_t now = now_ns() / 1000000;
        if (now >= next) {
            struct err why = {0};
            switch (ask(cli, id, ret, &why)) {
            case GONE:
                ret->gone = true;
                __attribute__((fallthrough));
            case EXITED:
                n = log_file_read(log, err);
                return n < 0 ? (int)n : 0;
            case AWAY:
                if (why.grpc != GRPC_CANCELLED && now - answered > PATIENCE_MS) {
                    *err = why;
                    return err_errno(err);
                }
                break;
            case RUNS:
                answered = now;
                break;
            }
            interval = interval * 3 / 2 < ASK_LAST_MS ? interval * 3 / 2 : ASK_LAST_MS;
            next = now + interval;
        }
        if (log_file_wait(log, (int)(next > now ? next - now : 0), wake_fd)) {
            ret->interrupted = true;
            return 0;
        }
    }
}
