/* SPDX-License-Identifier: Apache-2.0 */
/* See verify.c. */
#ifndef PN_VERIFY_H
#define PN_VERIFY_H

#include "mac_array.h"

enum { PN_MAX_KERNELS = 8 }; /* in one build */

#ifdef PYNNA_VERIFY
/* Kernels that do what those do, and compare it with the reference; `place` is theirs in the table. */
const pn_kernels *pn_verified(const pn_kernels *fast, int place);
#else
static inline const pn_kernels *pn_verified(const pn_kernels *fast, int place)
{
    (void)place;
    return fast;
}
#endif

#endif
