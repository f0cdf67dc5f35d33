#include "helpers/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, IDLE_MS = 1000, LOWEST_OOM_SCORE_ADJ = -999, SINK_LIMIT_MS = 10000 };
_Static_assert(sizeof(struct container) <= PAGE, "a container is one page");

struct keeper keeper = {.listener.fd = -1, .signals.fd = -1, .client.fd = -1, .home = -1};
/* on pages of their own, so that giving them back takes nothing else along */
char scratch[KEEPER_MSG_MAX] __attribute__((aligned(PAGE)));
char answer[4096] __attribute__((aligned(PAGE)));

static int64_t now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(void)
{
    return now(CLOCK_REALTIME);
}

int64_t now_ms(void)
{
    return now(CLOCK_MONOTONIC) / 1000000;
}

void source_add(struct source *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    epoll_ctl(keeper.epoll, EPOLL_CTL_ADD, s->fd, &e);
}

/* The explicit removal matters: the daemon has duplicates, so that close() alone would leave the descriptor in the set. */
void source_close(struct source *s)
{
    if (s->fd < 0)
        return;
    epoll_ctl(keeper.epoll, EPOLL_CTL_DEL, s->fd, NULL);
    close(s->fd);
    s->fd = -1;
}

struct container *container_find(const char *id)
{
    struct container *c = keeper.containers;

    while (c && strcmp(c->id, id) != 0)
        c = c->next;
    return c;
}

struct container *container_new(const char *id)
{
    struct container *c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct container **end = &keeper.containers;

    if (c == MAP_FAILED)
        return NULL;
    text_copy(c->id, sizeof(c->id), id);
    struct source *const sources[] = {&c->out, &c->err, &c->pidfd, &c->oom, &c->console};
    for (size_t i = 0; i < countof(sources); i++)
        *sources[i] = (struct source){.fd = -1, .on_ready = log_on_ready, .container = c};
    c->in_fd = c->log_fd = -1;
    while (*end)
        end = &(*end)->next;
    *end = c;
    return c;
}

void container_free(struct container *c)
{
    struct container **at = &keeper.containers;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    relay_end(&c->out);
    relay_end(&c->err);
    struct source *const sources[] = {&c->out, &c->err, &c->pidfd, &c->oom, &c->console};
    for (size_t i = 0; i < countof(sources); i++)
        source_close(sources[i]);
    if (c->in_fd >= 0)
        close(c->in_fd);
    if (c->log_fd >= 0)
        close(c->log_fd);
    munmap(c, PAGE);
}

static void fail(const char *what, const char *object)
{
    struct text t;

    text_init(&t, answer, sizeof(answer) - 1);
    text_add(&t, "cricket-keeper: ");
    text_add(&t, what);
    if (object) {
        text_add(&t, " ");
        text_add(&t, object);
        text_add(&t, ": ");
        text_add(&t, strerror(errno));
    }
    answer[t.len++] = '\n';
    _exit(write(2, answer, t.len) < 0 ? 2 : 1);
}

static void on_connect(struct source *s, uint32_t events)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    int room = 4 * KEEPER_MSG_MAX;

    (void)events;
    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || (peer.uid != 0 && peer.uid != geteuid())) {
        close(fd);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    source_close(&keeper.client);
    keeper.client = (struct source){.fd = fd, .on_ready = client_on_ready};
    client_greet();
    if (keeper.client.fd >= 0)
        source_add(&keeper.client, EPOLLIN);
}

static void listen_at(const char *name, const char *dir)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    /* relative to the directory, whose own path may be longer than an address takes */
    text_copy(a.sun_path, sizeof(a.sun_path), name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("cannot make a socket in", dir);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        fail("another keeper listens in this directory; connect to that one", NULL);
    unlink(name);
    mode_t mask = umask(0077);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
        fail("cannot listen at keeper.sock in", dir);
    umask(mask);
    keeper.listener = (struct source){.fd = fd, .on_ready = on_connect};
    source_add(&keeper.listener, EPOLLIN);
}

static void on_signal(struct source *s, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    while (read(s->fd, &info, sizeof(info)) == sizeof(info))
        ;
    keeper.reap = true;
}

/* A stop of the daemon's service must not stop us: only QUIT and SIGKILL do. */
static void set_up_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    sigset_t chld;

    for (size_t i = 0; i < countof(ignored); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, the kernel would throw exit codes away */
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_SETMASK, &chld, NULL);
    keeper.signals =
        (struct source){.fd = signalfd(-1, &chld, SFD_NONBLOCK | SFD_CLOEXEC), .on_ready = on_signal};
    if (keeper.signals.fd < 0)
        fail("cannot watch", "signals");
    source_add(&keeper.signals, EPOLLIN);
}

