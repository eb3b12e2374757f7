/* SPDX-License-Identifier: Apache-2.0 */
/* How does a sentence that runs go on with other hot words? Each path is settled, as if the text ended with those before,
 * and is put into the cell that it has with the others; doc/grammar.md. */
#include "graph_search_cells.h"

/* The state of the hot words after a path's labels, those that are committed and before the last of them left out. */
static int32_t hot_state_of(pn_search *s, const pn_path *p)
{
    const pynna_search *d = s->d;
    const int32_t last = d->last_committed;
    int32_t n = 0, hot = last < 0 || last >= d->config.n_labels || last == s->hot->space ? PN_HOT_START : PN_HOT_INSIDE;
    for (int32_t r = p->history; r != PN_NONE; r = s->records[r].previous)
        s->moved[n++] = r;
    while (n-- > 0)
        pn_hot_step(s, hot, s->records[s->moved[n]].token.label, &hot);
    if (p->run_label >= 0)
        pn_hot_step(s, hot, p->run_label, &hot);
    return hot;
}

/* A path goes on with the hot words `s->hot`: it keeps what those before would have added had the text ended here. */
static void carry_over(pn_search *s, int32_t place, pn_path p, double settled)
{
    const int32_t hot = s->hot == NULL ? PN_HOT_START : hot_state_of(s, &p);
    const double extra = settled - pn_hot_end(s, hot);
    p.score += extra;
    p.bonus += extra;
    pn_offer(s, place, hot, &p);
}

int pynna_search_change_hot_words(pynna_search *d, const pynna_graph *graph, const pynna_words *before,
                                  const pynna_words *hot)
{
    if (!pn_search_fits(d, graph) || !pn_search_knows(d, before)
        || (hot != NULL && (hot->n_labels != d->config.n_labels || hot->n_hot < 2 || hot->hot_next == NULL)))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    pn_search s = pn_search_view(d, graph);
    s.hot = hot;
    s.best = s.floor = PN_IMPOSSIBLE;
    s.n_next = 0;
    const int32_t n_best = d->config.n_best;
    for (int32_t c = 0; c < d->n_cells; c++)
        for (int32_t k = 0; k < s.cells[c].n_paths; k++)
            carry_over(&s, s.cells[c].place, s.paths[c * n_best + k],
                       before == NULL ? 0.0 : before->hot_end[s.cells[c].hot]);
    pn_search_prune(&s);
    pn_search_swap(&s);
    d->n_hot = hot == NULL ? 0 : hot->n_hot;
    return PYNNA_OK;
}
