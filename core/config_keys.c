#include "core/config_keys.h"
#include "core/image_ref.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <string.h>

/* ---- what values must be ---- */

bool config_path_is_good(const char *s)
{
    if (*s != '/' || strlen(s) >= 4096)
        return false;
    while (*s) {
        s += strspn(s, "/");
        size_t n = strcspn(s, "/");
        if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
            return false;
        s += n;
    }
    return true;
}

/* sun_path has 108 bytes with its NUL */
static bool is_listen(const char *s)
{
    return strncmp(s, "unix://", 7) == 0 && strlen(s + 7) < 108 && s[strlen(s) - 1] != '/' &&
           config_path_is_good(s + 7);
}

static bool is_log_level(const char *s)
{
    return strcmp(s, "error") == 0 || strcmp(s, "warn") == 0 || strcmp(s, "info") == 0 ||
           strcmp(s, "debug") == 0;
}

static bool is_image_or_empty(const char *s)
{
    struct image_ref cleanup_image_ref ref = {0};
    return !*s || image_ref_parse(s, &ref, NULL) == 0;
}

static bool is_handler_name(const char *s)
{
    return *s && strlen(s) < 64 && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* ADDRESS/BITS with no bit set behind BITS, and room for a gateway and a pod. */
static bool is_subnet(const char *s)
{
    unsigned char a[16];
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(s, '/');
    size_t n = slash ? (size_t)(slash - s) : sizeof(address);
    int bits = 0;

    if (n >= sizeof(address) || !slash[1] || strlen(slash) > 4 || slash[1 + strspn(slash + 1, "0123456789")])
        return false;
    memcpy(address, s, n);
    address[n] = '\0';
    bits = atoi(slash + 1);
    int bytes = inet_pton(AF_INET, address, a) == 1 ? 4 : inet_pton(AF_INET6, address, a) == 1 ? 16 : 0;
    if (bytes == 0 || bits < 8 || bits > bytes * 8 - 2)
        return false;
    for (int i = bits; i < bytes * 8; i++)
        if (a[i / 8] & (0x80 >> i % 8))
            return false;
    return true;
}

static bool is_address(const char *s)
{
    unsigned char a[16];
    return inet_pton(AF_INET, s, a) == 1 || inet_pton(AF_INET6, s, a) == 1;
}

static bool is_path_or_empty(const char *s)
{
    return !*s || config_path_is_good(s);
}

static bool is_capability(const char *s)
{
    return strncmp(s, "CAP_", 4) == 0 && strlen(s) < 64 && capng_name_to_capability(s + 4) >= 0;
}

static bool is_unset_seccomp(const char *s)
{
    return strcmp(s, "unconfined") == 0 || strcmp(s, "runtime/default") == 0;
}

/* ---- the table ---- */

static const cyaml_strval_t infra_words[] = {{"auto", INFRA_AUTO}, {"always", INFRA_ALWAYS}};
static const cyaml_strval_t exec_words[] = {{"auto", EXEC_AUTO}, {"runtime", EXEC_RUNTIME}};
static const cyaml_strval_t driver_words[] = {
    {"auto", CGROUP_DRIVER_AUTO}, {"cgroupfs", CGROUP_DRIVER_CGROUPFS}, {"systemd", CGROUP_DRIVER_SYSTEMD}};
static const cyaml_strval_t bool_words[] = {{"false", 0}, {"true", 1}};

#define FIELD(f)           .offset = offsetof(struct config, f)
#define TEXT(f, be, good)  CONFIG_TEXT, FIELD(f), .must_be = be, .is_good = good
#define TEXTS(f, be, good) CONFIG_TEXTS, FIELD(f), .must_be = be, .is_good = good
#define PATH(f)            TEXT(f, "an absolute path without \".\" and \"..\"", config_path_is_good)
#define NUMBER(f, low, high)                                                                                   \
    CONFIG_NUMBER, FIELD(f), .must_be = "a whole number from " #low " to " #high, .min = low, .max = high
#define WORD(f, be, w) CONFIG_WORD, FIELD(f), .must_be = be, .words = w, .words_n = countof(w)
#define BOOL(f)                                                                                                \
    CONFIG_BOOL, FIELD(f), .must_be = "true or false", .words = bool_words, .words_n = countof(bool_words)

const struct config_key config_keys[] = {
    {"", "root", PATH(root), .comment = "Images, layers and records: survives a reboot."},
    {"", "state", PATH(state),
     .comment = "Sockets, mounts and namespaces of what runs: does not survive a reboot."},
    {"", "listen", TEXT(listen, "unix:// and an absolute path of at most 107 bytes", is_listen),
     .comment = "Where the kubelet and crictl connect. Default: cricket.sock below state."},
    {"", "log_level", TEXT(log_level, "error, warn, info or debug", is_log_level),
     .comment = "error, warn, info or debug."},
    {"", "helper_dir", PATH(helper_dir),
     .comment = "Where cricket-keeper and the other helpers are. Default: beside cricketd, else "
                "../libexec/cricket."},
    {"", "infra", WORD(infra, "auto or always", infra_words),
     .comment =
         "auto: a pause container only where containers of a pod share a PID namespace. always: in every pod."},
    {"", "sandbox_image",
     TEXT(sandbox_image, "an image reference, or \"\" for the built-in one", is_image_or_empty),
     .comment =
         "The image of the pause container. Empty: the built-in cricket-pause, which needs no registry."},
    {"", "cgroup_driver", WORD(cgroup_driver, "auto, cgroupfs or systemd", driver_words),
     .comment = "As the kubelet's cgroupDriver. auto: systemd where the host was booted by it."},
    {"", "default_handler",
     TEXT(default_handler, "a handler's name: 1 to 63 of a-z, 0-9 and '-'", is_handler_name),
     .flag = offsetof(struct config, default_handler_set),
     .comment =
         "The runtime of pods that name none. Where this key is absent and crun cannot work, one that can."},
    {"", "handlers", CONFIG_HANDLERS, FIELD(handlers), .must_be = "a list of mappings, each with a name",
     .comment = "OCI runtimes by the name that a RuntimeClass gives. A name that is there already is changed, "
                "others are added."},
    {"cni", "conf_dir", PATH(cni_conf_dir), .comment = "CNI configurations; the first by name counts."},
    {"cni", "bin_dirs",
     TEXTS(cni_bin_dirs, "a list of absolute paths without \".\" and \"..\"", config_path_is_good),
     .comment = "CNI plugins, in the order to search."},
    {"cni", "default_bridge", BOOL(cni_default_bridge),
     .comment = "An empty conf_dir means a bridge network of this node, rather than a node that is not ready."},
    {"cni", "default_subnet",
     TEXT(cni_default_subnet, "a subnet such as 10.85.0.0/16, with no bit set behind the prefix", is_subnet),
     .comment = "The addresses of that bridge network."},
    {"", "registries_file", PATH(registries_file),
     .comment = "Mirrors, credentials and TLS of registries, in k3s's format. May be absent."},
    {"pull", "max_parallel_layers", NUMBER(max_parallel_layers, 1, 32),
     .comment = "Layers of one image that are fetched and unpacked side by side."},
    {"pull", "idle_timeout_s", NUMBER(pull_idle_timeout_s, 1, 86400),
     .comment = "Seconds after which a transfer that moves no byte fails."},
    {"containers", "default_capabilities",
     TEXTS(default_capabilities, "a list of capabilities such as CAP_CHOWN", is_capability),
     .comment = "What a container that is not privileged has before its own additions and removals."},
    {"containers", "unset_seccomp_profile",
     TEXT(unset_seccomp_profile, "unconfined or runtime/default", is_unset_seccomp),
     .comment = "Of containers that ask for none: unconfined, as containerd does, or runtime/default."},
    {"containers", "enable_unprivileged_ports", BOOL(enable_unprivileged_ports),
     .comment = "Ports below 1024 need no capability in pods with a network of their own."},
    {"containers", "enable_unprivileged_icmp", BOOL(enable_unprivileged_icmp),
     .comment = "ping needs no capability in pods with a network of their own."},
    {"containers", "exec", WORD(exec, "auto or runtime", exec_words),
     .comment = "auto: commands in containers enter them directly, which is quick. runtime: always by the OCI "
                "runtime's exec."},
    {"containers", "pids_limit", NUMBER(pids_limit, -1, 4194304),
     .comment = "Processes of a container whose request sets none; -1: no limit."},
    {"streaming", "address", TEXT(stream_address, "an IP address such as 127.0.0.1 or ::1", is_address),
     .comment = "Where clients of exec, attach and port-forward connect. The kubelet is on this host: loopback "
                "does."},
    {"streaming", "port", NUMBER(stream_port, 0, 65535), .comment = "0: any free port."},
    {"streaming", "tls_cert", TEXT(stream_tls_cert, "an absolute path, or \"\" for no TLS", is_path_or_empty),
     .comment = "The server's certificate, PEM, with its chain; read again when it changes. Empty: no TLS."},
    {"streaming", "tls_key", TEXT(stream_tls_key, "an absolute path, or \"\" for no TLS", is_path_or_empty),
     .comment = "Its private key, PEM."},
    {"streaming", "tls_client_ca",
     TEXT(stream_tls_client_ca, "an absolute path, or \"\" for none", is_path_or_empty),
     .comment = "Clients must have a certificate of this authority. Empty: they need none."},
    {"streaming", "allow_plain_remote", BOOL(stream_plain_remote),
     .comment =
         "Serve an address that is not a loopback one without TLS: whoever is on the network can then read "
         "along."},
    {"streaming", "idle_timeout_s", NUMBER(stream_idle_timeout_s, 1, 604800),
     .comment = "Seconds after which a session that moves no byte is ended."},
    {"streaming", "creation_timeout_s", NUMBER(stream_creation_timeout_s, 1, 3600),
     .comment = "Seconds that a client has to open the streams that it asked for."},
};
const size_t config_keys_n = countof(config_keys);

enum { KEYS = countof(config_keys), SECTIONS = 8 };

void config_key_path(const struct config_key *k, struct buf *b)
{
    buf_addf(b, "%s%s%s", k->section, *k->section ? "." : "", k->name);
}

const struct config_key *config_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

/* ---- the schema, made of the table ---- */

#define HANDLER_TEXT(f)                                                                                        \
    CYAML_FIELD_STRING_PTR(#f, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_slot_handler, f, 0,     \
                           YAML_DOC_TEXT_MAX)
static const cyaml_schema_field_t handler_fields[] = {
    HANDLER_TEXT(name),
    HANDLER_TEXT(path),
    HANDLER_TEXT(root),
    HANDLER_TEXT(cni_conf_dir),
    CYAML_FIELD_ENUM_PTR(
        "privileged_without_host_devices", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
        struct config_slot_handler, privileged_without_host_devices, bool_words, countof(bool_words)),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t handler_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_slot_handler, handler_fields)};
