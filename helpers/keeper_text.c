#include "helpers/keeper.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void text_init(struct text *t, char *buf, size_t cap)
{
    *t = (struct text){.buf = buf, .cap = cap};
    buf[0] = '\0';
}

void text_add_n(struct text *t, const char *s, size_t n)
{
    if (n > t->cap - 1 - t->len)
        n = t->cap - 1 - t->len;
    memcpy(t->buf + t->len, s, n);
    t->len += n;
    t->buf[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
    text_add_n(t, s, strlen(s));
}

void text_add_number(struct text *t, int64_t n)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;

    do
        digits[--at] = (char)('0' + u % 10);
    while (u /= 10);
    if (n < 0)
        digits[--at] = '-';
    text_add_n(t, digits + at, sizeof(digits) - at);
}

bool text_copy(char *to, size_t cap, const char *s)
{
    size_t n = strlen(s);

    if (n >= cap)
        return false;
    memcpy(to, s, n + 1);
    return true;
}

int64_t text_number(const char *text)
{
    int64_t value = 0;

    if (*text < '0' || *text > '9')
        return -1;
    for (; *text >= '0' && *text <= '9' && value < INT64_MAX / 10 - 10; text++)
        value = value * 10 + (*text - '0');
    return value;
}

int64_t number_after(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return text_number(line + n + 1);
    return -1;
}

ssize_t read_text(int dir, const char *path, char *buf, size_t cap)
{
    cleanup_close int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, cap - 1);

    if (n >= 0)
        buf[n] = '\0';
    return n;
}
