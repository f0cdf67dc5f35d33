#include "core/image_user.h"
#include "core/mem.h"

#include <ctype.h>
#include <string.h>

enum { NAME_MAX_LEN = 256, ID_LIMIT = INT32_MAX }; /* as runc: ids above are reserved for "none" and signs */

/* One line of passwd(5) or group(5), cut at its colons; fields that are missing are empty. */
struct row {
    const char *field[7];
    size_t len[7];
    size_t n;
};

/* Moves *text behind the line. False at the end. */
static bool row_next(const char **text, struct row *ret)
{
    const char *p = *text;
    size_t end = strcspn(p, "\n");

    if (!*p)
        return false;
    *text = p + end + (p[end] == '\n');
    *ret = (struct row){0};
    for (size_t start = 0; ret->n < countof(ret->field); ret->n++) {
        size_t stop = start;
        while (stop < end && p[stop] != ':')
            stop++;
        ret->field[ret->n] = p + start;
        ret->len[ret->n] = stop - start;
        if (stop >= end) {
            ret->n++;
            break;
        }
        start = stop + 1;
    }
    return true;
}

static bool field_is(const struct row *r, size_t i, const char *s, size_t n)
{
    return i < r->n && r->len[i] == n && memcmp(r->field[i], s, n) == 0;
}

/* Digits only, at most ID_LIMIT. */
static bool number_of(const char *s, size_t n, uint32_t *ret)
{
    uint64_t v = 0;

    if (n == 0 || n > 10)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i]))
            return false;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    if (v > ID_LIMIT)
        return false;
    *ret = (uint32_t)v;
    return true;
}

struct account {
    const char *name; /* in the passwd text; NULL when the user is not in it */
    size_t name_len;
    uint32_t uid, gid;
    const char *home;
    size_t home_len;
};

/* The first row with this name, or, for a number, with this uid. */
static bool account_find(const char *passwd, const char *name, size_t len, bool by_uid, uint32_t uid,
                         struct account *ret)
{
    struct row r;

    while (row_next(&passwd, &r)) {
        struct account a = {.name = r.field[0], .name_len = r.len[0]};
        if (r.n < 4 || r.len[0] == 0 || !number_of(r.field[2], r.len[2], &a.uid) ||
            !number_of(r.field[3], r.len[3], &a.gid))
            continue;
        if (by_uid ? a.uid != uid : !field_is(&r, 0, name, len))
            continue;
        a.home = r.n > 5 ? r.field[5] : NULL;
        a.home_len = r.n > 5 ? r.len[5] : 0;
        *ret = a;
        return true;
    }
    return false;
}

static bool group_find(const char *group, const char *name, size_t len, uint32_t *ret_gid)
{
    struct row r;

    while (row_next(&group, &r))
        if (r.n >= 3 && field_is(&r, 0, name, len) && number_of(r.field[2], r.len[2], ret_gid))
            return true;
    return false;
}

struct gids {
    uint32_t *items;
    size_t n, cap;
};

static void gid_add(struct gids *g, uint32_t gid)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i] == gid)
            return;
    if (g->n >= IMAGE_USER_GROUPS_MAX)
        return;
    g->items = mem_grow(g->items, &g->cap, g->n + 1, sizeof(*g->items));
    g->items[g->n++] = gid;
}

static bool list_has(const char *list, size_t len, const char *name, size_t name_len)
{
    for (size_t start = 0; start <= len;) {
        size_t stop = start;
        while (stop < len && list[stop] != ',')
            stop++;
        if (stop - start == name_len && memcmp(list + start, name, name_len) == 0)
            return true;
        start = stop + 1;
    }
    return false;
}

/* The groups whose member list has the user. */
static void gids_of_member(const char *group, const struct account *a, struct gids *g)
{
    struct row r;
    uint32_t gid;

    while (row_next(&group, &r))
        if (r.n >= 4 && number_of(r.field[2], r.len[2], &gid) &&
            list_has(r.field[3], r.len[3], a->name, a->name_len))
            gid_add(g, gid);
}

