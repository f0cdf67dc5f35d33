#include "loop/child.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <uthash.h>

/*
 *            exit seen          both pipes ended (or drain time over)
 *  running ------------> exited -------------------------------------> done
 *     \___ pipes ended ___/
 */
struct child {
    struct loop *loop;
    pid_t pid;
    bool exited;
    bool own_group;
    int drain_ms;
    struct capture out, err;
    int in_fd;
    struct watch *in_watch;
    char *input;
    size_t input_len, input_sent;
    struct timer timer;
    struct child_result result;
    child_done_fn *on_done;
    void *data;
    UT_hash_handle hh;
};

enum { OUT_FD = 3 }; /* of a run function */

extern char **environ;

/* A child of another's making. */
struct adopted {
    pid_t pid;
    void (*on_exit)(void *data, int status);
    void *data;
    UT_hash_handle hh;
};

static struct child *children;
static struct adopted *adopted;
static void (*stranger_hook)(void);
static pid_t stranger; /* whose end is being looked into */
static void (*orphan_hook)(void *data, int pid, int status);
static void *orphan_data;
static unsigned reaping_loop; /* its number; 0: none yet */

static void input_close(struct child *c)
{
    watch_stop(c->in_watch);
    c->in_watch = NULL;
    if (c->in_fd >= 0)
        close(c->in_fd);
    c->in_fd = -1;
}

static void finish(void *data)
{
    struct child *c = data;

    timer_stop(&c->timer);
    capture_stop(&c->out);
    capture_stop(&c->err);
    input_close(c);
    c->on_done(c->data, &c->result);
    buf_done(&c->result.out);
    buf_done(&c->result.err);
    free(c->input);
    free(c);
}

static void maybe_finish(void *data)
{
    struct child *c = data;

    if (c->exited && !capture_runs(&c->out) && !capture_runs(&c->err))
        finish(c);
}

static void on_input_room(void *data, int events)
{
    struct child *c = data;

    (void)events;
    while (c->input_sent < c->input_len) {
        ssize_t n = write(c->in_fd, c->input + c->input_sent, c->input_len - c->input_sent);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            break; /* it does not read: its own affair, the exit status tells */
        c->input_sent += (size_t)n;
    }
    input_close(c);
}

static void kill_it(struct child *c)
{
    if (c->exited)
        return;
    if (c->own_group)
        kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL); /* also in a group of its own: a fork may not have made its session yet */
}

static void on_timeout(void *data)
{
    struct child *c = data;
    c->result.timed_out = true;
    kill_it(c);
}

static void on_drain_over(void *data)
{
    finish(data);
}

static void on_exit_status(struct child *c, int status)
{
    HASH_DEL(children, c);
    c->exited = true;
    c->result.status = status;
    /* what is still in the pipes is read on the loop; a grandchild that holds one open gets drain_ms */
    if (!capture_runs(&c->out) && !capture_runs(&c->err))
        finish(c);
    else
        timer_start(&c->timer, c->loop, c->drain_ms / 1000., on_drain_over, c);
}

static bool tell_adopter(pid_t pid, int status)
{
    struct adopted *a;

    HASH_FIND(hh, adopted, &pid, sizeof(pid), a);
    if (!a)
        return false;
    HASH_DEL(adopted, a);
    a->on_exit(a->data, status);
    free(a);
    return true;
}

/* One that was not started here: adopted, or to be adopted by one who has not looked at its news yet, or an orphan. */
static void on_other_exit(pid_t pid, int status)
{
    bool told = tell_adopter(pid, status);

    if (!told && stranger_hook) {
        stranger = pid;
        stranger_hook();
        stranger = 0;
        told = tell_adopter(pid, status);
    }
    if (!told && orphan_hook)
        orphan_hook(orphan_data, pid, status);
}

static void reap(void *data)
{
    struct loop *l = data;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c;
        HASH_FIND(hh, children, &pid, sizeof(pid), c);
        if (c)
            on_exit_status(c, status);
        else
            on_other_exit(pid, status);
        if (loop_turn_is_long(l)) { /* whoever waited for a child mostly starts another */
            loop_defer(l, reap, l);
            return;
        }
    }
}

