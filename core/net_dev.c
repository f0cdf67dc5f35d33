#include "core/net_dev.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Columns behind the name: receive bytes, packets, errs, drop, fifo, frame, compressed, multicast; transmit bytes, packets, errs, ... */
enum { RX_BYTES, RX_ERRORS = 2, TX_BYTES = 8, TX_ERRORS = 10, COLUMNS = 11 };

/* The numbers of one line; it ends at a newline or at the text's end. */
static bool columns_parse(const char *s, uint64_t ret[static COLUMNS])
{
    for (size_t i = 0; i < COLUMNS; i++) {
        char *end;
        s += strspn(s, " ");
        if (*s < '0' || *s > '9')
            return false;
        ret[i] = strtoull(s, &end, 10);
        s = end;
    }
    return true;
}

static bool line_parse(const char *line, size_t len, struct net_dev *ret)
{
    const char *name = line + strspn(line, " "), *colon = memchr(line, ':', len);
    uint64_t columns[COLUMNS];

    if (!colon || colon <= name || colon - name >= NET_DEV_NAME_SIZE || !columns_parse(colon + 1, columns))
        return false;
    *ret = (struct net_dev){
        .rx_bytes = columns[RX_BYTES],
        .rx_errors = columns[RX_ERRORS],
        .tx_bytes = columns[TX_BYTES],
        .tx_errors = columns[TX_ERRORS],
    };
    memcpy(ret->name, name, (size_t)(colon - name));
    return strcmp(ret->name, "lo") != 0;
}

size_t net_dev_parse(const char *text, struct net_dev *ret_devs, size_t max)
{
    size_t n = 0;

    while (*text && n < max) {
        size_t len = strcspn(text, "\n");
        n += line_parse(text, len, &ret_devs[n]);
        text += len + (text[len] == '\n');
    }
    return n;
}
