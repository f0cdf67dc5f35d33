#include "cli/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

static struct termios before;
static int raw_fd = -1;

void terminal_restore(void)
{
    if (raw_fd >= 0)
        tcsetattr(raw_fd, TCSADRAIN, &before);
    raw_fd = -1;
}

int terminal_make_raw(int fd, struct err *err)
{
    static bool registered;
    struct termios raw;

    if (tcgetattr(fd, &before) < 0)
        return err_sys(err, errno, "reading the terminal's settings");
    if (!registered && atexit(terminal_restore) != 0)
        return err_set(err, GRPC_INTERNAL, 0, "the terminal could not be restored at the end: atexit failed");
    registered = true;
    raw = before;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
        return err_sys(err, errno, "changing the terminal's settings");
    raw_fd = fd;
    return 0;
}

bool terminal_size_of(int fd, struct terminal_size *ret)
{
    struct winsize w;

    if (ioctl(fd, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
        return false;
    *ret = (struct terminal_size){w.ws_col, w.ws_row};
    return true;
}
