/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the best of many scores: partial selection and sorting, the same order on every machine. Internal. */
#ifndef PYNNA_CTC_RANK_H
#define PYNNA_CTC_RANK_H

#include <stdint.h>

/* A scored pair. Higher scores come first; equal scores by slot, then by label, lower first: a total order, so that the
 * best k of a set do not depend on the order in which it was gathered. */
typedef struct {
    double score;
    int32_t slot, label;
} pn_ranked;

/* Brings the k best of items [n] to its front, in no particular order, and leaves nothing of use behind them; 0 <= k <= n. Linear in n on average, and never
 * worse than n log n. */
void pn_rank_select(pn_ranked *items, int32_t n, int32_t k);

/* Sorts items [n], best first. */
void pn_rank_sort(pn_ranked *items, int32_t n);

#endif
