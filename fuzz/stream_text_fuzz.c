/* The texts of a streaming request: a query with ports, an offer of protocols, terminal sizes in any split. */
#include "core/mem.h"
#include "proto/channel.h"
#include "proto/terminal_size.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *cleanup_free text = mem_strndup((const char *)data, size);
    struct terminal_size_reader whole = {0}, pieces = {0};
    struct terminal_size a = {0}, b = {0};
    uint16_t ports[CHANNEL_PORTS_MAX];
    const struct stream_protocol *p = NULL;
    struct err err;
    bool there;
    size_t n = 0;

    if (channel_ports_parse(text, ports, &n, &err) == 0 && (n == 0 || n > CHANNEL_PORTS_MAX))
        abort();
    if (stream_protocol_choose(STREAM_SPDY, STREAM_COMMAND, text, &p, &err) == 0 && !strstr(text, p->name))
        abort();
    if (terminal_size_read(&whole, data, size, &there, &a, &err) < 0)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (terminal_size_read(&pieces, data + i, 1, &there, &b, &err) < 0)
            abort();
    if (a.width != b.width || a.height != b.height || whole.len != pieces.len)
        abort();
    return 0;
}
