/* A CNI configuration from a file: parsing, and from what was parsed every plugin's stdin. */
#include "core/cni_conf.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cni_conf *c, *again;
    struct err err;
    uint64_t v;
    char word[32];

    snprintf(word, sizeof(word), "%.*s", (int)(size < 31 ? size : 31), (const char *)data);
    if (cni_quantity_parse(word, &v, &err) < 0 && !*err.msg)
        abort();
    if (cni_conf_parse("fuzz.conflist", (const char *)data, size, &c, &err) < 0) {
        if (!err.grpc || !*err.msg)
            abort();
        return 0;
    }
    for (size_t i = 0; i < c->plugins_n; i++) {
        char *text = cni_plugin_stdin(c, i, i % 2 ? CNI_DEL : CNI_ADD, c->json, c->plugins[0].json);
        free(text);
    }
    char *text = json_dumps(c->json, 0);
    if (cni_conf_parse("again", text, strlen(text), &again, &err) == 0)
        cni_conf_unref(again);
    free(text);
    cni_conf_unref(c);
    return 0;
}
