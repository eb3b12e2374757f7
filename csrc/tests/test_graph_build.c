/* SPDX-License-Identifier: Apache-2.0 */
/* Automata put together from texts: they accept these and no others, are minimal, and too little room is told. */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pynna.h"

enum { SPACE, A, B, C, N_LABELS, MAX_STATES = 4096, MAX_TEXTS = 24, MAX_TEXT = 6 };

static uint32_t random_state = 1;

static int32_t random_below(int32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int32_t)((random_state >> 8) % (uint32_t)n);
}

static pynna_builder *new_builder(int32_t max_states, void **memory)
{
    const size_t size = pynna_builder_size(max_states);
    pynna_builder *b;
    *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    assert(*memory != NULL && pynna_builder_init(*memory, size - 1, max_states, SPACE, &b) == PYNNA_ERR_MEMORY);
    assert(pynna_builder_init(*memory, size, max_states, SPACE, &b) == PYNNA_OK);
    return b;
}

typedef struct {
    int32_t n_states, n_arcs, first_arc[MAX_STATES + 1], label[2 * MAX_STATES], next[2 * MAX_STATES];
    uint8_t is_final[MAX_STATES];
} automaton;

static void take(pynna_builder *b, int32_t start, automaton *a)
{
    assert(pynna_builder_graph(b, start, &a->n_states, &a->n_arcs, NULL, NULL, NULL, NULL) == PYNNA_OK);
    assert(a->n_states <= MAX_STATES && a->n_arcs <= 2 * MAX_STATES);
    assert(pynna_builder_graph(b, start, &a->n_states, &a->n_arcs, a->first_arc, a->label, a->next, a->is_final)
           == PYNNA_OK);
    const pynna_graph g = {N_LABELS,     a->n_states, a->n_arcs, a->n_states - 1,
                           a->first_arc, a->label,    a->next,   a->is_final};
    assert(pynna_graph_error(&g) == NULL);
}

static int accepts(const automaton *a, const int32_t *text, int32_t n)
{
    int32_t state = a->n_states - 1;
    for (int32_t i = 0; i < n; i++) {
        int32_t arc = a->first_arc[state];
        while (arc < a->first_arc[state + 1] && a->label[arc] != text[i])
            arc++;
        if (arc == a->first_arc[state + 1])
            return 0;
        state = a->next[arc];
    }
    return a->is_final[state];
}

/* How many texts it accepts. */
static int64_t count(const automaton *a)
{
    static int64_t n[MAX_STATES];
    for (int32_t s = 0; s < a->n_states; s++) {
        n[s] = a->is_final[s];
        for (int32_t i = a->first_arc[s]; i < a->first_arc[s + 1]; i++) {
            assert(a->next[i] < s && (i == a->first_arc[s] || a->label[i] > a->label[i - 1]));
            n[s] += n[a->next[i]];
        }
    }
    return n[a->n_states - 1];
}

/* No two states have the same arcs: as arcs lead to lower states, it is minimal then. */
static void check_minimal(const automaton *a)
{
    for (int32_t s = 0; s < a->n_states; s++)
        for (int32_t t = 0; t < s; t++) {
            const int32_t n = a->first_arc[s + 1] - a->first_arc[s];
            if (a->is_final[s] != a->is_final[t] || n != a->first_arc[t + 1] - a->first_arc[t])
                continue;
            const size_t size = (size_t)n * sizeof(int32_t);
            assert(n > 0
                   && (memcmp(a->label + a->first_arc[s], a->label + a->first_arc[t], size) != 0
                       || memcmp(a->next + a->first_arc[s], a->next + a->first_arc[t], size) != 0));
        }
}

typedef struct {
    int32_t n, label[MAX_TEXT];
} text;

static int by_labels(const void *a, const void *b)
{
    const text *x = a, *y = b;
    for (int32_t i = 0; i < x->n && i < y->n; i++)
        if (x->label[i] != y->label[i])
            return x->label[i] - y->label[i];
    return x->n - y->n;
}

/* Sorted texts of letters, each once; returns how many. */
static int32_t random_texts(text *texts)
{
    const int32_t n = 1 + random_below(MAX_TEXTS);
    for (int32_t i = 0; i < n; i++) {
        texts[i].n = 1 + random_below(MAX_TEXT);
        for (int32_t k = 0; k < texts[i].n; k++)
            texts[i].label[k] = A + random_below(C - A + 1);
    }
    qsort(texts, (size_t)n, sizeof *texts, by_labels);
    int32_t kept = 1;
    for (int32_t i = 1; i < n; i++)
        if (by_labels(&texts[kept - 1], &texts[i]) != 0)
            texts[kept++] = texts[i];
    return kept;
}

