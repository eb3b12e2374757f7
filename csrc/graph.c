/* SPDX-License-Identifier: Apache-2.0 */
/* A grammar as an automaton over labels: checked views of arrays, or of the block that a file or flash holds. */
#include <string.h>

#include "pynna.h"

enum { HEADER_BYTES = 32, MAX_LABELS = 65536, MAX_STATES = 1 << 26, MAX_ARCS = 1 << 28 };

static const char magic[8] = {'P', 'N', 'G', 'R', 'A', 'P', 'H', '1'};

static const char *arcs_error(const pynna_graph *g)
{
    if (g->first_arc[0] != 0 || g->first_arc[g->n_states] != g->n_arcs)
        return "first_arc must begin with 0 and end with n_arcs";
    for (int32_t s = 0; s < g->n_states; s++)
        if (g->first_arc[s + 1] < g->first_arc[s])
            return "first_arc must not fall";
    for (int32_t a = 0; a < g->n_arcs; a++) {
        if (g->arc_next[a] < 0 || g->arc_next[a] >= g->n_states)
            return "arc_next must hold states from 0 to n_states - 1";
        if (g->arc_label[a] < PYNNA_FILLER || g->arc_label[a] >= g->n_labels)
            return "arc_label must hold labels from 0 to n_labels - 1, or PYNNA_FILLER";
    }
    return NULL;
}

const char *pynna_graph_error(const pynna_graph *g)
{
    if (g == NULL || g->first_arc == NULL || g->is_final == NULL)
        return "there is no graph";
    if (g->n_labels < 2 || g->n_labels > MAX_LABELS)
        return "n_labels must be from 2 to 65536";
    if (g->n_states < 1 || g->n_states > MAX_STATES)
        return "n_states must be from 1 to 67108864";
    if (g->n_arcs < 0 || g->n_arcs > MAX_ARCS)
        return "n_arcs must be from 0 to 268435456";
    if (g->n_arcs > 0 && (g->arc_label == NULL || g->arc_next == NULL))
        return "there are no arcs";
    if (g->start < 0 || g->start >= g->n_states)
        return "start must be a state from 0 to n_states - 1";
    return arcs_error(g);
}

static size_t block_bytes(int64_t n_states, int64_t n_arcs)
{
    return (size_t)(HEADER_BYTES + 4 * (n_states + 1) + 8 * n_arcs + n_states);
}

size_t pynna_graph_bytes(const pynna_graph *g)
{
    return pynna_graph_error(g) == NULL ? block_bytes(g->n_states, g->n_arcs) : 0;
}

int pynna_graph_save(const pynna_graph *g, void *block, size_t size)
{
    if (block == NULL || pynna_graph_error(g) != NULL)
        return PYNNA_ERR_ARGUMENT;
    if (size < block_bytes(g->n_states, g->n_arcs))
        return PYNNA_ERR_MEMORY;
    const int32_t header[6] = {g->n_labels, g->n_states, g->n_arcs, g->start, 0, 0};
    char *p = block;
    memcpy(p, magic, sizeof magic);
    memcpy(p + sizeof magic, header, sizeof header);
    p += HEADER_BYTES;
    memcpy(p, g->first_arc, 4 * ((size_t)g->n_states + 1));
    p += 4 * ((size_t)g->n_states + 1);
    if (g->n_arcs > 0) {
        memcpy(p, g->arc_label, 4 * (size_t)g->n_arcs);
        memcpy(p + 4 * (size_t)g->n_arcs, g->arc_next, 4 * (size_t)g->n_arcs);
    }
    memcpy(p + 8 * (size_t)g->n_arcs, g->is_final, (size_t)g->n_states);
    return PYNNA_OK;
}

int pynna_graph_open(const void *block, size_t size, pynna_graph *graph)
{
    if (block == NULL || graph == NULL || (uintptr_t)block % 4 != 0)
        return PYNNA_ERR_ARGUMENT;
    if (size < sizeof magic || memcmp(block, magic, sizeof magic) != 0)
        return PYNNA_ERR_FILE_FOREIGN;
    if (size < HEADER_BYTES)
        return PYNNA_ERR_FILE_SHORT;
    int32_t header[6];
    memcpy(header, (const char *)block + sizeof magic, sizeof header);
    const int32_t n_states = header[1], n_arcs = header[2];
    if (n_states < 1 || n_states > MAX_STATES || n_arcs < 0 || n_arcs > MAX_ARCS)
        return PYNNA_ERR_FILE_VALUE;
    if (size < block_bytes(n_states, n_arcs))
        return PYNNA_ERR_FILE_SHORT;
    const int32_t *first_arc = (const int32_t *)((const char *)block + HEADER_BYTES);
    const int32_t *arc_label = first_arc + n_states + 1, *arc_next = arc_label + n_arcs;
    const pynna_graph g = {.n_labels = header[0],
                           .n_states = n_states,
                           .n_arcs = n_arcs,
                           .start = header[3],
                           .first_arc = first_arc,
                           .arc_label = arc_label,
                           .arc_next = arc_next,
                           .is_final = (const uint8_t *)(arc_next + n_arcs)};
    if (pynna_graph_error(&g) != NULL)
        return PYNNA_ERR_FILE_VALUE;
    *graph = g;
    return PYNNA_OK;
}
