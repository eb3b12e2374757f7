/* SPDX-License-Identifier: Apache-2.0 */
/* What may a grammar's search be told, and where does what it holds stand in the memory that it is given? */
#include <math.h>
#include <string.h>

#include "graph_search.h"

enum { MAX_ACTIVE = 1 << 24, MAX_RECORDS = 1 << 28 };

void pynna_search_defaults(int32_t n_labels, pynna_search_config *config)
{
    *config = (pynna_search_config){.n_labels = n_labels,
                                    .blank = n_labels - 1,
                                    .n_best = 1,
                                    .max_active = 4096,
                                    .n_records = 32768,
                                    .margin = 30.0,
                                    .filler_cost = 0.5,
                                    .filler_entry_cost = 2.0,
                                    .noise_cost = (double)INFINITY,
                                    .space = PN_NONE};
}

static const char *config_error(const pynna_search_config *c)
{
    if (c->blank < 0 || c->blank >= c->n_labels)
        return "blank must be from 0 to n_labels - 1";
    if (c->n_best < 1 || c->n_best > PN_MAX_BEST)
        return "n_best must be from 1 to 16";
    if (c->max_active < 16 || c->max_active > MAX_ACTIVE)
        return "max_active must be from 16 to 16777216";
    if (c->n_records > MAX_RECORDS || c->n_records / 8 / c->n_best < c->max_active)
        return "n_records must be from 8 * n_best * max_active to 268435456";
    if (!(c->margin > 0.0))
        return "margin must be above 0";
    if (!(c->filler_cost >= 0.0 && c->filler_cost < INFINITY)
        || !(c->filler_entry_cost >= 0.0 && c->filler_entry_cost < INFINITY))
        return "filler_cost and filler_entry_cost must be 0 or more";
    if (!(c->noise_cost >= 0.0))
        return "noise_cost must be 0 or more";
    if (c->space < PN_NONE || c->space >= c->n_labels || c->space == c->blank)
        return "space must be a label but the blank, or -1";
    for (int32_t i = 0; c->label_bias != NULL && i < c->n_labels; i++)
        if (!(c->label_bias[i] < INFINITY))
            return "label_bias must hold finite values or -infinity";
    return NULL;
}

const char *pynna_search_config_error(const pynna_graph *g, const pynna_search_config *c)
{
    const char *wrong = pynna_graph_error(g);
    if (wrong != NULL)
        return wrong;
    if (c == NULL)
        return "there is no configuration";
    if (c->n_labels != g->n_labels)
        return "n_labels must be the graph's";
    if ((wrong = config_error(c)) != NULL)
        return wrong;
    for (int32_t a = 0; a < g->n_arcs; a++)
        if (g->arc_label[a] == c->blank)
            return "no arc of the graph may carry the blank";
    return NULL;
}

static pn_search_layout plan(const pynna_graph *g, const pynna_search_config *c)
{
    const size_t n_active = (size_t)c->max_active, n_paths = n_active * (size_t)c->n_best;
    const size_t n_states = (size_t)g->n_states, n_places = n_states + (size_t)g->n_arcs;
    pn_search_layout at;
    at.end = sizeof(pynna_search);
    at.bias = pn_reserve(&at.end, (size_t)c->n_labels, sizeof(float));
    at.log_prob = pn_reserve(&at.end, (size_t)c->n_labels, sizeof(double));
    at.slot = pn_reserve(&at.end, n_places, sizeof(int32_t));
    at.head = pn_reserve(&at.end, n_states, sizeof(int32_t));
    at.touched = pn_reserve(&at.end, n_active, sizeof(int32_t));
    for (int i = 0; i < 2; i++) {
        at.cells[i] = pn_reserve(&at.end, n_active, sizeof(pn_cell));
        at.paths[i] = pn_reserve(&at.end, n_paths, sizeof(pn_path));
    }
    at.ranked = pn_reserve(&at.end, n_paths, sizeof(pn_ranked));
    at.records = pn_reserve(&at.end, (size_t)c->n_records, sizeof(pn_record));
    at.moved = pn_reserve(&at.end, (size_t)c->n_records, sizeof(int32_t));
    at.waiting = pn_reserve(&at.end, 2 * (size_t)c->n_records, sizeof(pynna_search_token));
    return at;
}

