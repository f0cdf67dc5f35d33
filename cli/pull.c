#include "cli/pull.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

int image_lookup(struct cli *cli, const char *image, char **ret_id, struct err *err)
{
    cleanup_reply Runtime__V1__ImageStatusResponse *r = NULL;
    Runtime__V1__ImageStatusRequest req = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;

    spec.image = (char *)image;
    req.image = &spec;
    int rc = cri_call(cli, "ImageStatus", &req, &r, err);
    if (rc < 0)
        return rc;
    *ret_id = r->image ? mem_strdup(r->image->id) : NULL;
    return 0;
}

int image_fetch(struct cli *cli, const char *image, const char *creds, char **ret_ref, struct err *err)
{
    cleanup_reply Runtime__V1__PullImageResponse *r = NULL;
    cleanup_free char *user = NULL;
    Runtime__V1__PullImageRequest req = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
    Runtime__V1__AuthConfig auth = RUNTIME__V1__AUTH_CONFIG__INIT;

    spec.image = (char *)image;
    req.image = &spec;
    if (creds) {
        const char *colon = strchr(creds, ':');
        if (!colon || colon == creds)
            return cli_usage(err, "--creds wants USER:PASSWORD");
        user = mem_strndup(creds, (size_t)(colon - creds));
        auth.username = user;
        auth.password = (char *)colon + 1;
        req.auth = &auth;
    }
    int rc = cri_call(cli, "PullImage", &req, &r, err);
    if (rc < 0)
        return rc;
    *ret_ref = mem_strdup(r->image_ref);
    return 0;
}
