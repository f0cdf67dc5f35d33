#include "core/config.h"
#include "core/buf.h"
#include "core/config_keys.h"
#include "core/mem.h"
#include "core/quote.h"
#include "core/yaml_doc.h"

#include <cyaml/cyaml.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char default_path[] = "/etc/cricket/config.yaml";

enum { CONFIG_FILE_MAX = 1 << 20, CONFIG_FILES_MAX = 256 };

/* Where in a file, the innermost step first. */
struct place {
    struct {
        char key[64];
        size_t item; /* of a list, from 1, where key is "" */
    } steps[8];
    size_t n;
};

/*
 * One file goes through three hands: libyaml's tree (syntax, and the line of every key), libcyaml with the schema (which
 * keys there are and what kind each value is), and the rows of config_keys.c (whether a value makes sense). libcyaml 1.3.1
 * alone does not do: it names the line before an unknown key, takes "maybe" for true and 1.5 for 1, and drops what follows
 * a NUL character.
 */
struct reader {
    struct yaml_doc doc;
    struct config *config;
    struct place at; /* where libcyaml's complaint points */
    char complaint[256];
    struct err *err;
};

/* ---- libcyaml's complaints ---- */

/* "  in mapping field 'cni' (line: 2, column: 3)": the innermost comes first. */
static void note_backtrace(struct place *at, const char *line)
{
    static const char field[] = "in mapping field '", entry[] = "in sequence entry '";
    const char *p;

    if (at->n == countof(at->steps))
        return;
    if ((p = strstr(line, field))) {
        p += sizeof(field) - 1;
        snprintf(at->steps[at->n++].key, sizeof(at->steps->key), "%.*s", (int)strcspn(p, "'"), p);
    } else if ((p = strstr(line, entry))) {
        at->steps[at->n++].item = strtoul(p + sizeof(entry) - 1, NULL, 10);
    }
}

static void on_cyaml_log(cyaml_log_t level, void *data, const char *fmt, va_list ap)
{
    static const char prefix[] = "Load: ";
    struct reader *r = data;
    char line[256];

    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(line, sizeof(line), fmt, ap);
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "  in ", 5) == 0)
        note_backtrace(&r->at, line);
    else if (!r->complaint[0])
        snprintf(r->complaint, sizeof(r->complaint), "%s",
                 strncmp(line, prefix, sizeof(prefix) - 1) == 0 ? line + sizeof(prefix) - 1 : line);
}

/* The node that the backtrace leads to; the closest one above it where it leads nowhere. */
static yaml_node_t *node_at(struct yaml_doc *d, const struct place *at)
{
    yaml_node_t *node = d->root;

    for (size_t i = at->n; i-- > 0;) {
        yaml_node_t *next = NULL;
        if (at->steps[i].key[0] && node->type == YAML_MAPPING_NODE)
            next = yaml_doc_value(d, node, at->steps[i].key);
        else if (at->steps[i].item && node->type == YAML_SEQUENCE_NODE)
            next = yaml_doc_item(d, node, at->steps[i].item - 1);
        if (!next)
            break;
        node = next;
    }
    return node;
}

static void path_text(const struct place *at, struct buf *b)
{
    for (size_t i = at->n; i-- > 0;) {
        if (at->steps[i].key[0])
            buf_addf(b, "%s%s", b->len ? "." : "", at->steps[i].key);
        else
            buf_addf(b, "[%zu]", at->steps[i].item);
    }
}

/* libcyaml names the key, but the line of the one before it. */
static int unknown_key(struct reader *r, const char *key)
{
    struct buf cleanup_buf where = {0}, cleanup_buf known = {0};
    yaml_node_t *mapping = node_at(&r->doc, &r->at);
    yaml_node_t *value = mapping->type == YAML_MAPPING_NODE ? yaml_doc_value(&r->doc, mapping, key) : NULL;

    path_text(&r->at, &where);
    config_known_keys(r->at.n ? r->at.steps[r->at.n - 1].key : "", &known);
    return yaml_doc_error(&r->doc, value ? value : mapping, r->err, "%s%sunknown key %s; known are %s",
                          where.len ? where.data : "", where.len ? ": " : "", QUOTED(key), known.data);
}

