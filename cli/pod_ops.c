#include "cli/pod_ops.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

enum { RUN_UID_LEN = 32, REPLY_S = 30 };

int container_stop(struct cli *cli, const char *id, int timeout_s, struct err *err)
{
    cleanup_reply Runtime__V1__StopContainerResponse *r = NULL;
    Runtime__V1__StopContainerRequest req = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;

    req.container_id = (char *)id;
    req.timeout = timeout_s;
    return cri_call_within(cli, "StopContainer", &req, (timeout_s + REPLY_S) * 1000, &r, err);
}

int container_remove(struct cli *cli, const char *id, struct err *err)
{
    cleanup_reply Runtime__V1__RemoveContainerResponse *r = NULL;
    Runtime__V1__RemoveContainerRequest req = RUNTIME__V1__REMOVE_CONTAINER_REQUEST__INIT;

    req.container_id = (char *)id;
    return cri_call(cli, "RemoveContainer", &req, &r, err);
}

static int list_running(struct cli *cli, const char *pod, Runtime__V1__ListContainersResponse **ret,
                        struct err *err)
{
    Runtime__V1__ListContainersRequest req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
    Runtime__V1__ContainerFilter filter = RUNTIME__V1__CONTAINER_FILTER__INIT;
    Runtime__V1__ContainerStateValue running = RUNTIME__V1__CONTAINER_STATE_VALUE__INIT;

    running.state = RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
    filter.state = &running;
    filter.pod_sandbox_id = (char *)pod;
    req.filter = &filter;
    return cri_call(cli, "ListContainers", &req, ret, err);
}

int pod_running(struct cli *cli, const char *id, struct err *err)
{
    cleanup_reply Runtime__V1__ListContainersResponse *r = NULL;
    int rc = list_running(cli, id, &r, err);

    return rc < 0 ? rc : (int)r->n_containers;
}

int pod_stop(struct cli *cli, const char *id, int timeout_s, struct err *err)
{
    cleanup_reply Runtime__V1__ListContainersResponse *l = NULL;
    cleanup_reply Runtime__V1__StopPodSandboxResponse *r = NULL;
    Runtime__V1__StopPodSandboxRequest req = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
    int rc = list_running(cli, id, &l, err);

    for (size_t i = 0; !rc && i < l->n_containers; i++)
        rc = container_stop(cli, l->containers[i]->id, timeout_s, err);
    if (rc < 0)
        return rc;
    req.pod_sandbox_id = (char *)id;
    return cri_call(cli, "StopPodSandbox", &req, &r, err);
}

char *run_log_dir(const struct cli *cli, const char *uid)
{
    cleanup_free char *copy = mem_strdup(cli->socket);

    if (strlen(uid) != RUN_UID_LEN || strspn(uid, "0123456789abcdef") != RUN_UID_LEN)
        return NULL;
    return mem_printf("%s/cli-logs/%s", dirname(copy), uid);
}

/* Files only, and only below the directory that run_log_dir() makes of the uid: the label could be anybody's. */
static void remove_logs(const struct cli *cli, const char *uid)
{
    cleanup_free char *dir = run_log_dir(cli, uid);
    cleanup_close int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    struct dirent *e;

    if (fd < 0)
        return;
    DIR *d = fdopendir(dup(fd));
    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            unlinkat(fd, e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
}

int pod_remove(struct cli *cli, const char *id, const char *run_uid, struct err *err)
{
    cleanup_reply Runtime__V1__StopPodSandboxResponse *stopped = NULL;
    cleanup_reply Runtime__V1__RemovePodSandboxResponse *removed = NULL;
    Runtime__V1__StopPodSandboxRequest stop = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
    Runtime__V1__RemovePodSandboxRequest rm = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;
    int rc;

    stop.pod_sandbox_id = (char *)id;
    rm.pod_sandbox_id = (char *)id;
    if ((rc = cri_call(cli, "StopPodSandbox", &stop, &stopped, err)) < 0 ||
        (rc = cri_call(cli, "RemovePodSandbox", &rm, &removed, err)) < 0)
        return rc;
    remove_logs(cli, run_uid);
    return 0;
}
