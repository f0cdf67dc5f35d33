/* The command lines of OCI runtimes, and what they write into their log. All of them took over runc's. */
#include "core/mem.h"
#include "handlers/runtimes.h"

#include <jansson.h>
#include <string.h>

enum { ARGS_MAX = 24, LOG_TAIL = 64 << 10, MESSAGE_MAX = 400 };

struct args {
    const char *item[ARGS_MAX];
    size_t n;
};

static void add(struct args *a, const char *s)
{
    if (a->n == ARGS_MAX)
        abort();
    a->item[a->n++] = s;
}

/* Nothing when there is no value. */
static void add_option(struct args *a, const char *option, const char *value)
{
    if (!value)
        return;
    add(a, option);
    add(a, value);
}

/* Options that stand before the command. */
static struct args begin(const struct runtime *r, const char *log_file, const char *command)
{
    struct args a = {0};

    add(&a, r->path ? r->path : r->config->name);
    add_option(&a, "--root", r->root);
    if (log_file) {
        add_option(&a, "--log", log_file);
        add_option(&a, "--log-format", "json");
    }
    if (r->systemd_cgroup)
        add(&a, "--systemd-cgroup");
    add(&a, command);
    return a;
}

/* Pointers and strings in one block. */
static char **finish(const struct args *a)
{
    size_t size = (a->n + 1) * sizeof(char *);

    for (size_t i = 0; i < a->n; i++)
        size += strlen(a->item[i]) + 1;
    char **argv = mem_alloc(size), *p = (char *)(argv + a->n + 1);
    for (size_t i = 0; i < a->n; i++) {
        argv[i] = p;
        p = stpcpy(p, a->item[i]) + 1;
    }
    return argv;
}

char **runtime_create_argv(const struct runtime *r, const struct runtime_create *c)
{
    struct args a = begin(r, c->log_file, c->run ? "run" : "create");

    if (c->run)
        add(&a, "--detach");
    add_option(&a, "--bundle", c->bundle);
    add_option(&a, "--pid-file", c->pid_file);
    add_option(&a, "--console-socket", c->console_socket);
    add(&a, c->id);
    return finish(&a);
}

static char **simple(const struct runtime *r, const char *command, const char *option, const char *id,
                     const char *log_file)
{
    struct args a = begin(r, log_file, command);

    if (option)
        add(&a, option);
    add(&a, id);
    return finish(&a);
}

char **runtime_start_argv(const struct runtime *r, const char *id, const char *log_file)
{
    return simple(r, "start", NULL, id, log_file);
}

char **runtime_state_argv(const struct runtime *r, const char *id, const char *log_file)
{
    return simple(r, "state", NULL, id, log_file);
}

char **runtime_delete_argv(const struct runtime *r, const char *id, const char *log_file)
{
    return simple(r, "delete", "--force", id, log_file);
}

char **runtime_kill_argv(const struct runtime *r, const char *id, int signal, bool all, const char *log_file)
{
    struct args a = begin(r, log_file, "kill");
    char number[16];

    snprintf(number, sizeof(number), "%d", signal);
    if (all)
        add(&a, "--all");
    add(&a, id);
    add(&a, number);
    return finish(&a);
}

char **runtime_exec_argv(const struct runtime *r, const struct runtime_exec *x)
{
    struct args a = begin(r, x->log_file, "exec");

    add_option(&a, "--process", x->process_file);
    add_option(&a, "--pid-file", x->pid_file);
    add_option(&a, "--console-socket", x->console_socket);
    if (x->detach)
        add(&a, "--detach");
    add(&a, x->id);
    return finish(&a);
}

char **runtime_features_argv(const struct runtime *r)
{
    struct args a = {0};

    add(&a, r->path ? r->path : r->config->name);
    add(&a, "features");
    return finish(&a);
}

/* The message of one JSON line of level error or above; NULL for any other line. One line, bounded. */
static char *message_of(const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, 0, NULL);
    const char *level = json_string_value(json_object_get(o, "level")),
               *msg = json_string_value(json_object_get(o, "msg"));
    char *out = NULL;

    if (level && msg && msg[0] &&
        (!strcmp(level, "error") || !strcmp(level, "fatal") || !strcmp(level, "panic"))) {
        size_t n = strlen(msg);
        while (n > MESSAGE_MAX || (n > 0 && n < strlen(msg) && ((unsigned char)msg[n] & 0xc0) == 0x80))
            n = n > MESSAGE_MAX ? MESSAGE_MAX : n - 1; /* not within a UTF-8 sequence */
        out = mem_strndup(msg, n);
        for (char *p = out; *p; p++)
            if ((unsigned char)*p < ' ')
                *p = ' ';
    }
    json_decref(o);
    return out;
}

char *runtime_log_error(const char *text, size_t len)
{
    size_t begin_at = len > LOG_TAIL ? len - LOG_TAIL : 0;

    for (size_t end = len; end > begin_at;) {
        size_t start = end;
        while (start > begin_at && text[start - 1] != '\n')
            start--;
        char *msg = message_of(text + start, end - start);
        if (msg)
            return msg;
        end = start > begin_at ? start - 1 : start;
    }
    return NULL;
}
