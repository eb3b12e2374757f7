/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of threads for one step at a time: they spin for a short while, since the next layer or step is microseconds
 * away, then give way, then sleep. Built with PYNNA_NO_THREADS, a pool is the caller's thread alone (firmware). */
#include "threads.h"

#include "model.h"

#ifdef PYNNA_NO_THREADS

struct pynna_pool {
    int32_t n_threads;
};

void pn_pool_run(pynna_pool *pool, pn_task task, void *argument)
{
    (void)pool;
    task(argument, 0, 1);
}

void pn_pool_meet(pynna_pool *pool)
{
    (void)pool;
}

static int start(pynna_pool *pool, int32_t n_threads)
{
    pool->n_threads = 1;
    (void)n_threads;
    return PYNNA_OK;
}

void pynna_pool_stop(pynna_pool *pool)
{
    (void)pool;
}

#else

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { SPINS_AT_MEETING = 4000, SPINS_BEFORE_SLEEP = 20000 };

typedef struct {
    pynna_pool *pool;
    pthread_t handle;
    int32_t number;
} worker;

struct pynna_pool {
    int32_t n_threads;
    pn_task task;
    void *argument;
    _Alignas(64) atomic_uint generation; /* counts runs; a change starts the workers */
    _Alignas(64) atomic_uint arrived;    /* threads at the meeting point */
    _Alignas(64) atomic_uint meeting;    /* counts meetings; a change lets the waiting go on */
    _Alignas(64) atomic_int sleeping;
    atomic_int stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    worker workers[PYNNA_MAX_THREADS];
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void pn_pool_meet(pynna_pool *pool)
{
    if (!pool || pool->n_threads == 1)
        return;
    unsigned meeting = atomic_load_explicit(&pool->meeting, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == (unsigned)pool->n_threads) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&pool->meeting, meeting + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&pool->meeting, memory_order_acquire) == meeting; spins++)
        spins < SPINS_AT_MEETING ? pause_briefly() : (void)sched_yield(); /* the other may wait for this very core */
}

/* Waits for a run that is not `seen`; the counters are sequentially consistent, so that no wake-up is lost. */
static void wait_for_run(pynna_pool *pool, unsigned seen)
{
    for (int spins = 0; spins < SPINS_BEFORE_SLEEP; spins++) {
        if (atomic_load(&pool->generation) != seen)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleeping, 1);
    while (atomic_load(&pool->generation) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void start_run(pynna_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleeping) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void *work(void *argument)
{
    worker *self = argument;
    pynna_pool *pool = self->pool;
    for (unsigned seen = 0;;) {
        wait_for_run(pool, seen);
        seen++;
        if (atomic_load(&pool->stop))
            return NULL;
        pool->task(pool->argument, self->number, pool->n_threads);
        pn_pool_meet(pool);
    }
}

void pn_pool_run(pynna_pool *pool, pn_task task, void *argument)
{
    if (!pool || pool->n_threads == 1) {
        task(argument, 0, 1);
        return;
    }
    pool->task = task;
    pool->argument = argument;
    start_run(pool);
    task(argument, 0, pool->n_threads);
    pn_pool_meet(pool);
}

static void stop_workers(pynna_pool *pool, int32_t n_workers)
{
    atomic_store(&pool->stop, 1);
    start_run(pool);
    for (int32_t i = 0; i < n_workers; i++)
        pthread_join(pool->workers[i].handle, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
}

static int start(pynna_pool *pool, int32_t n_threads)
{
    memset(pool, 0, sizeof *pool);
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (int32_t i = 0; i < n_threads - 1; i++) {
        worker *w = &pool->workers[i];
        w->pool = pool;
        w->number = i + 1;
        if (pthread_create(&w->handle, NULL, work, w) != 0) {
            stop_workers(pool, i);
            return PYNNA_ERR_MEMORY;
        }
    }
    return PYNNA_OK;
}

void pynna_pool_stop(pynna_pool *pool)
{
    if (pool)
        stop_workers(pool, pool->n_threads - 1);
}

#endif

size_t pynna_pool_size(int32_t n_threads)
{
    return n_threads >= 1 && n_threads <= PYNNA_MAX_THREADS ? pn_align64(sizeof(pynna_pool)) : 0;
}

int pynna_pool_init(void *memory, size_t size, int32_t n_threads, pynna_pool **pool)
{
    if (!memory || !pool || n_threads < 1 || n_threads > PYNNA_MAX_THREADS)
        return PYNNA_ERR_ARGUMENT;
    if (size < pynna_pool_size(n_threads) || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    int status = start(memory, n_threads);
    if (status == PYNNA_OK)
        *pool = memory;
    return status;
}

int32_t pynna_pool_threads(const pynna_pool *pool)
{
    return pool ? pool->n_threads : 1;
}
