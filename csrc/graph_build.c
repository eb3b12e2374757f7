/* SPDX-License-Identifier: Apache-2.0 */
/* How do sentences become a minimal deterministic automaton without cycles? They are put together from their ends to
 * their beginnings; doc/grammar.md.
 *
 * States lead to states of lower numbers alone. Nothing is given back: the room counts what was made on the way. */
#include <string.h>

#include "graph_build.h"

enum { MIN_STATES = 16, MAX_STATES = 1 << 26 };

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static size_t table_size(int32_t n)
{
    size_t size = PN_FIRST_BUCKETS;
    while (size < 2 * (size_t)n)
        size *= 2;
    return size;
}

static pn_builder_layout plan(int32_t max_states)
{
    const size_t n = (size_t)max_states;
    pn_builder_layout at;
    at.end = sizeof(struct pynna_builder);
    at.states = pn_reserve(&at.end, n, sizeof(pn_state));
    at.arcs = pn_reserve(&at.end, 2 * n, sizeof(pn_arc));
    at.members = pn_reserve(&at.end, 4 * n, sizeof(int32_t));
    at.mergers = pn_reserve(&at.end, n, sizeof(pn_merger));
    at.state_table = pn_reserve(&at.end, table_size(max_states), sizeof(int32_t));
    at.merger_table = pn_reserve(&at.end, table_size(max_states), sizeof(int32_t));
    at.work = pn_reserve(&at.end, n, sizeof(pn_arc));
    at.frames = pn_reserve(&at.end, PN_MAX_DEPTH, sizeof(pn_union_frame));
    at.levels = pn_reserve(&at.end, PN_MAX_DEPTH + 1, sizeof(pn_level));
    return at;
}

size_t pynna_builder_size(int32_t max_states)
{
    return max_states < MIN_STATES || max_states > MAX_STATES ? 0 : plan(max_states).end;
}