size_t pynna_search_size(const pynna_graph *graph, const pynna_search_config *config)
{
    return pynna_search_config_error(graph, config) == NULL ? plan(graph, config).end : 0;
}

pn_search pn_search_view(pynna_search *d, const pynna_graph *g)
{
    char *base = (char *)d;
    return (pn_search){
        .d = d,
        .g = g,
        .bias = d->has_bias ? (const float *)(base + d->at.bias) : NULL,
        .log_prob = (double *)(base + d->at.log_prob),
        .slot = (int32_t *)(base + d->at.slot),
        .head = (int32_t *)(base + d->at.head),
        .touched = (int32_t *)(base + d->at.touched),
        .cells = (pn_cell *)(base + d->at.cells[d->current]),
        .paths = (pn_path *)(base + d->at.paths[d->current]),
        .next = (pn_cell *)(base + d->at.cells[1 - d->current]),
        .next_paths = (pn_path *)(base + d->at.paths[1 - d->current]),
        .ranked = (pn_ranked *)(base + d->at.ranked),
        .records = (pn_record *)(base + d->at.records),
        .moved = (int32_t *)(base + d->at.moved),
        .waiting = (pynna_search_token *)(base + d->at.waiting),
    };
}

int pn_search_fits(const pynna_search *d, const pynna_graph *g)
{
    return d != NULL && g != NULL && g->n_states == d->n_states && g->n_arcs == d->n_arcs
           && g->n_labels == d->config.n_labels;
}

int pn_search_knows(const pynna_search *d, const pynna_words *hot)
{
    return d->n_hot == 0 ? hot == NULL : hot != NULL && hot->n_hot == d->n_hot && hot->n_labels == d->config.n_labels;
}

int pynna_search_reset(pynna_search *d, const pynna_graph *g)
{
    if (!pn_search_fits(d, g))
        return PYNNA_ERR_ARGUMENT;
    d->finished = d->current = d->n_records = d->n_frames = d->n_frames_untaken = 0;
    d->last_committed = PN_NONE;
    d->first_waiting = d->n_waiting = d->most_active = 0;
    d->n_dropped = 0;
    d->unconstrained_score = d->gap = 0.0;
    d->unconstrained_label = d->config.blank;
    /* cells, paths and records are written before they are read: what is not needed stays untouched */
    pn_search s = pn_search_view(d, g);
    for (int32_t i = 0; i < g->n_arcs + g->n_states; i++)
        s.slot[i] = PN_NONE;
    for (int32_t i = 0; i < g->n_states; i++)
        s.head[i] = PN_NONE;
    d->n_cells = 1;
    s.cells[0] =
        (pn_cell){.place = g->n_arcs + g->start, .n_paths = 1, .next_at_place = PN_NONE, .next_in_state = PN_NONE};
    s.paths[0] =
        (pn_path){.score = 0.0, .history = PN_NONE, .left = PN_NONE, .run_label = PN_NONE, .noise_label = PN_NONE};
    return PYNNA_OK;
}

int pynna_search_init(void *memory, size_t size, const pynna_graph *graph, const pynna_search_config *config,
                      pynna_search **out)
{
    if (memory == NULL || out == NULL || pynna_search_config_error(graph, config) != NULL)
        return PYNNA_ERR_ARGUMENT;
    const pn_search_layout at = plan(graph, config);
    if (size < at.end || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    pynna_search *d = memory;
    memset(memory, 0, at.log_prob);
    d->config = *config;
    d->config.label_bias = NULL;
    d->at = at;
    d->n_states = graph->n_states;
    d->n_arcs = graph->n_arcs;
    d->has_bias = config->label_bias != NULL;
    if (d->has_bias)
        memcpy((char *)memory + at.bias, config->label_bias, (size_t)config->n_labels * sizeof(float));
    *out = d;
    return pynna_search_reset(d, graph);
}
