/* SPDX-License-Identifier: Apache-2.0 */
#include "ctc_rank.h"

#include <math.h>

enum {
    MAX_INSERTION = 24, /* up to here insertion beats everything else */
    MAX_ONE_BY_ONE = 3, /* so many are found one by one */
    BUCKETS = 64
};

static int before(const pn_ranked *a, const pn_ranked *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    return a->slot != b->slot ? a->slot < b->slot : a->label < b->label;
}

static void swap(pn_ranked *a, pn_ranked *b)
{
    const pn_ranked t = *a;
    *a = *b;
    *b = t;
}

static void insertion_sort(pn_ranked *items, int32_t n)
{
    for (int32_t i = 1; i < n; i++) {
        const pn_ranked item = items[i];
        int32_t j = i;
        for (; j > 0 && before(&item, &items[j - 1]); j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

/* Lets items[i] sink in a heap whose root is the last in order. */
static void sink(pn_ranked *items, int32_t i, int32_t n)
{
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&items[child], &items[child + 1]))
            child++;
        if (!before(&items[i], &items[child]))
            return;
        swap(&items[i], &items[child]);
    }
}

static void heap_sort(pn_ranked *items, int32_t n)
{
    for (int32_t i = n / 2; i-- > 0;)
        sink(items, i, n);
    for (int32_t end = n; end-- > 1;) {
        swap(&items[0], &items[end]);
        sink(items, 0, end);
    }
}

void pn_rank_sort(pn_ranked *items, int32_t n)
{
    if (n <= MAX_INSERTION)
        insertion_sort(items, n);
    else
        heap_sort(items, n);
}

/* Splits items [n], n > 2, at the median of its first, middle and last: returns where the pivot came to stand, what
 * comes before it on its left and the rest on its right. */
static int32_t split(pn_ranked *items, int32_t n)
{
    pn_ranked *first = &items[0], *middle = &items[n / 2], *last = &items[n - 1];
    if (before(middle, first))
        swap(middle, first);
    if (before(last, first))
        swap(last, first);
    if (before(last, middle))
        swap(last, middle);
    swap(middle, last); /* the pivot waits at the end */
    int32_t place = 0;
    for (int32_t i = 0; i < n - 1; i++)
        if (before(&items[i], last))
            swap(&items[i], &items[place++]);
    swap(&items[place], last);
    return place;
}

/* Which of BUCKETS equal parts of the scores' range an item is in, 0 the highest: never a higher one for less. */
static int32_t bucket_of(const pn_ranked *item, double most, double scale)
{
    return (int32_t)((most - item->score) * scale);
}

/* Throws away of items [n] those that are surely not among the k best; returns how many are left. No branch depends on
 * the items, so none is mispredicted. */
static int32_t narrow(pn_ranked *items, int32_t n, int32_t k)
{
    double least = items[0].score, most = items[0].score;
    for (int32_t i = 1; i < n; i++) {
        least = items[i].score < least ? items[i].score : least;
        most = items[i].score > most ? items[i].score : most;
    }
    const double scale = (BUCKETS - 1) / (most - least);
    if (!(scale > 0.0) || !(scale < (double)INFINITY)) /* some are -infinity, or all are equal */
        return n;
    int32_t count[BUCKETS] = {0}, last = 0, place = 0;
    for (int32_t i = 0; i < n; i++)
        count[bucket_of(&items[i], most, scale)]++;
    for (int32_t reached = count[0]; reached < k;)
        reached += count[++last];
    for (int32_t i = 0; i < n; i++) {
        items[place] = items[i];
        place += bucket_of(&items[i], most, scale) <= last;
    }
    return place;
}

/* Throws away the n_out last in order of items [n], one by one. */
static void throw_away(pn_ranked *items, int32_t n, int32_t n_out)
{
    for (; n_out > 0; n_out--) {
        int32_t last = 0;
        for (int32_t i = 1; i < n; i++)
            last = items[i].score > items[last].score || before(&items[i], &items[last]) ? last : i;
        items[last] = items[--n];
    }
}

static void select_by_splits(pn_ranked *items, int32_t n, int32_t k)
{
    int patience = 32; /* splits that may go badly: then the heap, whose time is bounded */
    while (k > 0 && k < n) {
        if (n <= MAX_INSERTION || patience-- == 0) {
            pn_rank_sort(items, n);
            return;
        }
        const int32_t place = split(items, n);
        if (k <= place) {
            n = place;
        } else {
            items += place + 1;
            n -= place + 1;
            k -= place + 1;
        }
    }
}

void pn_rank_select(pn_ranked *items, int32_t n, int32_t k)
{
    if (n > MAX_INSERTION && k > 0 && k < n) {
        n = narrow(items, n, k);
        if (n - k <= MAX_ONE_BY_ONE) {
            throw_away(items, n, n - k);
            return;
        }
    }
    select_by_splits(items, n, k);
}