static void on_sigchld(void *data, int signal)
{
    (void)signal;
    reap(data);
}

static void reap_on(struct loop *l)
{
    if (reaping_loop == loop_number(l))
        return;
    reaping_loop = loop_number(l);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        log_warn("cannot become child subreaper: %s", strerror(errno));
    loop_on_signal(l, SIGCHLD, on_sigchld, l);
}

void child_set_orphan_hook(struct loop *l, void (*fn)(void *data, int pid, int status), void *data)
{
    orphan_hook = fn;
    orphan_data = data;
    reap_on(l);
}

void child_set_stranger_hook(struct loop *l, void (*fn)(void))
{
    stranger_hook = fn;
    reap_on(l);
}

int child_adopt(struct loop *l, int pid, void (*on_exit)(void *data, int status), void *data)
{
    siginfo_t info;

    reap_on(l);
    if (pid != stranger && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -errno;
    struct adopted *a = mem_new(struct adopted);
    *a = (struct adopted){.pid = pid, .on_exit = on_exit, .data = data};
    HASH_ADD(hh, adopted, pid, sizeof(a->pid), a);
    return 0;
}

size_t child_count(void)
{
    return HASH_COUNT(children);
}

/* The ends of the pipes to a child's descriptors 0, 1 and 2; -1 where there is none. */
struct ends {
    int ours[3], theirs[3];
};

/* Both ends close on exec; ours do not block. */
static int ends_make(const struct child_spec *s, struct ends *e)
{
    const bool wanted[3] = {s->input != NULL, s->stdout_fd <= 0, s->stderr_fd <= 0};

    for (int i = 0; i < 3; i++) {
        int fds[2];
        if (!wanted[i])
            continue;
        if (pipe2(fds, O_CLOEXEC) < 0)
            return -errno;
        e->ours[i] = fds[i == 0];
        e->theirs[i] = fds[i != 0];
        fcntl(e->ours[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static void close_all(const int fds[3])
{
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void reset_signals(sigset_t *ret_all, sigset_t *ret_none)
{
    sigfillset(ret_all);
    sigdelset(ret_all, SIGKILL);
    sigdelset(ret_all, SIGSTOP);
    sigemptyset(ret_none);
}

static int spawn_program(const struct child_spec *s, const int fds[3], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t all, none;
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;

    reset_signals(&all, &none);
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            posix_spawn_file_actions_adddup2(&actions, fds[i], i);
        else
            posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    }
    if (s->fd3 > 0)
        posix_spawn_file_actions_adddup2(&actions, s->fd3, 3);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    if (s->new_session)
        flags |= POSIX_SPAWN_SETSID;
    posix_spawnattr_setflags(&attr, flags);
    int r =
        posix_spawnp(ret_pid, s->file ? s->file : s->argv[0], &actions, &attr,
                     (char *const *)(uintptr_t)s->argv, s->envp ? (char *const *)(uintptr_t)s->envp : environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static void run_in_fork(const struct child_spec *s, const int fds[3], pid_t daemon)
{
    sigset_t none;

    /* Without the daemon nobody wants the answer, and the next daemon undoes what this one was at: it must not go on. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != daemon)
        _exit(1);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (s->new_session)
        setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(fds[0] >= 0 ? fds[0] : null, 0);
    dup2(fds[2] >= 0 ? fds[2] : null, 2);
    dup2(fds[2] >= 0 ? fds[2] : null,
         1); /* stray output belongs to the diagnostics, the answer has its own descriptor */
    /* A copy of a client's connection, or of the lock on the state directory, would outlive the daemon in here. */
    dup2(fds[1] >= 0 ? fds[1] : null, OUT_FD);
    close_range(OUT_FD + 1, ~0U, 0);
    _exit(s->run(s->arg, OUT_FD));
}

static int spawn(const struct child_spec *s, const int fds[3], pid_t *ret_pid)
{
    if (s->argv)
        return spawn_program(s, fds, ret_pid);
    pid_t daemon = getpid();
    *ret_pid = fork();
    if (*ret_pid < 0)
        return -errno;
    if (*ret_pid == 0)
        run_in_fork(s, fds, daemon);
    return 0;
}

/* Takes the ends. */
static struct child *make(struct loop *l, const struct child_spec *spec, pid_t pid, const int ours[3])
{
    struct child *c = mem_new(struct child);

    c->loop = l;
    c->pid = pid;
    c->own_group = spec->new_session;
    c->drain_ms = spec->drain_ms ? spec->drain_ms : 200;
    c->in_fd = ours[0];
    c->result.out.max = spec->out_max ? spec->out_max : (size_t)1 << 20;
    c->result.err.max = spec->err_max ? spec->err_max : (size_t)64 << 10;
    capture_start(&c->out, l, ours[1], &c->result.out, maybe_finish, c);
    capture_start(&c->err, l, ours[2], &c->result.err, maybe_finish, c);
    if (c->in_fd >= 0) {
        c->input = mem_dup(spec->input, spec->input_len);
        c->input_len = spec->input_len;
        c->in_watch = watch_start(l, c->in_fd, WATCH_WRITE, on_input_room, c);
    }
    if (spec->timeout_ms > 0)
        timer_start(&c->timer, l, spec->timeout_ms / 1000., on_timeout, c);
    HASH_ADD(hh, children, pid, sizeof(c->pid), c);
    return c;
}

int child_start(struct loop *l, const struct child_spec *spec, child_done_fn *on_done, void *data,
                struct child **ret_child, struct err *err)
{
    const char *name = spec->name ? spec->name : spec->argv[0];
    const int given[3] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};
    struct ends ends = {{-1, -1, -1}, {-1, -1, -1}};
    pid_t pid = -1;
    int r = ends_make(spec, &ends), fds[3];

    reap_on(l);
    for (int i = 0; i < 3; i++)
        fds[i] = ends.theirs[i] < 0 && given[i] > 0 ? given[i] : ends.theirs[i];
    if (r == 0)
        r = spawn(spec, fds, &pid);
    close_all(ends.theirs);
    if (r < 0) {
        close_all(ends.ours);
        return err_sys(err, -r, "cannot start %s", name);
    }
    struct child *c = make(l, spec, pid, ends.ours);
    c->on_done = on_done;
    c->data = data;
    if (ret_child)
        *ret_child = c;
    return 0;
}

void child_cancel(struct child *c)
{
    c->result.cancelled = true;
    kill_it(c);
}

void child_signal(struct child *c, int signal)
{
    if (!c->exited)
        kill(c->pid, signal);
}

int child_pid(const struct child *c)
{
    return c->pid;
}

/* The last line of a text, without its newline; that is where programs put their reason. */
static void last_line(const struct buf *b, const char **ret_line, int *ret_len)
{
    size_t end = b->len, start;

    while (end > 0 && (b->data[end - 1] == '\n' || b->data[end - 1] == '\r'))
        end--;
    start = end;
    while (start > 0 && b->data[start - 1] != '\n')
        start--;
    *ret_line = b->data ? b->data + start : "";
    *ret_len = (int)(end - start > 300 ? 300 : end - start);
}

int child_check(const struct child_result *r, const char *name, struct err *err)
{
    const char *line;
    int len;

    if (r->cancelled)
        return err_set(err, GRPC_CANCELLED, 0, "%s: cancelled", name);
    if (r->timed_out)
        return err_set(err, GRPC_DEADLINE_EXCEEDED, 0, "%s: took too long and was killed", name);
    if (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0)
        return 0;
    last_line(r->err.len ? &r->err : &r->out, &line, &len);
    if (WIFSIGNALED(r->status))
        return err_set(err, GRPC_INTERNAL, 0, "%s: killed by signal %d (%s)%s%.*s", name, WTERMSIG(r->status),
                       strsignal(WTERMSIG(r->status)), len ? ": " : "", len, line);
    return err_set(err, GRPC_INTERNAL, 0, "%s: exit status %d%s%.*s", name, WEXITSTATUS(r->status),
                   len ? ": " : "", len, line);
}
