#include "cli/log_line.h"

#include <errno.h>
#include <string.h>

enum { TIME_MIN = 20 /* "2026-11-23T15:31:02Z" */, TIME_MAX = 35 };

/* The word up to the next space; what is left in *p, *n. */
static bool word(const char **p, size_t *n, const char **ret, size_t *ret_len)
{
    const char *space = memchr(*p, ' ', *n);

    if (!space)
        return false;
    *ret = *p;
    *ret_len = (size_t)(space - *p);
    *n -= *ret_len + 1;
    *p = space + 1;
    return true;
}

int log_line_parse(const char *p, size_t n, struct log_line *ret)
{
    struct log_line l = {0};
    const char *stream, *tags, *space;
    size_t stream_len, tags_len;

    if (!word(&p, &n, &l.time, &l.time_len) || l.time_len < TIME_MIN || l.time_len > TIME_MAX ||
        l.time[4] != '-' || l.time[10] != 'T')
        return -EBADMSG;
    if (!word(&p, &n, &stream, &stream_len) || stream_len != 6 ||
        (memcmp(stream, "stdout", 6) && memcmp(stream, "stderr", 6)))
        return -EBADMSG;
    l.is_stderr = stream[3] == 'e';
    /* An empty text may lack the space after its tags. Tags are separated by colons; the first one is P or F. */
    space = memchr(p, ' ', n);
    tags = p;
    tags_len = space ? (size_t)(space - p) : n;
    if (tags_len < 1 || (tags[0] != 'P' && tags[0] != 'F') || (tags_len > 1 && tags[1] != ':'))
        return -EBADMSG;
    l.partial = tags[0] == 'P';
    l.text = space ? space + 1 : p + n;
    l.text_len = space ? n - tags_len - 1 : 0;
    *ret = l;
    return 0;
}
