/*
 * The error that every fallible function fills, by value, as its last parameter.
 *
 * A function returns 0 or a negative errno; err_set() and err_wrap() return that number, so that `return err_set(...)`
 * is the whole failure path. A message names the object, the value and what to do; it is made once, where the fault is
 * seen, and gets the outer object's name by err_wrap(). The flow or the RPC logs it, once.
 *
 * gRPC codes: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
 */
#pragma once
#include "core/cleanup.h"

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

enum { ERR_MSG_SIZE = 512 };

struct err {
    int grpc; /* enum grpc_code; 0 while no error is set */
    int sys;  /* positive errno behind it, or 0 */
    char msg[ERR_MSG_SIZE];
};

/*
 * Sets *err. With sys != 0, ": strerror(sys)" is appended. Returns -sys, or a fixed negative errno for the code
 * (NOT_FOUND: -ENOENT, INVALID_ARGUMENT: -EINVAL, ...). err may be NULL.
 */
int err_set(struct err *err, int grpc, int sys, const char *fmt, ...) printf_like(4, 5);

/* Like err_set() with a code chosen from the errno: ENOENT gives NOT_FOUND, ENOSPC RESOURCE_EXHAUSTED, others INTERNAL. */
int err_sys(struct err *err, int sys, const char *fmt, ...) printf_like(3, 4);

/* Puts "FMT: " before the message that is there; code and errno stay. Returns the negative errno. */
int err_wrap(struct err *err, const char *fmt, ...) printf_like(2, 3);

/* The negative errno of an error that is set; 0 when none is. */
int err_errno(const struct err *err);

/* "NOT_FOUND" and the like; "CODE(99)"-like text is never returned: unknown codes are "UNKNOWN". */
const char *grpc_code_name(int code);

/* The analyzer cannot know that these always give a negative number. */
#if defined(__clang_analyzer__) && !defined(ERR_IMPLEMENTATION)
#define err_set(...)   ((void)err_set(__VA_ARGS__), -1)
#define err_sys(...)   ((void)err_sys(__VA_ARGS__), -1)
#define err_wrap(...)  ((void)err_wrap(__VA_ARGS__), -1)
#define err_errno(...) ((void)err_errno(__VA_ARGS__), -1)
#endif
