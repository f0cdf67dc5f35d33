#include "core/signals.h"
#include "core/mem.h"
#include "core/quote.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { RT_MIN = 34, RT_MAX = 64, SIGNALS_MAX = 64 };

/*
 * One row a name. Where Linux has two names for a number the first row is the one that signal_name() and signal_to_cri()
 * give. The enum's order is alphabetical, so its numbers have nothing to do with Linux'.
 */
static const struct {
    const char *name;
    int number;
    int cri;
} table[] = {
    {"SIGHUP", 1, 8},        {"SIGINT", 2, 10},       {"SIGQUIT", 3, 18},      {"SIGILL", 4, 9},
    {"SIGTRAP", 5, 24},      {"SIGABRT", 6, 1},       {"SIGIOT", 6, 12},       {"SIGBUS", 7, 3},
    {"SIGFPE", 8, 7},        {"SIGKILL", 9, 13},      {"SIGUSR1", 10, 29},     {"SIGSEGV", 11, 19},
    {"SIGUSR2", 12, 30},     {"SIGPIPE", 13, 14},     {"SIGALRM", 14, 2},      {"SIGTERM", 15, 23},
    {"SIGSTKFLT", 16, 20},   {"SIGCHLD", 17, 4},      {"SIGCLD", 17, 5},       {"SIGCONT", 18, 6},
    {"SIGSTOP", 19, 21},     {"SIGTSTP", 20, 25},     {"SIGTTIN", 21, 26},     {"SIGTTOU", 22, 27},
    {"SIGURG", 23, 28},      {"SIGXCPU", 24, 33},     {"SIGXFSZ", 25, 34},     {"SIGVTALRM", 26, 31},
    {"SIGPROF", 27, 16},     {"SIGWINCH", 28, 32},    {"SIGIO", 29, 11},       {"SIGPOLL", 29, 15},
    {"SIGPWR", 30, 17},      {"SIGSYS", 31, 22},      {"SIGRTMIN", 34, 35},    {"SIGRTMIN+1", 35, 36},
    {"SIGRTMIN+2", 36, 37},  {"SIGRTMIN+3", 37, 38},  {"SIGRTMIN+4", 38, 39},  {"SIGRTMIN+5", 39, 40},
    {"SIGRTMIN+6", 40, 41},  {"SIGRTMIN+7", 41, 42},  {"SIGRTMIN+8", 42, 43},  {"SIGRTMIN+9", 43, 44},
    {"SIGRTMIN+10", 44, 45}, {"SIGRTMIN+11", 45, 46}, {"SIGRTMIN+12", 46, 47}, {"SIGRTMIN+13", 47, 48},
    {"SIGRTMIN+14", 48, 49}, {"SIGRTMIN+15", 49, 50}, {"SIGRTMAX-14", 50, 51}, {"SIGRTMAX-13", 51, 52},
    {"SIGRTMAX-12", 52, 53}, {"SIGRTMAX-11", 53, 54}, {"SIGRTMAX-10", 54, 55}, {"SIGRTMAX-9", 55, 56},
    {"SIGRTMAX-8", 56, 57},  {"SIGRTMAX-7", 57, 58},  {"SIGRTMAX-6", 58, 59},  {"SIGRTMAX-5", 59, 60},
    {"SIGRTMAX-4", 60, 61},  {"SIGRTMAX-3", 61, 62},  {"SIGRTMAX-2", 62, 63},  {"SIGRTMAX-1", 63, 64},
    {"SIGRTMAX", 64, 65},
};

/* Plain decimal digits from 0 to max; -1 otherwise. */
static int small_number(const char *s, int max)
{
    int n = 0;

    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -1;
        n = n * 10 + (*s - '0');
        if (n > max)
            return -1;
    }
    return n;
}

/* RTMIN+n and RTMAX-n beyond the table's halves: "RTMIN+20" is as good a name as "RTMAX-10". */
static int real_time(const char *s)
{
    bool from_min = strncasecmp(s, "RTMIN+", 6) == 0;

    if (!from_min && strncasecmp(s, "RTMAX-", 6) != 0)
        return -1;
    int n = small_number(s + 6, RT_MAX - RT_MIN);
    if (n < 0)
        return -1;
    return from_min ? RT_MIN + n : RT_MAX - n;
}

int signal_parse(const char *s, int *ret_signal, struct err *err)
{
    const char *bare = s && strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s;
    int number = s ? small_number(s, SIGNALS_MAX) : -1;

    if (s && number < 0)
        number = real_time(bare);
    for (size_t i = 0; s && number < 0 && i < countof(table); i++)
        if (strcasecmp(table[i].name + 3, bare) == 0)
            number = table[i].number;
    if (number <= 0)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "%s is not a signal; give a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to %d",
            QUOTED(s), SIGNALS_MAX);
    *ret_signal = number;
    return 0;
}

const char *signal_name(int signal)
{
    for (size_t i = 0; i < countof(table); i++)
        if (table[i].number == signal)
            return table[i].name;
    return NULL;
}

int signal_of_cri(int cri)
{
    if (cri == 0)
        return 0;
    for (size_t i = 0; i < countof(table); i++)
        if (table[i].cri == cri)
            return table[i].number;
    return -1;
}

int signal_to_cri(int signal)
{
    for (size_t i = 0; i < countof(table); i++)
        if (table[i].number == signal)
            return table[i].cri;
    return 0;
}
