#include "handlers/rpc.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/methods.h"
#include "loop/h2o_bridge.h"
#include "proto/grpc_frame.h"
#include "proto/message_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/*
 * What a request may take when it is unpacked. A message of the smallest repeated items grows by a factor of 100, so
 * the limit on its bytes says nothing about memory.
 */
static const size_t UNPACK_MAX = 4 * (size_t)GRPC_MESSAGE_MAX;

/* The whole of a call; handlers see its first member. It lives in the bridge call's pool. */
struct call {
    struct rpc rpc;
    struct timer deadline;
    int64_t timeout_us;
    bool ended;
    void (*on_gone)(void *data);
    void *gone_data;
};

/* What happens often and is the caller's business is not the log's. The kubelet asks for removed containers all day. */
static enum log_level level_of(int grpc)
{
    switch (grpc) {
    case GRPC_NOT_FOUND:
    case GRPC_CANCELLED:
    case GRPC_UNIMPLEMENTED:
        return LOG_LEVEL_DEBUG;
    case GRPC_UNKNOWN:
    case GRPC_INTERNAL:
    case GRPC_DATA_LOSS:
        return LOG_LEVEL_ERROR;
    default:
        return LOG_LEVEL_WARN;
    }
}

static void fail(struct bridge_call *b, const char *name, const struct err *err)
{
    cleanup_free char *message = grpc_message_encode(err->msg);

    log_at(level_of(err->grpc), "%s: %s: %s", name, grpc_code_name(err->grpc), err->msg);
    bridge_call_finish(b, err->grpc, message);
}

/* Marks the end of the handler's part; false if it had ended. */
static bool end(struct call *c)
{
    if (c->ended)
        return false;
    c->ended = true;
    c->on_gone = NULL;
    timer_stop(&c->deadline);
    return true;
}

void rpc_fail(struct rpc *rpc, const struct err *err)
{
    struct call *c = (struct call *)rpc;

    if (end(c))
        fail(rpc->call, rpc->method->name, err);
}

static void refuse_size(struct rpc *rpc, size_t n)
{
    struct err err;

    err_set(&err, GRPC_RESOURCE_EXHAUSTED, 0,
            "the reply has %zu bytes and clients accept %d: ask for less by a filter, or use the streaming "
            "form of the list",
            n, GRPC_MESSAGE_MAX);
    rpc_fail(rpc, &err);
}

/* Takes the frame, whose prefix is not filled in yet. */
static void send_frame(struct rpc *rpc, uint8_t *frame, size_t n)
{
    grpc_frame_prefix(frame, (uint32_t)n);
    bridge_call_send_owned(rpc->call, frame, GRPC_FRAME_PREFIX + n);
    if (end((struct call *)rpc))
        bridge_call_finish(rpc->call, GRPC_OK, NULL);
}

void rpc_reply(struct rpc *rpc, const ProtobufCMessage *reply)
{
    size_t n;

    if (((struct call *)rpc)->ended)
        return;
    uint8_t *frame = message_text_pack(reply, GRPC_FRAME_PREFIX, GRPC_MESSAGE_MAX, &n);
    if (frame)
        send_frame(rpc, frame, n);
    else
        refuse_size(rpc, n);
}

void rpc_reply_pieces(struct rpc *rpc, const struct rpc_piece *pieces, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += pieces[i].n;
    if (((struct call *)rpc)->ended)
        return;
    if (n > GRPC_MESSAGE_MAX) {
        refuse_size(rpc, n);
        return;
    }
    uint8_t *frame = mem_alloc(GRPC_FRAME_PREFIX + n), *at = frame + GRPC_FRAME_PREFIX;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, pieces[i].p, pieces[i].n);
        at += pieces[i].n;
    }
    send_frame(rpc, frame, n);
}

void rpc_on_gone(struct rpc *rpc, void (*fn)(void *data), void *data)
{
    struct call *c = (struct call *)rpc;

    c->on_gone = fn;
    c->gone_data = data;
}

void *rpc_alloc(struct rpc *rpc, size_t size)
{
    return memset(bridge_call_alloc(rpc->call, size ? size : 1), 0, size);
}

char *rpc_strdup(struct rpc *rpc, const char *s)
{
    if (!s)
        return NULL;
    size_t n = strlen(s) + 1;
    return memcpy(rpc_alloc(rpc, n), s, n);
}

