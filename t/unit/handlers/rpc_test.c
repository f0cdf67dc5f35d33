/* rpc.c against a bridge of our own: a call is a struct, its answer is what was sent and finished. */
#include "handlers/rpc.c"
#include "core/buf.h"
#include "proto/cri.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>

#define V1 "/runtime.v1.RuntimeService/"

struct bridge_call {
    const char *path, *method, *content_type, *timeout;
    const void *body;
    size_t body_n;
    void (*on_gone)(void *data, bool finished);
    void *gone_data;
    void **blocks;
    size_t blocks_n, blocks_cap;
    struct buf sent;
    int status; /* -1: not finished */
    char message[1024];
    int http;
};

const char *bridge_call_path(const struct bridge_call *c)
{
    return c->path;
}

const char *bridge_call_method(const struct bridge_call *c)
{
    return c->method;
}

const char *bridge_call_header(struct bridge_call *c, const char *name)
{
    return strcmp(name, "content-type") == 0   ? c->content_type
           : strcmp(name, "grpc-timeout") == 0 ? c->timeout
                                               : NULL;
}

const void *bridge_call_body(const struct bridge_call *c, size_t *ret_len)
{
    *ret_len = c->body_n;
    return c->body;
}

void *bridge_call_alloc(struct bridge_call *c, size_t size)
{
    c->blocks = mem_grow(c->blocks, &c->blocks_cap, c->blocks_n + 1, sizeof(*c->blocks));
    return c->blocks[c->blocks_n++] = malloc(size);
}

void bridge_call_on_gone(struct bridge_call *c, void (*fn)(void *data, bool finished), void *data)
{
    c->on_gone = fn;
    c->gone_data = data;
}

void bridge_call_send_owned(struct bridge_call *c, void *p, size_t n)
{
    buf_add(&c->sent, p, n);
    free(p);
}

void bridge_call_finish(struct bridge_call *c, int status, const char *message)
{
    assert_int_equal(c->status, -1);
    c->status = status;
    snprintf(c->message, sizeof(c->message), "%s", message ? message : "");
}

void bridge_call_refuse(struct bridge_call *c, int http_status, const char *reason)
{
    (void)reason;
    c->http = http_status;
}

/* ---- a handler that holds its call ------------------------------------------------------------------------------- */

static struct rpc *held;
static int gone;

static void hold(struct rpc *rpc)
{
    held = rpc;
}

static void on_handler_gone(void *data)
{
    (*(int *)data)++;
}

static struct daemon d;

static struct bridge_call call_to(const char *path, const void *body, size_t n)
{
    return (struct bridge_call){.path = path,
                                .method = "POST",
                                .content_type = "application/grpc",
                                .body = body,
                                .body_n = n,
                                .status = -1};
}

static void dispatch(struct bridge_call *c)
{
    held = NULL;
    gone = 0;
    rpc_dispatch(&d, c);
}

static void call_end(struct bridge_call *c)
{
    if (c->on_gone)
        c->on_gone(c->gone_data, c->status >= 0);
    for (size_t i = 0; i < c->blocks_n; i++)
        free(c->blocks[i]);
    free(c->blocks);
    buf_done(&c->sent);
}

static int setup(void **state)
{
    (void)state;
    methods_init();
    ((struct method *)method_find(V1 "Status"))->handle = hold;
    ((struct method *)method_find(V1 "ExecSync"))->handle = hold;
    ((struct method *)method_find(V1 "UpdateContainerResources"))->handle = NULL;
    d.loop = loop_new();
    return log_level_set("error");
}

static int teardown(void **state)
{
    (void)state;
    loop_free(d.loop);
    return 0;
}

