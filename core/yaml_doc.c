#include "core/yaml_doc.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/quote.h"

#include <stdarg.h>
#include <string.h>

const char *yaml_node_text(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

size_t yaml_node_line(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

const char *yaml_node_kind(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return "text";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_MAPPING_NODE:
        return "a mapping";
    default:
        return "nothing";
    }
}

int yaml_doc_error(const struct yaml_doc *d, const yaml_node_t *node, struct err *err, const char *fmt, ...)
{
    char text[ERR_MSG_SIZE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (node)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s:%zu: %s", d->name, yaml_node_line(node), text);
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: %s", d->name, text);
}

bool yaml_doc_pair(struct yaml_doc *d, const yaml_node_t *mapping, size_t i, const char **ret_key,
                   yaml_node_t **ret_value)
{
    const yaml_node_pair_t *p = mapping->data.mapping.pairs.start + i;

    if (p >= mapping->data.mapping.pairs.top)
        return false;
    *ret_key = yaml_node_text(yaml_document_get_node(&d->tree, p->key));
    *ret_value = yaml_document_get_node(&d->tree, p->value);
    return true;
}

yaml_node_t *yaml_doc_item(struct yaml_doc *d, const yaml_node_t *sequence, size_t i)
{
    const yaml_node_item_t *p = sequence->data.sequence.items.start + i;
    return p < sequence->data.sequence.items.top ? yaml_document_get_node(&d->tree, *p) : NULL;
}

yaml_node_t *yaml_doc_value(struct yaml_doc *d, const yaml_node_t *mapping, const char *key)
{
    const char *name;
    yaml_node_t *value;

    for (size_t i = 0; yaml_doc_pair(d, mapping, i, &name, &value); i++)
        if (strcmp(name, key) == 0)
            return value;
    return NULL;
}

/* ---- what is refused ---- */

struct walk {
    struct yaml_doc *doc;
    bool *seen; /* by node index: an alias is a second reference to a node */
    struct err *err;
};

static int check_node(struct walk *w, int index, int depth);

static int check_scalar(struct walk *w, const yaml_node_t *node)
{
    size_t len = node->data.scalar.length;

    if (len > YAML_DOC_TEXT_MAX)
        return yaml_doc_error(w->doc, node, w->err, "text of %zu bytes; at most %d are supported", len,
                              YAML_DOC_TEXT_MAX);
    if (strlen(yaml_node_text(node)) != len)
        return yaml_doc_error(w->doc, node, w->err, "text with a NUL character; remove the \\0");
    return 0;
}

static int check_key(struct walk *w, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(&w->doc->tree, pair->key);

    if (key->type != YAML_SCALAR_NODE)
        return yaml_doc_error(w->doc, key, w->err, "a key that is %s; keys are plain words",
                              yaml_node_kind(key));
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++)
        if (strcmp(yaml_node_text(yaml_document_get_node(&w->doc->tree, p->key)), yaml_node_text(key)) == 0)
            return yaml_doc_error(w->doc, key, w->err, "key %s is there twice; remove one",
                                  QUOTED(yaml_node_text(key)));
    return 0;
}

static int check_mapping(struct walk *w, const yaml_node_t *node, int depth)
{
    int r = 0;

    if (node->data.mapping.pairs.top - node->data.mapping.pairs.start > YAML_DOC_KEYS_MAX)
        return yaml_doc_error(w->doc, node, w->err, "a mapping with more than %d keys", YAML_DOC_KEYS_MAX);
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; r == 0 && p < node->data.mapping.pairs.top;
         p++) {
        r = check_node(w, p->key, depth + 1);
        if (r == 0)
            r = check_key(w, node, p);
        if (r == 0)
            r = check_node(w, p->value, depth + 1);
    }
    return r;
}

