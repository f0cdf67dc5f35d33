/* Images through CRI's ImageService: what `pull` and `run` share. */
#pragma once
#include "cli/cli.h"

/* *ret_id: the image's id, the caller frees; NULL when the runtime does not have it. */
int image_lookup(struct cli *cli, const char *image, char **ret_id, struct err *err) must_check;
/* creds: "USER:PASSWORD" or NULL. *ret_ref: the image's id, the caller frees. */
int image_fetch(struct cli *cli, const char *image, const char *creds, char **ret_ref,
                struct err *err) must_check;
