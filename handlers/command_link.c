#include "handlers/command_link.h"
#include "core/mem.h"

struct command_link *command_link_new(const struct command_link_spec *spec,
                                      const struct command_link_events *events, void *data)
{
    struct command_link *l = mem_new(struct command_link);

    *l = (struct command_link){
        .kind = spec->protocol->transport == STREAM_SPDY ? &command_spdy : &command_websocket,
        .conn = spec->conn,
        .events = *events,
        .data = data,
    };
    l->self = l->kind->make(l, spec);
    return l;
}

struct stream_conn *command_link_conn(struct command_link *l)
{
    return l->conn;
}

void command_link_write(struct command_link *l, enum channel_number channel, const void *p, size_t n)
{
    l->kind->write(l->self, channel, p, n);
}

void command_link_ping(struct command_link *l)
{
    l->kind->ping(l->self);
}

void command_link_finish(struct command_link *l, const char *status)
{
    l->kind->finish(l->self, status);
    free(l);
}

void command_link_free(struct command_link *l)
{
    if (!l)
        return;
    l->kind->free(l->self);
    free(l);
}
