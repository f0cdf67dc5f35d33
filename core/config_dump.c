#include "core/config_keys.h"
#include "core/utf8.h"

#include <string.h>

/*
 * One character within double quotes; returns its bytes. All that is not ASCII is escaped: YAML takes some characters for
 * line breaks and refuses others.
 */
static size_t add_escaped(struct buf *b, const char *s)
{
    static const unsigned char head[] = {0, 0x7f, 0x1f, 0x0f,
                                         0x07}; /* the first byte's share of the code point, by length */
    size_t n = utf8_char_len(s, strlen(s));
    unsigned long code =
        n ? (unsigned char)s[0] & head[n] : 0xfffd; /* what is no character cannot be written in YAML */

    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)s[i] & 0x3f);
    if (code == '"' || code == '\\')
        buf_addf(b, "\\%c", (int)code);
    else if (code >= 0x20 && code < 0x7f)
        buf_add(b, s, 1);
    else
        buf_addf(b, "\\U%08lx", code);
    return n ? n : 1;
}

/* Plain where YAML cannot read anything else into it; quoted with escapes otherwise. */
static void add_text(struct buf *b, const char *s)
{
    bool plain = *s && *s != '-' && *s != '.';

    for (const char *p = s; plain && *p; p++)
        plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("/._-", *p) || (*p == ':' && p[1] == '/');
    if (plain) {
        buf_adds(b, s);
        return;
    }
    buf_adds(b, "\"");
    while (*s)
        s += add_escaped(b, s);
    buf_adds(b, "\"");
}

static void add_texts(struct buf *b, char *const *list)
{
    buf_adds(b, "[");
    for (size_t i = 0; list[i]; i++) {
        buf_adds(b, i ? ", " : "");
        add_text(b, list[i]);
    }
    buf_adds(b, "]");
}

static void add_handler_text(struct buf *b, const char *key, const char *text)
{
    if (!text)
        return;
    buf_addf(b, "\n    %s: ", key);
    add_text(b, text);
}

static void add_handlers(struct buf *b, const struct config *c)
{
    for (size_t i = 0; i < c->handlers_n; i++) {
        const struct handler_config *h = &c->handlers[i];
        buf_adds(b, "\n  - name: ");
        add_text(b, h->name);
        add_handler_text(b, "path", h->path);
        add_handler_text(b, "root", h->root);
        add_handler_text(b, "cni_conf_dir", h->cni_conf_dir);
        if (h->privileged_without_host_devices)
            buf_adds(b, "\n    privileged_without_host_devices: true");
    }
}

static const char *word_of(const struct config_key *k, int value)
{
    for (uint32_t i = 0; i < k->words_n; i++)
        if (k->words[i].val == value)
            return k->words[i].str;
    return k->words[0].str;
}

static void add_value(struct buf *b, const struct config *c, const struct config_key *k)
{
    void *field = config_field(c, k);

    switch (k->type) {
    case CONFIG_TEXT:
        add_text(b, *(char **)field ? *(char **)field : "");
        break;
    case CONFIG_TEXTS:
        add_texts(b, *(char ***)field);
        break;
    case CONFIG_NUMBER:
        buf_addf(b, "%d", *(int *)field);
        break;
    case CONFIG_WORD:
        buf_adds(b, word_of(k, *(int *)field));
        break;
    case CONFIG_BOOL:
        buf_adds(b, word_of(k, *(bool *)field));
        break;
    case CONFIG_HANDLERS:
        add_handlers(b, c);
        break;
    }
}

/* Whether writing the key would set what nothing has set: it is shown, but as a comment. */
static bool is_unset(const struct config *c, const struct config_key *k)
{
    if (k->flag)
        return !*(const bool *)((const char *)c + k->flag);
    return k->type == CONFIG_TEXT && !*(char **)config_field(c, k);
}

static void add_key(struct buf *b, const struct config *c, const struct config_key *k)
{
    const char *indent = *k->section ? "  " : "";

    buf_addf(b, "%s# %s\n%s%s%s:", indent, k->comment, indent, is_unset(c, k) ? "# " : "", k->name);
    if (k->type != CONFIG_HANDLERS)
        buf_adds(b, " ");
    add_value(b, c, k);
    buf_adds(b, "\n");
}

char *config_dump(const struct config *c)
{
    struct buf b = {0};
    const char *section = "";

    for (size_t i = 0; i < config_keys_n; i++) {
        if (strcmp(section, config_keys[i].section) != 0 && *config_keys[i].section)
            buf_addf(&b, "%s:\n", config_keys[i].section);
        section = config_keys[i].section;
        add_key(&b, c, &config_keys[i]);
    }
    return buf_steal(&b);
}