static int check_node(struct walk *w, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(&w->doc->tree, index);
    int r = 0;

    if (depth > YAML_DOC_DEPTH_MAX)
        return yaml_doc_error(w->doc, node, w->err, "nests deeper than %d levels", YAML_DOC_DEPTH_MAX);
    if (w->seen[index])
        return yaml_doc_error(w->doc, node, w->err,
                              "the anchor here is referred to by an alias; write its value out");
    w->seen[index] = true;
    if (node->type == YAML_MAPPING_NODE)
        return check_mapping(w, node, depth);
    if (node->type == YAML_SCALAR_NODE)
        return check_scalar(w, node);
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         r == 0 && i < node->data.sequence.items.top; i++)
        r = check_node(w, *i, depth + 1);
    return r;
}

static int check_tree(struct yaml_doc *d, struct err *err)
{
    size_t nodes = (size_t)(d->tree.nodes.top - d->tree.nodes.start);
    bool *cleanup_free seen = mem_alloc(nodes + 1);
    struct walk w = {d, seen, err};

    if (!d->root)
        return 0;
    int r = check_node(&w, 1, 0); /* libyaml's indexes begin at 1, with the root */
    if (r < 0)
        return r;
    if (d->root->type == YAML_SCALAR_NODE && !*yaml_node_text(d->root)) /* "---" and nothing behind it */
        d->root = NULL;
    else if (d->root->type != YAML_MAPPING_NODE)
        return yaml_doc_error(d, d->root, err, "the file is %s; it must be a mapping, lines of KEY: VALUE",
                              yaml_node_kind(d->root));
    return 0;
}

/* ---- loading ---- */

static int syntax_error(const struct yaml_doc *d, const yaml_parser_t *p, struct err *err)
{
    size_t line = p->error == YAML_READER_ERROR ? 0 : p->problem_mark.line + 1;
    const char *problem = p->problem ? p->problem : "out of memory";

    if (line)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s:%zu: not valid YAML: %s%s%s", d->name, line, problem,
                       p->context ? " " : "", p->context ? p->context : "");
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: not valid YAML: %s at byte %zu", d->name, problem,
                   p->problem_offset);
}

static int load(struct yaml_doc *d, yaml_parser_t *p, struct err *err)
{
    yaml_document_t second;

    yaml_parser_set_encoding(p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(p, (const unsigned char *)d->text, d->len);
    if (!yaml_parser_load(p, &d->tree))
        return syntax_error(d, p, err);
    d->loaded = true;
    d->root = yaml_document_get_root_node(&d->tree);
    if (!d->root)
        return 0;
    if (!yaml_parser_load(p, &second))
        return syntax_error(d, p, err);
    const yaml_node_t *more = yaml_document_get_root_node(&second);
    int r = more ? yaml_doc_error(d, more, err, "a second document begins; one file holds one") : 0;
    yaml_document_delete(&second);
    return r;
}

static int parse_owned(struct yaml_doc *d, struct err *err)
{
    yaml_parser_t p;

    if (!yaml_parser_initialize(&p))
        abort();
    int r = load(d, &p, err);
    yaml_parser_delete(&p);
    if (r == 0)
        r = check_tree(d, err);
    if (r < 0)
        yaml_doc_done(d);
    return r;
}

int yaml_doc_parse(struct yaml_doc *d, const char *text, size_t len, const char *name, struct err *err)
{
    *d = (struct yaml_doc){.name = mem_strdup(name), .text = mem_strndup(text, len), .len = len};
    return parse_owned(d, err);
}

int yaml_doc_open(struct yaml_doc *d, const char *path, size_t max, struct err *err)
{
    struct buf b = {0};

    int r = file_read(path, max, &b, err);
    if (r < 0) {
        buf_done(&b);
        return r;
    }
    *d = (struct yaml_doc){.name = mem_strdup(path), .len = b.len};
    d->text = buf_steal(&b);
    return parse_owned(d, err);
}

void yaml_doc_done(struct yaml_doc *d)
{
    if (d->loaded)
        yaml_document_delete(&d->tree);
    free(d->name);
    free(d->text);
    *d = (struct yaml_doc){0};
}
