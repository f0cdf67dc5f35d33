#include "helpers/enter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static size_t add(char *to, size_t at, const char *s)
{
    while (s && *s && at < ENTER_TEXT_MAX - 1)
        to[at++] = *s++;
    return at;
}

bool enter_failed(struct enter *e, int error, const char *text, const char *object)
{
    struct enter_outcome *o = e->block;

    if (o->state == ENTER_FAILED)
        return false;
    size_t n = add(o->text, add(o->text, 0, text), object);
    o->text[n] = '\0';
    o->error = error;
    o->state = ENTER_FAILED;
    return false;
}

void enter_runs(struct enter *e)
{
    ((struct enter_outcome *)e->block)->state = ENTER_RUNS;
}

bool enter_send(int socket, uint32_t kind, pid_t pid, int fd)
{
    struct enter_reply reply = {.kind = kind, .pid = pid};
    struct iovec iov = {.iov_base = &reply, .iov_len = sizeof(reply)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    }
    return sendmsg(socket, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(reply);
}
