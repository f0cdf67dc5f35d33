#include "helpers/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int say(const char *text)
{
    return write(2, text, strlen(text)) < 0 ? 2 : 1;
}

static void take_fds(struct enter *e, struct msghdr *m)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);

    for (int i = 0; i < ENTER_FDS; i++)
        e->fds[i] = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len <= CMSG_LEN(sizeof(e->fds)))
        memcpy(e->fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
}

/* 1: a request; 0: the daemon has closed its end; -1: something that is no request. */
static int receive(struct enter *e, struct enter_request *r)
{
    struct iovec iov = {.iov_base = r, .iov_len = sizeof(*r)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(e->fds))];
    } control;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(ENTER_FD, &m, MSG_CMSG_CLOEXEC);

    if (n <= 0)
        return n == 0 ? 0 : -1;
    take_fds(e, &m);
    return n == (ssize_t)sizeof(*r) && r->version == ENTER_VERSION && e->fds[ENTER_FD_INIT] >= 0 ? 1 : -1;
}

/* Outcome and plan. What is wrong with either cannot be told: the daemon sees a command that did not get to run. */
static bool map_block(struct enter *e)
{
    struct stat st;

    if (fstat(e->fds[ENTER_FD_PLAN], &st) < 0 || st.st_size <= ENTER_PLAN_OFFSET)
        return false;
    e->block_len = (size_t)st.st_size;
    e->block = mmap(NULL, e->block_len, PROT_READ | PROT_WRITE, MAP_SHARED, e->fds[ENTER_FD_PLAN], 0);
    if (e->block == MAP_FAILED)
        return false;
    return (exec_plan_read((char *)e->block + ENTER_PLAN_OFFSET, e->block_len - ENTER_PLAN_OFFSET, &e->plan) &&
            !e->plan.refused && e->plan.head->args_n > 0) ||
           enter_failed(e, 0, "the plan cannot be read", NULL);
}

static void close_all(struct enter *e)
{
    for (int i = 0; i < ENTER_FDS; i++)
        if (e->fds[i] >= 0)
            close(e->fds[i]);
    for (int i = 0; i < 2; i++)
        if (e->gate[i] >= 0)
            close(e->gate[i]);
    if (e->block_len && e->block != MAP_FAILED)
        munmap(e->block, e->block_len);
}

/* The pid goes out before the command may begin: whoever hears of its end has been able to know its pid. */
static void start(struct enter *e)
{
    if (pipe2(e->gate, O_CLOEXEC) < 0) {
        enter_failed(e, errno, "cannot make a pipe", NULL);
        return;
    }
    pid_t pid = enter_clone(e);
    if (pid == 0) {
        close(ENTER_FD);
        close(e->gate[1]);
        enter_command(e);
    }
    if (pid > 0 && enter_send(e->fds[ENTER_FD_STATUS], ENTER_PID, pid, -1))
        (void)!write(e->gate[1], "", 1);
}

static bool serve(struct enter *e)
{
    static bool joined;

    if (!map_block(e))
        return false;
    if (!joined && !enter_join(e))
        return false;
    joined = true;
    start(e);
    return true;
}

/* posix_spawn(3) of glibc leaves its two internal signals ignored, and no C library lets one ask for them. */
static void reset_signals(void)
{
    static const uint64_t as_default[4]; /* struct sigaction of the kernel, all zero: SIG_DFL */

    for (int sig = 32; sig <= 33; sig++)
        syscall(SYS_rt_sigaction, sig, as_default, NULL, (size_t)8);
}

int main(int argc, char **argv)
{
    struct enter_request r;
    bool ok;
    int n;

    if (argc > 1 && strcmp(argv[1], "-v") == 0)
        return say("cricket-enter " CRICKET_VERSION "\n") == 1 ? 0 : 1;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    reset_signals();
    do {
        struct enter e = {.gate = {-1, -1}};
        n = receive(&e, &r);
        if (n < 0)
            return say("cricket-enter: only cricketd starts this program\n") + 1;
        if (n == 0)
            return 0;
        ok = serve(&e);
        close_all(&e);
    } while (ok && !(r.flags & ENTER_LAST));
    return ok ? 0 : 1;
}
