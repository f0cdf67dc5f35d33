/* An image of the table as CRI's messages have it; strings are the table's, so reply before the loop turns. */
#pragma once
#include "handlers/images.h"
#include "handlers/rpc.h"
#include "proto/cri.pb-c.h"

Runtime__V1__Image *image_message(struct rpc *rpc, const struct image *i);
