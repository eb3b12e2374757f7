/* SPDX-License-Identifier: Apache-2.0 */
/* The graph builder: any calls in any order, with states that exist or not; what it gives is a good graph. */
#include "bytes.h"

#include "pynna.h"

enum { MAX_LABELS = 64 };

static int texts(pynna_builder *b, bytes *in, int32_t then, int32_t *made)
{
    int32_t labels[MAX_LABELS], ends[8], n = take_from(in, 0, 8), at = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = take_from(in, 0, 7); k > 0; k--)
            labels[at++] = take_from(in, -1, 4);
        ends[i] = at - (take8(in) == 0);
    }
    return pynna_builder_texts(b, labels, ends, n, then, made);
}

static int call(pynna_builder *b, bytes *in, const int32_t *states, int32_t n_states, int32_t *made)
{
    int32_t some[MAX_LABELS], n = take_from(in, 0, 6);
    const int32_t then = take8(in) == 0 ? take32(in) : states[take8(in) % (uint32_t)n_states];
    switch (take_from(in, 0, 4)) {
    case 0: return pynna_builder_end(b, made);
    case 1:
        for (int32_t i = 0; i < n; i++)
            some[i] = take_from(in, -1, 4) - (take8(in) == 0);
        return pynna_builder_before(b, some, n, then, made);
    case 2: return texts(b, in, then, made);
    case 3:
        for (int32_t i = 0; i < n; i++)
            some[i] = take8(in) == 0 ? take32(in) : states[take8(in) % (uint32_t)n_states];
        return pynna_builder_union(b, some, n, made);
    default: return pynna_builder_strip(b, then, made);
    }
}

static void check_graph(pynna_builder *b, int32_t start)
{
    int32_t n_states, n_arcs;
    const int status = pynna_builder_graph(b, start, &n_states, &n_arcs, NULL, NULL, NULL, NULL);
    if (status != PYNNA_OK)
        return;
    int32_t *first = block((size_t)(n_states + 1) * sizeof *first), *label = block((size_t)n_arcs * sizeof *label);
    int32_t *next = block((size_t)n_arcs * sizeof *next);
    uint8_t *final = block((size_t)n_states);
    MUST(pynna_builder_graph(b, start, &n_states, &n_arcs, first, label, next, final) == PYNNA_OK);
    const pynna_graph g = {16, n_states, n_arcs, n_states - 1, first, label, next, final};
    MUST(pynna_graph_error(&g) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, data + size};
    const int32_t max_states = take_from(&in, 16, 400), space = take_from(&in, -1, 4);
    const size_t n_bytes = pynna_builder_size(max_states);
    void *memory = block(n_bytes);
    pynna_builder *b;
    int32_t states[MAX_LABELS], n = 1;
    MUST(pynna_builder_init(memory, n_bytes, max_states, space, &b) == PYNNA_OK);
    MUST(pynna_builder_end(b, &states[0]) == PYNNA_OK);
    while (in.at < in.end && n < MAX_LABELS) {
        const int status = call(b, &in, states, n, &states[n]);
        if (status == PYNNA_ERR_FULL)
            break;
        n += status == PYNNA_OK;
    }
    check_graph(b, states[n - 1]);
    release(0);
    return 0;
}
