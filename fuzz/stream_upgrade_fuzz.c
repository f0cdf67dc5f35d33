/* The headers of an HTTP upgrade, a line each: Upgrade, Connection, version, key, the offer of protocols. */
#include "core/mem.h"
#include "proto/stream_protocol.h"
#include "proto/websocket_handshake.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is chosen was offered, and what was offered before it is unknown. */
static void choose(enum stream_transport transport, enum stream_use use, const char *offer)
{
    const struct stream_protocol *p, *sooner;
    struct err err;

    if (stream_protocol_choose(transport, use, offer, &p, &err) < 0 || !*p->name)
        return;
    if (p->transport != transport || p->use != use || !header_has_token(offer, p->name))
        abort();
    cleanup_free char *before = mem_strndup(offer, (size_t)(strstr(offer, p->name) - offer));
    const char *comma = strrchr(before, ',');
    before[comma ? comma - before : 0] = '\0';
    if (stream_protocol_choose(transport, use, before, &sooner, &err) == 0 && *sooner->name)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *text = mem_strndup((const char *)data, size);
    char *rest = text, *line[5], accept[WEBSOCKET_ACCEPT_SIZE] = "";
    struct err err = {0};

    for (size_t i = 0; i < countof(line); i++)
        line[i] = strsep(&rest, "\n"); /* NULL behind the last */
    const struct websocket_request request = {line[0], line[1], line[2], line[3]};
    if (websocket_handshake(&request, accept, &err) == 0 && strlen(accept) != WEBSOCKET_ACCEPT_SIZE - 1)
        abort();
    for (int i = 0; line[4] && i < 4; i++)
        choose(i & 1 ? STREAM_SPDY : STREAM_WEBSOCKET, i & 2 ? STREAM_COMMAND : STREAM_PORTS, line[4]);
    return 0;
}
