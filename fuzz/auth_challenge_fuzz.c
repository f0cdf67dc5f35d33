/* The same bytes as a header, as a token answer and as a base64 pair. */
#include "core/auth_challenge.h"
#include "core/mem.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_challenges cleanup_auth_challenges l = {0};
    char *cleanup_free text = mem_strndup((const char *)data, size);
    char *cleanup_free user = NULL, *cleanup_free password = NULL;
    struct auth_token token = {0};
    struct err err = {0};

    if (auth_challenges_add(&l, text, &err) < 0)
        assert(l.n == 0 && !strchr(err.msg, '\n'));
    for (size_t i = 0; i < l.n; i++)
        assert(l.items[i].scheme[0]);
    if (auth_token_parse((const char *)data, size, &token, &err) == 0)
        assert(token.token[0] && token.expires_in_s >= 60);
    auth_token_done(&token);
    if (auth_basic_decode(text, &user, &password, &err) == 0)
        assert(user[0] && strlen(user) + strlen(password) < size);
    return 0;
}
