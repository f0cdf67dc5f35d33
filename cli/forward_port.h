/* What a person writes for one port of `cricket port-forward`. Pure. */
#pragma once
#include "core/err.h"
#include <stdint.h>

struct forward_port {
    uint16_t local; /* 0: any free one */
    uint16_t remote;
};

/* "8080:80", "80" (the same here), ":80" and "0:80" (any free one here). Errors (INVALID_ARGUMENT) name it. */
int forward_port_parse(const char *text, struct forward_port *ret, struct err *err) must_check;
