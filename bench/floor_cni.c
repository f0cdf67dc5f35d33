/* A chain of CNI plugins as a runtime calls them: ADD one after another, each with the result of the one before; DEL backwards. */
#include "bench/floor.h"
#include "bench/program.h"
#include "core/json_doc.h"
#include "core/file.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { CONF_MAX = 1 << 16, ENV_MAX = 8 };

struct chain {
    json_t *conf; /* the .conflist */
    json_t *plugins;
    json_t *result; /* of the last ADD */
    const char *bin, *netns;
};

/* One plugin's configuration: the list's name and version, and the result so far. The caller frees. */
static char *plugin_input(const struct chain *c, json_t *plugin)
{
    json_t *conf = json_copy(plugin);

    json_object_set(conf, "name", json_object_get(c->conf, "name"));
    json_object_set(conf, "cniVersion", json_object_get(c->conf, "cniVersion"));
    json_object_del(conf, "capabilities");
    if (c->result)
        json_object_set(conf, "prevResult", c->result);
    char *text = json_dumps(conf, JSON_COMPACT);
    json_decref(conf);
    return text;
}

static int call_plugin(const struct chain *c, json_t *plugin, const char *command, struct buf *output,
                       double *ret_ms, struct err *err)
{
    cleanup_free char *input = plugin_input(c, plugin);
    cleanup_free char *program =
        mem_printf("%s/%s", c->bin, json_string_value(json_object_get(plugin, "type")));
    cleanup_free char *verb = mem_printf("CNI_COMMAND=%s", command);
    cleanup_free char *netns = mem_printf("CNI_NETNS=%s", c->netns);
    cleanup_free char *bin = mem_printf("CNI_PATH=%s", c->bin);
    cleanup_free char *path = mem_printf("PATH=%s", getenv("PATH"));
    char *envp[ENV_MAX] = {verb, netns, bin, path, "CNI_CONTAINERID=cribench", "CNI_IFNAME=eth0", NULL};
    const char *const argv[] = {program, NULL};

    return program_run(argv, envp, input, output, ret_ms, err);
}

static int add(struct bench *b, struct chain *c, struct err *err)
{
    double sum = 0, ms;
    json_t *plugin;
    size_t i;

    json_array_foreach (c->plugins, i, plugin) {
        cleanup_buf struct buf out = {0};
        int rc = call_plugin(c, plugin, "ADD", &out, &ms, err);
        if (rc < 0)
            return rc;
        json_decref(c->result);
        c->result = json_loads(out.data ? out.data : "", 0, NULL);
        sum += ms;
        series_add(
            series_get(&b->results, "ms", "CNI ADD, %s", json_string_value(json_object_get(plugin, "type"))),
            ms);
    }
    series_add(series_get(&b->results, "ms", "CNI ADD"), sum);
    return 0;
}

static int del(struct bench *b, struct chain *c, struct err *err)
{
    double sum = 0, ms;

    for (size_t i = json_array_size(c->plugins); i-- > 0;) {
        json_t *plugin = json_array_get(c->plugins, i);
        int rc = call_plugin(c, plugin, "DEL", NULL, &ms, err);
        if (rc < 0)
            return rc;
        sum += ms;
        series_add(
            series_get(&b->results, "ms", "CNI DEL, %s", json_string_value(json_object_get(plugin, "type"))),
            ms);
    }
    series_add(series_get(&b->results, "ms", "CNI DEL"), sum);
    return 0;
}

static int once(struct bench *b, struct chain *c, struct err *err)
{
    int rc = floor_netns_make(c->netns, err);

    if (rc < 0)
        return rc;
    rc = add(b, c, err);
    if (del(b, c, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    json_decref(c->result);
    c->result = NULL;
    if (floor_netns_remove(c->netns, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    return rc;
}

int floor_cni(struct bench *b, unsigned n, struct err *err)
{
    cleanup_free char *netns = mem_printf("%s/floor/netns", b->work);
    cleanup_buf struct buf text = {0};
    struct chain c = {.bin = b->cni_bin, .netns = netns};
    int rc;

    if (!b->cni_conf)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "floors of CNI: give --cni-conf");
    if ((rc = file_read(b->cni_conf, CONF_MAX, &text, err)) < 0 ||
        (rc = json_doc_load("--cni-conf", text.data, text.len, CONF_MAX, &c.conf, err)) < 0)
        return rc;
    c.plugins = json_object_get(c.conf, "plugins");
    for (unsigned i = 0; !rc && i < n; i++)
        rc = once(b, &c, err);
    json_decref(c.conf);
    return rc;
}
