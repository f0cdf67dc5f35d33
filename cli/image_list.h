/* The listing of images, which `images` and `image ls` share. */
#pragma once
#include "cli/cli.h"

int image_list(struct cli *cli, bool quiet, bool json, struct err *err) must_check;
