/* Removes what no row of the store names: the leftovers of a store that was lost, or put back from an older copy. */
#pragma once
#include "handlers/daemon.h"

/* Call once the pods and containers are loaded. Everything goes on in the background and is logged. */
void sweep_start(struct daemon *d);