static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, YAML_DOC_TEXT_MAX)};

static cyaml_schema_value_t value_of(const struct config_key *k)
{
    cyaml_schema_value_t v = {.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL};

    switch (k->type) {
    case CONFIG_TEXT:
    case CONFIG_NUMBER: /* libcyaml's own integers take 1.5 for 1 and 010 for 8 */
        v.type = CYAML_STRING;
        v.data_size = 1;
        v.string.max = YAML_DOC_TEXT_MAX;
        break;
    case CONFIG_WORD:
    case CONFIG_BOOL: /* libcyaml's own booleans take every word that is not a no for a yes */
        v.type = CYAML_ENUM;
        v.flags |= CYAML_FLAG_STRICT;
        v.data_size = sizeof(int);
        v.enumeration.strings = k->words;
        v.enumeration.count = k->words_n;
        break;
    case CONFIG_TEXTS:
    case CONFIG_HANDLERS:
        v.type = CYAML_SEQUENCE;
        v.data_size = k->type == CONFIG_TEXTS ? sizeof(char *) : sizeof(struct config_slot_handler);
        v.sequence.entry = k->type == CONFIG_TEXTS ? &text_entry : &handler_entry;
        v.sequence.max = CONFIG_LIST_MAX;
        break;
    }
    return v;
}

