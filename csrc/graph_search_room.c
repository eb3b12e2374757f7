/* SPDX-License-Identifier: Apache-2.0 */
/* What does a grammar's search give up when room gets short? Records that no path leads to; then those that all paths
 * begin with, which are committed; then the worst cells. */
#include <string.h>

#include "graph_search.h"

int32_t pn_search_n_room(const pynna_search *d)
{
    return d->config.n_records / 2 - d->n_frames_untaken;
}

/* How many records and paths refer to each record that some path leads to; the others have 0. */
static void count_uses(pn_search *s)
{
    const int32_t n_best = s->d->config.n_best;
    for (int32_t i = 0; i < s->d->n_records; i++)
        s->records[i].n_uses = 0;
    for (int32_t c = 0; c < s->d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            for (int32_t r = s->paths[c * n_best + k].history; r != PN_NONE; r = s->records[r].previous)
                if (s->records[r].n_uses++ > 0)
                    break;
}

/* The one record that begins all paths, or PN_NONE. */
static int32_t common_root(const pn_search *s)
{
    const int32_t n_best = s->d->config.n_best;
    for (int32_t c = 0; c < s->d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            if (s->paths[c * n_best + k].history == PN_NONE)
                return PN_NONE;
    int32_t root = PN_NONE;
    for (int32_t i = 0; i < s->d->n_records; i++)
        if (s->records[i].n_uses > 0 && s->records[i].previous == PN_NONE) {
            if (root != PN_NONE)
                return PN_NONE;
            root = i;
        }
    return root;
}

/* Commits a record that begins all paths: what refers to it begins there now. */
static void commit(pn_search *s, int32_t r)
{
    pynna_search *d = s->d;
    const int32_t n_best = d->config.n_best;
    pynna_search_token token = s->records[r].token;
    const double gap = (double)token.loss;
    token.loss = (float)(d->gap - gap);
    d->gap = gap;
    d->last_committed = token.label;
    s->waiting[(d->first_waiting + d->n_waiting++) % (2 * d->config.n_records)] = token;
    s->records[r].n_uses = 0;
    for (int32_t i = r + 1; i < d->n_records; i++)
        if (s->records[i].n_uses > 0 && s->records[i].previous == r)
            s->records[i].previous = PN_NONE;
    for (int32_t c = 0; c < d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            if (s->paths[c * n_best + k].history == r)
                s->paths[c * n_best + k].history = PN_NONE;
}

/* Throws out the records that no path leads to and commits what all have in common. */
static void collect(pn_search *s)
{
    pynna_search *d = s->d;
    const int32_t n_best = d->config.n_best;
    count_uses(s);
    for (int32_t r = common_root(s); r != PN_NONE; r = common_root(s))
        commit(s, r);
    int32_t n = 0;
    for (int32_t i = 0; i < d->n_records; i++)
        if (s->records[i].n_uses > 0) {
            const int32_t previous = s->records[i].previous; /* lies before, and has been moved */
            s->moved[i] = n;
            s->records[n] = s->records[i];
            s->records[n++].previous = previous == PN_NONE ? PN_NONE : s->moved[previous];
        }
    d->n_records = n;
    for (int32_t c = 0; c < d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++) {
            int32_t *history = &s->paths[c * n_best + k].history;
            *history = *history == PN_NONE ? PN_NONE : s->moved[*history];
        }
}

/* Keeps the `keep` best of n cells. */
int32_t pn_search_keep_best(pn_search *s, pn_cell *cells, pn_path *paths, int32_t n, int32_t keep)
{
    const int32_t n_best = s->d->config.n_best;
    for (int32_t c = 0; c < n; c++)
        s->ranked[c] = (pn_ranked){paths[c * n_best].score, c, cells[c].place};
    pn_rank_select(s->ranked, n, keep);
    for (int32_t c = 0; c < n; c++)
        cells[c].next_in_state = 0; /* for the time being: whether it is kept */
    for (int32_t i = 0; i < keep; i++)
        cells[s->ranked[i].slot].next_in_state = 1;
    int32_t kept = 0;
    for (int32_t c = 0; c < n; c++)
        if (cells[c].next_in_state) {
            cells[kept] = cells[c];
            memmove(&paths[kept++ * n_best], &paths[c * n_best], (size_t)n_best * sizeof(pn_path));
        }
    s->d->n_dropped += n - keep;
    return kept;
}

/* Room for all records that a frame can add: one for each path that leaves, one for each that hears the filler. */
void pn_search_make_room(pn_search *s)
{
    pynna_search *d = s->d;
    const pynna_search_config *c = &d->config;
    const int32_t room = c->n_best * (d->n_cells + c->max_active);
    if (d->n_records + room <= c->n_records)
        return;
    collect(s);
    while (d->n_records + room > c->n_records) {
        if (d->n_cells > 1) {
            d->n_cells = pn_search_keep_best(s, s->cells, s->paths, d->n_cells, d->n_cells / 2);
        } else {
            d->n_dropped++;
            s->cells[0].n_paths = 1;
        }
        collect(s);
    }
}
