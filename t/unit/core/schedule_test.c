#include "core/schedule.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>

static struct sched_attr now(void)
{
    struct sched_attr a = {0};

    assert_int_equal(syscall(SYS_sched_getattr, 0, &a, offsetof(struct sched_attr, sched_util_min), 0), 0);
    return a;
}

/* In a child, since not all of it can be taken back; 0 when the check holds there. */
static int in_a_child(int (*check)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static int stands_back(void)
{
    schedule_in_background();
    struct sched_attr a = now();
    return a.sched_policy != SCHED_BATCH || a.sched_nice != BACKGROUND_NICE;
}

static int keeps_what_is_nicer(void)
{
    if (setpriority(PRIO_PROCESS, 0, 15) < 0)
        return 1;
    schedule_in_background();
    return now().sched_nice != 15;
}

static int is_usual(void)
{
    struct sched_attr a = now();
    return a.sched_policy != SCHED_NORMAL || a.sched_nice != 3 || (a.sched_flags & SCHED_FLAG_RESET_ON_FORK);
}

static int is_prompt_alone(void)
{
    if (setpriority(PRIO_PROCESS, 0, 3) < 0)
        return 1;
    schedule_promptly();
    struct sched_attr a = now();
    if (a.sched_policy != SCHED_NORMAL || a.sched_nice != 3 || !(a.sched_flags & SCHED_FLAG_RESET_ON_FORK))
        return 2;
    if (a.sched_runtime && a.sched_runtime != TURN_NS) /* 0: a kernel without turns of one's own */
        return 3;
    return in_a_child(is_usual) ? 4 : 0;
}

static int leaves_a_policy(void)
{
    schedule_in_background();
    schedule_promptly();
    return now().sched_policy != SCHED_BATCH || (now().sched_flags & SCHED_FLAG_RESET_ON_FORK);
}

static void background(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(stands_back), 0);
    assert_int_equal(in_a_child(keeps_what_is_nicer), 0);
}

static void prompt(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(is_prompt_alone), 0);
    assert_int_equal(in_a_child(leaves_a_policy), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(background),
        cmocka_unit_test(prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