int pynna_builder_init(void *memory, size_t size, int32_t max_states, int32_t space, pynna_builder **out)
{
    if (memory == NULL || out == NULL || max_states < MIN_STATES || max_states > MAX_STATES || space < PN_NONE)
        return PYNNA_ERR_ARGUMENT;
    const pn_builder_layout at = plan(max_states);
    if (size < at.end || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    char *base = memory;
    pynna_builder *b = memory;
    *b = (pynna_builder){.at = at,
                         .max_states = max_states,
                         .max_arcs = 2 * max_states,
                         .space = space,
                         .state_buckets = PN_FIRST_BUCKETS,
                         .merger_buckets = PN_FIRST_BUCKETS,
                         .states = (pn_state *)(base + at.states),
                         .arcs = (pn_arc *)(base + at.arcs),
                         .members = (int32_t *)(base + at.members),
                         .mergers = (pn_merger *)(base + at.mergers),
                         .state_table = (int32_t *)(base + at.state_table),
                         .merger_table = (int32_t *)(base + at.merger_table),
                         .work = (pn_arc *)(base + at.work),
                         .frames = (pn_union_frame *)(base + at.frames),
                         .levels = (pn_level *)(base + at.levels)};
    memset(b->state_table, 0xff, PN_FIRST_BUCKETS * sizeof(int32_t));
    memset(b->merger_table, 0xff, PN_FIRST_BUCKETS * sizeof(int32_t));
    *out = b;
    return PYNNA_OK;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* What a state accepts, without a space in front. */
static int32_t strip(pynna_builder *b, int32_t s)
{
    const pn_state of = b->states[s];
    for (int32_t i = 0; i < of.n_arcs; i++) {
        if (b->arcs[of.first + i].label != b->space)
            continue;
        const int32_t after = strip(b, b->arcs[of.first + i].next);
        if (after == PN_NONE || (of.n_arcs == 1 && !of.final))
            return after;
        if (of.n_arcs - 1 > b->max_states - b->n_work)
            return pn_builder_fail(b);
        pn_arc *others = b->work + b->n_work;
        int32_t n = 0;
        for (int32_t k = 0; k < of.n_arcs; k++)
            if (k != i)
                others[n++] = b->arcs[of.first + k];
        const int32_t both[2] = {pn_builder_intern(b, of.final, others, n), after};
        return both[0] == PN_NONE ? PN_NONE : pn_builder_unite(b, both, 2);
    }
    return s;
}

/* The label, then what the state accepts; spaces in a row are one, and none ends a sentence. */
static int32_t before(pynna_builder *b, int32_t label, int32_t s)
{
    pn_arc one = {label, s};
    if (label != b->space)
        return pn_builder_intern(b, 0, &one, 1);
    const int32_t stripped = strip(b, s);
    if (stripped == PN_NONE)
        return PN_NONE;
    const pn_state of = b->states[stripped];
    one.next = of.final ? pn_builder_intern(b, 0, b->arcs + of.first, of.n_arcs) : stripped;
    return one.next == PN_NONE ? PN_NONE : pn_builder_intern(b, of.final, &one, of.n_arcs > 0);
}

/* The deepest of the levels as a state, and its label behind the level above. */
static int end_level(pynna_builder *b, int32_t depth, int32_t then)
{
    const pn_level *l = &b->levels[depth];
    const int32_t n = b->n_work - l->first;
    pn_builder_sort_arcs(b->work + l->first, n);
    int32_t made = n == 0 ? then : pn_builder_intern(b, 0, b->work + l->first, n);
    b->n_work = l->first;
    if (made != PN_NONE && l->final && n > 0) {
        const int32_t both[2] = {made, then};
        made = pn_builder_unite(b, both, 2);
    }
    if (made == PN_NONE)
        return 0;
    if (b->n_work == b->max_states)
        return pn_builder_fail(b), 0;
    b->work[b->n_work++] = (pn_arc){l->label, made};
    return 1;
}

static int32_t n_common(const pynna_builder *b, const int32_t *labels, int32_t n, int32_t depth)
{
    int32_t i = 0;
    while (i < n && i < depth && b->levels[i + 1].label == labels[i])
        i++;
    return i;
}

/* One of the texts after the other, each from where it differs from the one before. */
static int32_t fold(pynna_builder *b, const int32_t *labels, const int32_t *ends, int32_t n_texts, int32_t then)
{
    int32_t depth = 0;
    b->levels[0] = (pn_level){b->n_work, 0, PN_NONE};
    for (int32_t t = 0; t <= n_texts; t++) {
        const int32_t first = t > 0 && t < n_texts ? ends[t - 1] : 0, n = t < n_texts ? ends[t] - first : -1;
        const int32_t common = n_common(b, labels + first, n, depth);
        for (; depth > common; depth--)
            if (!end_level(b, depth, then))
                return PN_NONE;
        if (n > PN_MAX_DEPTH)
            return pn_builder_fail(b);
        for (; depth < n; depth++)
            b->levels[depth + 1] = (pn_level){b->n_work, 0, labels[first + depth]};
        if (t < n_texts)
            b->levels[depth].final = 1;
    }
    if (!end_level(b, 0, then))
        return PN_NONE;
    return b->work[--b->n_work].next;
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

static int are_states(const pynna_builder *b, const int32_t *states, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (states[i] < 0 || states[i] >= b->n_states)
            return 0;
    return 1;
}

static int give(pynna_builder *b, int32_t made, int32_t *out)
{
    *out = made;
    return b->failed ? PYNNA_ERR_FULL : PYNNA_OK;
}

int pynna_builder_end(pynna_builder *b, int32_t *out)
{
    if (b == NULL || out == NULL)
        return PYNNA_ERR_ARGUMENT;
    return b->failed ? PYNNA_ERR_FULL : give(b, pn_builder_intern(b, 1, NULL, 0), out);
}

int pynna_builder_before(pynna_builder *b, const int32_t *labels, int32_t n, int32_t then, int32_t *out)
{
    if (b == NULL || out == NULL || n < 0 || (n > 0 && labels == NULL) || !are_states(b, &then, 1))
        return PYNNA_ERR_ARGUMENT;
    if (b->failed)
        return PYNNA_ERR_FULL;
    for (int32_t i = 0; i < n; i++)
        if (labels[i] < PYNNA_FILLER)
            return PYNNA_ERR_ARGUMENT;
    for (int32_t i = n - 1; i >= 0 && then != PN_NONE; i--)
        then = before(b, labels[i], then);
    return give(b, then, out);
}

int pynna_builder_texts(pynna_builder *b, const int32_t *labels, const int32_t *ends, int32_t n_texts, int32_t then,
                        int32_t *out)
{
    if (b == NULL || out == NULL || ends == NULL || n_texts < 1 || !are_states(b, &then, 1))
        return PYNNA_ERR_ARGUMENT;
    for (int32_t t = 0; t < n_texts; t++)
        if (ends[t] < (t > 0 ? ends[t - 1] : 0))
            return PYNNA_ERR_ARGUMENT;
    if (labels == NULL && ends[n_texts - 1] > 0)
        return PYNNA_ERR_ARGUMENT;
    return b->failed ? PYNNA_ERR_FULL : give(b, fold(b, labels == NULL ? ends : labels, ends, n_texts, then), out);
}

int pynna_builder_union(pynna_builder *b, const int32_t *states, int32_t n, int32_t *out)
{
    if (b == NULL || out == NULL || states == NULL || n < 1 || !are_states(b, states, n))
        return PYNNA_ERR_ARGUMENT;
    return b->failed ? PYNNA_ERR_FULL : give(b, pn_builder_unite(b, states, n), out);
}

int pynna_builder_strip(pynna_builder *b, int32_t s, int32_t *out)
{
    if (b == NULL || out == NULL || !are_states(b, &s, 1))
        return PYNNA_ERR_ARGUMENT;
    return b->failed ? PYNNA_ERR_FULL : give(b, strip(b, s), out);
}

/* Numbers the states that `start` reaches, in work[s].next, the others PN_NONE; states lead to lower ones. */
static void number_states(pynna_builder *b, int32_t start, int32_t *n_states, int32_t *n_arcs)
{
    for (int32_t s = 0; s <= start; s++)
        b->work[s].next = s == start ? 0 : PN_NONE;
    for (int32_t s = start; s >= 0; s--)
        for (int32_t a = 0; b->work[s].next != PN_NONE && a < b->states[s].n_arcs; a++)
            b->work[b->arcs[b->states[s].first + a].next].next = 0;
    *n_states = *n_arcs = 0;
    for (int32_t s = 0; s <= start; s++)
        if (b->work[s].next != PN_NONE) {
            b->work[s].next = (*n_states)++;
            *n_arcs += b->states[s].n_arcs;
        }
}

int pynna_builder_graph(pynna_builder *b, int32_t start, int32_t *n_states, int32_t *n_arcs, int32_t *first_arc,
                        int32_t *arc_label, int32_t *arc_next, uint8_t *is_final)
{
    if (b == NULL || n_states == NULL || n_arcs == NULL || !are_states(b, &start, 1))
        return PYNNA_ERR_ARGUMENT;
    number_states(b, start, n_states, n_arcs);
    if (first_arc == NULL)
        return PYNNA_OK;
    if (is_final == NULL || (*n_arcs > 0 && (arc_label == NULL || arc_next == NULL)))
        return PYNNA_ERR_ARGUMENT;
    int32_t n = 0, k = 0;
    for (int32_t s = 0; s <= start; s++) {
        if (b->work[s].next == PN_NONE)
            continue;
        first_arc[n] = k;
        is_final[n++] = (uint8_t)b->states[s].final;
        for (int32_t a = 0; a < b->states[s].n_arcs; a++, k++) {
            arc_label[k] = b->arcs[b->states[s].first + a].label;
            arc_next[k] = b->work[b->arcs[b->states[s].first + a].next].next;
        }
    }
    first_arc[n] = k;
    return PYNNA_OK;
}
