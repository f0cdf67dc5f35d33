/*
 * Signals by name, by Linux number, and by the number of CRI's enum Signal (runtime.v1, ContainerConfig.stop_signal).
 * Real-time signals are counted as every container's tools do: SIGRTMIN is 34, SIGRTMAX 64.
 */
#pragma once
#include "core/err.h"

/* "SIGTERM", "TERM", "term", "15", "SIGRTMIN+3", "RTMAX-1" -> 1 to 64. INVALID_ARGUMENT otherwise, also for NULL and "". */
int signal_parse(const char *s, int *ret_signal, struct err *err) must_check;

/* "SIGTERM", "SIGRTMIN+3"; NULL for what is no signal. Constant. */
const char *signal_name(int signal);

/* 0 (SIGNAL_RUNTIME_DEFAULT) gives 0: none asked for; a number that the enum does not have gives -1. */
int signal_of_cri(int cri);
/* 0 for what is no signal, and for those (32, 33) that the enum lacks. */
int signal_to_cri(int signal);
