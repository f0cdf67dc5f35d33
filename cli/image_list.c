#include "cli/image_list.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/table.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

/* "host:5000/name:tag" to "host:5000/name" and "tag"; "name@sha256:..." to "name" and "<none>". */
static char *split(const char *ref, const char **ret_tag)
{
    const char *at = strchr(ref, '@'), *slash = strrchr(ref, '/'), *colon = strrchr(slash ? slash : ref, ':');

    *ret_tag = at || !colon ? "<none>" : colon + 1;
    return mem_strndup(ref, at ? (size_t)(at - ref) : colon ? (size_t)(colon - ref) : strlen(ref));
}

static void add_row(struct table *t, const Runtime__V1__Image *image, const char *ref)
{
    char id[SHORT_ID_SIZE], size[SIZE_TEXT_SIZE];
    const char *tag = "<none>";
    cleanup_free char *name = ref ? split(ref, &tag) : mem_strdup("<none>");

    format_short_id(image->id, id);
    format_size(image->size, size);
    table_row(t, (const char *[]){name, tag, id, size});
}

static void print(const Runtime__V1__ListImagesResponse *r)
{
    static const char *const titles[] = {"IMAGE", "TAG", "IMAGE ID", "SIZE"};
    cleanup_table struct table t = {0};

    table_init(&t, countof(titles), titles);
    for (size_t i = 0; i < r->n_images; i++) {
        const Runtime__V1__Image *image = r->images[i];
        for (size_t j = 0; j < image->n_repo_tags; j++)
            add_row(&t, image, image->repo_tags[j]);
        if (!image->n_repo_tags)
            add_row(&t, image, image->n_repo_digests ? image->repo_digests[0] : NULL);
    }
    table_print(&t);
}

int image_list(struct cli *cli, bool quiet, bool json, struct err *err)
{
    cleanup_reply Runtime__V1__ListImagesResponse *r = NULL;
    Runtime__V1__ListImagesRequest req = RUNTIME__V1__LIST_IMAGES_REQUEST__INIT;

    int rc = cri_call(cli, "ListImages", &req, &r, err);
    if (rc < 0)
        return rc;
    if (json)
        json_print_message(r, 0);
    else if (quiet)
        for (size_t i = 0; i < r->n_images; i++)
            puts(r->images[i]->id);
    else
        print(r);
    return EXIT_OK;
}
