#include "proto/exec_status.h"
#include "core/json_doc.h"
#include "core/mem.h"
#include "core/utf8.h"

static char *message_of(const struct exec_status *s)
{
    char *text;

    if (s->failure)
        text = mem_printf("Internal error occurred: %s%s%s", s->doing ? s->doing : "", s->doing ? ": " : "",
                          s->failure->msg);
    else if (s->message)
        text = mem_printf("command terminated with non-zero exit code: %s", s->message);
    else
        text = mem_printf("command terminated with non-zero exit code: exit code %d", s->exit_code);
    utf8_repair(text); /* a message may quote a command line */
    return text;
}

/* Steals what is packed. The order of the members is the reference's. */
static char *dump(json_t *status)
{
    json_t *cleanup_json mine = status;
    char *text = mine ? json_dumps(mine, JSON_COMPACT) : NULL;

    if (!text)
        abort(); /* all text is UTF-8: only memory can be missing */
    return text;
}

static char *status_json(const struct exec_status *s, const char *message)
{
    if (s->failure)
        return dump(json_pack("{s:s, s:s, s:s, s:i}", "status", "Failure", "message", message, "reason",
                              "InternalError", "code", 500));
    if (s->exit_code == 0)
        return dump(json_pack("{s:s}", "status", "Success"));
    cleanup_free char *code = mem_printf("%d", s->exit_code);
    return dump(json_pack("{s:s, s:s, s:s, s:{s:[{s:s, s:s}]}}", "status", "Failure", "message", message,
                          "reason", "NonZeroExitCode", "details", "causes", "reason", "ExitCode", "message",
                          code));
}

char *exec_status_text(enum stream_status kind, const struct exec_status *status)
{
    bool success = !status->failure && status->exit_code == 0;

    if (kind == STREAM_STATUS_NONE || (kind == STREAM_STATUS_TEXT && success))
        return mem_strdup("");
    cleanup_free char *message = message_of(status);
    return kind == STREAM_STATUS_TEXT ? steal_ptr(&message) : status_json(status, message);
}
