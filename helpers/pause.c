/*
 * PID 1 of a pod's shared PID namespace: reaps what its containers leave behind, ends with 0 on SIGTERM or SIGINT.
 *
 * It holds no memory but its stack: one process of it is paid for per such pod.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int print_version(void)
{
    static const char text[] = "cricket-pause " CRICKET_VERSION "\n";
    return write(1, text, sizeof(text) - 1) == sizeof(text) - 1 ? 0 : 1;
}

static void reap_all(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

int main(int argc, char **argv)
{
    sigset_t wanted;
    int sig;

    if (argc > 1 && strcmp(argv[1], "-v") == 0)
        return print_version();

    /* PID 1 gets only the signals that it has asked for; blocked ones wait for sigwait() and none is lost */
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    /* a SIGCHLD from before the mask, or an ignored one inherited from the runtime, would leave zombies */
    signal(SIGCHLD, SIG_DFL);
    reap_all();
    for (;;) {
        if (sigwait(&wanted, &sig) != 0)
            continue;
        if (sig != SIGCHLD)
            return 0;
        reap_all();
    }
}