int image_user_check(const struct image_user_spec *s, struct err *err)
{
    bool user = s->uid_set || (s->username && s->username[0]);

    if (s->gid_set && !user)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "run_as_group %lld is given without run_as_user or run_as_username; give one of them",
                       (long long)s->gid);
    if (s->uid_set && (s->uid < 0 || s->uid > ID_LIMIT))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "run_as_user %lld is not between 0 and %d",
                       (long long)s->uid, ID_LIMIT);
    if (s->gid_set && (s->gid < 0 || s->gid > ID_LIMIT))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "run_as_group %lld is not between 0 and %d",
                       (long long)s->gid, ID_LIMIT);
    if (s->supplemental_groups_n > IMAGE_USER_GROUPS_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%zu supplemental groups are more than %d",
                       s->supplemental_groups_n, IMAGE_USER_GROUPS_MAX);
    for (size_t i = 0; i < s->supplemental_groups_n; i++)
        if (s->supplemental_groups[i] < 0 || s->supplemental_groups[i] > ID_LIMIT)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "supplemental group %lld is not between 0 and %d",
                           (long long)s->supplemental_groups[i], ID_LIMIT);
    return 0;
}

/* The request's user and group over the image's, as text: "" where not given. */
static void choose(const struct image_user_spec *s, char user[static NAME_MAX_LEN],
                   char group[static NAME_MAX_LEN])
{
    const char *image = s->image_user ? s->image_user : "";
    size_t colon = strcspn(image, ":");

    group[0] = '\0';
    if (s->username && s->username[0])
        snprintf(user, NAME_MAX_LEN, "%s", s->username);
    else if (s->uid_set)
        snprintf(user, NAME_MAX_LEN, "%lld", (long long)s->uid);
    else {
        snprintf(user, NAME_MAX_LEN, "%.*s", (int)(colon > NAME_MAX_LEN ? NAME_MAX_LEN : colon), image);
        if (image[colon])
            snprintf(group, NAME_MAX_LEN, "%s", image + colon + 1);
    }
    if (s->gid_set)
        snprintf(group, NAME_MAX_LEN, "%lld", (long long)s->gid);
}

/* A number that passwd also has as a name is a number. */
static int account_of(const char *user, const char *passwd, struct account *ret, struct err *err)
{
    uint32_t uid = 0;
    size_t n = strlen(user);

    if (n == 0 || number_of(user, n, &uid)) {
        if (!account_find(passwd, NULL, 0, true, uid, ret))
            *ret = (struct account){.uid = uid};
        return 0;
    }
    if (account_find(passwd, user, n, false, 0, ret))
        return 0;
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "user \"%.100s\" is not in the image's /etc/passwd; use a number, or a name that is", user);
}

int image_user_resolve(const struct image_user_spec *s, const char *passwd, const char *group,
                       struct image_user *ret_user, struct err *err)
{
    char user[NAME_MAX_LEN], group_name[NAME_MAX_LEN];
    struct account a;
    struct gids g = {0};
    int r = image_user_check(s, err);

    if (r < 0)
        return r;
    choose(s, user, group_name);
    if ((r = account_of(user, passwd, &a, err)) < 0)
        return r;
    size_t n = strlen(group_name);
    if (n && !number_of(group_name, n, &a.gid) && !group_find(group, group_name, n, &a.gid))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "group \"%.100s\" is not in the image's /etc/group; use a number, or a name that is",
                       group_name);
    gid_add(&g, a.gid);
    if (!s->strict && a.name)
        gids_of_member(group, &a, &g);
    for (size_t i = 0; i < s->supplemental_groups_n; i++)
        gid_add(&g, (uint32_t)s->supplemental_groups[i]);
    *ret_user = (struct image_user){
        .uid = a.uid,
        .gid = a.gid,
        .groups = g.items,
        .groups_n = g.n,
        .home = a.home_len ? mem_strndup(a.home, a.home_len) : mem_strdup("/"),
    };
    return 0;
}

void image_user_done(struct image_user *u)
{
    free(u->groups);
    free(u->home);
    *u = (struct image_user){0};
}
