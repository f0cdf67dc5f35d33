/* From a file's values into the configuration, and the checks of what is there in the end. */
#include "core/config_keys.h"
#include "core/mem.h"
#include "core/quote.h"

#include <errno.h>
#include <arpa/inet.h>
#include <string.h>

/* ---- checks of one value; doc NULL: it came from elsewhere, and has no line ---- */

static yaml_node_t *node_of(struct yaml_doc *doc, const struct config_key *k)
{
    yaml_node_t *at = doc->root;

    if (at && *k->section)
        at = yaml_doc_value(doc, at, k->section);
    return at ? yaml_doc_value(doc, at, k->name) : NULL;
}

static int bad_value(const struct config_key *k, struct yaml_doc *doc, const char *text, struct err *err)
{
    struct buf cleanup_buf path = {0};

    config_key_path(k, &path);
    if (doc)
        return yaml_doc_error(doc, node_of(doc, k), err, "%s: %s is not valid; it must be %s", path.data,
                              QUOTED(text), k->must_be);
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: %s is not valid; it must be %s", path.data, QUOTED(text),
                   k->must_be);
}

/* Digits with an optional minus: no octal, no fraction, nothing behind. */
static bool number_of(const struct config_key *k, const char *text, int *ret_number)
{
    const char *digits = text + (*text == '-');
    size_t n = strspn(digits, "0123456789");

    if (n == 0 || n > 9 || digits[n] || (n > 1 && digits[0] == '0'))
        return false;
    *ret_number = atoi(text);
    return *ret_number >= k->min && *ret_number <= k->max && !(k->min < 0 && *ret_number == 0);
}

static int check_texts(const struct config_key *k, struct yaml_doc *doc, char *const *texts, size_t n,
                       struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (k->is_good && !k->is_good(texts[i]))
            return bad_value(k, doc, texts[i], err);
    return 0;
}

/* ---- handlers ---- */

static const struct config_key *handlers_key(void)
{
    return config_key_find("", "handlers");
}

static int handler_error(struct yaml_doc *doc, size_t i, struct err *err, const char *what, const char *value,
                         const char *must_be)
{
    if (!doc)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "handlers[%zu].%s: %s is not valid; it must be %s", i + 1,
                       what, QUOTED(value), must_be);
    yaml_node_t *list = node_of(doc, handlers_key());
    yaml_node_t *item = list && list->type == YAML_SEQUENCE_NODE ? yaml_doc_item(doc, list, i) : NULL;
    yaml_node_t *field = item && item->type == YAML_MAPPING_NODE ? yaml_doc_value(doc, item, what) : NULL;
    return yaml_doc_error(doc,
                          field  ? field
                          : item ? item
                                 : list,
                          err, "handlers[%zu].%s: %s is not valid; it must be %s", i + 1, what, QUOTED(value),
                          must_be);
}

static int check_handler(struct yaml_doc *doc, size_t i, const char *name, const char *path, const char *root,
                         const char *cni_conf_dir, struct err *err)
{
    static const char a_path[] = "an absolute path without \".\" and \"..\"";
    const struct config_key *names = config_key_find("", "default_handler");

    if (!name || !names->is_good(name))
        return handler_error(doc, i, err, "name", name, names->must_be);
    if (path && (!*path || (strchr(path, '/') && !config_path_is_good(path))))
        return handler_error(doc, i, err, "path", path,
                             "an absolute path, or a program's name to be found in PATH");
    if (root && !config_path_is_good(root))
        return handler_error(doc, i, err, "root", root, a_path);
    if (cni_conf_dir && !config_path_is_good(cni_conf_dir))
        return handler_error(doc, i, err, "cni_conf_dir", cni_conf_dir, a_path);
    return 0;
}

static struct handler_config *handler_slot(struct config *c, const char *name)
{
    for (size_t i = 0; i < c->handlers_n; i++)
        if (strcmp(c->handlers[i].name, name) == 0)
            return &c->handlers[i];
    c->handlers = mem_realloc(c->handlers, (c->handlers_n + 1) * sizeof(*c->handlers));
    struct handler_config *h = &c->handlers[c->handlers_n++];
    *h = (struct handler_config){.name = mem_strdup(name), .path = mem_strdup(name)};
    return h;
}

static void set_text(char **field, const char *text)
{
    if (!text)
        return;
    char *copy = mem_strdup(text);
    free(*field);
    *field = copy;
}

static int take_handlers(struct config *c, struct yaml_doc *doc, const struct config_slot *slot,
                         struct err *err)
{
    const struct config_slot_handler *from = slot->value;

    for (size_t i = 0; i < slot->count; i++) {
        int rc = check_handler(doc, i, from[i].name, from[i].path, from[i].root, from[i].cni_conf_dir, err);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (strcmp(from[k].name, from[i].name) == 0)
                return handler_error(doc, i, err, "name", from[i].name,
                                     "another one: an earlier handler here has it");
        struct handler_config *h = handler_slot(c, from[i].name);
        if (c->handlers_n > CONFIG_LIST_MAX)
            return handler_error(doc, i, err, "name", from[i].name, "one of at most 64 handlers");
        set_text(&h->path, from[i].path);
        set_text(&h->root, from[i].root);
        set_text(&h->cni_conf_dir, from[i].cni_conf_dir);
        if (from[i].privileged_without_host_devices)
            h->privileged_without_host_devices = *from[i].privileged_without_host_devices;
    }
    return 0;
}

