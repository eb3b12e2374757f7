/* SPDX-License-Identifier: Apache-2.0 */
/* How is a state made once, and what several states accept made one state? See doc/grammar.md.
 *
 * A state is whether a sentence may end in it and where each label leads. Two that accept the same are the same
 * (pn_builder_intern), so that what sentences have in common at their ends is shared at once. The union of states, made
 * once too, shares their beginnings; it is the subset construction, over all of the states at a time. */
#include <stdlib.h>
#include <string.h>

#include "graph_build.h"

enum { MAX_SCAN = 24 }; /* as many arcs are sorted one by one */

/* ---- states, each made once -------------------------------------------------------------------------------------- */

static uint32_t mix(uint32_t hash, int32_t value)
{
    hash = (hash ^ (uint32_t)value) * 0x9e3779b1u;
    return hash ^ (hash >> 15);
}

static uint32_t hash_state(int32_t final, const pn_arc *arcs, int32_t n)
{
    uint32_t hash = mix(0, final);
    for (int32_t i = 0; i < n; i++)
        hash = mix(mix(hash, arcs[i].label), arcs[i].next);
    return hash;
}

static uint32_t hash_members(const int32_t *members, int32_t n)
{
    uint32_t hash = 0;
    for (int32_t i = 0; i < n; i++)
        hash = mix(hash, members[i]);
    return hash;
}

static void put(int32_t *table, int32_t n_buckets, uint32_t hash, int32_t index)
{
    uint32_t i = hash & (uint32_t)(n_buckets - 1);
    while (table[i] != PN_NONE)
        i = (i + 1) & (uint32_t)(n_buckets - 1);
    table[i] = index;
}

static void grow_state_table(pynna_builder *b)
{
    b->state_buckets *= 2;
    memset(b->state_table, 0xff, (size_t)b->state_buckets * sizeof(int32_t));
    for (int32_t s = 0; s < b->n_states; s++)
        put(b->state_table, b->state_buckets,
            hash_state(b->states[s].final, b->arcs + b->states[s].first, b->states[s].n_arcs), s);
}

static void grow_merger_table(pynna_builder *b)
{
    b->merger_buckets *= 2;
    memset(b->merger_table, 0xff, (size_t)b->merger_buckets * sizeof(int32_t));
    for (int32_t m = 0; m < b->n_mergers; m++)
        put(b->merger_table, b->merger_buckets, hash_members(b->members + b->mergers[m].first, b->mergers[m].n), m);
}

/* The state with these arcs, which are sorted by label; PN_NONE if there is no room. */
int32_t pn_builder_intern(pynna_builder *b, int32_t final, const pn_arc *arcs, int32_t n)
{
    const uint32_t hash = hash_state(final, arcs, n), mask = (uint32_t)(b->state_buckets - 1);
    for (uint32_t i = hash & mask; b->state_table[i] != PN_NONE; i = (i + 1) & mask) {
        const pn_state *s = &b->states[b->state_table[i]];
        if (s->final == final && s->n_arcs == n
            && (n == 0 || memcmp(b->arcs + s->first, arcs, (size_t)n * sizeof(pn_arc)) == 0))
            return b->state_table[i];
    }
    if (b->n_states == b->max_states || n > b->max_arcs - b->n_arcs)
        return pn_builder_fail(b);
    if (2 * (b->n_states + 1) > b->state_buckets)
        grow_state_table(b);
    b->states[b->n_states] = (pn_state){b->n_arcs, n, final};
    if (n > 0)
        memcpy(b->arcs + b->n_arcs, arcs, (size_t)n * sizeof(pn_arc));
    b->n_arcs += n;
    put(b->state_table, b->state_buckets, hash, b->n_states);
    return b->n_states++;
}

/* ---- unions ------------------------------------------------------------------------------------------------------ */

static int by_label(const void *a, const void *b)
{
    const pn_arc *x = a, *y = b;
    return x->label != y->label ? (x->label > y->label) - (x->label < y->label)
                                : (x->next > y->next) - (x->next < y->next);
}

