#include "helpers/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat st;

    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* path is "/a:/b": its directories are absolute, or there is no plan. */
const char *enter_find_program(const char *name, const char *path, char *buf, size_t cap)
{
    size_t len = strlen(name);

    if (strchr(name, '/'))
        return name; /* execve(2) tells what is wrong with it */
    while (path) {
        size_t n = strcspn(path, ":");
        if (n + len + 2 <= cap) {
            memcpy(buf, path, n);
            buf[n] = '/';
            memcpy(buf + n + 1, name, len + 1);
            if (is_program(buf))
                return buf;
        }
        path = path[n] ? path + n + 1 : NULL;
    }
    errno = ENOENT;
    return NULL;
}

/* ---- /etc/passwd, in pieces: it may be of any length ---- */

enum { LINE_MAX_HERE = 1024, PASSWD_MAX = 1 << 20, UID_FIELD = 2, HOME_FIELD = 5, FIELDS = 7 };

/* The number in [s, end); false when it is none. */
static bool read_uid(const char *s, const char *end, uint32_t *ret_uid)
{
    uint64_t n = 0;

    if (s == end)
        return false;
    for (; s < end; s++) {
        if (*s < '0' || *s > '9' || n > UINT32_MAX)
            return false;
        n = n * 10 + (uint64_t)(*s - '0');
    }
    *ret_uid = (uint32_t)n;
    return n <= UINT32_MAX;
}

/* name:password:uid:gid:comment:home:shell */
static bool line_home(const char *line, size_t len, uint32_t uid, char *buf, size_t cap)
{
    const char *field[FIELDS + 1] = {line}, *end = line + len;
    size_t n = 1;
    uint32_t found;

    for (const char *p = line; p < end && n < FIELDS; p++)
        if (*p == ':')
            field[n++] = p + 1;
    if (n <= HOME_FIELD + 1 || !read_uid(field[UID_FIELD], field[UID_FIELD + 1] - 1, &found) || found != uid)
        return false;
    size_t size = (size_t)(field[HOME_FIELD + 1] - 1 - field[HOME_FIELD]);
    if (size + sizeof("HOME=") > cap)
        return false;
    memcpy(buf, "HOME=", 5);
    memcpy(buf + 5, field[HOME_FIELD], size);
    buf[5 + size] = '\0';
    return true;
}

/* What a container puts there may be anything: no FIFO is waited for, no endless file read. A longer line is no user's. */
bool enter_find_home(uint32_t uid, char *buf, size_t cap)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char text[2 * LINE_MAX_HERE];
    size_t len = 0, total = 0;
    struct stat st;
    bool found = false;
    ssize_t n;

    if (fd < 0)
        return false;
    while (!found && total < PASSWD_MAX && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           (n = read(fd, text + len, sizeof(text) - len)) > 0) {
        const char *line = text, *nl;
        len += (size_t)n;
        total += (size_t)n;
        while (!found && (nl = memchr(line, '\n', len - (size_t)(line - text)))) {
            found = line_home(line, (size_t)(nl - line), uid, buf, cap);
            line = nl + 1;
        }
        len -= (size_t)(line - text);
        memmove(text, line, len);
        if (len == sizeof(text))
            len = 0;
    }
    close(fd);
    return found || (len && line_home(text, len, uid, buf, cap));
}
