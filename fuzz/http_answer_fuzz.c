/* The head of an HTTP answer: what is accepted lies within the bytes, needs all of them, and its values are whole strings. */
#include "cli/http_answer.c"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct http_answer a = {0}, again;
    struct err err = {0};
    ssize_t head = http_answer_parse(p, size, &a, &err);

    if ((head < 0) != (err.grpc != 0) || head > (ssize_t)size)
        abort();
    if (head <= 0)
        return 0;
    if (http_answer_parse(p, (size_t)head - 1, &again, &err) != 0 && (size_t)head <= HTTP_HEAD_MAX)
        abort();
    if (http_answer_check(&a, "dGhlIHNhbXBsZSBub25jZQ==", "v5.channel.k8s.io, v4.channel.k8s.io", &err) == 0 &&
        !header_has_token("v5.channel.k8s.io, v4.channel.k8s.io", a.protocol))
        abort();
    if (http_answer_body_is_whole(&a, p + head, 0) && a.length != 0)
        abort();
    if (http_answer_refusal(&a, p + head, size - (size_t)head, &err) >= 0)
        abort();
    return 0;
}
