/* What a start after a stop, a crash or a reboot does, before the first call is served. */
#pragma once
#include "handlers/daemon.h"

/*
 * Reads the pods and containers of the store and reconciles them with the world: objects of an earlier boot are stopped;
 * what was being made is undone from the journaled step on; the keepers of the others are found again, with the exits that
 * nobody has heard of; directories that no row names are cleaned up. on_done comes when lists tell the truth; undoing goes on.
 */
int recover_start(struct daemon *d, void (*on_done)(void *data), void *data, struct err *err) must_check;
