/* SPDX-License-Identifier: Apache-2.0 */
/* Running one function on all threads of a pool, and meeting inside of it. */
#ifndef PN_THREADS_H
#define PN_THREADS_H

#include "pynna.h"

typedef void (*pn_task)(void *argument, int32_t thread, int32_t n_threads);

/* Calls task on every thread of the pool (NULL: the caller alone) and returns when all have come back. */
void pn_pool_run(pynna_pool *pool, pn_task task, void *argument);

/* Inside a task: waits until all of the pool's threads are here. What they wrote before, all see after. */
void pn_pool_meet(pynna_pool *pool);

#endif