static int schema_error(struct reader *r, cyaml_err_t rc)
{
    static const char unknown[] = "Unexpected key: ";
    const struct place *at = &r->at;
    struct buf cleanup_buf where = {0};

    if (strncmp(r->complaint, unknown, sizeof(unknown) - 1) == 0)
        return unknown_key(r, r->complaint + sizeof(unknown) - 1);
    const yaml_node_t *node = node_at(&r->doc, at);
    const char *must_be = NULL;
    path_text(at, &where);
    if (rc == CYAML_ERR_INVALID_VALUE && at->n)
        must_be = config_must_be(at->steps[at->n - 1].key, at->n > 1 ? at->steps[at->n - 2].key : NULL,
                                 at->steps[0].key);
    if (!must_be)
        return yaml_doc_error(&r->doc, node, r->err, "%s: %s", where.len ? where.data : "the file",
                              r->complaint[0] ? r->complaint : cyaml_strerror(rc));
    const char *text = yaml_node_text(node);
    return yaml_doc_error(&r->doc, node, r->err, "%s is %s; it must be %s", where.data,
                          text ? QUOTED(text) : yaml_node_kind(node), must_be);
}

/* ---- one file ---- */

static void *cyaml_memory(void *unused, void *p, size_t size)
{
    (void)unused;
    if (size)
        return mem_realloc(p, size);
    free(p);
    return NULL;
}

static int read_document(struct reader *r)
{
    const cyaml_config_t how = {
        .log_fn = on_cyaml_log,
        .log_ctx = r,
        .log_level = CYAML_LOG_WARNING,
        .mem_fn = cyaml_memory,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    cyaml_data_t *values = NULL;

    if (!r->doc.root)
        return 0;
    cyaml_err_t rc =
        cyaml_load_data((const uint8_t *)r->doc.text, r->doc.len, &how, config_schema(), &values, NULL);
    if (rc != CYAML_OK)
        return schema_error(r, rc);
    int result = config_take(r->config, &r->doc, values, r->err);
    cyaml_free(&how, config_schema(), values, 0);
    return result;
}

int config_read_text(struct config *c, const char *text, size_t len, const char *name, struct err *err)
{
    struct reader r = {.config = c, .err = err};

    int rc = yaml_doc_parse(&r.doc, text, len, name, err);
    if (rc == 0)
        rc = read_document(&r);
    yaml_doc_done(&r.doc);
    return rc;
}

static int read_file(struct config *c, const char *path, struct err *err)
{
    struct reader r = {.config = c, .err = err};

    int rc = yaml_doc_open(&r.doc, path, CONFIG_FILE_MAX, err);
    if (rc == 0)
        rc = read_document(&r);
    yaml_doc_done(&r.doc);
    return rc;
}

/* ---- the directory beside it ---- */

static int is_fragment(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* no locale: the same order everywhere */
}

static int read_fragments(struct config *c, const char *dir, struct err *err)
{
    struct dirent **names;
    int rc = 0, n = scandir(dir, &names, is_fragment, by_bytes);

    if (n < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "%s", dir);
    if (n > CONFIG_FILES_MAX)
        rc = err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s has %d files; at most %d are read", dir, n,
                     CONFIG_FILES_MAX);
    for (int i = 0; i < n; i++) {
        char *cleanup_free path = mem_printf("%s/%s", dir, names[i]->d_name);
        free(names[i]);
        if (rc == 0)
            rc = read_file(c, path, err);
    }
    free(names);
    return rc;
}

int config_load(struct config *c, const char *path, struct err *err)
{
    const char *file = path ? path : default_path, *slash = strrchr(file, '/');
    char *cleanup_free dir = mem_printf("%.*sconf.d", slash ? (int)(slash - file) + 1 : 0, file);

    int rc = read_file(c, file, err);
    if (rc == -ENOENT && !path)
        rc = 0;
    if (rc == 0)
        rc = read_fragments(c, dir, err);
    return rc < 0 ? rc : config_check(c, err);
}

/* ---- what follows from other keys ---- */

