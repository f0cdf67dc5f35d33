#include "netns/loopback.h"

#include <net/if.h>
#include <netlink/route/link.h>

static int nl_err(struct err *err, int rc)
{
    return err_set(err, GRPC_INTERNAL, 0, "set lo up: %s", nl_geterror(rc));
}

int loopback_up(struct err *err)
{
    struct rtnl_link *lo = NULL, *change = NULL;
    struct nl_sock *s = nl_socket_alloc();
    int rc = s ? nl_connect(s, NETLINK_ROUTE) : -NLE_NOMEM;

    if (rc == 0)
        rc = rtnl_link_get_kernel(s, 0, "lo", &lo);
    if (rc == 0 && !(change = rtnl_link_alloc()))
        rc = -NLE_NOMEM;
    if (rc == 0) {
        rtnl_link_set_flags(change, IFF_UP);
        rc = rtnl_link_change(s, lo, change, 0);
    }
    rtnl_link_put(change);
    rtnl_link_put(lo);
    nl_socket_free(s);
    return rc < 0 ? nl_err(err, rc) : 0;
}
