/*
 * The programs of the conformance suite's images that busybox does not have, or has differently, as one static binary.
 * It acts by the name it was executed as (the kernel's comm, not argv[0], which a web server rewrites):
 *
 *   nginx, httpd   a web server on port 80 (or $PORT), with nginx' process title and pid file
 *   ipcs -m        the shared memory segments of this IPC namespace
 *   pgrep NAME     the processes of that name
 *   nnp            says who it is; setuid root in its image
 *   sh             busybox' shell, but one bare word is looked up in PATH: Debian's busybox would run its own applet
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define COMM_SIZE 16

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

static void answer(int fd)
{
    static const char page[] = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
    char request[4096];
    if (read(fd, request, sizeof(request)) > 0 && write(fd, page, sizeof(page) - 1) < 0)
        perror("write");
    close(fd);
}

static int serve(const char *name)
{
    int port = getenv("PORT") ? atoi(getenv("PORT")) : 80, on = 1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 16) < 0)
        return fail(name);
    printf("%s: listens on port %d\n", name, port);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client >= 0)
            answer(client);
        else if (errno != EINTR)
            return fail(name);
    }
}

static void stop(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

/* Executes itself once more under the title that nginx gives its first process. */
static int web(const char *name, char **argv)
{
    char title[64], path[64];
    snprintf(title, sizeof(title), "%s: master process", name);
    snprintf(path, sizeof(path), "/bin/%s", name);
    if (strcmp(argv[0], title) != 0) {
        execv(path, (char *[]){title, NULL});
        return fail(path);
    }
    signal(SIGTERM, stop);
    signal(SIGQUIT, stop);
    snprintf(path, sizeof(path), "/var/run/%s.pid", name);
    FILE *f = fopen(path, "w");
    if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0)
        return fail(path);
    return serve(name);
}

static int ipcs(void)
{
    char line[512];
    FILE *f = fopen("/proc/sysvipc/shm", "r");
    if (!f)
        return fail("/proc/sysvipc/shm");
    while (fgets(line, sizeof(line), f))
        fputs(line, stdout);
    fclose(f);
    return 0;
}

static int pgrep(const char *name)
{
    int found = 1;
    DIR *dir = opendir("/proc");
    if (!dir)
        return fail("/proc");
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], comm[COMM_SIZE + 1] = "";
        snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (!f)
            continue;
        if (fgets(comm, sizeof(comm), f) && (comm[strcspn(comm, "\n")] = '\0', strstr(comm, name))) {
            puts(e->d_name);
            found = 0;
        }
        fclose(f);
    }
    closedir(dir);
    return found;
}

static int shell(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "-c") == 0 &&
        argv[2][strspn(argv[2], "abcdefghijklmnopqrstuvwxyz")] == '\0') {
        execvp(argv[2], (char *[]){argv[2], NULL});
        fprintf(stderr, "/bin/sh: %s: %s\n", argv[2], strerror(errno));
        return errno == ENOENT ? 127 : 126;
    }
    argv[0] = "sh";
    execv("/bin/busybox", argv);
    return fail("/bin/busybox");
}

int main(int argc, char **argv)
{
    char comm[COMM_SIZE] = "";
    prctl(PR_GET_NAME, comm);
    if (strcmp(comm, "nginx") == 0 || strcmp(comm, "httpd") == 0)
        return web(comm, argv);
    if (strcmp(comm, "ipcs") == 0)
        return ipcs();
    if (strcmp(comm, "pgrep") == 0 && argc == 2)
        return pgrep(argv[1]);
    if (strcmp(comm, "nnp") == 0)
        return printf("Effective uid: %d\n", (int)geteuid()) < 0;
    if (strcmp(comm, "sh") == 0)
        return shell(argc, argv);
    fprintf(stderr, "stand-in: do not know how to be %s\n", comm);
    return 2;
}
