/* Counters of network interfaces, from the text of /proc/net/dev (proc_net(5)). Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { NET_DEV_NAME_SIZE = 16 }; /* IFNAMSIZ */

struct net_dev {
    char name[NET_DEV_NAME_SIZE];
    uint64_t rx_bytes, rx_errors, tx_bytes, tx_errors;
};

/* All interfaces but the loopback, at most max, in the kernel's order. Malformed lines are skipped. Returns how many. */
size_t net_dev_parse(const char *text, struct net_dev *ret_devs, size_t max);