/* Texts read together, and one by one: PYNNA_ERR_FULL, or the same state twice. */
static int build(pynna_builder *b, const text *texts, int32_t n, int32_t then, int32_t *out)
{
    int32_t labels[MAX_TEXTS * MAX_TEXT], ends[MAX_TEXTS], states[MAX_TEXTS], at = 0, together;
    for (int32_t i = 0; i < n; i++) {
        memcpy(labels + at, texts[i].label, (size_t)texts[i].n * sizeof(int32_t));
        ends[i] = at += texts[i].n;
        if (pynna_builder_before(b, texts[i].label, texts[i].n, then, &states[i]) != PYNNA_OK)
            return PYNNA_ERR_FULL;
    }
    if (pynna_builder_union(b, states, n, out) != PYNNA_OK
        || pynna_builder_texts(b, labels, ends, n, then, &together) != PYNNA_OK)
        return PYNNA_ERR_FULL;
    assert(together == *out);
    return PYNNA_OK;
}

static void test_texts_alone_are_accepted(void)
{
    static automaton a;
    for (int round = 0; round < 200; round++) {
        text texts[MAX_TEXTS];
        const int32_t n = random_texts(texts);
        void *memory;
        pynna_builder *b = new_builder(MAX_STATES, &memory);
        int32_t end, start;
        assert(pynna_builder_end(b, &end) == PYNNA_OK && build(b, texts, n, end, &start) == PYNNA_OK);
        take(b, start, &a);
        check_minimal(&a);
        assert(count(&a) == n);
        for (int32_t i = 0; i < n; i++)
            assert(accepts(&a, texts[i].label, texts[i].n));
        free(memory);
    }
}

/* (texts) (texts): every pair, its parts a space apart however many are written. */
static void test_one_after_the_other(void)
{
    static automaton a;
    static const int32_t spaces[] = {SPACE, SPACE, SPACE};
    for (int round = 0; round < 100; round++) {
        text first[MAX_TEXTS], second[MAX_TEXTS];
        const int32_t n = random_texts(first), m = random_texts(second);
        void *memory;
        pynna_builder *b = new_builder(MAX_STATES, &memory);
        int32_t state;
        assert(pynna_builder_end(b, &state) == PYNNA_OK);
        assert(pynna_builder_before(b, spaces, random_below(3), state, &state) == PYNNA_OK);
        assert(build(b, second, m, state, &state) == PYNNA_OK);
        assert(pynna_builder_before(b, spaces, 1 + random_below(3), state, &state) == PYNNA_OK);
        assert(build(b, first, n, state, &state) == PYNNA_OK);
        assert(pynna_builder_before(b, spaces, random_below(3), state, &state) == PYNNA_OK);
        assert(pynna_builder_strip(b, state, &state) == PYNNA_OK);
        take(b, state, &a);
        check_minimal(&a);
        assert(count(&a) == (int64_t)n * m);
        for (int32_t i = 0; i < n; i++)
            for (int32_t k = 0; k < m; k++) {
                int32_t both[2 * MAX_TEXT + 1], at = first[i].n;
                memcpy(both, first[i].label, (size_t)at * sizeof(int32_t));
                both[at++] = SPACE;
                memcpy(both + at, second[k].label, (size_t)second[k].n * sizeof(int32_t));
                assert(accepts(&a, both, at + second[k].n));
            }
        free(memory);
    }
}

/* With any room at all it is done, or told that there is too little; nothing is written beyond the memory handed in. */
static void test_too_little_room_is_told(void)
{
    int n_full = 0;
    for (int32_t max_states = 16; max_states < 400; max_states++) {
        text texts[MAX_TEXTS];
        const int32_t n = random_texts(texts);
        void *memory;
        pynna_builder *b = new_builder(max_states, &memory);
        int32_t state, again;
        assert(pynna_builder_end(b, &state) == PYNNA_OK);
        int status = PYNNA_OK;
        for (int k = 0; k < 3 && status == PYNNA_OK; k++)
            status = build(b, texts, n, state, &state);
        if (status == PYNNA_ERR_FULL) {
            n_full++;
            assert(pynna_builder_end(b, &again) == PYNNA_ERR_FULL);
        }
        free(memory);
    }
    assert(n_full > 10 && n_full < 380);
}

static void test_wrong_arguments_are_told(void)
{
    static const int32_t labels[] = {A, PYNNA_FILLER - 1}, falling[] = {2, 1};
    void *memory;
    pynna_builder *b = new_builder(16, &memory);
    int32_t state, other = 1;
    assert(pynna_builder_size(15) == 0 && pynna_builder_size((1 << 26) + 1) == 0);
    assert(pynna_builder_end(b, &state) == PYNNA_OK && state == 0);
    assert(pynna_builder_before(b, labels, 2, state, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_before(b, labels, -1, state, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_before(b, labels, 1, 1, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_texts(b, labels, falling, 2, 0, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_texts(b, labels, falling, 0, 0, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_union(b, &other, 1, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_union(b, &other, 0, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_strip(b, -1, &state) == PYNNA_ERR_ARGUMENT);
    assert(pynna_builder_end(NULL, &state) == PYNNA_ERR_ARGUMENT);
    free(memory);
}

int main(void)
{
    test_texts_alone_are_accepted();
    test_one_after_the_other();
    test_too_little_room_is_told();
    test_wrong_arguments_are_told();
    puts("graphs from texts: all is well");
    return 0;
}
