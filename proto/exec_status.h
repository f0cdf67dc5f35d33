/*
 * What the error stream says at the end of Exec and Attach: since v4 a Status object as JSON, before it text. Pure.
 * Source: the streaming server of Kubernetes (cri-streaming, remotecommand); clients read reason and details.causes.
 */
#pragma once
#include "core/err.h"
#include "proto/stream_protocol.h"
#include <stddef.h>

struct exec_status {
    int exit_code;       /* of the command; ignored where failure is set */
    const char *message; /* with an exit code above 0: more about it, or NULL */
    const char
        *doing; /* with failure: "error executing command in container", "error attaching to container" */
    const struct err *failure; /* the command did not run or was lost; NULL otherwise */
};

/*
 * The bytes for the error stream; the caller frees. JSON: Success, Failure with reason NonZeroExitCode and the code in
 * details.causes, or Failure with reason InternalError and code 500. Text: nothing for success (""), else the message.
 * STREAM_STATUS_NONE gives "".
 */
char *exec_status_text(enum stream_status kind, const struct exec_status *status);