static void lower_oom_score_adj(void)
{
    struct text t;
    ssize_t n =
        read_text(AT_FDCWD, "/proc/self/oom_score_adj", keeper.oom_score_adj, sizeof(keeper.oom_score_adj));

    text_init(&t, answer, sizeof(answer));
    text_add_number(&t, LOWEST_OOM_SCORE_ADJ);
    cleanup_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (n <= 0 || fd < 0 || write(fd, answer, t.len) < 0) {
        keeper.oom_score_adj[0] = '\0'; /* nothing to give back to what we start */
        keeper.flags |= KEEPER_NO_OOM_ADJ;
    }
}

static void close_inherited(void)
{
    if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
        return;
    for (int fd = 3; fd < 4096; fd++)
        close(fd);
}

static void set_up(const char *dir, const char *cgroup)
{
    close_inherited();
    setsid(); /* fails for a session leader, which is as good */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        fail("cannot become", "child subreaper");
    lower_oom_score_adj();
    if (cgroup)
        keeper.home = cgroup_home();
    keeper.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (keeper.epoll < 0 || chdir(dir) < 0)
        fail("cannot enter", dir);
    keeper.dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (keeper.dir < 0 || (mkdir("exits", 0700) < 0 && errno != EEXIST))
        fail("cannot make exits in", dir);
    set_up_signals();
    listen_at("keeper.sock", dir);
    records_load();
    if (chdir("/") < 0)
        fail("cannot enter", "/");
}

/* Says that connections are taken, then lets go of whoever started us. */
static void tell_ready(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || write(1, "ready\n", 6) != 6)
        fail("cannot write to", "stdout");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
}

static void enter_cgroup(const char *path)
{
    keeper.mover = cgroup_enter(path);
    if (keeper.mover > 0)
        return;
    keeper.mover = 0;
    keeper.flags |= KEEPER_NO_CGROUP;
}

static int wait_ms(bool busy)
{
    int64_t first = relay_deadline(), t;

    if (busy && now_ms() + IDLE_MS < first)
        first = now_ms() + IDLE_MS;
    for (struct container *c = keeper.containers; c; c = c->next)
        if (c->deadline_ms && c->deadline_ms < first)
            first = c->deadline_ms;
    if (first == INT64_MAX)
        return -1;
    t = first - now_ms();
    return t < 0 ? 0 : t > INT_MAX ? INT_MAX : (int)t;
}

static void run_timeouts(void)
{
    int64_t t = now_ms();

    for (struct container *c = keeper.containers, *next; c; c = next) {
        next = c->next;
        if (c->deadline_ms && c->deadline_ms <= t) {
            c->deadline_ms = 0;
            container_timeout(c);
        }
    }
    relay_timeouts(t);
}

static void run(void)
{
    struct epoll_event e; /* one at a time: handling it may free the owner of the next */
    bool busy = true;     /* the buffers have pages */

    while (!keeper.quit) {
        int n = epoll_wait(keeper.epoll, &e, 1, wait_ms(busy));
        if (n > 0) {
            struct source *s = e.data.ptr;
            busy = true;
            s->on_ready(s, e.events);
        } else if (n == 0 && busy) {
            busy = false;
            madvise(scratch, sizeof(scratch), MADV_DONTNEED);
            madvise(answer, sizeof(answer), MADV_DONTNEED);
        }
        if (keeper.reap)
            reap();
        run_timeouts();
    }
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

int main(int argc, char **argv)
{
    static const char version[] = "cricket-keeper " CRICKET_VERSION "\n";
    const char *dir = option(argc, argv, "--dir"), *limit = option(argc, argv, "--sink-limit-ms");

    if (argc > 1 && (strcmp(argv[1], "-v") == 0 || strcmp(argv[1], "--version") == 0))
        return write(1, version, sizeof(version) - 1) < 0;
    if (!dir)
        fail("usage: cricket-keeper --dir DIR [--cgroup PATH] [--pod ID] [--sink-limit-ms N]; cricketd starts "
             "it",
             NULL);
    keeper.sink_limit_ms = limit ? text_number(limit) : SINK_LIMIT_MS;
    if (keeper.sink_limit_ms <= 0)
        fail("--sink-limit-ms wants a number of milliseconds above 0", NULL);
    const char *cgroup = option(argc, argv, "--cgroup");
    set_up(dir, cgroup);
    tell_ready();
    if (cgroup)
        enter_cgroup(cgroup);
    run();
    unlinkat(keeper.dir, "keeper.sock", 0);
    return 0;
}
