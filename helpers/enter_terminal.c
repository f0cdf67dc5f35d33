#include "helpers/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441 /* asm-generic/ioctls.h */
#endif

/*
 * /dev/ptmx is the container's: anything may stand there. It is opened without waiting and without becoming our terminal,
 * and the other end is asked of the descriptor, not looked up by name.
 */
static int open_pair(int *ret_slave)
{
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), unlock = 0, saved;

    if (master < 0)
        return -1;
    if (ioctl(master, TIOCSPTLCK, &unlock) == 0 &&
        (*ret_slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0)
        return master;
    saved = errno;
    close(master);
    errno = saved;
    return -1;
}

bool enter_terminal(struct enter *e)
{
    int slave = -1, master = open_pair(&slave);

    if (master < 0)
        return enter_failed(e, errno, "cannot open a terminal by /dev/ptmx", NULL);
    bool ok = fchown(slave, e->plan.head->uid, (gid_t)-1) == 0 && ioctl(slave, TIOCSCTTY, 0) == 0 &&
              dup2(slave, 0) == 0 && dup2(slave, 1) == 1 && dup2(slave, 2) == 2;
    if (!ok)
        return enter_failed(e, errno, "cannot take the terminal", NULL);
    if (!enter_send(e->fds[ENTER_FD_STATUS], ENTER_TERMINAL, 0, master))
        return enter_failed(e, errno, "cannot send the terminal", NULL);
    close(slave);
    close(master);
    return true;
}
