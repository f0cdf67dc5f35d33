/*
 * Who runs first where processors are short. Shares of them are the business of cgroups: the daemon and what it starts are in
 * one, or in none, and this decides between them.
 */
#pragma once

/*
 * For who answers others: when it wakes up it runs before those that have had their turn, rather than after the next tick of the
 * clock, by asking for turns of 0.1 ms. It gets no more of the processor for that. Linux 6.12; before, nothing changes.
 * What it forks begins as if this had not been called: with turns of the usual length, and niceness 0 where it was negative.
 */
void schedule_promptly(void);

/* For work that nobody waits for by the millisecond: niceness 10 (where it was lower), and waking up interrupts nobody. */
void schedule_in_background(void);
