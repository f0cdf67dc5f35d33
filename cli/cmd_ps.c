#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/resolve.h"
#include "cli/table.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
    bool all, quiet, json;
    const char *pod;
};

static const struct opt opts[] = {
    {'a', "all", OPT_FLAG, offsetof(struct args, all), NULL, "also those that do not run"},
    {'q', "quiet", OPT_FLAG, offsetof(struct args, quiet), NULL, "ids only, in full"},
    {'p', "pod", OPT_STRING, offsetof(struct args, pod), "POD", "only those of this pod"},
    OPT_JSON(struct args, json),
    OPT_END,
};

static const char *state_name(int state)
{
    static const char *const names[] = {"Created", "Running", "Exited", "Unknown"};

    return state >= 0 && state < (int)countof(names) ? names[state] : "Unknown";
}

static const char *tag_of(const Runtime__V1__ListImagesResponse *images, const char *id)
{
    for (size_t i = 0; i < images->n_images; i++)
        if (!strcmp(images->images[i]->id, id) && images->images[i]->n_repo_tags)
            return images->images[i]->repo_tags[0];
    return NULL;
}

/* What the user asked for, or else what the runtime says; of a bare id its tag, or its start. */
static const char *image_name(const Runtime__V1__Container *c, const Runtime__V1__ListImagesResponse *images,
                              char id[static SHORT_ID_SIZE])
{
    const char *name = c->image ? c->image->user_specified_image : "", *tag;

    if (!*name && c->image)
        name = c->image->image;
    if (!*name)
        name = c->image_ref;
    if ((tag = tag_of(images, name)))
        return tag;
    if (strncmp(name, "sha256:", 7))
        return name;
    format_short_id(name, id);
    return id;
}

static const char *pod_name(const Runtime__V1__ListPodSandboxResponse *pods, const char *id)
{
    for (size_t i = 0; pods && i < pods->n_items; i++)
        if (!strcmp(pods->items[i]->id, id))
            return pods->items[i]->metadata ? pods->items[i]->metadata->name : NULL;
    return NULL;
}

static int newest_first(const void *a, const void *b)
{
    const Runtime__V1__Container *x = *(Runtime__V1__Container *const *)a,
                                 *y = *(Runtime__V1__Container *const *)b;

    return x->created_at < y->created_at ? 1 : x->created_at > y->created_at ? -1 : strcmp(x->id, y->id);
}

static int print(struct cli *cli, const Runtime__V1__ListContainersResponse *r, struct err *err)
{
    static const char *const titles[] = {"CONTAINER", "IMAGE",   "CREATED", "STATE",
                                         "NAME",      "ATTEMPT", "POD ID",  "POD"};
    cleanup_reply Runtime__V1__ListPodSandboxResponse *pods = NULL;
    cleanup_reply Runtime__V1__ListImagesResponse *images = NULL;
    Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
    Runtime__V1__ListImagesRequest images_req = RUNTIME__V1__LIST_IMAGES_REQUEST__INIT;
    cleanup_table struct table t = {0};
    int64_t now = now_ns();
    int rc;

    if ((rc = cri_call(cli, "ListPodSandbox", &req, &pods, err)) < 0 ||
        (rc = cri_call(cli, "ListImages", &images_req, &images, err)) < 0)
        return rc;
    table_init(&t, countof(titles), titles);
    for (size_t i = 0; i < r->n_containers; i++) {
        const Runtime__V1__Container *c = r->containers[i];
        char id[SHORT_ID_SIZE], pod[SHORT_ID_SIZE], image[SHORT_ID_SIZE], age[AGE_SIZE], attempt[16] = "-";
        format_short_id(c->id, id);
        format_short_id(c->pod_sandbox_id, pod);
        format_age(c->created_at, now, age);
        if (c->metadata)
            snprintf(attempt, sizeof(attempt), "%u", c->metadata->attempt);
        table_row(&t, (const char *[]){id, image_name(c, images, image), age, state_name((int)c->state),
                                       c->metadata ? c->metadata->name : NULL, attempt, pod,
                                       pod_name(pods, c->pod_sandbox_id)});
    }
    table_print(&t);
    return EXIT_OK;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_reply Runtime__V1__ListContainersResponse *r = NULL;
    Runtime__V1__ListContainersRequest req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
    Runtime__V1__ContainerFilter filter = RUNTIME__V1__CONTAINER_FILTER__INIT;
    Runtime__V1__ContainerStateValue running = RUNTIME__V1__CONTAINER_STATE_VALUE__INIT;
    struct target pod;
    int rc;
    (void)argc;
    (void)argv;

    if (!args->all) {
        running.state = RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
        filter.state = &running;
    }
    if (args->pod) {
        if ((rc = resolve_target(cli, args->pod, TARGET_POD, TARGET_POD, &pod, err)) < 0)
            return rc;
        filter.pod_sandbox_id = pod.id;
    }
    req.filter = &filter;
    if ((rc = cri_call(cli, "ListContainers", &req, &r, err)) < 0)
        return rc;
    if (r->n_containers)
        qsort(r->containers, r->n_containers, sizeof(r->containers[0]), newest_first);
    if (args->json)
        json_print_message(r, 0);
    else if (args->quiet)
        for (size_t i = 0; i < r->n_containers; i++)
            puts(r->containers[i]->id);
    else
        return print(cli, r, err);
    return EXIT_OK;
}

const struct command cmd_ps = {
    .name = "ps",
    .args = "[-a] [-q] [--pod POD] [-o json]",
    .summary = "list containers",
    .opts = opts,
    .size = sizeof(struct args),
    .run = run,
};
