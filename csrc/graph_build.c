/* SPDX-License-Identifier: Apache-2.0 */
/* Minimal deterministic automata without cycles, put together from the ends of their sentences to the beginnings;
 * doc/grammar.md.
 *
 * A state is whether a sentence may end in it and where each label leads, and is made once (`intern`): two that accept
 * the same are the same, so that what sentences have in common at their ends is shared at once. The union of states,
 * made once too, shares their beginnings; it is the subset construction, over all of the states at a time. States lead
 * to states of lower numbers alone. Nothing is given back: the room counts what was made on the way. */
#include <stdlib.h>
#include <string.h>

#include "pynna.h"

enum { NONE = -1, MIN_STATES = 16, MAX_STATES = 1 << 26, MAX_DEPTH = 1 << 16, MAX_SCAN = 24, FIRST_BUCKETS = 1024 };

typedef struct {
    int32_t label, next;
} arc;

typedef struct {
    int32_t first, n_arcs, final; /* arcs[first .. first + n_arcs - 1], by label */
} state;

typedef struct {
    int32_t first, n, result; /* of the states members[first .. first + n - 1], ascending */
} merger;

/* A union under way: work[at .. end - 1] are arcs to be seen to, work[first .. out - 1] those of the union. */
typedef struct {
    int32_t merger, first, at, out, end, label;
} frame;

/* A beginning of the text that was read last: work[first ..] up to the next longer one's are the arcs of what it leads
 * to. */
typedef struct {
    int32_t first, final, label;
} level;

typedef struct {
    size_t states, arcs, members, mergers, state_table, merger_table, work, frames, levels, end;
} layout;

