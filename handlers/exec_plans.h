/*
 * The exec plan of each container (core/exec_plan_make.h): made by a child when the first command wants it, and kept as
 * STATE/containers/ID/exec.plan. It takes some 10 KiB, so it is read for each command rather than kept in memory.
 */
#pragma once
#include "core/buf.h"
#include "handlers/containers.h"

/* Reads it. NOT_FOUND: exec_plan_build() makes it. UNIMPLEMENTED: commands in this container go by the OCI runtime; says why. */
int exec_plan_load(struct container *c, struct buf *ret_plan, struct err *err) must_check;
/* Calls fn(data) once, later: exec_plan_load() has an answer then, unless the building failed. */
void exec_plan_build(struct container *c, void (*fn)(void *data), void *data);