char *rpc_printf(struct rpc *rpc, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = rpc_alloc(rpc, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

/* Tells the handler that nobody waits any more. */
static void abandon(struct call *c)
{
    void (*fn)(void *data) = c->on_gone;

    if (end(c) && fn)
        fn(c->gone_data);
}

static void on_bridge_gone(void *data, bool finished)
{
    (void)finished;
    abandon(data);
}

static void on_deadline(void *data)
{
    struct call *c = data;
    struct err err;

    err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "%s did not end within the %" PRId64 " ms that the client gave it",
            c->rpc.method->name, (c->timeout_us + 999) / 1000);
    fail(c->rpc.call, c->rpc.method->name, &err);
    abandon(c);
}

/* ---- a request's way to its handler ------------------------------------------------------------------------------ */

struct arena {
    struct bridge_call *call;
    size_t left;
    bool exhausted;
};

static void *arena_alloc(void *data, size_t n)
{
    struct arena *a = data;

    if (n > a->left) {
        a->exhausted = true;
        return NULL;
    }
    a->left -= n;
    return bridge_call_alloc(a->call, n ? n : 1);
}

static void arena_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

/* "application/grpc", "+proto" behind it, parameters behind that. */
static bool is_grpc(const char *content_type)
{
    static const char grpc[] = "application/grpc", proto[] = "+proto";

    if (!content_type || strncmp(content_type, grpc, sizeof(grpc) - 1) != 0)
        return false;
    content_type += sizeof(grpc) - 1;
    if (strncmp(content_type, proto, sizeof(proto) - 1) == 0)
        content_type += sizeof(proto) - 1;
    return *content_type == '\0' || *content_type == ';' || *content_type == ' ';
}

/* True if it was no gRPC call and has been answered. */
static bool refuse_http(struct bridge_call *b)
{
    const char *content_type = bridge_call_header(b, "content-type");

    if (strcmp(bridge_call_method(b), "POST") != 0) {
        log_debug("%s %s refused: gRPC calls are POST", bridge_call_method(b), bridge_call_path(b));
        bridge_call_refuse(b, 405, "this is a gRPC server: use POST\n");
        return true;
    }
    if (!is_grpc(content_type)) {
        log_debug("%s refused: content-type %s", bridge_call_path(b),
                  content_type ? content_type : "is absent");
        bridge_call_refuse(b, 415, "this is a gRPC server: use content-type application/grpc\n");
        return true;
    }
    return false;
}

static int unpack(struct bridge_call *b, const struct method *m, ProtobufCMessage **ret_request,
                  struct err *err)
{
    const uint8_t *message;
    size_t n, body_n;
    const char *field;
    const void *body = bridge_call_body(b, &body_n);
    struct arena arena = {.call = b, .left = UNPACK_MAX};
    ProtobufCAllocator allocator = {.alloc = arena_alloc, .free = arena_free, .allocator_data = &arena};

    int rc = grpc_frame_parse(body, body_n, &message, &n, err);
    if (rc < 0)
        return rc;
    const ProtobufCMessageDescriptor *type = m->descriptor->input;
    ProtobufCMessage *request = protobuf_c_message_unpack(type, &allocator, n, message);
    if (!request && arena.exhausted)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0,
                       "a %s of %zu bytes takes more than %zu when unpacked: send fewer items",
                       type->short_name, n, UNPACK_MAX);
    if (!request)
        return err_set(err, GRPC_INTERNAL, 0, "the request's %zu bytes are no %s", n, type->short_name);
    if (!message_text_is_valid(request, &field))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "field %s of %s is not UTF-8", field, type->short_name);
    *ret_request = request;
    return 0;
}

static int read_timeout(struct bridge_call *b, int64_t *ret_us, struct err *err)
{
    const char *s = bridge_call_header(b, "grpc-timeout");

    *ret_us = -1;
    if (s && grpc_timeout_parse(s, ret_us) < 0)
        return err_set(err, GRPC_INTERNAL, 0,
                       "grpc-timeout is \"%.32s\": it has up to eight digits and one of H M S m u n", s);
    return 0;
}

static int find(const char *path, const struct method **ret_method, struct err *err)
{
    const struct method *m = method_find(path);

    if (!m)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "%.200s is not known to cricket " CRICKET_VERSION, path);
    if (!m->handle)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "%s is not implemented by cricket " CRICKET_VERSION,
                       m->name);
    *ret_method = m;
    return 0;
}

/* A client may send a hundred calls at once; each may start a process. */
struct postponed {
    struct call *call; /* NULL: gone meanwhile */
};

static void postponed_gone(void *data)
{
    struct postponed *p = data;
    p->call = NULL;
}

static void handle_postponed(void *data)
{
    struct postponed *p = data;
    struct call *c = p->call;

    free(p);
    if (!c)
        return;
    rpc_on_gone(&c->rpc, NULL, NULL);
    c->rpc.method->handle(&c->rpc);
}

static void postpone(struct call *c)
{
    struct postponed *p = mem_new(struct postponed);

    p->call = c;
    rpc_on_gone(&c->rpc, postponed_gone, p);
    loop_defer(c->rpc.daemon->loop, handle_postponed, p);
}

void rpc_dispatch(void *daemon, struct bridge_call *b)
{
    struct daemon *d = daemon;
    const struct method *m = NULL;
    ProtobufCMessage *request = NULL;
    int64_t timeout_us = -1;
    struct err err;

    if (refuse_http(b))
        return;
    if (find(bridge_call_path(b), &m, &err) < 0 || read_timeout(b, &timeout_us, &err) < 0 ||
        unpack(b, m, &request, &err) < 0) {
        fail(b, m ? m->name : "call", &err);
        return;
    }
    struct call *c = memset(bridge_call_alloc(b, sizeof(*c)), 0, sizeof(*c));
    c->rpc = (struct rpc){.daemon = d, .method = m, .request = request, .call = b};
    c->timeout_us = timeout_us;
    bridge_call_on_gone(b, on_bridge_gone, c);
    if (timeout_us >= 0)
        timer_start(&c->deadline, d->loop, (double)timeout_us / 1e6, on_deadline, c);
    if (loop_turn_is_long(d->loop))
        postpone(c);
    else
        m->handle(&c->rpc);
}
