/* SPDX-License-Identifier: Apache-2.0 */
/* How paths meet: each is offered to the new cell of its place and its state of the hot words, which keeps the best of
 * them. Inline, for it is done for every arc of every frame. Internal. */
#ifndef PN_GRAPH_SEARCH_CELLS_H
#define PN_GRAPH_SEARCH_CELLS_H

#include <math.h>

#include "ctc_input.h"
#include "graph_search.h"

/* ---- hot words --------------------------------------------------------------------------------------------------- */

enum { PN_HOT_START = 0, PN_HOT_INSIDE = 1 }; /* as words.c has them */

/* What the end of a text would add in a state of the hot words. */
static inline double pn_hot_end(const pn_search *s, int32_t hot)
{
    return s->hot == NULL ? 0.0 : s->hot->hot_end[hot];
}

/* The least and the most that a path in a state of the hot words counts beside its score: what was added for a phrase
 * under way may be taken back, or what a phrase was charged with given back. */
static inline double pn_hot_least(const pn_search *s, int32_t hot)
{
    const double end = pn_hot_end(s, hot);
    return end < 0.0 ? end : 0.0;
}

static inline double pn_hot_most(const pn_search *s, int32_t hot)
{
    const double end = pn_hot_end(s, hot);
    return end > 0.0 ? end : 0.0;
}

/* The nats that a label adds in a state of the hot words, and the state then. The filler ends a text and begins one. */
static inline double pn_hot_step(const pn_search *s, int32_t hot, int32_t label, int32_t *next)
{
    if (s->hot == NULL || label < 0 || label >= s->hot->n_labels) {
        *next = PN_HOT_START;
        return pn_hot_end(s, hot);
    }
    const int64_t at = (int64_t)hot * s->hot->n_labels + label;
    *next = s->hot->hot_next[at];
    return s->hot->hot_bonus[at];
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

/* Puts a path among the best of different label sequences; returns how many there are then. */
static inline int32_t pn_insert_path(pn_path *paths, int32_t n, int32_t n_best, const pn_path *p)
{
    int32_t at = n;
    for (int32_t k = 0; k < n; k++)
        if (paths[k].hash == p->hash) {
            if (paths[k].score >= p->score)
                return n;
            at = k;
        }
    if (at == n && n == n_best) {
        if (paths[--at].score >= p->score)
            return n;
    } else if (at == n) {
        n++;
    }
    for (; at > 0 && paths[at - 1].score < p->score; at--)
        paths[at] = paths[at - 1];
    paths[at] = *p;
    return n;
}

/* The new cell of a place and a state of the hot words, or PN_NONE. */
static inline int32_t pn_find_cell(const pn_search *s, int32_t place, int32_t hot)
{
    int32_t c = s->slot[place];
    while (c != PN_NONE && s->next[c].hot != hot)
        c = s->next[c].next_at_place;
    return c;
}

static inline void pn_link_cell(pn_search *s, int32_t c)
{
    int32_t *first = &s->slot[s->next[c].place];
    s->next[c].next_at_place = *first;
    *first = c;
}

/* pn_find_cell's, made if it is not there; when there is no room, the worse half of the new cells goes. */
static inline int32_t pn_cell_of(pn_search *s, int32_t place, int32_t hot)
{
    const int32_t n_best = s->d->config.n_best, found = pn_find_cell(s, place, hot);
    if (found != PN_NONE)
        return found;
    if (s->n_next == s->d->config.max_active) {
        for (int32_t c = 0; c < s->n_next; c++)
            s->slot[s->next[c].place] = PN_NONE;
        s->n_next = pn_search_keep_best(s, s->next, s->next_paths, s->n_next, s->n_next / 2);
        double worst = (double)INFINITY;
        for (int32_t c = 0; c < s->n_next; c++) {
            pn_link_cell(s, c);
            worst = s->next_paths[c * n_best].score < worst ? s->next_paths[c * n_best].score : worst;
        }
        s->floor = worst > s->floor ? worst : s->floor;
    }
    s->next[s->n_next] = (pn_cell){.place = place, .n_paths = 0, .hot = hot, .next_in_state = PN_NONE};
    pn_link_cell(s, s->n_next);
    return s->n_next++;
}

/* A path comes to a place with a state of the hot words: it is kept if it may still count there. */
static inline void pn_offer(pn_search *s, int32_t place, int32_t hot, const pn_path *p)
{
    if (p->score + pn_hot_most(s, hot) < s->floor || p->score == PN_IMPOSSIBLE)
        return;
    const int32_t c = pn_cell_of(s, place, hot), n_best = s->d->config.n_best;
    s->next[c].n_paths = pn_insert_path(&s->next_paths[c * n_best], s->next[c].n_paths, n_best, p);
    const double sure = p->score + pn_hot_least(s, hot);
    if (sure > s->best) {
        s->best = sure;
        const double floor = s->best - s->d->config.margin;
        s->floor = floor > s->floor ? floor : s->floor;
    }
}

#endif