static bool has_keeper(const char *dir)
{
    char *cleanup_free path = mem_printf("%s/cricket-keeper", dir);
    return access(path, X_OK) == 0;
}

/* Beside the daemon in a build tree; PREFIX/libexec/cricket beside PREFIX/bin or PREFIX/sbin once installed. */
static char *find_helpers(void)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (n <= 0)
        return mem_strdup("/usr/libexec/cricket");
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    if (has_keeper(exe))
        return mem_strdup(exe);
    char *slash = strrchr(exe, '/');
    return mem_printf("%.*s/libexec/cricket", slash ? (int)(slash - exe) : 0, exe);
}

int config_finish(struct config *c, struct err *err)
{
    if (!c->listen)
        c->listen = mem_printf("unix://%s/cricket.sock", c->state);
    if (!c->helper_dir)
        c->helper_dir = find_helpers();
    for (size_t i = 0; i < c->handlers_n; i++)
        if (!c->handlers[i].root)
            c->handlers[i].root = mem_printf("%s/runtime/%s", c->state, c->handlers[i].name);
    return config_check(c, err);
}

/* ---- defaults ---- */

static char **copy_list(const char *const *list, size_t n)
{
    char **copy = mem_alloc((n + 1) * sizeof(*copy));

    for (size_t i = 0; i < n; i++)
        copy[i] = mem_strdup(list[i]);
    return copy;
}

static void init_handlers(struct config *c)
{
    static const char *const names[] = {"crun", "runc", "runsc"};

    c->handlers = mem_alloc(countof(names) * sizeof(*c->handlers));
    for (c->handlers_n = 0; c->handlers_n < countof(names); c->handlers_n++) {
        c->handlers[c->handlers_n].name = mem_strdup(names[c->handlers_n]);
        c->handlers[c->handlers_n].path = mem_strdup(names[c->handlers_n]);
    }
}

void config_init(struct config *c)
{
    static const char *const bin_dirs[] = {"/opt/cni/bin", "/usr/lib/cni"};
    static const char *const capabilities[] = {
        "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
        "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
        "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
        "CAP_KILL",    "CAP_AUDIT_WRITE",
    };

    *c = (struct config){
        .root = mem_strdup("/var/lib/cricket"),
        .state = mem_strdup("/run/cricket"),
        .log_level = mem_strdup("info"),
        .infra = INFRA_AUTO,
        .exec = EXEC_AUTO,
        .sandbox_image = mem_strdup(""),
        .cgroup_driver = CGROUP_DRIVER_AUTO,
        .default_handler = mem_strdup("crun"),
        .cni_conf_dir = mem_strdup("/etc/cni/net.d"),
        .cni_bin_dirs = copy_list(bin_dirs, countof(bin_dirs)),
        .cni_default_bridge = true,
        .cni_default_subnet = mem_strdup("10.85.0.0/16"),
        .registries_file = mem_strdup("/etc/cricket/registries.yaml"),
        .max_parallel_layers = 3,
        .pull_idle_timeout_s = 300,
        .default_capabilities = copy_list(capabilities, countof(capabilities)),
        .unset_seccomp_profile = mem_strdup("unconfined"),
        .enable_unprivileged_ports = true,
        .enable_unprivileged_icmp = true,
        .pids_limit = -1,
        .stream_address = mem_strdup("127.0.0.1"),
        .stream_tls_cert = mem_strdup(""),
        .stream_tls_key = mem_strdup(""),
        .stream_tls_client_ca = mem_strdup(""),
        .stream_idle_timeout_s = 14400,
        .stream_creation_timeout_s = 30,
    };
    init_handlers(c);
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < config_keys_n; i++) {
        if (config_keys[i].type == CONFIG_TEXT)
            free(*(char **)config_field(c, &config_keys[i]));
        else if (config_keys[i].type == CONFIG_TEXTS)
            free_list(*(char ***)config_field(c, &config_keys[i]));
    }
    for (size_t i = 0; i < c->handlers_n; i++) {
        free(c->handlers[i].name);
        free(c->handlers[i].path);
        free(c->handlers[i].root);
        free(c->handlers[i].cni_conf_dir);
    }
    free(c->handlers);
    *c = (struct config){0};
}
