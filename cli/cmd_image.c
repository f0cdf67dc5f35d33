/* `image import`, `image rm`, `image ls`: a table of verbs. */
#include "cli/commands.h"
#include "cli/image_list.h"
#include "cli/json.h"
#include "cli/pull.h"
#include "cli/suggest.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
    bool quiet, json;
    const char *name;
};

static const struct opt opts[] = {
    {0, "name", OPT_STRING, offsetof(struct args, name), "REF",
     "import: the name of an image that the archive does not name"},
    {'q', "quiet", OPT_FLAG, offsetof(struct args, quiet), NULL, "ls: ids only, in full"},
    OPT_JSON(struct args, json),
    OPT_END,
};

static int import(struct cli *cli, const struct args *args, int argc, char **argv, struct err *err)
{
    cleanup_reply Cricket__V1__ImportImageResponse *r = NULL;
    Cricket__V1__ImportImageRequest req = CRICKET__V1__IMPORT_IMAGE_REQUEST__INIT;
    int rc;

    if (argc != 1)
        return cli_usage(err, "image import takes one FILE");
    cleanup_free char *path = realpath(argv[0], NULL);
    if (!path)
        return err_sys(err, errno, "archive %s", argv[0]);
    req.path = path;
    if (args->name)
        req.reference = (char *)args->name;
    if ((rc = cri_call(cli, "ImportImage", &req, &r, err)) < 0) {
        if (err->grpc == GRPC_UNIMPLEMENTED)
            return err_set(err, GRPC_UNIMPLEMENTED, 0,
                           "the runtime on %s cannot import archives: only cricketd can", cli->socket);
        return rc;
    }
    if (args->json) {
        json_print_message(r, 0);
        return EXIT_OK;
    }
    for (size_t i = 0; i < r->n_images; i++) {
        for (size_t j = 0; j < r->images[i]->n_references; j++)
            printf("%s  %s\n", r->images[i]->id, r->images[i]->references[j]);
        if (!r->images[i]->n_references)
            printf("%s  (no name: give one with --name)\n", r->images[i]->id);
    }
    return EXIT_OK;
}

static int remove_one(struct cli *cli, const char *ref, const void *args, struct err *err)
{
    cleanup_reply Runtime__V1__RemoveImageResponse *r = NULL;
    cleanup_free char *id = NULL;
    Runtime__V1__RemoveImageRequest req = RUNTIME__V1__REMOVE_IMAGE_REQUEST__INIT;
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
    int rc;

    (void)args;
    /* RemoveImage of what is not there succeeds; a person who mistyped wants to know. */
    if ((rc = image_lookup(cli, ref, &id, err)) < 0)
        return rc;
    if (!id)
        return err_set(err, GRPC_NOT_FOUND, 0,
                       "no image has the name or id \"%s\": `cricket images` lists them", ref);
    spec.image = (char *)ref;
    req.image = &spec;
    if ((rc = cri_call(cli, "RemoveImage", &req, &r, err)) < 0)
        return rc;
    puts(ref);
    return 0;
}

static int remove_all(struct cli *cli, const struct args *args, int argc, char **argv, struct err *err)
{
    if (!argc)
        return cli_usage(err, "image rm: which image?");
    return cli_each(cli, "image rm", argc, argv, remove_one, args);
}

static int list(struct cli *cli, const struct args *args, int argc, char **argv, struct err *err)
{
    if (argc)
        return cli_usage(err, "image ls takes no \"%s\"", argv[0]);
    return image_list(cli, args->quiet, args->json, err);
}

static const struct verb {
    const char *name;
    int (*run)(struct cli *cli, const struct args *args, int argc, char **argv, struct err *err);
} verbs[] = {{"import", import}, {"ls", list}, {"rm", remove_all}};

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    for (size_t i = 0; i < countof(verbs); i++)
        if (!strcmp(verbs[i].name, argv[0]))
            return verbs[i].run(cli, data, argc - 1, argv + 1, err);
    return cli_usage(err, "image does import, ls and rm, not \"%s\"", argv[0]);
}

const struct command cmd_image = {
    .name = "image",
    .args = "import FILE [--name REF] | ls [-q] [-o json] | rm IMAGE...",
    .summary = "import an archive, list or remove images",
    .details = "FILE is an OCI archive or what `docker save` writes, also compressed with gzip or zstd. The "
               "runtime reads it, so it lies on the\n"
               "runtime's host.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