static int by_number(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void pn_builder_sort_arcs(pn_arc *arcs, int32_t n)
{
    if (n > MAX_SCAN) {
        qsort(arcs, (size_t)n, sizeof(pn_arc), by_label);
        return;
    }
    for (int32_t i = 1; i < n; i++)
        for (int32_t k = i; k > 0 && by_label(&arcs[k - 1], &arcs[k]) > 0; k--) {
            const pn_arc other = arcs[k];
            arcs[k] = arcs[k - 1];
            arcs[k - 1] = other;
        }
}

static int32_t find_merger(const pynna_builder *b, const int32_t *members, int32_t n)
{
    const uint32_t mask = (uint32_t)(b->merger_buckets - 1);
    for (uint32_t i = hash_members(members, n) & mask; b->merger_table[i] != PN_NONE; i = (i + 1) & mask) {
        const pn_merger *m = &b->mergers[b->merger_table[i]];
        if (m->n == n && memcmp(b->members + m->first, members, (size_t)n * sizeof(int32_t)) == 0)
            return b->merger_table[i];
    }
    return PN_NONE;
}

static int32_t n_arcs_of(const pynna_builder *b, const int32_t *members, int32_t n)
{
    int64_t total = 0;
    for (int32_t i = 0; i < n; i++)
        total += b->states[members[i]].n_arcs;
    return total > b->max_states ? b->max_states : (int32_t)total;
}

/* The union of the n states, ascending, that stand behind `members`, if it is known; else PN_NONE, and a frame is
 * begun. */
static int32_t begin_union(pynna_builder *b, int32_t n)
{
    int32_t *members = b->members + b->n_members;
    if (n == 1)
        return members[0];
    const int32_t known = find_merger(b, members, n);
    if (known != PN_NONE)
        return b->mergers[known].result;
    const int32_t n_arcs = n_arcs_of(b, members, n);
    if (b->n_mergers == b->max_states || b->n_frames == PN_MAX_DEPTH || n_arcs > b->max_states - b->n_work)
        return pn_builder_fail(b);
    if (2 * (b->n_mergers + 1) > b->merger_buckets)
        grow_merger_table(b);
    pn_arc *arcs = b->work + b->n_work;
    for (int32_t i = 0, k = 0; i < n; i++)
        for (int32_t a = 0; a < b->states[members[i]].n_arcs; a++)
            arcs[k++] = b->arcs[b->states[members[i]].first + a];
    pn_builder_sort_arcs(arcs, n_arcs);
    put(b->merger_table, b->merger_buckets, hash_members(members, n), b->n_mergers);
    b->mergers[b->n_mergers] = (pn_merger){b->n_members, n, PN_NONE};
    b->frames[b->n_frames++] = (pn_union_frame){b->n_mergers++, b->n_work, b->n_work, b->n_work, b->n_work + n_arcs, 0};
    b->n_members += n;
    b->n_work += n_arcs;
    return PN_NONE;
}

static int32_t end_union(pynna_builder *b)
{
    const pn_union_frame *f = &b->frames[--b->n_frames];
    pn_merger *m = &b->mergers[f->merger];
    int32_t final = 0;
    for (int32_t i = 0; i < m->n; i++)
        final |= b->states[b->members[m->first + i]].final;
    b->n_work = f->first;
    return m->result = pn_builder_intern(b, final, b->work + f->first, f->out - f->first);
}

/* The arcs of one label, the next to be seen to, as one. */
static void merge_label(pynna_builder *b)
{
    pn_union_frame *f = &b->frames[b->n_frames - 1];
    int32_t *members = b->members + b->n_members, n = 0;
    f->label = b->work[f->at].label;
    for (; f->at < f->end && b->work[f->at].label == f->label; f->at++) {
        if (n > 0 && members[n - 1] == b->work[f->at].next)
            continue;
        if (n == 4 * b->max_states - b->n_members) {
            pn_builder_fail(b);
            return;
        }
        members[n++] = b->work[f->at].next;
    }
    const int32_t known = begin_union(b, n);
    if (known != PN_NONE)
        b->work[f->out++] = (pn_arc){f->label, known};
}

int32_t pn_builder_unite(pynna_builder *b, const int32_t *states, int32_t n)
{
    if (n > 4 * b->max_states - b->n_members)
        return pn_builder_fail(b);
    int32_t *members = b->members + b->n_members, n_distinct = 0;
    memcpy(members, states, (size_t)n * sizeof(int32_t));
    qsort(members, (size_t)n, sizeof(int32_t), by_number);
    for (int32_t i = 0; i < n; i++)
        if (n_distinct == 0 || members[n_distinct - 1] != members[i])
            members[n_distinct++] = members[i];
    const int32_t base = b->n_frames;
    int32_t result = begin_union(b, n_distinct);
    while (b->n_frames > base && !b->failed) {
        if (b->frames[b->n_frames - 1].at < b->frames[b->n_frames - 1].end) {
            merge_label(b);
            continue;
        }
        result = end_union(b);
        if (b->n_frames > base && result != PN_NONE) {
            pn_union_frame *f = &b->frames[b->n_frames - 1];
            b->work[f->out++] = (pn_arc){f->label, result};
        }
    }
    return b->failed ? PN_NONE : result;
}
