/*
 * Which user a container's process is: the request's choice over the image's, looked up in the image's own /etc/passwd and
 * /etc/group. Pure; the text is from an image, so anything may stand in it: malformed lines are skipped.
 *
 * Rules (those of containerd): a user that is only a number and not in passwd has group 0; a name must be found; a group is a
 * number or a name in /etc/group; the primary group is always among the additional ones. Merge adds the groups that
 * /etc/group gives to the user, Strict does not.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IMAGE_USER_FILE_MAX = 1 << 20, IMAGE_USER_GROUPS_MAX = 65536 }; /* NGROUPS_MAX */

struct image_user_spec {
    const char *image_user; /* "user[:group]" of the image's config; NULL or "": root */
    const char *username;   /* run_as_username; NULL or "": not given */
    bool uid_set, gid_set;
    int64_t uid, gid; /* run_as_user, run_as_group */
    const int64_t *supplemental_groups;
    size_t supplemental_groups_n;
    bool strict; /* SupplementalGroupsPolicy */
};

struct image_user {
    uint32_t uid, gid;
    uint32_t *groups; /* additional_gids: primary first, no duplicates */
    size_t groups_n;
    char *home; /* of passwd; "/" where it has none */
};

/* The spec's own faults: a group without a user, numbers out of range. Checked by image_user_resolve() too. */
int image_user_check(const struct image_user_spec *s, struct err *err) must_check;
/* passwd and group: file contents of the image, "" when it has none. */
int image_user_resolve(const struct image_user_spec *s, const char *passwd, const char *group,
                       struct image_user *ret_user, struct err *err) must_check;
void image_user_done(struct image_user *u);