static void test_refusals(void **state)
{
    static const struct {
        const char *path, *method, *content_type, *timeout;
        const char *body;
        size_t body_n;
        int http, status;
        const char *says;
    } rows[] = {
        {V1 "Status", "GET", "application/grpc", NULL, "\0\0\0\0\0", 5, 405, -1, ""},
        {V1 "Status", "POST", "application/json", NULL, "\0\0\0\0\0", 5, 415, -1, ""},
        {V1 "Status", "POST", "application/grpc-web", NULL, "\0\0\0\0\0", 5, 415, -1, ""},
        {V1 "Status", "POST", "application/grpc+json", NULL, "\0\0\0\0\0", 5, 415, -1, ""},
        {V1 "Status", "POST", NULL, NULL, "\0\0\0\0\0", 5, 415, -1, ""},
        {V1 "Nothing", "POST", "application/grpc", NULL, "\0\0\0\0\0", 5, 0, GRPC_UNIMPLEMENTED,
         V1 "Nothing is not known to cricket"},
        {V1 "UpdateContainerResources", "POST", "application/grpc", NULL, "\0\0\0\0\0", 5, 0,
         GRPC_UNIMPLEMENTED, "UpdateContainerResources is not implemented by cricket"},
        {V1 "Status", "POST", "application/grpc", "soon", "\0\0\0\0\0", 5, 0, GRPC_INTERNAL, "grpc-timeout"},
        {V1 "Status", "POST", "application/grpc", NULL, "", 0, 0, GRPC_UNIMPLEMENTED, "no message"},
        {V1 "Status", "POST", "application/grpc", NULL, "\0\0\0\0\1\xff", 6, 0, GRPC_INTERNAL,
         "no StatusRequest"},
        {V1 "Status", "POST", "application/grpc", NULL, "\0\1\0\0\1\xff", 6, 0, GRPC_RESOURCE_EXHAUSTED,
         "16777217"},
        {V1 "ExecSync", "POST", "application/grpc", NULL, "\0\0\0\0\4\x0a\2\xc3\x28", 9, 0,
         GRPC_INVALID_ARGUMENT, "container_id"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct bridge_call c = call_to(rows[i].path, rows[i].body, rows[i].body_n);
        c.method = rows[i].method;
        c.content_type = rows[i].content_type;
        c.timeout = rows[i].timeout;
        dispatch(&c);
        assert_null(held);
        assert_int_equal(c.http, rows[i].http);
        assert_int_equal(c.status, rows[i].status);
        assert_non_null(strstr(c.message, rows[i].says));
        call_end(&c);
    }
}

static void test_a_request_that_grows_when_unpacked_is_refused(void **state)
{
    /* an ExecSyncRequest of two million empty arguments: 4 MiB that would take more than 64 */
    enum { N = 4 << 20 };
    cleanup_free char *body = mem_alloc(5 + N);
    struct bridge_call c = call_to(V1 "ExecSync", body, 5 + N);

    (void)state;
    grpc_frame_prefix((uint8_t *)body, N);
    for (size_t i = 0; i < N; i += 2)
        body[5 + i] = 0x12;
    dispatch(&c);
    assert_null(held);
    assert_int_equal(c.status, GRPC_RESOURCE_EXHAUSTED);
    call_end(&c);
}

static void test_requests_are_unpacked_and_replies_packed(void **state)
{
    struct bridge_call c = call_to(V1 "ExecSync", "\0\0\0\0\7\x0a\2id\x12\1a", 12);
    Runtime__V1__ExecSyncResponse reply = RUNTIME__V1__EXEC_SYNC_RESPONSE__INIT;

    (void)state;
    c.content_type = "application/grpc+proto; charset=utf-8";
    dispatch(&c);
    const Runtime__V1__ExecSyncRequest *r = (const Runtime__V1__ExecSyncRequest *)held->request;
    assert_string_equal(r->container_id, "id");
    assert_int_equal(r->n_cmd, 1);
    assert_string_equal(rpc_printf(held, "%s-%d", rpc_strdup(held, "a"), 7), "a-7");
    assert_null(rpc_strdup(held, NULL));
    rpc_on_gone(held, on_handler_gone, &gone);
    reply.exit_code = 3;
    rpc_reply(held, &reply.base);
    assert_int_equal(c.status, GRPC_OK);
    assert_int_equal(c.sent.len, 7);
    assert_memory_equal(c.sent.data, "\0\0\0\0\2\x18\3", 7);
    call_end(&c);
    assert_int_equal(gone, 0);
}

static void test_a_failure_has_its_code_and_message(void **state)
{
    struct bridge_call c = call_to(V1 "Status", "\0\0\0\0\0", 5);
    struct err err;

    (void)state;
    dispatch(&c);
    err_set(&err, GRPC_NOT_FOUND, 0, "100%% gone\n");
    rpc_fail(held, &err);
    assert_int_equal(c.status, GRPC_NOT_FOUND);
    assert_string_equal(c.message, "100%25 gone%0A");
    assert_int_equal(c.sent.len, 0);
    call_end(&c);
}

static void test_a_reply_that_no_client_takes_fails(void **state)
{
    struct bridge_call c = call_to(V1 "ExecSync", "\0\0\0\0\0", 5);
    Runtime__V1__ExecSyncResponse reply = RUNTIME__V1__EXEC_SYNC_RESPONSE__INIT;
    cleanup_free uint8_t *out = mem_alloc(GRPC_MESSAGE_MAX);

    (void)state;
    dispatch(&c);
    reply.stdout.data = out;
    reply.stdout.len = GRPC_MESSAGE_MAX;
    rpc_reply(held, &reply.base);
    assert_int_equal(c.status, GRPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(c.message, "streaming"));
    assert_int_equal(c.sent.len, 0);
    call_end(&c);
}

static void test_a_reply_with_odd_text_is_repaired(void **state)
{
    struct bridge_call c = call_to(V1 "Status", "\0\0\0\0\0", 5);
    char version[] = "v\xff";
    Runtime__V1__VersionResponse reply = RUNTIME__V1__VERSION_RESPONSE__INIT;

    (void)state;
    dispatch(&c);
    reply.version = version;
    rpc_reply(held, &reply.base);
    assert_int_equal(c.status, GRPC_OK);
    assert_memory_equal(c.sent.data, "\0\0\0\0\4\x0a\2v?", 9);
    assert_string_equal(version, "v\xff"); /* the handler's own is left alone */
    call_end(&c);
}

static void test_a_client_that_goes_tells_the_handler_once(void **state)
{
    struct bridge_call c = call_to(V1 "Status", "\0\0\0\0\0", 5);

    (void)state;
    c.timeout = "1H";
    dispatch(&c);
    rpc_on_gone(held, on_handler_gone, &gone);
    call_end(&c);
    assert_int_equal(gone, 1);
    assert_int_equal(c.status, -1);

    c = call_to(V1 "Status", "\0\0\0\0\0", 5);
    dispatch(&c);
    rpc_on_gone(held, on_handler_gone, &gone);
    rpc_on_gone(held, NULL, NULL);
    call_end(&c);
    assert_int_equal(gone, 0);
}

static void stop(void *data)
{
    on_handler_gone(data);
    loop_stop(d.loop);
}

static void test_a_passed_deadline_answers_and_tells_the_handler(void **state)
{
    struct bridge_call c = call_to(V1 "Status", "\0\0\0\0\0", 5);

    (void)state;
    c.timeout = "20m";
    dispatch(&c);
    rpc_on_gone(held, stop, &gone);
    loop_run(d.loop);
    assert_int_equal(gone, 1);
    assert_int_equal(c.status, GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(c.message, "Status did not end within the 20 ms that the client gave it");
    call_end(&c);
    assert_int_equal(gone, 1);
}

static void test_an_answer_stops_the_deadline(void **state)
{
    struct bridge_call c = call_to(V1 "Status", "\0\0\0\0\0", 5);
    Runtime__V1__StatusResponse reply = RUNTIME__V1__STATUS_RESPONSE__INIT;
    struct timer later = {0};

    (void)state;
    c.timeout = "10m";
    dispatch(&c);
    rpc_on_gone(held, on_handler_gone, &gone);
    rpc_reply(held, &reply.base);
    timer_start(&later, d.loop, 0.03, (void (*)(void *))loop_stop, d.loop);
    loop_run(d.loop);
    assert_int_equal(gone, 0);
    assert_int_equal(c.status, GRPC_OK);
    call_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_request_that_grows_when_unpacked_is_refused),
        cmocka_unit_test(test_requests_are_unpacked_and_replies_packed),
        cmocka_unit_test(test_a_failure_has_its_code_and_message),
        cmocka_unit_test(test_a_reply_that_no_client_takes_fails),
        cmocka_unit_test(test_a_reply_with_odd_text_is_repaired),
        cmocka_unit_test(test_a_client_that_goes_tells_the_handler_once),
        cmocka_unit_test(test_a_passed_deadline_answers_and_tells_the_handler),
        cmocka_unit_test(test_an_answer_stops_the_deadline),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