static cyaml_schema_field_t field_of(const struct config_key *k, size_t slot)
{
    size_t offset = slot * sizeof(struct config_slot);

    return (cyaml_schema_field_t){
        .key = k->name,
        .data_offset = (uint32_t)offset,
        .count_offset = (uint32_t)(offset + offsetof(struct config_slot, count)),
        .count_size = sizeof(uint64_t),
        .value = value_of(k),
    };
}

static const cyaml_schema_field_t *section_fields(cyaml_schema_field_t *fields, size_t first, size_t *ret_n)
{
    size_t n = 0;

    while (first + n < KEYS && strcmp(config_keys[first + n].section, config_keys[first].section) == 0) {
        fields[n] = field_of(&config_keys[first + n], n);
        n++;
    }
    fields[n] = (cyaml_schema_field_t)CYAML_FIELD_END;
    *ret_n = n;
    return fields;
}

const cyaml_schema_value_t *config_schema(void)
{
    static cyaml_schema_field_t all[2 * KEYS + SECTIONS], top[KEYS + 1];
    static cyaml_schema_value_t schema;
    size_t used = 0, tops = 0, n;

    if (schema.data_size)
        return &schema;
    for (size_t i = 0; i < KEYS; i += n) {
        if (!*config_keys[i].section) {
            top[tops++] = field_of(&config_keys[i], i);
            n = 1;
            continue;
        }
        const cyaml_schema_field_t *fields = section_fields(all + used, i, &n);
        used += n + 1;
        top[tops++] = (cyaml_schema_field_t){
            .key = config_keys[i].section,
            .data_offset = (uint32_t)(i * sizeof(struct config_slot)),
            .value = {.type = CYAML_MAPPING,
                      .flags = CYAML_FLAG_OPTIONAL,
                      .data_size = (uint32_t)(n * sizeof(struct config_slot)),
                      .mapping = {.fields = fields}},
        };
    }
    top[tops] = (cyaml_schema_field_t)CYAML_FIELD_END;
    schema = (cyaml_schema_value_t){.type = CYAML_MAPPING,
                                    .flags = CYAML_FLAG_POINTER,
                                    .data_size = KEYS * sizeof(struct config_slot),
                                    .mapping = {.fields = top}};
    return &schema;
}

const char *config_must_be(const char *outer, const char *inner, const char *innermost)
{
    const struct config_key *k = config_key_find("", outer);

    if (strcmp(outer, "handlers") == 0 && strcmp(innermost, "privileged_without_host_devices") == 0)
        return "true or false";
    if (strcmp(outer, "handlers") == 0 && *innermost && strcmp(innermost, "handlers") != 0)
        return "text";
    if (!k && inner)
        k = config_key_find(outer, inner);
    if (k)
        return k->must_be;
    return inner ? NULL : "a mapping of keys, or absent";
}

void config_known_keys(const char *section, struct buf *b)
{
    const char *last = "";

    if (strcmp(section, "handlers") == 0) {
        for (const cyaml_schema_field_t *f = handler_fields; f->key; f++)
            buf_addf(b, "%s%s", b->len ? ", " : "", f->key);
        return;
    }
    for (size_t i = 0; i < KEYS; i++) {
        const struct config_key *k = &config_keys[i];
        if (strcmp(k->section, section) == 0)
            buf_addf(b, "%s%s", b->len ? ", " : "", k->name);
        else if (!*section && strcmp(k->section, last) != 0)
            buf_addf(b, "%s%s", b->len ? ", " : "", k->section);
        last = k->section;
    }
}
