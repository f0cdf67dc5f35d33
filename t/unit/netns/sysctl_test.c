#include "netns/sysctl.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void names(void **state)
{
    static const struct {
        const char *name, *path;
        enum sysctl_ns ns;
    } cases[] = {
        {"net.ipv4.ip_forward", "net/ipv4/ip_forward", SYSCTL_NET},
        {"net/ipv4/ip_forward", "net/ipv4/ip_forward", SYSCTL_NET},
        {"net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding", SYSCTL_NET},
        {"net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding", SYSCTL_NET},
        {"kernel.shm_rmid_forced", "kernel/shm_rmid_forced", SYSCTL_IPC},
        {"kernel.shmmax", "kernel/shmmax", SYSCTL_IPC},
        {"kernel.msgmax", "kernel/msgmax", SYSCTL_IPC},
        {"kernel.sem", "kernel/sem", SYSCTL_IPC},
        {"kernel.sem_next_id", "kernel/sem_next_id", SYSCTL_HOST},
        {"fs.mqueue.msg_max", "fs/mqueue/msg_max", SYSCTL_IPC},
        {"fs.mqueues", "fs/mqueues", SYSCTL_HOST},
        {"kernel.hostname", "kernel/hostname", SYSCTL_UTS},
        {"kernel.domainname", "kernel/domainname", SYSCTL_UTS},
        {"kernel.pid_max", "kernel/pid_max", SYSCTL_HOST},
        {"vm.swappiness", "vm/swappiness", SYSCTL_HOST},
        {"net", "net", SYSCTL_HOST},
        {"netx.a", "netx/a", SYSCTL_HOST},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = {0};
        char path[PATH_SIZE];
        assert_int_equal(sysctl_path(cases[i].name, path, &err), 0);
        assert_string_equal(path, cases[i].path);
        assert_int_equal(sysctl_ns_of(path), cases[i].ns);
    }
}

static void names_that_lead_astray(void **state)
{
    static const char *const cases[] = {"",       ".",          "/net/a",    "net//a", "net/../../etc/passwd",
                                        "net/..", "net.ipv4.",  ".net.ipv4", "net..a", "net/./a",
                                        "../net", "net.a.//.b", "net/a/"};
    char *longest;
    struct err err = {0};
    char path[PATH_SIZE];

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        if (sysctl_path(cases[i], path, &err) == 0)
            fail_msg("\"%s\" gave %s", cases[i], path);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    }
    longest = malloc(PATH_SIZE + 1);
    memset(longest, 'a', PATH_SIZE);
    longest[PATH_SIZE] = '\0';
    assert_true(sysctl_path(longest, path, &err) < 0);
    longest[PATH_SIZE - 1] = '\0';
    assert_int_equal(sysctl_path(longest, path, &err), 0);
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(names_that_lead_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
