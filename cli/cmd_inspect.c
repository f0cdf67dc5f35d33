#include "cli/commands.h"
#include "cli/json.h"
#include "cli/resolve.h"

#include <string.h>

struct args {
    bool json; /* always so; taken for the habit's sake */
};

static const struct opt opts[] = {OPT_JSON(struct args, json), OPT_END};

static int print_container(struct cli *cli, const struct target *t, struct err *err)
{
    cleanup_reply Runtime__V1__ContainerStatusResponse *r = NULL;
    Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

    req.container_id = (char *)t->id;
    req.verbose = 1;
    int rc = cri_call(cli, "ContainerStatus", &req, &r, err);
    if (rc < 0)
        return rc;
    json_print_message(r, JSON_TIMES | JSON_INFO);
    return EXIT_OK;
}

static int print_pod(struct cli *cli, const struct target *t, struct err *err)
{
    cleanup_reply Runtime__V1__PodSandboxStatusResponse *r = NULL;
    Runtime__V1__PodSandboxStatusRequest req = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;

    req.pod_sandbox_id = (char *)t->id;
    req.verbose = 1;
    int rc = cri_call(cli, "PodSandboxStatus", &req, &r, err);
    if (rc < 0)
        return rc;
    json_print_message(r, JSON_TIMES | JSON_INFO);
    return EXIT_OK;
}

static int print_image(struct cli *cli, const char *ref, struct err *err)
{
    cleanup_reply Runtime__V1__ImageStatusResponse *r = NULL;
    Runtime__V1__ImageStatusRequest req = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;

    spec.image = (char *)ref;
    req.image = &spec;
    req.verbose = 1;
    int rc = cri_call(cli, "ImageStatus", &req, &r, err);
    /* A word that is no image reference either is simply not found. */
    if ((rc < 0 && err->grpc == GRPC_INVALID_ARGUMENT) || (!rc && !r->image))
        return err_set(err, GRPC_NOT_FOUND, 0,
                       "no container, pod or image has the id or name \"%s\": `cricket ps -a`, `cricket pods` "
                       "and `cricket images` list them",
                       ref);
    if (rc < 0)
        return rc;
    json_print_message(r, JSON_TIMES | JSON_INFO);
    return EXIT_OK;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    struct target t;
    (void)data;
    (void)argc;

    int rc = resolve_target(cli, argv[0], TARGET_CONTAINER | TARGET_POD, TARGET_CONTAINER, &t, err);
    if (rc < 0 && err->grpc == GRPC_NOT_FOUND)
        return print_image(cli, argv[0], err);
    if (rc < 0)
        return rc;
    return t.kind == TARGET_CONTAINER ? print_container(cli, &t, err) : print_pod(cli, &t, err);
}

const struct command cmd_inspect = {
    .name = "inspect",
    .args = "CONTAINER|POD|IMAGE",
    .summary = "show all that is known of a container, pod or image as JSON",
    .details = "Of a container and a pod with the same name the container is shown; the pod's id (`cricket "
               "pods`) shows the pod.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
