/* SPDX-License-Identifier: Apache-2.0 */
/* How an object lies in the one block of memory that its caller hands in: arrays one after the other, and indices into
 * them instead of pointers. Internal. */
#ifndef PN_LAYOUT_H
#define PN_LAYOUT_H

#include <stddef.h>

enum { PN_NONE = -1 }; /* the index of nothing */

/* Room for an array at the end of a block; returns where it starts, an address that 64 divides. */
static inline size_t pn_reserve(size_t *end, size_t count, size_t size)
{
    const size_t start = (*end + 63) & ~(size_t)63;
    *end = start + count * size;
    return start;
}

#endif
