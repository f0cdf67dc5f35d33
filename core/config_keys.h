/*
 * The table of the configuration's keys: from one row follow the schema, the merging, the checks, the dump and its comment.
 * To add a key: a field in struct config, its default in config_init() and a row in config_keys.c.
 */
#pragma once
#include "core/buf.h"
#include "core/config.h"
#include "core/yaml_doc.h"
#include <cyaml/cyaml.h>
#include <stdint.h>

enum config_type {
    CONFIG_TEXT,     /* char * */
    CONFIG_TEXTS,    /* char **, NULL-terminated */
    CONFIG_NUMBER,   /* int */
    CONFIG_WORD,     /* an enum, that is an int */
    CONFIG_BOOL,     /* bool */
    CONFIG_HANDLERS, /* struct handler_config *, of handlers_n */
};

enum { CONFIG_LIST_MAX = 64 }; /* items of any list */

struct config_key {
    const char *section; /* "" at the top; the rows of a section stand together */
    const char *name;
    enum config_type type;
    size_t offset;                     /* of the field in struct config */
    size_t flag;                       /* of a bool that says that a file set it; 0: none */
    const char *must_be;               /* "an absolute path": what a value is, for messages */
    bool (*is_good)(const char *text); /* a text, or each of a list's; NULL: any */
    int min, max;                      /* of a number */
    const cyaml_strval_t *words;       /* of a word */
    uint32_t words_n;
    const char *comment;
};

extern const struct config_key config_keys[];
extern const size_t config_keys_n;

static inline void *config_field(const struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

/* "cni.conf_dir" */
void config_key_path(const struct config_key *k, struct buf *b);
/* NULL where there is none. */
const struct config_key *config_key_find(const char *section, const char *name);
bool config_path_is_good(const char *text); /* absolute, without "." and ".." */

/* What libcyaml makes of a file: a slot a row, in the table's order; value NULL where the file does not have the key. */
struct config_slot {
    void *value;    /* text, also of a number; int of a word or bool; the items of a list */
    uint64_t count; /* of a list */
};

struct config_slot_handler {
    char *name, *path, *root, *cni_conf_dir;
    int *privileged_without_host_devices;
};

/* Every key is optional, so that a file says only what it changes. */
const cyaml_schema_value_t *config_schema(void);

/* The names of a mapping's keys, "a, b, c": of the file, of a section, or of one handler. */
void config_known_keys(const char *section, struct buf *b);

/*
 * What the value at outer[.inner][....innermost] must be, for a message about its kind; NULL where no row says.
 * inner NULL: outer is the whole path; innermost: the last key of the path, or "" where that is a list's item.
 */
const char *config_must_be(const char *outer, const char *inner, const char *innermost);

/* Checks what a file says and puts it into c; a key that is absent leaves c's value. */
int config_take(struct config *c, struct yaml_doc *doc, const struct config_slot *slots,
                struct err *err) must_check;

/* One file's text, without the checks of the whole; name stands for the file in messages. */
int config_read_text(struct config *c, const char *text, size_t len, const char *name,
                     struct err *err) must_check;

/* Checks each value and what holds between keys, wherever they came from. */
int config_check(const struct config *c, struct err *err) must_check;