/* ---- taking ---- */

static void replace_list(char ***field, char *const *items, size_t n)
{
    char **list = mem_alloc((n + 1) * sizeof(*list));

    for (size_t i = 0; i < n; i++)
        list[i] = mem_strdup(items[i]);
    for (size_t i = 0; *field && (*field)[i]; i++)
        free((*field)[i]);
    free(*field);
    *field = list;
}

static int take_one(struct config *c, const struct config_key *k, struct yaml_doc *doc,
                    const struct config_slot *slot, struct err *err)
{
    void *field = config_field(c, k);
    char *text = slot->value;
    int rc = 0;

    switch (k->type) {
    case CONFIG_TEXT:
        rc = check_texts(k, doc, &text, 1, err);
        if (rc == 0)
            set_text(field, text);
        return rc;
    case CONFIG_TEXTS:
        rc = check_texts(k, doc, slot->value, slot->count, err);
        if (rc == 0)
            replace_list(field, slot->value, slot->count);
        return rc;
    case CONFIG_NUMBER:
        return number_of(k, text, field) ? 0 : bad_value(k, doc, text, err);
    case CONFIG_WORD:
        *(int *)field = *(int *)slot->value;
        return 0;
    case CONFIG_BOOL:
        *(bool *)field = *(int *)slot->value != 0;
        return 0;
    case CONFIG_HANDLERS:
        return take_handlers(c, doc, slot, err);
    }
    return rc;
}

/* libcyaml gives no memory for an empty list, so that it looks absent: "bin_dirs: []" must still empty it. */
static bool is_empty_list(const struct config_key *k, struct yaml_doc *doc)
{
    const yaml_node_t *node = k->type == CONFIG_TEXTS ? node_of(doc, k) : NULL;
    return node && node->type == YAML_SEQUENCE_NODE;
}

int config_take(struct config *c, struct yaml_doc *doc, const struct config_slot *slots, struct err *err)
{
    for (size_t i = 0; i < config_keys_n; i++) {
        const struct config_key *k = &config_keys[i];
        if (!slots[i].value) {
            if (is_empty_list(k, doc))
                replace_list(config_field(c, k), NULL, 0);
            continue;
        }
        int rc = take_one(c, k, doc, &slots[i], err);
        if (rc < 0)
            return rc;
        if (k->flag)
            *(bool *)((char *)c + k->flag) = true;
    }
    return 0;
}

/* ---- the whole ---- */

static int check_one(const struct config *c, const struct config_key *k, struct err *err)
{
    void *field = config_field(c, k);
    char digits[16];
    size_t n = 0;
    int number;

    switch (k->type) {
    case CONFIG_TEXT:
        return *(char **)field ? check_texts(k, NULL, field, 1, err) : 0; /* NULL: config_finish() sets it */
    case CONFIG_TEXTS:
        while ((*(char ***)field)[n])
            n++;
        return check_texts(k, NULL, *(char ***)field, n, err);
    case CONFIG_NUMBER:
        snprintf(digits, sizeof(digits), "%d", *(int *)field);
        return number_of(k, digits, &number) ? 0 : bad_value(k, NULL, digits, err);
    default:
        return 0;
    }
}

static int check_default_handler(const struct config *c, struct err *err)
{
    struct buf cleanup_buf known = {.max = QUOTE_BYTES};

    for (size_t i = 0; i < c->handlers_n; i++) {
        if (strcmp(c->handlers[i].name, c->default_handler) == 0)
            return 0;
        buf_addf(&known, "%s%s", i ? ", " : "", c->handlers[i].name);
    }
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "default_handler: %s is no handler; known are %s; add it to handlers",
                   QUOTED(c->default_handler), QUOTED(known.data));
}

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_streaming(const struct config *c, struct err *err)
{
    if (!*c->stream_tls_cert != !*c->stream_tls_key)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0, "streaming.%s is set and streaming.%s is not: TLS needs both",
            *c->stream_tls_cert ? "tls_cert" : "tls_key", *c->stream_tls_cert ? "tls_key" : "tls_cert");
    if (*c->stream_tls_client_ca && !*c->stream_tls_cert)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "streaming.tls_client_ca is set without TLS: set streaming.tls_cert and streaming.tls_key, too");
    if (!is_loopback(c->stream_address) && !*c->stream_tls_cert && !c->stream_plain_remote)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "streaming.address %s is not a loopback address, and there is no TLS: set streaming.tls_cert "
            "and streaming.tls_key, or streaming.allow_plain_remote: true if everybody may read along",
            c->stream_address);
    return 0;
}

int config_check(const struct config *c, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config_keys_n; i++)
        rc = check_one(c, &config_keys[i], err);
    for (size_t i = 0; rc == 0 && i < c->handlers_n; i++) {
        const struct handler_config *h = &c->handlers[i];
        rc = check_handler(NULL, i, h->name, h->path, h->root, h->cni_conf_dir, err);
    }
    if (rc == 0)
        rc = check_default_handler(c, err);
    if (rc == 0)
        rc = check_streaming(c, err);
    if (rc == 0 && strcmp(c->root, c->state) == 0)
        rc = err_set(err, GRPC_INVALID_ARGUMENT, 0,
                     "root and state are both %s; they must differ, for only root survives a reboot",
                     QUOTED(c->root));
    return rc;
}