struct pynna_builder {
    layout at;
    int32_t max_states, max_arcs, space;
    int32_t n_states, n_arcs, n_members, n_mergers, n_work, n_frames;
    int32_t state_buckets, merger_buckets; /* of the tables, powers of two */
    int32_t failed;
    state *states;
    arc *arcs;
    int32_t *members;
    merger *mergers;
    int32_t *state_table, *merger_table; /* open addressing: an index, or NONE */
    arc *work;
    frame *frames;
    level *levels;
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static size_t reserve(size_t *end, size_t count, size_t size)
{
    const size_t start = (*end + 63) & ~(size_t)63;
    *end = start + count * size;
    return start;
}

static size_t table_size(int32_t n)
{
    size_t size = FIRST_BUCKETS;
    while (size < 2 * (size_t)n)
        size *= 2;
    return size;
}

static layout plan(int32_t max_states)
{
    const size_t n = (size_t)max_states;
    layout at;
    at.end = sizeof(struct pynna_builder);
    at.states = reserve(&at.end, n, sizeof(state));
    at.arcs = reserve(&at.end, 2 * n, sizeof(arc));
    at.members = reserve(&at.end, 4 * n, sizeof(int32_t));
    at.mergers = reserve(&at.end, n, sizeof(merger));
    at.state_table = reserve(&at.end, table_size(max_states), sizeof(int32_t));
    at.merger_table = reserve(&at.end, table_size(max_states), sizeof(int32_t));
    at.work = reserve(&at.end, n, sizeof(arc));
    at.frames = reserve(&at.end, MAX_DEPTH, sizeof(frame));
    at.levels = reserve(&at.end, MAX_DEPTH + 1, sizeof(level));
    return at;
}

size_t pynna_builder_size(int32_t max_states)
{
    return max_states < MIN_STATES || max_states > MAX_STATES ? 0 : plan(max_states).end;
}

int pynna_builder_init(void *memory, size_t size, int32_t max_states, int32_t space, pynna_builder **out)
{
    if (memory == NULL || out == NULL || max_states < MIN_STATES || max_states > MAX_STATES || space < NONE)
        return PYNNA_ERR_ARGUMENT;
    const layout at = plan(max_states);
    if (size < at.end || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    char *base = memory;
    pynna_builder *b = memory;
    *b = (pynna_builder){.at = at,
                         .max_states = max_states,
                         .max_arcs = 2 * max_states,
                         .space = space,
                         .state_buckets = FIRST_BUCKETS,
                         .merger_buckets = FIRST_BUCKETS,
                         .states = (state *)(base + at.states),
                         .arcs = (arc *)(base + at.arcs),
                         .members = (int32_t *)(base + at.members),
                         .mergers = (merger *)(base + at.mergers),
                         .state_table = (int32_t *)(base + at.state_table),
                         .merger_table = (int32_t *)(base + at.merger_table),
                         .work = (arc *)(base + at.work),
                         .frames = (frame *)(base + at.frames),
                         .levels = (level *)(base + at.levels)};
    memset(b->state_table, 0xff, FIRST_BUCKETS * sizeof(int32_t));
    memset(b->merger_table, 0xff, FIRST_BUCKETS * sizeof(int32_t));
    *out = b;
    return PYNNA_OK;
}

static int32_t fail(pynna_builder *b)
{
    b->failed = 1;
    return NONE;
}

/* ---- states, each made once -------------------------------------------------------------------------------------- */

static uint32_t mix(uint32_t hash, int32_t value)
{
    hash = (hash ^ (uint32_t)value) * 0x9e3779b1u;
    return hash ^ (hash >> 15);
}

static uint32_t hash_state(int32_t final, const arc *arcs, int32_t n)
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
    while (table[i] != NONE)
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

/* The state with these arcs, which are sorted by label; NONE if there is no room. */
static int32_t intern(pynna_builder *b, int32_t final, const arc *arcs, int32_t n)
{
    const uint32_t hash = hash_state(final, arcs, n), mask = (uint32_t)(b->state_buckets - 1);
    for (uint32_t i = hash & mask; b->state_table[i] != NONE; i = (i + 1) & mask) {
        const state *s = &b->states[b->state_table[i]];
        if (s->final == final && s->n_arcs == n
            && (n == 0 || memcmp(b->arcs + s->first, arcs, (size_t)n * sizeof(arc)) == 0))
            return b->state_table[i];
    }
    if (b->n_states == b->max_states || n > b->max_arcs - b->n_arcs)
        return fail(b);
    if (2 * (b->n_states + 1) > b->state_buckets)
        grow_state_table(b);
    b->states[b->n_states] = (state){b->n_arcs, n, final};
    if (n > 0)
        memcpy(b->arcs + b->n_arcs, arcs, (size_t)n * sizeof(arc));
    b->n_arcs += n;
    put(b->state_table, b->state_buckets, hash, b->n_states);
    return b->n_states++;
}

/* ---- unions ------------------------------------------------------------------------------------------------------ */

static int by_label(const void *a, const void *b)
{
    const arc *x = a, *y = b;
    return x->label != y->label ? (x->label > y->label) - (x->label < y->label)
                                : (x->next > y->next) - (x->next < y->next);
}

static int by_number(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void sort_arcs(arc *arcs, int32_t n)
{
    if (n > MAX_SCAN) {
        qsort(arcs, (size_t)n, sizeof(arc), by_label);
        return;
    }
    for (int32_t i = 1; i < n; i++)
        for (int32_t k = i; k > 0 && by_label(&arcs[k - 1], &arcs[k]) > 0; k--) {
            const arc other = arcs[k];
            arcs[k] = arcs[k - 1];
            arcs[k - 1] = other;
        }
}

static int32_t find_merger(const pynna_builder *b, const int32_t *members, int32_t n)
{
    const uint32_t mask = (uint32_t)(b->merger_buckets - 1);
    for (uint32_t i = hash_members(members, n) & mask; b->merger_table[i] != NONE; i = (i + 1) & mask) {
        const merger *m = &b->mergers[b->merger_table[i]];
        if (m->n == n && memcmp(b->members + m->first, members, (size_t)n * sizeof(int32_t)) == 0)
            return b->merger_table[i];
    }
    return NONE;
}

static int32_t n_arcs_of(const pynna_builder *b, const int32_t *members, int32_t n)
{
    int64_t total = 0;
    for (int32_t i = 0; i < n; i++)
        total += b->states[members[i]].n_arcs;
    return total > b->max_states ? b->max_states : (int32_t)total;
}

/* The union of the n states, ascending, that stand behind `members`, if it is known; else NONE, and a frame is
 * begun. */
static int32_t begin_union(pynna_builder *b, int32_t n)
{
    int32_t *members = b->members + b->n_members;
    if (n == 1)
        return members[0];
    const int32_t known = find_merger(b, members, n);
    if (known != NONE)
        return b->mergers[known].result;
    const int32_t n_arcs = n_arcs_of(b, members, n);
    if (b->n_mergers == b->max_states || b->n_frames == MAX_DEPTH || n_arcs > b->max_states - b->n_work)
        return fail(b);
    if (2 * (b->n_mergers + 1) > b->merger_buckets)
        grow_merger_table(b);
    arc *arcs = b->work + b->n_work;
    for (int32_t i = 0, k = 0; i < n; i++)
        for (int32_t a = 0; a < b->states[members[i]].n_arcs; a++)
            arcs[k++] = b->arcs[b->states[members[i]].first + a];
    sort_arcs(arcs, n_arcs);
    put(b->merger_table, b->merger_buckets, hash_members(members, n), b->n_mergers);
    b->mergers[b->n_mergers] = (merger){b->n_members, n, NONE};
    b->frames[b->n_frames++] = (frame){b->n_mergers++, b->n_work, b->n_work, b->n_work, b->n_work + n_arcs, 0};
    b->n_members += n;
    b->n_work += n_arcs;
    return NONE;
}

static int32_t end_union(pynna_builder *b)
{
    const frame *f = &b->frames[--b->n_frames];
    merger *m = &b->mergers[f->merger];
    int32_t final = 0;
    for (int32_t i = 0; i < m->n; i++)
        final |= b->states[b->members[m->first + i]].final;
    b->n_work = f->first;
    return m->result = intern(b, final, b->work + f->first, f->out - f->first);
}

/* The arcs of one label, the next to be seen to, as one. */
static void merge_label(pynna_builder *b)
{
    frame *f = &b->frames[b->n_frames - 1];
    int32_t *members = b->members + b->n_members, n = 0;
    f->label = b->work[f->at].label;
    for (; f->at < f->end && b->work[f->at].label == f->label; f->at++) {
        if (n > 0 && members[n - 1] == b->work[f->at].next)
            continue;
        if (n == 4 * b->max_states - b->n_members) {
            fail(b);
            return;
        }
        members[n++] = b->work[f->at].next;
    }
    const int32_t known = begin_union(b, n);
    if (known != NONE)
        b->work[f->out++] = (arc){f->label, known};
}

static int32_t unite(pynna_builder *b, const int32_t *states, int32_t n)
{
    if (n > 4 * b->max_states - b->n_members)
        return fail(b);
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
        if (b->n_frames > base && result != NONE) {
            frame *f = &b->frames[b->n_frames - 1];
            b->work[f->out++] = (arc){f->label, result};
        }
    }
    return b->failed ? NONE : result;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* What a state accepts, without a space in front. */
static int32_t strip(pynna_builder *b, int32_t s)
{
    const state of = b->states[s];
    for (int32_t i = 0; i < of.n_arcs; i++) {
        if (b->arcs[of.first + i].label != b->space)
            continue;
        const int32_t after = strip(b, b->arcs[of.first + i].next);
        if (after == NONE || (of.n_arcs == 1 && !of.final))
            return after;
        if (of.n_arcs - 1 > b->max_states - b->n_work)
            return fail(b);
        arc *others = b->work + b->n_work;
        int32_t n = 0;
        for (int32_t k = 0; k < of.n_arcs; k++)
            if (k != i)
                others[n++] = b->arcs[of.first + k];
        const int32_t both[2] = {intern(b, of.final, others, n), after};
        return both[0] == NONE ? NONE : unite(b, both, 2);
    }
    return s;
}

/* The label, then what the state accepts; spaces in a row are one, and none ends a sentence. */
static int32_t before(pynna_builder *b, int32_t label, int32_t s)
{
    arc one = {label, s};
    if (label != b->space)
        return intern(b, 0, &one, 1);
    const int32_t stripped = strip(b, s);
    if (stripped == NONE)
        return NONE;
    const state of = b->states[stripped];
    one.next = of.final ? intern(b, 0, b->arcs + of.first, of.n_arcs) : stripped;
    return one.next == NONE ? NONE : intern(b, of.final, &one, of.n_arcs > 0);
}

/* The deepest of the levels as a state, and its label behind the level above. */
static int end_level(pynna_builder *b, int32_t depth, int32_t then)
{
    const level *l = &b->levels[depth];
    const int32_t n = b->n_work - l->first;
    sort_arcs(b->work + l->first, n);
    int32_t made = n == 0 ? then : intern(b, 0, b->work + l->first, n);
    b->n_work = l->first;
    if (made != NONE && l->final && n > 0) {
        const int32_t both[2] = {made, then};
        made = unite(b, both, 2);
    }
    if (made == NONE)
        return 0;
    if (b->n_work == b->max_states)
        return fail(b), 0;
    b->work[b->n_work++] = (arc){l->label, made};
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
    b->levels[0] = (level){b->n_work, 0, NONE};
    for (int32_t t = 0; t <= n_texts; t++) {
        const int32_t first = t > 0 && t < n_texts ? ends[t - 1] : 0, n = t < n_texts ? ends[t] - first : -1;
        const int32_t common = n_common(b, labels + first, n, depth);
        for (; depth > common; depth--)
            if (!end_level(b, depth, then))
                return NONE;
        if (n > MAX_DEPTH)
            return fail(b);
        for (; depth < n; depth++)
            b->levels[depth + 1] = (level){b->n_work, 0, labels[first + depth]};
        if (t < n_texts)
            b->levels[depth].final = 1;
    }
    if (!end_level(b, 0, then))
        return NONE;
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
    return b->failed ? PYNNA_ERR_FULL : give(b, intern(b, 1, NULL, 0), out);
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
    for (int32_t i = n - 1; i >= 0 && then != NONE; i--)
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
    return b->failed ? PYNNA_ERR_FULL : give(b, unite(b, states, n), out);
}

int pynna_builder_strip(pynna_builder *b, int32_t s, int32_t *out)
{
    if (b == NULL || out == NULL || !are_states(b, &s, 1))
        return PYNNA_ERR_ARGUMENT;
    return b->failed ? PYNNA_ERR_FULL : give(b, strip(b, s), out);
}

/* Numbers the states that `start` reaches, in work[s].next, the others NONE; states lead to lower ones. */
static void number_states(pynna_builder *b, int32_t start, int32_t *n_states, int32_t *n_arcs)
{
    for (int32_t s = 0; s <= start; s++)
        b->work[s].next = s == start ? 0 : NONE;
    for (int32_t s = start; s >= 0; s--)
        for (int32_t a = 0; b->work[s].next != NONE && a < b->states[s].n_arcs; a++)
            b->work[b->arcs[b->states[s].first + a].next].next = 0;
    *n_states = *n_arcs = 0;
    for (int32_t s = 0; s <= start; s++)
        if (b->work[s].next != NONE) {
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
        if (b->work[s].next == NONE)
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
