/* SPDX-License-Identifier: Apache-2.0 */
/* What has a grammar's search heard? Labels that are committed, the best sentences, and how well they fit. */
#include "graph_search_cells.h"

int pynna_search_finish(pynna_search *d)
{
    return pynna_search_finish_hot(d, NULL);
}

int pynna_search_finish_hot(pynna_search *d, const pynna_words *hot)
{
    if (d == NULL || !pn_search_knows(d, hot))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    d->finished = 1;
    const pn_cell *cells = (const pn_cell *)((const char *)d + d->at.cells[d->current]);
    pn_path *paths = (pn_path *)((char *)d + d->at.paths[d->current]);
    for (int32_t c = 0; hot != NULL && c < d->n_cells; c++)
        for (int32_t k = 0; k < cells[c].n_paths; k++) {
            pn_path *p = &paths[c * d->config.n_best + k];
            p->score += hot->hot_end[cells[c].hot];
            p->bonus += hot->hot_end[cells[c].hot];
        }
    return PYNNA_OK;
}

int pynna_search_take(pynna_search *d, int32_t max_tokens, pynna_search_token *tokens, int32_t *n_tokens)
{
    if (d == NULL || n_tokens == NULL || max_tokens < 0 || (tokens == NULL && max_tokens > 0))
        return PYNNA_ERR_ARGUMENT;
    const pynna_search_token *waiting = (const pynna_search_token *)((const char *)d + d->at.waiting);
    const int32_t capacity = 2 * d->config.n_records;
    const int32_t n = d->n_waiting < max_tokens ? d->n_waiting : max_tokens;
    for (int32_t i = 0; i < n; i++)
        tokens[i] = waiting[(d->first_waiting + i) % capacity];
    d->first_waiting = (d->first_waiting + n) % capacity;
    d->n_waiting -= n;
    if (d->n_waiting == 0)
        d->n_frames_untaken = 0;
    *n_tokens = n;
    return PYNNA_OK;
}

static int is_complete(const pn_search *s, int32_t place)
{
    return s->g->is_final[pn_state_reached(s, place)] != 0;
}

/* The best paths, of complete sentences or of all. */
static int32_t best_paths(const pn_search *s, int complete, pn_path *out, int32_t *places)
{
    const int32_t n_best = s->d->config.n_best;
    int32_t n = 0;
    for (int32_t c = 0; c < s->d->n_cells; c++) {
        if (complete && !is_complete(s, s->cells[c].place))
            continue;
        for (int32_t k = 0; k < s->cells[c].n_paths; k++) {
            pn_path p = s->paths[c * n_best + k];
            p.left = s->cells[c].place; /* for the time being: where it is */
            n = pn_insert_path(out, n, n_best, &p);
        }
    }
    for (int32_t i = 0; i < n; i++)
        places[i] = out[i].left;
    return n;
}

static int32_t n_labels_of(const pn_search *s, const pn_path *p)
{
    int32_t n = p->run_label >= 0;
    for (int32_t r = p->history; r != PN_NONE; r = s->records[r].previous)
        n++;
    return n;
}

/* A path's labels, their losses worked out from the gaps. */
static void write_labels(const pn_search *s, const pn_path *p, int32_t n, pynna_search_token *tokens)
{
    int32_t i = n;
    if (p->run_label >= 0)
        tokens[--i] = (pynna_search_token){p->run_label, p->start, p->frame, p->log_prob,
                                           (float)(pn_path_fit(p) - s->d->unconstrained_score)};
    for (int32_t r = p->history; r != PN_NONE; r = s->records[r].previous)
        tokens[--i] = s->records[r].token;
    double before = s->d->gap;
    for (i = 0; i < n; i++) {
        const double gap = (double)tokens[i].loss;
        tokens[i].loss = (float)(before - gap);
        before = gap;
    }
}

int pynna_search_nbest(const pynna_search *d, const pynna_graph *graph, int32_t max_hypotheses,
                       pynna_search_hypothesis *hypotheses, int32_t *n_hypotheses, int32_t max_tokens,
                       pynna_search_token *tokens, int32_t *n_tokens)
{
    if (!pn_search_fits(d, graph) || hypotheses == NULL || n_hypotheses == NULL || n_tokens == NULL
        || max_hypotheses < 1 || max_tokens < 0 || (tokens == NULL && max_tokens > 0))
        return PYNNA_ERR_ARGUMENT;
    const pn_search s = pn_search_view((pynna_search *)(uintptr_t)d, graph); /* only read */
    pn_path best[PN_MAX_BEST];
    int32_t places[PN_MAX_BEST], n = d->finished ? best_paths(&s, 1, best, places) : 0;
    if (n == 0)
        n = best_paths(&s, 0, best, places);
    n = n < max_hypotheses ? n : max_hypotheses;
    *n_hypotheses = n;
    *n_tokens = 0;
    for (int32_t i = 0; i < n; i++)
        *n_tokens += n_labels_of(&s, &best[i]);
    if (*n_tokens > max_tokens)
        return PYNNA_ERR_MEMORY;
    int32_t first = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t length = n_labels_of(&s, &best[i]);
        hypotheses[i] = (pynna_search_hypothesis){best[i].score,      first,        length, is_complete(&s, places[i]),
                                                  best[i].noise_loss, best[i].bonus};
        write_labels(&s, &best[i], length, tokens + first);
        first += length;
    }
    return PYNNA_OK;
}

int pynna_search_get_stats(const pynna_search *d, pynna_search_stats *stats)
{
    if (d == NULL || stats == NULL)
        return PYNNA_ERR_ARGUMENT;
    *stats = (pynna_search_stats){.unconstrained_score = d->unconstrained_score,
                                  .n_dropped = d->n_dropped,
                                  .n_frames = d->n_frames,
                                  .n_active = d->n_cells,
                                  .most_active = d->most_active,
                                  .n_waiting = d->n_waiting,
                                  .n_room = pn_search_n_room(d),
                                  .finished = d->finished};
    return PYNNA_OK;
}
