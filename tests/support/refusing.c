/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: refuses the n-th aligned allocation from now on, and counts those that are not given back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

enum { MAX_BLOCKS = 4096 };
static void *out[MAX_BLOCKS];
static long left = -1;

void refuse(long n)
{
    left = n;
}

/* Allocations still to come before one is refused; -1: it was. */
long refuse_left(void)
{
    return left;
}

int live_blocks(void)
{
    int n = 0;
    for (int i = 0; i < MAX_BLOCKS; i++)
        n += out[i] != NULL;
    return n;
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    static int (*real)(void **, size_t, size_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "posix_memalign");
    if (left >= 0 && left-- == 0)
        return ENOMEM;
    const int status = real(p, alignment, size);
    for (int i = 0; status == 0 && i < MAX_BLOCKS; i++)
        if (out[i] == NULL) {
            out[i] = *p;
            break;
        }
    return status;
}

void free(void *p)
{
    static void (*real)(void *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "free");
    for (int i = 0; p != NULL && i < MAX_BLOCKS; i++)
        if (out[i] == p) {
            out[i] = NULL;
            break;
        }
    real(p);
}
