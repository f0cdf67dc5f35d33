/* A stream URL: what is accepted can be put into a request line and a Host header. */
#include "cli/stream_url.c"
#include "core/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *cleanup_free text = mem_strndup((const char *)data, size);
    struct stream_url u = {0};
    struct err err = {0};

    if (stream_url_parse(text, &u, &err) < 0 || stream_url_add_query(&u, "port=80", &err) < 0)
        return err.grpc == GRPC_INVALID_ARGUMENT ? 0 : (abort(), 0);
    if (!is_clean(u.target) || !is_clean(u.host) || !is_clean(u.port) || !u.host[0] || u.target[0] != '/')
        abort();
    return 0;
}
